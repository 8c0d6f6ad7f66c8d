"""Terminals that outlive the daemon: tmux on private sockets, and the supervisor that runs an agent in one."""

from __future__ import annotations

from ao.runtimes.tmux import Tmux

__all__ = ["Tmux"]

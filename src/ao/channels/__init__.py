"""Where notifications leave the machine: one sender for every kind of channel, through the Apprise library."""

from __future__ import annotations

from ao.channels.apprise import AppriseSender

__all__ = ["AppriseSender"]

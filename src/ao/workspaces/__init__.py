"""Checkouts of repositories: one git worktree a session, made, looked at, kept and removed.

`Worktrees` is the port; the rest of the room is how. Nothing a person or an agent wrote is removed without a copy, git
alone decides what it knows, and nothing of ours is ever written into a worktree but the links a project asked for.
"""

from __future__ import annotations

from ao.workspaces.worktrees import Worktrees

__all__ = ["Worktrees"]

"""Checkouts of repositories: one git worktree a session, made, looked at, kept and removed; and their commits,
compared, merged, pushed, checked out for a while.

`Worktrees` and `Trees` are the ports; the rest of the room is how. Nothing a person or an agent wrote is removed
without a copy, git alone decides what it knows, and nothing of ours is ever written into a worktree but the links a
project asked for.
"""

from __future__ import annotations

from ao.workspaces.locks import RepositoryLocks
from ao.workspaces.trees import Trees
from ao.workspaces.worktrees import Worktrees

__all__ = ["RepositoryLocks", "Trees", "Worktrees"]

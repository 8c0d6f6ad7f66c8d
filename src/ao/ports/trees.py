"""The port to commits, branches and merges of a repository, beside the sessions' worktrees."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from ao.model.pull import MergeMethod
from ao.ports import Checkout


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How a branch differs from another. `conflicts` are the paths that a merge would leave to a person."""

    head: str
    base: str
    merge_base: str = ""
    ahead: int = 0
    behind: int = 0
    additions: int = 0
    deletions: int = 0
    files: int = 0
    conflicts: tuple[str, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's worktree has produced: the branches it is or was on, and the commits these hold or held since
    the session's base (amended and rebased ones included, by the reflog)."""

    branches: tuple[str, ...] = ()
    commits: frozenset[str] = frozenset()


class TreeMerge(msgspec.Struct, frozen=True, kw_only=True):
    """Merge commit `head` into branch `target`, which must still be at `base`. `author` is "Name <mail>", "" for the
    repository's own identity."""

    target: str
    base: str
    head: str
    method: MergeMethod
    message: str
    author: str = ""


class Trees(Protocol):
    """Questions about, and merges of, a repository's commits. Revisions are full commit ids or full ref names; nothing
    a person or agent named reaches git unchecked. Raises `PROJECT_NOT_RESOLVABLE` when the repository is gone."""

    async def commit(self, repo_path: str, ref: str) -> str | None:
        """The commit of a ref or commit id, None when there is none."""

    async def tree_of(self, repo_path: str, commit: str) -> str:
        """The tree of a commit."""

    async def subject(self, repo_path: str, ref: str) -> str:
        """The first line of the message of the commit a ref points to; "" when there is none."""

    async def compare(self, repo_path: str, base: str, head: str) -> Comparison:
        """Compare two commits; conflicts by `git merge-tree`, touching no worktree and no ref."""

    async def diff(self, repo_path: str, base: str, head: str, *, limit: int) -> str:
        """What `head` changed since it left `base`, as a unified diff cut to `limit` bytes."""

    async def merge(self, repo_path: str, order: TreeMerge) -> str:
        """Build the commit by merge-tree and commit-tree and move the target to it; the commit now at its tip.

        A target that is checked out and clean follows by `merge --ff-only` there. Raises `PR_NOT_MERGEABLE`
        (details.files), `PR_HEAD_CHANGED` (the target moved), `BASE_CHECKED_OUT_DIRTY` (details.path),
        `REPOSITORY_BUSY`. After an error nothing has moved.
        """

    async def history(self, checkout: Checkout) -> History:
        """What the session's worktree has produced; empty when it is gone and its branch too."""

    async def remotes(self, repo_path: str) -> dict[str, str]:
        """URL of each remote, without credentials."""

    async def push(self, repo_path: str, branch: str, *, timeout_s: float) -> None:
        """Push a branch of the same name to `origin`, never by force. Raises `PUSH_FAILED` with git's words."""

    def checked_out(self, repo_path: str, commit: str, path: str) -> AbstractAsyncContextManager[None]:
        """A detached worktree of `commit` at `path` for the length of the block; forcibly removed after it, whatever
        was written there. `path` must lie directly in the managed root of throw-away worktrees."""

    async def sweep(self, repo_paths: Sequence[str]) -> list[str]:
        """Remove the throw-away worktrees that a killed daemon left; their paths."""

    def ref_files(self, repo_path: str, branches: Sequence[str]) -> list[str]:
        """The files that change when one of these branches moves, for `Host.changed`."""

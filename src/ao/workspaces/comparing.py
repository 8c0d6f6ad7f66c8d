"""How two commits differ, and what merging them would come to; nothing is written but objects.

Answers about a pair of commits never change, so the last ones are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from ao.model.errors import AoError
from ao.ports.trees import Comparison
from ao.workspaces.git import Git, GitError

_REMEMBERED: Final = 512
# Plumbing, so that nobody's configuration of `git diff` shows in it.
_DIFF: Final = ("diff-tree", "-r", "-M", "--no-ext-diff", "--no-textconv")
_TIMEOUT_S: Final = 120.0
_USAGE_ERROR: Final = 129


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The tree of a merge, and the paths in it that hold conflicts."""

    tree: str
    conflicts: tuple[str, ...] = ()


class Comparer:
    """Compares commits, given by their full ids."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._known: OrderedDict[tuple[str, str, str], Comparison] = OrderedDict()

    async def compare(self, common: str, repo: str, base: str, head: str) -> Comparison:
        """The whole comparison. Raises GitError."""
        known = self.remembered(common, base, head)
        if known is not None:
            return known
        found = self._known[common, base, head] = await self._compare(repo, base, head)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def remembered(self, common: str, base: str, head: str) -> Comparison | None:
        """The comparison of two commits by full id, if it was made before."""
        found = self._known.get((common, base, head))
        if found is not None:
            self._known.move_to_end((common, base, head))
        return found

    async def _compare(self, repo: str, base: str, head: str) -> Comparison:
        counts = await self._git.output(repo, "rev-list", "--left-right", "--count", f"{base}...{head}", "--")
        behind, ahead = map(int, counts.split())
        fork = await self.merge_base(repo, base, head)
        files, additions, deletions = await self._numbers(repo, fork or base, head)
        merged = await self.merge(repo, base, head) if fork and ahead and behind else None
        return Comparison(
            head=head,
            base=base,
            merge_base=fork,
            ahead=ahead,
            behind=behind,
            additions=additions,
            deletions=deletions,
            files=files,
            conflicts=merged.conflicts if merged else (),
        )

    async def merge_base(self, repo: str, base: str, head: str) -> str:
        """Where two commits parted, "" when their histories have nothing in common."""
        done = await self._git.run(repo, "merge-base", base, head)
        if done.code > 1:
            raise GitError("merge-base", done.err, code=done.code)
        return done.out.strip()

    async def _numbers(self, repo: str, start: str, head: str) -> tuple[int, int, int]:
        """Files changed, lines added and lines removed; a binary file has no lines."""
        out = await self._git.output(repo, *_DIFF, "--numstat", "-z", start, head, "--", timeout_s=_TIMEOUT_S)
        fields = iter(out.split("\0"))
        files = additions = deletions = 0
        for field in fields:
            if not field:
                continue
            added, removed, path = field.split("\t", 2)
            if not path:  # a rename: both names follow
                next(fields, None)
                next(fields, None)
            files += 1
            additions += int(added) if added.isdigit() else 0
            deletions += int(removed) if removed.isdigit() else 0
        return files, additions, deletions

    async def merge(self, repo: str, ours: str, theirs: str, *, unrelated: bool = False) -> Merged:
        """Merge two commits into a tree. Raises GitError."""
        options = ["--write-tree", "-z", "--name-only", "--no-messages"]
        if unrelated:
            options.append("--allow-unrelated-histories")
        done = await self._git.run(repo, "merge-tree", *options, ours, theirs, timeout_s=_TIMEOUT_S)
        if done.code == _USAGE_ERROR:
            raise AoError(
                "RUNTIME_PREREQUISITE_MISSING",
                "this git can't merge without a worktree",
                hint="install git 2.38 or later",
            )
        if done.code not in (0, 1):
            raise GitError("merge-tree", done.err, code=done.code)
        tree, *rest = done.out.split("\0")
        if done.code == 0:
            return Merged(tree=tree)
        paths = rest[: rest.index("")] if "" in rest else rest
        return Merged(tree=tree, conflicts=tuple(dict.fromkeys(paths)) or (".",))

    async def diff(self, repo: str, base: str, head: str, *, limit: int) -> str:
        """What `head` changed since it left `base`, cut to `limit` bytes at the end of a line. Raises GitError."""
        start = await self.merge_base(repo, base, head) or base
        # Of output that is too long the host keeps the beginning and the end, half of its limit each.
        done = await self._git.run(repo, *_DIFF, "-p", start, head, "--", timeout_s=_TIMEOUT_S, limit=max(2 * limit, 1))
        if done.code != 0:
            raise GitError("diff-tree", done.err, code=done.code)
        data = done.out.encode()
        if len(data) <= limit:
            return done.out
        return data[: data.rfind(b"\n", 0, limit) + 1].decode()

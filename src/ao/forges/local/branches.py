"""Where the branches of pull requests are, and whether somebody has merged one meanwhile.

Only this module writes where a pull request's head and base were last seen, and that one was merged or closed.
"""

from __future__ import annotations

from typing import Final

from ao.forges.local.checks import Head
from ao.forges.local.history import History
from ao.forges.local.parts import LocalParts
from ao.forges.local.showing import Standing
from ao.forges.local.wording import mark_of
from ao.model.errors import AoError
from ao.model.local_pull import LocalPull, LocalState
from ao.ports.trees import Comparison

_TREES_KEPT: Final = 1024


class Branches:
    """Follows branches and records what it finds."""

    def __init__(self, parts: LocalParts) -> None:
        self._parts = parts
        self._trees = parts.trees
        self._history = History(parts.host)
        self._tree_of: dict[str, str] = {}

    async def tip(self, root: str, branch: str) -> str:
        """The commit of a branch. Raises `INVALID_BRANCH` when there is none."""
        commit = await self._trees.commit(root, f"refs/heads/{branch}")
        if commit is None:
            raise AoError("INVALID_BRANCH", f"no branch {branch!r}", hint="`git branch` lists those of the repository")
        return commit

    async def head(self, root: str, pull: LocalPull, commit: str) -> Head:
        """The commit as checks want it. A commit's tree never changes, so it is asked for once."""
        tree = self._tree_of.get(commit)
        if tree is None:
            if len(self._tree_of) >= _TREES_KEPT:
                self._tree_of.clear()
            tree = self._tree_of[commit] = await self._trees.tree_of(root, commit)
        return Head(project_id=pull.project_id, root=root, pull_id=pull.id, commit=commit, tree=tree)

    async def follow(self, root: str, pull: LocalPull) -> Standing:
        """Where an open one stands now; recorded. One that was merged by hand is taken to merged.

        A branch without commits of its own is shown where it is, but not recorded: that the last commits seen on it are
        in the target is how a merge is told from a branch that was reset.
        """
        base = await self._trees.commit(root, f"refs/heads/{pull.target_branch}")
        head = await self._trees.commit(root, f"refs/heads/{pull.source_branch}")
        if base is None:
            return Standing(head=head or pull.head_sha, base=pull.base_sha)
        comparison = await self._trees.compare(root, base, head) if head is not None else None
        if base != pull.base_sha and (merge := await self._merged_as(root, pull, base)):
            await self.settle(pull, "merged", merge_sha=merge)
            return Standing(head=pull.head_sha, base=pull.base_sha, comparison=comparison)
        seen = head if head is not None and comparison is not None and comparison.ahead else pull.head_sha
        if (seen, base) != (pull.head_sha, pull.base_sha):
            await self._parts.book.saw_head(pull.id, head_sha=seen, base_sha=base, now=self._parts.now())
        return Standing(head=head or pull.head_sha, base=base, comparison=comparison)

    async def final(self, root: str, pull: LocalPull) -> Standing:
        """Where one that is done stood at its end, as far as git still knows the commits."""
        known = [await self._trees.commit(root, commit) for commit in (pull.base_sha, pull.head_sha) if commit]
        comparison: Comparison | None = None
        if len(known) == 2 and None not in known:
            comparison = await self._trees.compare(root, pull.base_sha, pull.head_sha)
        return Standing(head=pull.head_sha, base=pull.base_sha, comparison=comparison)

    async def settle(self, pull: LocalPull, state: LocalState, *, merge_sha: str = "") -> None:
        """Take an open one to its end."""
        await self._parts.book.settle(pull.id, state, merge_sha=merge_sha, now=self._parts.now())

    async def _merged_as(self, root: str, pull: LocalPull, base: str) -> str:
        """The commit with which the target, which has moved to `base`, took in the commits last seen on the branch; ""
        when it did not. Asked once for each place the target moves to."""
        head = await self._trees.commit(root, pull.head_sha)
        if head is None:
            return ""
        if (await self._trees.compare(root, base, head)).ahead == 0:
            return base
        marked = await self._history.merge_marked(root, mark_of(pull), base=base, head=head)
        if marked:
            return marked
        tree = await self._trees.tree_of(root, base)
        return base if await self._history.is_contained(root, tree, base=base, head=head) else ""

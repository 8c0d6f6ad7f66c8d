"""Merging a commit into a branch: first every object is made, then one step moves the branch.

A target that is checked out nowhere is moved by `update-ref` with its old value; one that is checked out is moved by
`git merge --ff-only` in that worktree, so that its files follow, and only when nothing uncommitted lies there. The step
is not interrupted by a cancellation. Whatever it reports, the branch itself is asked afterwards.
"""

from __future__ import annotations

import logging
import posixpath
from typing import Final

from ao.model.errors import AoError
from ao.ports.trees import TreeMerge
from ao.workspaces.branches import check_branch, is_commit_id
from ao.workspaces.commits import Smith, refuse
from ao.workspaces.comparing import Comparer
from ao.workspaces.git import Git, GitError
from ao.workspaces.inspection import Tree, describe, hidden_changes, operation, read_status
from ao.workspaces.locks import patiently, to_its_end
from ao.workspaces.refs import Refs
from ao.workspaces.registrations import Registration, worktrees

_log = logging.getLogger("ao.workspaces")
_MOVE_TIMEOUT_S: Final = 120.0
# git would take ignored files for worthless, and put changes aside that appeared since they were looked for.
_FOLLOW: Final = ("-c", "merge.autoStash=false", "merge", "--ff-only", "--quiet", "--no-overwrite-ignore")
_IN_THE_WAY: Final = ("would be overwritten", "not uptodate", "MERGE_HEAD", "unmerged", "would lose untracked")
_HEAD_NAMES: Final = ("rebase-merge/head-name", "rebase-apply/head-name")


class Merger:
    """Merges. Its caller holds the repository's lock."""

    def __init__(self, git: Git, refs: Refs, comparer: Comparer) -> None:
        self._git = git
        self._refs = refs
        self._comparer = comparer
        self._smith = Smith(git, comparer)

    async def merge(self, common: str, repo: str, order: TreeMerge) -> str:
        """The commit now at the target's tip. Raises what `ao.ports.trees.Trees.merge` says."""
        self._check_names(order)
        await self._check_tip(repo, order)
        await self._check_news(repo, order)
        where = await self._checked_out_at(common, repo, order)
        if where:
            await self._check_clean(common, where, order)
        try:
            made = await self._smith.make(repo, order)
        except GitError as exc:
            raise _failed(order, exc) from exc
        await to_its_end(self._move(common, repo, where, order, made))
        return made

    def _check_names(self, order: TreeMerge) -> None:
        check_branch(order.target)
        for commit in (order.base, order.head):
            if not is_commit_id(commit):
                raise AoError("INVALID_BRANCH", f"{commit[:80]!r} is not a full commit id")

    async def _check_tip(self, repo: str, order: TreeMerge) -> None:
        tip = await self._refs.find(repo, f"refs/heads/{order.target}")
        if tip != order.base:
            raise _moved(order, tip)

    async def _check_news(self, repo: str, order: TreeMerge) -> None:
        if await self._refs.find(repo, order.head) is None:
            refuse(order, "the commit is not in the repository")
        fork = await self._comparer.merge_base(repo, order.base, order.head)
        if not fork:
            refuse(order, "their histories have no commit in common")
        if fork == order.head:
            refuse(order, f"{order.target!r} already contains it")

    async def _checked_out_at(self, common: str, repo: str, order: TreeMerge) -> str:
        """The worktree that has the target checked out, "" when none has. A record whose folder is gone has none."""
        places = [entry for entry in await worktrees(self._git, repo) if _holds(entry, order.target)]
        if len(places) > 1:
            raise _dirty(order, places[1].path, f"and at {places[0].path} too, so that one of them would fall behind")
        if not places:
            await self._check_not_rebased(common, order)
        return places[0].path if places else ""

    async def _check_not_rebased(self, common: str, order: TreeMerge) -> None:
        """While a branch is rebased its worktree has a detached HEAD, and takes the branch back in the end."""
        shelf = posixpath.join(common, "worktrees")
        folders = [common, *(posixpath.join(shelf, name) for name in await self._git.host.list_dir(shelf))]
        for folder in folders:
            for name in _HEAD_NAMES:
                content = await self._git.host.read(posixpath.join(folder, name), limit=1 << 12)
                if (content or b"").decode(errors="replace").strip() == f"refs/heads/{order.target}":
                    raise _dirty(order, folder, "and is being rebased")

    async def _check_clean(self, common: str, path: str, order: TreeMerge) -> None:
        """Raises `BASE_CHECKED_OUT_DIRTY` when anything uncommitted could be in the way."""
        try:
            folder = (await self._git.output(path, "rev-parse", "--absolute-git-dir")).removesuffix("\n")
            if folder != common and posixpath.dirname(folder) != posixpath.join(common, "worktrees"):
                raise _dirty(order, path, "where .git doesn't belong to the repository any more")
            tree = Tree(path, folder)
            options = ("--porcelain=v2", "-z", "--untracked-files=no", "--ignore-submodules=dirty")
            modified, _, _ = read_status(await self._git.output(path, "status", *options))
            modified += await hidden_changes(self._git, tree)
        except GitError as exc:
            raise _dirty(order, path, f"which can't be read: {exc.line}") from exc
        problem = operation(self._git.host, tree) or describe(modified, [])
        if problem:
            raise _dirty(order, path, f"with work that is not committed: {problem}", files=modified)

    async def _move(self, common: str, repo: str, where: str, order: TreeMerge, made: str) -> None:
        """Move the target from base to `made`, or raise and leave it where it is."""
        note = f"merge {order.head[:12]}: by ao ({order.method})"
        args: tuple[str, ...] = ("update-ref", "-m", note, f"refs/heads/{order.target}", made, order.base)
        if where:
            args = (*_FOLLOW, made)
        try:
            await patiently(common, lambda: self._git.output(where or repo, *args, timeout_s=_MOVE_TIMEOUT_S))
        except (GitError, AoError) as exc:
            tip = await self._refs.find(repo, f"refs/heads/{order.target}")
            if tip == made:  # a hook that runs after the step was late
                _log.warning("merged_with_a_complaint target=%s reason=%s", order.target, exc)
                return
            if tip != order.base:
                raise _moved(order, tip) from exc
            if isinstance(exc, AoError):
                raise
            if where and any(words in exc.text for words in _IN_THE_WAY):
                raise _dirty(order, where, f"where git won't overwrite files: {_named(exc.text)}") from exc
            raise _failed(order, exc) from exc


def _holds(entry: Registration, branch: str) -> bool:
    return entry.branch == branch and (entry.prunable is None or entry.locked is not None)


def _named(text: str) -> str:
    """The files that git lists, each on a line that begins with a tab."""
    names = [line.strip() for line in text.splitlines() if line.startswith("\t")]
    return ", ".join(names[:5]) or text.strip().partition("\n")[0]


def _moved(order: TreeMerge, tip: str | None) -> AoError:
    state = f"is at {tip[:12]} now, not at {order.base[:12]}" if tip else "is gone"
    return AoError(
        "PR_HEAD_CHANGED",
        f"branch {order.target!r} {state}",
        hint="look at what came and try again",
        details={"target": order.target, "expected": order.base, "head": tip or ""},
    )


def _dirty(order: TreeMerge, path: str, problem: str, *, files: list[str] | None = None) -> AoError:
    return AoError(
        "BASE_CHECKED_OUT_DIRTY",
        f"branch {order.target!r} is checked out at {path}, {problem}",
        hint=f"commit or put away what lies in {path}, then merge again",
        details={"path": path, "files": files or []},
    )


def _failed(order: TreeMerge, exc: GitError) -> AoError:
    return AoError(
        "PR_OPERATION_FAILED",
        f"git couldn't merge into {order.target!r}: {exc.line}",
        details={"git": exc.text[:2000]},
    )

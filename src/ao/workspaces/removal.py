"""Removing worktrees and the branches that were made for them, as far as nothing is lost.

Clean without own commits: worktree and branch go. Clean with own commits: the branch stays. Uncommitted or untracked
files, or an unfinished rebase, merge or bisect: all stays; by force a verified snapshot is taken first. Files that git
ignores never hold a removal up; a snapshot has them too.

First look, then mark, then delete: once a worktree was found free of anything that could be lost, a file in its
administrative folder says so, and a removal that was interrupted is taken up again although files are missing by then.
Everything reported is read from the disk afterwards.
"""

from __future__ import annotations

import posixpath

import msgspec

from ao.model.errors import AoError
from ao.ports import Checkout, Removal, WorkState
from ao.workspaces.git import Git, GitError
from ao.workspaces.inspection import REMOVING, Findings, Tree, inspect_tree
from ao.workspaces.locks import patiently
from ao.workspaces.places import Place, Places, Thing
from ao.workspaces.preserve import CannotPreserveError, Keeper
from ao.workspaces.registrations import Record, find_record, worktrees


class Remover:
    """Removes the worktrees of sessions. Its caller holds the repository's lock."""

    def __init__(self, git: Git, places: Places) -> None:
        self._git = git
        self._host = git.host
        self._places = places
        self._keeper = Keeper(git)

    async def examine(self, common: str, checkout: Checkout) -> WorkState:
        """Look at the disk; change nothing."""
        place, record = await self._find(common, checkout)
        findings = await inspect_tree(self._git, place, record)
        return WorkState(
            exists=place.thing is not Thing.NONE,
            registered=record is not None,
            problem=findings.problem,
            own_commits=await self._own_commits(checkout),
        )

    async def remove(self, common: str, checkout: Checkout, *, force: bool) -> Removal:
        """Remove worktree and branch as far as nothing is lost."""
        left = await self.clear(common, checkout, force=force)
        if not left.removed:
            return left
        kept = await self._settle_branch(common, checkout)
        return msgspec.structs.replace(left, branch_kept=kept)

    async def clear(self, common: str, checkout: Checkout, *, force: bool) -> Removal:
        """Remove the worktree only."""
        place, record = await self._find(common, checkout)
        findings = await inspect_tree(self._git, place, record)
        snapshot = ""
        if findings.problem and (not force or findings.obstacle):
            return Removal(removed=False, preserved_reason=findings.problem)
        if force and record is not None and record.whole and await self._host.list_dir(place.real):
            try:
                snapshot = await self._keeper.snapshot(Tree(place.real, record.folder), checkout.session_id)
            except (CannotPreserveError, GitError) as exc:
                reason = "; ".join(filter(None, (f"no snapshot could be taken: {exc}", findings.problem)))
                return Removal(removed=False, preserved_reason=reason)
        failure = await self._delete(checkout, place, record)
        return await self._report(common, checkout, snapshot=snapshot, failure=failure)

    async def is_half_removed(self, common: str, checkout: Checkout) -> bool:
        """Whether a removal of this worktree has begun."""
        _, record = await self._find(common, checkout)
        return record is not None and self._host.stamp([posixpath.join(record.folder, REMOVING)]) != (None,)

    async def _find(self, common: str, checkout: Checkout) -> tuple[Place, Record | None]:
        place = await self._places.look(checkout.path)
        return place, await find_record(self._host, common, place.real)

    async def _delete(self, checkout: Checkout, place: Place, record: Record | None) -> str:
        """Delete folder and record; what went wrong, as text."""
        try:
            if record is not None:
                await self._host.write_private(posixpath.join(record.folder, REMOVING), b"")
            if place.thing is not Thing.NONE:
                await self._host.remove_tree(place.real)
            if record is not None:
                await self._host.remove_tree(record.folder)
        except OSError as exc:
            return f"{exc.strerror}: {exc.filename}"
        return ""

    async def _report(self, common: str, checkout: Checkout, *, snapshot: str, failure: str) -> Removal:
        place, record = await self._find(common, checkout)
        gone = place.thing is Thing.NONE and record is None
        reason = "" if gone else f"it couldn't be removed wholly: {failure or 'files appeared in it meanwhile'}"
        return Removal(removed=gone, preserved_reason=reason, snapshot=snapshot)

    async def _own_commits(self, checkout: Checkout) -> int:
        """Commits of the branch that its base doesn't have; all of them when the base isn't known any more."""
        ref = f"refs/heads/{checkout.branch}"
        tip = await self._git.run(checkout.repo_path, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        if tip.code != 0:
            return 0
        known = [f"^{checkout.base_sha}"] if checkout.base_sha else []
        done = await self._git.run(checkout.repo_path, "rev-list", "--count", ref, *known, "--")
        if done.code != 0:
            return int(await self._git.output(checkout.repo_path, "rev-list", "--count", ref, "--"))
        return int(done.out)

    async def _settle_branch(self, common: str, checkout: Checkout) -> bool:
        """Delete the branch if this session made it and nothing hangs on it; whether it is still there."""
        repo, ref = checkout.repo_path, f"refs/heads/{checkout.branch}"
        tip = (await self._git.run(repo, "rev-parse", "--verify", "--quiet", ref)).out.strip()
        if not tip or not checkout.branch_created or await self._is_needed(checkout, tip):
            return bool(tip)
        try:
            await patiently(common, lambda: self._git.output(repo, "update-ref", "--no-deref", "-d", ref, tip))
        except (GitError, AoError):
            return True
        # What an agent's `git push -u` left in the configuration; there is normally nothing, and then this fails.
        await self._git.run(repo, "config", "--local", "--remove-section", f"branch.{checkout.branch}")
        return False

    async def _is_needed(self, checkout: Checkout, tip: str) -> bool:
        """Whether the branch has own commits that the repository's default branch lacks, or is checked out."""
        if any(entry.branch == checkout.branch for entry in await worktrees(self._git, checkout.repo_path)):
            return True
        if not await self._own_commits(checkout):
            return False
        return not await self._is_merged(checkout, tip)

    async def _is_merged(self, checkout: Checkout, tip: str) -> bool:
        """Whether the default branch, here or at origin, contains `tip`: then the branch is only a second name."""
        repo = checkout.repo_path
        for name in ("refs/remotes/origin/HEAD", "HEAD"):
            target = await self._git.run(repo, "symbolic-ref", "--quiet", name)
            if target.code != 0 or target.out.strip() == f"refs/heads/{checkout.branch}":
                continue
            if (await self._git.run(repo, "merge-base", "--is-ancestor", tip, name)).code == 0:
                return True
        return False


def unremovable(reason: str) -> Removal:
    """The answer when not even a look was possible."""
    return Removal(removed=False, preserved_reason=reason, branch_kept=True)


def unreadable(reason: str) -> WorkState:
    """The state of a worktree that can't be looked at: it must stay."""
    return WorkState(exists=True, registered=False, problem=Findings(obstacle=reason).problem)

"""Making worktrees and opening them again.

A worktree is made by one `git worktree add`, which checks out in parallel (`checkout.workers`; half the time at 5,000
files on two cores). The repository's own `post-checkout` hook runs as it does for every `git worktree add`, within the
time limit; as in git it can't undo the checkout, so a hook that fails or hangs is logged and the worktree used.

An attempt that fails takes back its folder, its record and the branch it made (if still at its start), and nothing
else: never a repository-wide prune.
"""

from __future__ import annotations

import logging
import posixpath
import re
from typing import Final

from ao.model.errors import AoError
from ao.ports import BranchPlan, Checkout, Host
from ao.workspaces.git import Git, GitError
from ao.workspaces.locks import patiently
from ao.workspaces.places import Place, Places, Thing
from ao.workspaces.plan import checked_out_elsewhere
from ao.workspaces.registrations import Record, find_record, worktrees

_log = logging.getLogger("ao.workspaces")
CREATE_TIMEOUT_S: Final = 120.0
PARALLEL: Final = ("-c", "checkout.workers=0", "-c", "checkout.thresholdForParallelism=100")
"""Write many files with all processors."""
_ELSEWHERE: Final = re.compile(r"'(?P<branch>.+)' is already (?:checked out|used by worktree) at '(?P<path>.+)'")
_CLASH: Final = re.compile(r"cannot lock ref '[^']*': '[^']*' exists; cannot create")
_BRANCH_EXISTS: Final = "a branch named"


class Maker:
    """Makes the worktrees of sessions. Its caller holds the repository's lock."""

    def __init__(self, git: Git, places: Places, *, timeout_s: float = CREATE_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._git = git
        self._host: Host = git.host
        self._places = places

    async def create(self, common: str, plan: BranchPlan, checkout: Checkout) -> None:
        """Make the worktree. Raises what `ao.ports.Workspaces.create` says."""
        place = await self._places.look(checkout.path)
        record = await find_record(self._host, common, place.real)
        await self._make_room(common, checkout, place, record)
        await self._host.make_dir(posixpath.dirname(checkout.path))
        try:
            await patiently(common, lambda: self._add(common, plan, checkout))
        except GitError as exc:
            raise await self._taken(exc, plan, checkout) or _failure(exc, plan.branch) from exc

    async def _taken(self, exc: GitError, plan: BranchPlan, checkout: Checkout) -> AoError | None:
        """When another session made the same new branch since it was planned: it is checked out there by now."""
        if not plan.create or _BRANCH_EXISTS not in exc.text:
            return None
        entries = await worktrees(self._git, checkout.repo_path)
        return next(
            (checked_out_elsewhere(plan.branch, entry) for entry in entries if entry.branch == plan.branch), None
        )

    async def _add(self, common: str, plan: BranchPlan, checkout: Checkout) -> None:
        """One attempt, which leaves nothing when it fails or is cancelled."""
        target = (
            ["--no-track", "-b", plan.branch, checkout.path, plan.start]
            if plan.create
            else [checkout.path, plan.branch]
        )
        # A daemon that starts anew finds a git it left running by the marks of its session, as it finds agents.
        marks = {"AO_SESSION_ID": checkout.session_id, "AO_DATA_DIR": posixpath.dirname(self._places.root)}
        args = (*PARALLEL, "worktree", "add", "--quiet", *target)
        try:
            await self._git.output(checkout.repo_path, *args, env=marks, timeout_s=self._timeout_s)
        except BaseException as exc:
            if isinstance(exc, GitError) and await self._is_whole(common, checkout):
                _log.warning("post_checkout_hook_failed session=%s reason=%s", checkout.session_id, exc.line)
                return
            await self.discard(common, checkout)
            if plan.create and not (isinstance(exc, GitError) and _BRANCH_EXISTS in exc.text):
                killed = not isinstance(exc, GitError) or exc.timed_out
                await self._drop_branch(common, checkout.repo_path, plan, killed=killed)
            raise

    async def _is_whole(self, common: str, checkout: Checkout) -> bool:
        """Whether git had finished when it failed: only the hook comes after that."""
        place = await self._places.look(checkout.path)
        record = await find_record(self._host, common, place.real)
        if record is None or not record.whole or place.thing is not Thing.FOLDER:
            return False
        index, lock = self._host.stamp([posixpath.join(record.folder, name) for name in ("index", "index.lock")])
        return index is not None and lock is None

    async def discard(self, common: str, checkout: Checkout) -> None:
        """Remove a worktree that holds nothing: its folder and its record."""
        place = await self._places.look(checkout.path)
        if place.thing is not Thing.NONE:
            await self._host.remove_tree(place.real)
        record = await find_record(self._host, common, place.real)
        if record is not None:
            await self._host.remove_tree(record.folder)

    async def _drop_branch(self, common: str, repo_path: str, plan: BranchPlan, *, killed: bool) -> None:
        """Take back a branch that an attempt made, if it is still at its start. A lock that git left on it when it was
        killed is ours: nobody else knows the branch yet."""
        ref = f"refs/heads/{plan.branch}"
        lock = posixpath.join(common, f"{ref}.lock")
        if killed and self._host.stamp([lock]) != (None,):
            await self._host.remove_tree(lock)
        done = await self._git.run(repo_path, "update-ref", "--no-deref", "-d", ref, plan.start)
        if done.code != 0:
            _log.info("branch_not_taken_back branch=%s reason=%s", plan.branch, done.err.strip())

    async def _make_room(self, common: str, checkout: Checkout, place: Place, record: Record | None) -> None:
        """Clear what an interrupted attempt of this session left. Raises `WORKSPACE_OCCUPIED`, `WORKSPACE_LOCKED`."""
        await self._check_unlocked(checkout, record)
        if place.thing is Thing.FOLDER and not await self._host.list_dir(place.real):
            place = Place(real=place.real, thing=Thing.NONE)
        if place.thing is not Thing.NONE and (record is None or record.whole):
            raise occupied(checkout.path)
        if record is not None:
            await self.discard(common, checkout)

    async def _check_unlocked(self, checkout: Checkout, record: Record | None) -> None:
        if record is not None and record.locked is not None:
            raise AoError(
                "WORKSPACE_LOCKED",
                f"the worktree {checkout.path} is locked: {record.locked or 'no reason given'}",
                hint=f"git worktree unlock {checkout.path}",
                details={"path": checkout.path, "reason": record.locked},
            )

    async def reopen(self, common: str, checkout: Checkout) -> None:
        """Make sure the worktree exists. Raises what `ao.ports.Workspaces.reopen` says."""
        place = await self._places.look(checkout.path)
        record = await find_record(self._host, common, place.real)
        if await self._is_usable(place, record):
            return
        await self._check_branch(checkout, place)
        plan = BranchPlan(branch=checkout.branch, create=False, start="", base_ref="", base_sha="", base_at=None)
        await self.create(common, plan, checkout)

    async def _is_usable(self, place: Place, record: Record | None) -> bool:
        if place.thing is not Thing.FOLDER or record is None or not record.whole:
            return False
        return await self._host.read(posixpath.join(place.real, ".git")) is not None

    async def _check_branch(self, checkout: Checkout, place: Place) -> None:
        ref = f"refs/heads/{checkout.branch}"
        if (await self._git.run(checkout.repo_path, "rev-parse", "--verify", "--quiet", ref)).code != 0:
            raise AoError(
                "WORKSPACE_MISSING",
                f"neither the worktree {checkout.path} nor its branch {checkout.branch!r} exists any more",
                hint=f"git for-each-ref refs/ao/preserved/{checkout.session_id} lists what was preserved",
                details={"path": checkout.path, "branch": checkout.branch},
            )
        for entry in await worktrees(self._git, checkout.repo_path):
            if entry.branch == checkout.branch and entry.path != place.real:
                raise checked_out_elsewhere(checkout.branch, entry)


def occupied(path: str) -> AoError:
    """`WORKSPACE_OCCUPIED`: something that isn't the session's worktree is at its path."""
    return AoError(
        "WORKSPACE_OCCUPIED",
        f"{path} exists and isn't this session's worktree",
        hint="move it away",
        details={"path": path},
    )


def _failure(exc: GitError, branch: str) -> AoError:
    """The error a failed `git worktree add` is to the user."""
    details = {"branch": branch, "git": exc.text[:2000]}
    if match := _ELSEWHERE.search(exc.text):
        return AoError(
            "BRANCH_CHECKED_OUT_ELSEWHERE",
            f"branch {branch!r} is checked out at {match['path']}",
            hint="ask for another branch, or switch that worktree first",
            details={"branch": branch, "path": match["path"]},
        )
    if _CLASH.search(exc.text):
        return AoError("INVALID_BRANCH", f"branch {branch!r} can't exist: {exc.line}", details=details)
    return AoError("WORKSPACE_FAILED", f"git couldn't make the worktree: {exc.line}", details=details)

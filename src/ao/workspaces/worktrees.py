"""The port: each call finds its repository, takes its lock where it touches the worktree list, and does one thing."""

from __future__ import annotations

from collections.abc import Sequence

from ao.model.errors import AoError
from ao.ports import BranchPlan, BranchRequest, Checkout, Host, Removal, Repository, WorkState
from ao.workspaces import links, remote
from ao.workspaces.git import Git, GitError
from ao.workspaces.locks import LOCK_WAIT_S, RepositoryLocks
from ao.workspaces.places import Places
from ao.workspaces.plan import plan
from ao.workspaces.refs import Refs
from ao.workspaces.removal import Remover, unreadable, unremovable
from ao.workspaces.repository import inspect_repository
from ao.workspaces.worktree import CREATE_TIMEOUT_S, Maker, occupied


class Worktrees:
    """`ao.ports.Workspaces` by git worktrees below `root` (`<root>/<project>/<session>`).

    `locks` is shared with `Trees`, else of its own with waits of `lock_wait_s`; `create_timeout_s` bounds one
    `git worktree add` with its hooks.
    """

    def __init__(
        self,
        host: Host,
        root: str,
        *,
        locks: RepositoryLocks | None = None,
        lock_wait_s: float = LOCK_WAIT_S,
        create_timeout_s: float = CREATE_TIMEOUT_S,
    ) -> None:
        self._host = host
        self._git = Git(host)
        self._refs = Refs(self._git)
        self._places = Places(host, root)
        self._locks = locks or RepositoryLocks(wait_s=lock_wait_s)
        self._fetches = RepositoryLocks(wait_s=lock_wait_s)
        self._maker = Maker(self._git, self._places, timeout_s=create_timeout_s)
        self._remover = Remover(self._git, self._places)

    async def inspect(self, path: str) -> Repository:
        """Facts of the repository whose top level is `path`. Raises `NOT_A_GIT_REPO`."""
        return await inspect_repository(self._git, path)

    async def top_number(self, repo_path: str, project_id: str) -> int:
        """The highest N with an `ao/<project>-N` in refs/heads or refs/ao/preserved; 0 when none."""
        return await self._refs.top_number(repo_path, project_id)

    async def taken(self, repo_path: str, session_id: str) -> bool:
        """Whether refs/heads/ao/<id> or refs/ao/preserved/<id> exists. Answered from a cache checked by stat."""
        return await self._refs.taken(repo_path, session_id)

    async def plan(self, request: BranchRequest) -> BranchPlan:
        """Resolve branch and base, changing nothing; see `plan` for the rules and the port for the errors."""
        return await plan(self._git, self._refs, request)

    async def fetch(self, repo_path: str, branch: str, *, timeout_s: float) -> str:
        """Fetch `branch` of origin. Returns "" or a warning that says why it failed; never raises for that."""
        try:
            async with self._fetches.hold(await self._refs.common(repo_path)):
                return await remote.fetch(self._git, repo_path, branch, timeout_s=timeout_s)
        except AoError as exc:
            return exc.message

    async def create(self, plan: BranchPlan, checkout: Checkout) -> None:
        """Make the worktree. A failed attempt removes its folder, its record and the branch it made."""
        common = await self._refs.common(checkout.repo_path)
        async with self._locks.hold(common):
            await self._maker.create(common, plan, checkout)

    async def reopen(self, checkout: Checkout) -> None:
        """Make sure the worktree of an ended session exists, on its branch; never touches one that does."""
        common = await self._refs.common(checkout.repo_path)
        async with self._locks.hold(common):
            if await self._remover.is_half_removed(common, checkout):
                left = await self._remover.clear(common, checkout, force=False)
                if not left.removed:
                    raise occupied(checkout.path)
            await self._maker.reopen(common, checkout)

    async def examine(self, checkout: Checkout) -> WorkState:
        """Look at the disk; change nothing. What can't be looked at is a problem, not an error."""
        try:
            common = await self._refs.common(checkout.repo_path)
            return await self._remover.examine(common, checkout)
        except (AoError, GitError) as exc:
            return unreadable(_reason(exc))

    async def remove(self, checkout: Checkout, *, force: bool) -> Removal:
        """Remove the worktree unless that would lose something, and its branch if that holds nothing of its own.
        Idempotent. Raises `REPOSITORY_BUSY`."""
        try:
            common = await self._refs.common(checkout.repo_path)
        except AoError as exc:
            return await self._without_repository(checkout, exc)
        async with self._locks.hold(common):
            try:
                return await self._remover.remove(common, checkout, force=force)
            except (AoError, GitError) as exc:
                return unremovable(_reason(exc))

    async def _without_repository(self, checkout: Checkout, reason: AoError) -> Removal:
        """A worktree whose repository is gone can't be judged; if there is none either, nothing is left to do."""
        names = await self._host.list_dir(checkout.path)
        return unremovable(reason.message) if names else Removal(removed=True)

    async def provision(self, checkout: Checkout, symlinks: Sequence[str]) -> list[str]:
        """Link repository files into the worktree and hide them from git status. Returns warnings."""
        common = await self._refs.common(checkout.repo_path)
        async with self._locks.hold(common):
            return await links.provision(self._host, common, checkout.repo_path, checkout.path, symlinks)


def _reason(exc: AoError | GitError) -> str:
    return exc.message if isinstance(exc, AoError) else exc.line

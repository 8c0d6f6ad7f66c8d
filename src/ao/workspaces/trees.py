"""The port to commits, branches and merges: each call finds its repository, checks its words, does one thing."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from ao.model.errors import AoError
from ao.model.text import sanitise
from ao.ports import Checkout, Host
from ao.ports.trees import Comparison, History, TreeMerge
from ao.workspaces import remote
from ao.workspaces.branches import check_branch, check_revision, is_branch, is_revision
from ao.workspaces.comparing import Comparer
from ao.workspaces.git import Git, GitError
from ao.workspaces.history import Historian
from ao.workspaces.locks import RepositoryLocks
from ao.workspaces.merging import Merger
from ao.workspaces.refs import Refs, unresolvable
from ao.workspaces.throwaway import ThrowAways


class Trees:
    """`ao.ports.trees.Trees` by git. `root` is the managed root of throw-away worktrees and holds nothing else; `locks`
    is shared with `Worktrees`, else of its own."""

    def __init__(self, host: Host, root: str, *, locks: RepositoryLocks | None = None) -> None:
        self._git = Git(host)
        self._refs = Refs(self._git)
        self._locks = locks or RepositoryLocks()
        self._comparer = Comparer(self._git)
        self._merger = Merger(self._git, self._refs, self._comparer)
        self._historian = Historian(self._git, self._refs)
        self._throw_aways = ThrowAways(self._git, root, self._locks)

    async def commit(self, repo_path: str, ref: str) -> str | None:
        """The commit of a full ref or commit id, None when there is none."""
        with _answered(repo_path):
            await self._refs.common(repo_path)
            return await self._refs.find(repo_path, ref) if is_revision(ref) else None

    async def tree_of(self, repo_path: str, commit: str) -> str:
        """The tree of a commit. Raises `INVALID_BRANCH` for what is no revision, `BRANCH_NOT_FETCHED` for none."""
        with _answered(repo_path):
            found = await self._existing(repo_path, commit)
            return (await self._git.output(repo_path, "rev-parse", "--verify", "--quiet", f"{found}^{{tree}}")).strip()

    async def subject(self, repo_path: str, ref: str) -> str:
        """The first line of the message of the commit a ref points to, without control characters; "" for none."""
        found = await self.commit(repo_path, ref)
        if found is None:
            return ""
        with _answered(repo_path):
            args = ("log", "-1", "--no-show-signature", "--format=%B", found, "--")
            message = await self._git.output(repo_path, *args)
        return sanitise(message.partition("\n")[0]).strip()

    async def compare(self, repo_path: str, base: str, head: str) -> Comparison:
        """Compare two commits. Histories with nothing in common have no conflicts here, but `merge` refuses them.
        Raises `INVALID_BRANCH` for what is no revision, `BRANCH_NOT_FETCHED` for none."""
        with _answered(repo_path):
            common = await self._refs.common(repo_path)
            known = self._comparer.remembered(common, base, head)
            if known is not None:
                return known
            pair = [await self._existing(repo_path, revision) for revision in (base, head)]
            return await self._comparer.compare(common, repo_path, *pair)

    async def diff(self, repo_path: str, base: str, head: str, *, limit: int) -> str:
        """What `head` changed since it left `base`, as a unified diff cut to `limit` bytes at the end of a line. Raises
        `INVALID_BRANCH` for what is no revision, `BRANCH_NOT_FETCHED` for none."""
        with _answered(repo_path):
            pair = [await self._existing(repo_path, revision) for revision in (base, head)]
            return await self._comparer.diff(repo_path, *pair, limit=limit)

    async def merge(self, repo_path: str, order: TreeMerge) -> str:
        """Merge, see `ao.workspaces.merging`; the commit now at the target's tip. Raises what the port says,
        `INVALID_BRANCH`, and `PR_OPERATION_FAILED` when git refuses for a reason of its own. A rebase leaves a commit
        that lies where it should as it is. `order.author` makes a squash or merge somebody's; without it a squash is
        its last commit's author's. Raises ValueError for an author that isn't "Name <mail>"."""
        check_branch(order.target)
        with _answered(repo_path):
            common = await self._refs.common(repo_path)
            async with self._locks.hold(common):
                return await self._merger.merge(common, repo_path, order)

    async def history(self, checkout: Checkout) -> History:
        """What the session's worktree has produced, see `ao.workspaces.history`; at most 5,000 commits."""
        with _answered(checkout.repo_path):
            common = await self._refs.common(checkout.repo_path)
            return await self._historian.history(common, checkout)

    async def remotes(self, repo_path: str) -> dict[str, str]:
        """URL of each remote, without credentials."""
        with _answered(repo_path):
            await self._refs.common(repo_path)
            return await remote.remotes_of(self._git, repo_path)

    async def push(self, repo_path: str, branch: str, *, timeout_s: float) -> None:
        """Push a branch of the same name to `origin`, never by force. Raises `PUSH_FAILED` with git's words,
        `INVALID_BRANCH`."""
        check_branch(branch)
        with _answered(repo_path):
            await self._refs.common(repo_path)
            if await self._refs.find(repo_path, f"refs/heads/{branch}") is None:
                raise AoError("INVALID_BRANCH", f"there is no branch {branch!r} to push", details={"branch": branch})
            await remote.push(self._git, repo_path, branch, timeout_s=timeout_s)

    @asynccontextmanager
    async def checked_out(self, repo_path: str, commit: str, path: str) -> AsyncIterator[None]:
        """A detached worktree of `commit` at `path` for the length of the block, made without the repository's hooks.
        Raises `INVALID_BRANCH`, `BRANCH_NOT_FETCHED`, `WORKSPACE_FAILED`, `WORKSPACE_OCCUPIED`, `REPOSITORY_BUSY`."""
        with _answered(repo_path):
            common = await self._refs.common(repo_path)
            found = await self._existing(repo_path, commit)
        async with self._throw_aways.checked_out(common, repo_path, found, path):
            yield

    async def sweep(self, repo_paths: Sequence[str]) -> list[str]:
        """Remove the throw-away worktrees that a killed daemon left; their paths. Repositories that are gone are passed
        over."""
        commons: list[str] = []
        for repo_path in repo_paths:
            try:
                commons.append(await self._refs.common(repo_path))
            except AoError:
                continue
        return await self._throw_aways.sweep(list(dict.fromkeys(commons)))

    def ref_files(self, repo_path: str, branches: Sequence[str]) -> list[str]:
        """The files that change when one of these branches moves: as a file of its own, packed, or in a reftable. A
        name that can't be a branch's has none."""
        common = self._refs.common_if_known(repo_path)
        names = [f"refs/heads/{branch}" for branch in branches if is_branch(branch)]
        return [posixpath.join(common, name) for name in (*names, "packed-refs", "reftable/tables.list")]

    async def _existing(self, repo_path: str, revision: str) -> str:
        """The commit of a revision. Raises `INVALID_BRANCH`, `BRANCH_NOT_FETCHED`."""
        check_revision(revision)
        await self._refs.common(repo_path)
        found = await self._refs.find(repo_path, revision)
        if found is None:
            raise AoError(
                "BRANCH_NOT_FETCHED",
                f"{revision} is not in the repository at {repo_path}",
                details={"path": repo_path, "revision": revision},
            )
        return found


@contextmanager
def _answered(repo_path: str) -> Iterator[None]:
    """`PROJECT_NOT_RESOLVABLE` in place of a question that git couldn't answer."""
    try:
        yield
    except GitError as exc:
        raise unresolvable(repo_path, exc.line) from exc

"""Worktrees that live for one block of code: made below a managed root of their own, removed whatever lies in them.

The root is the only place where anything is removed: what lies in it, and git's records of worktrees in it. It must be
a real folder; a link could lead anywhere.
"""

from __future__ import annotations

import logging
import posixpath
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from ao.model.errors import AoError
from ao.ports import Host
from ao.workspaces.git import Git, GitError
from ao.workspaces.locks import RepositoryLocks, patiently, to_its_end
from ao.workspaces.worktree import CREATE_TIMEOUT_S, PARALLEL

_log = logging.getLogger("ao.workspaces")
MARK: Final = "AO_THROW_AWAY"
"""A variable, with the root as its value, of the gits that make these worktrees: a killed daemon leaves them behind."""
# A check looks at the commit, not at what hooks for people's worktrees make of it.
_NO_HOOKS: Final = ("-c", "core.hooksPath=/dev/null")
# Argument: the root. Its real path is printed, or why it can't be used.
_LOOK: Final = """
if [ -h "$1" ]; then echo it is a link; exit 1; fi
cd -P -- "$1" && pwd -P
"""


class ThrowAways:
    """The worktrees in `root`."""

    def __init__(self, git: Git, root: str, locks: RepositoryLocks) -> None:
        self._git = git
        self._host: Host = git.host
        self._root = posixpath.normpath(root)
        self._locks = locks
        self._mark = {MARK: self._root}
        self._used: set[str] = set()

    @asynccontextmanager
    async def checked_out(self, common: str, repo: str, commit: str, path: str) -> AsyncIterator[None]:
        """A detached worktree of `commit` at `path`, gone after the block. Raises `WORKSPACE_FAILED`,
        `WORKSPACE_OCCUPIED`, `REPOSITORY_BUSY`."""
        real = await self._place(path)
        self._used.add(path)
        try:
            await self._add(common, repo, commit, path)
            yield
        finally:
            try:
                await to_its_end(self._discard(common, path, real))
            finally:
                self._used.discard(path)

    async def _place(self, path: str) -> str:
        """The real path of a place directly in the root where nothing is yet."""
        folder, name = posixpath.split(path)
        if folder != self._root or not name.isprintable() or name[:1] in ("", ".", "-"):
            raise _unsafe(path, f"throw-away worktrees lie in {self._root}")
        await self._host.make_dir(self._root)
        real = await self._real_root()
        if self._host.stamp([path]) != (None,) or path in self._used:
            raise AoError("WORKSPACE_OCCUPIED", f"{path} exists already", details={"path": path})
        return posixpath.join(real, name)

    async def _real_root(self) -> str:
        """The real path of the root, as git records it. Raises `WORKSPACE_FAILED` when the root is a link."""
        done = await self._host.run(["sh", "-c", _LOOK, "sh", self._root])
        if done.code != 0:
            raise _unsafe(self._root, done.out.strip() or done.err.strip())
        return done.out.removesuffix("\n")

    async def _add(self, common: str, repo: str, commit: str, path: str) -> None:
        args = (*PARALLEL, *_NO_HOOKS, "worktree", "add", "--quiet", "--detach", path, commit)

        async def attempt() -> str:
            return await self._git.output(repo, *args, env=self._mark, timeout_s=CREATE_TIMEOUT_S)

        async with self._locks.hold(common):
            try:
                await patiently(common, attempt)
            except GitError as exc:
                raise AoError(
                    "WORKSPACE_FAILED",
                    f"git couldn't check out {commit[:12]}: {exc.line}",
                    details={"path": path, "git": exc.text[:2000]},
                ) from exc

    async def _discard(self, common: str, path: str, real: str) -> None:
        """Remove the folder and what git has on record of it. What can't be removed now is left to `sweep`."""
        try:
            await self._host.remove_tree(path)
            async with self._locks.hold(common):
                for folder in await self._records(common, {path, real}):
                    await self._host.remove_tree(folder)
        except (OSError, AoError) as exc:
            _log.warning("throw_away_worktree_left path=%s reason=%s", path, exc)

    async def sweep(self, commons: Sequence[str]) -> list[str]:
        """Remove what no block of this process uses: what lies in the root, records of worktrees in it. The paths."""
        await self._host.kill(None, self._mark, grace_s=0)
        try:
            root = await self._real_root()
        except AoError as exc:
            if self._host.stamp([self._root]) != (None,):
                _log.warning("throw_away_root_left path=%s reason=%s", self._root, exc.message)
            return []
        used = {posixpath.basename(path) for path in self._used}
        left = [name for name in await self._host.list_dir(self._root) if name not in used]
        for name in left:
            await self._host.remove_tree(posixpath.join(self._root, name))
        for common in commons:
            async with self._locks.hold(common):
                await self._drop_records(common, (root, self._root), used)
        return [posixpath.join(self._root, name) for name in left]

    async def _drop_records(self, common: str, roots: tuple[str, str], used: set[str]) -> None:
        """Remove what git has on record of worktrees in one of the roots, but for those with a used name."""
        for folder, path in (await self._recorded(common)).items():
            if posixpath.dirname(path) in roots and posixpath.basename(path) not in used:
                await self._host.remove_tree(folder)

    async def _records(self, common: str, paths: set[str]) -> list[str]:
        return [folder for folder, path in (await self._recorded(common)).items() if path in paths]

    async def _recorded(self, common: str) -> dict[str, str]:
        """The administrative folder of each worktree (gitrepository-layout(5)), and where the worktree lies."""
        found: dict[str, str] = {}
        shelf = posixpath.join(common, "worktrees")
        for name in await self._host.list_dir(shelf):
            folder = posixpath.join(shelf, name)
            content = await self._host.read(posixpath.join(folder, "gitdir"), limit=1 << 16)
            target = (content or b"").decode(errors="surrogateescape").strip()
            if target:
                found[folder] = posixpath.dirname(posixpath.normpath(posixpath.join(folder, target)))
        return found


def _unsafe(path: str, reason: str) -> AoError:
    return AoError("WORKSPACE_FAILED", f"{path!r} is no place for a worktree: {reason}", details={"path": path})

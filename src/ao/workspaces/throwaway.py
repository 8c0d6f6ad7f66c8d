"""Worktrees that live for one block of code: made below a managed root of their own, removed whatever lies in them.

The root is the only place where anything is removed, and only what lies directly in it or is recorded by git as lying
below it. It must be a real folder, and so must what leads from it to a worktree; a link could lead anywhere.
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
# Arguments: root, folder in which the worktree is to lie. Their real paths are printed, or why not.
_LOOK: Final = """
if [ -h "$1" ]; then echo link; exit 1; fi
cd -P -- "$1" && pwd -P && cd -P -- "$2" && pwd -P
"""


class ThrowAways:
    """The worktrees below `root`."""

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
        """The real path of a place below the root where nothing is yet."""
        parts = posixpath.relpath(path, self._root).split("/") if posixpath.isabs(path) else ["."]
        if posixpath.normpath(path) != path or not path.isprintable() or any(part[:1] in (".", "-") for part in parts):
            raise _unsafe(path, f"throw-away worktrees lie in {self._root}")
        folder, name = posixpath.split(path)
        await self._host.make_dir(self._root)
        await self._look(self._root)  # before anything is made in it: it may be a link
        await self._host.make_dir(folder)
        root, real = await self._look(folder)
        if real != posixpath.normpath(posixpath.join(root, posixpath.relpath(folder, self._root))):
            raise _unsafe(path, f"its folder is really {real}")
        if self._host.stamp([path]) != (None,) or path in self._used:
            raise AoError("WORKSPACE_OCCUPIED", f"{path} exists already", details={"path": path})
        return posixpath.join(real, name)

    async def _look(self, folder: str) -> tuple[str, str]:
        """The real paths of the root and of a folder in it."""
        done = await self._host.run(["sh", "-c", _LOOK, "sh", self._root, folder])
        lines = done.out.split("\n")
        if done.code != 0 or len(lines) < 2:
            raise _unsafe(folder, "the way there is a link" if lines[0] == "link" else done.err.strip())
        return lines[0], lines[1]

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
        """Remove what no block of this process uses: folders in the root, records of worktrees below it. The paths."""
        await self._host.kill(None, self._mark, grace_s=0)
        try:
            root, _ = await self._look(self._root)
        except AoError as exc:
            if self._host.stamp([self._root]) != (None,):
                _log.warning("throw_away_root_left path=%s reason=%s", self._root, exc.message)
            return []
        removed = {posixpath.join(self._root, name) for name in await self._host.list_dir(self._root)}
        removed = {path for path in removed if not any(_is_in(used, path) for used in self._used)}
        for path in sorted(removed):
            await self._host.remove_tree(path)
        used = {posixpath.join(top, posixpath.relpath(path, self._root)) for path in self._used for top in (root, path)}
        for common in commons:
            async with self._locks.hold(common):
                await self._drop_records(common, (root, self._root), used)
        return sorted(removed)

    async def _drop_records(self, common: str, roots: tuple[str, str], used: set[str]) -> None:
        """Remove what git has on record of unused worktrees below one of the roots."""
        for folder, path in (await self._recorded(common)).items():
            if path not in used and any(_is_in(path, root) for root in roots):
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


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _unsafe(path: str, reason: str) -> AoError:
    return AoError("WORKSPACE_FAILED", f"{path!r} is no place for a worktree: {reason}", details={"path": path})

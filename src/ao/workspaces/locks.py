"""One lock a repository, keyed by its real common directory, so that two paths to one repository share it.

`Worktrees` and `Trees` of one daemon are given the same `RepositoryLocks`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from ao.model.errors import AoError
from ao.workspaces.git import GitError

T = TypeVar("T")
LOCK_WAIT_S: Final = 60.0
# Waits between attempts when another git (a person's, an agent's) holds a lock file: about ten seconds in all.
_PATIENCE_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 4.0)


class RepositoryLocks:
    """Locks that wait `wait_s` at most."""

    def __init__(self, *, wait_s: float = LOCK_WAIT_S) -> None:
        self._wait_s = wait_s
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def hold(self, common: str) -> AsyncIterator[None]:
        """Hold the lock of the repository with this common directory. Raises `REPOSITORY_BUSY`."""
        lock = self._locks.setdefault(common, asyncio.Lock())
        try:
            async with asyncio.timeout(self._wait_s):
                await lock.acquire()
        except TimeoutError:
            raise _busy(common, f"other work on it took longer than {self._wait_s:g} s") from None
        try:
            yield
        finally:
            lock.release()


async def patiently(common: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of `attempt`, tried again while another git holds a lock file. Raises `REPOSITORY_BUSY`."""
    for pause in _PATIENCE_S:
        try:
            return await attempt()
        except GitError as exc:
            if not exc.lock_held:
                raise
        await asyncio.sleep(pause)
    try:
        return await attempt()
    except GitError as exc:
        if exc.lock_held:
            raise _busy(common, exc.line) from exc
        raise


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which goes on to its end also when the caller is cancelled; the cancellation follows it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    task.exception()  # the caller goes; what the work had to say goes with it
    raise cancelled


def _busy(common: str, reason: str) -> AoError:
    return AoError(
        "REPOSITORY_BUSY",
        f"the repository at {common} is busy: {reason}",
        hint="try again; a lock file that a crashed git left must be removed by hand",
        details={"repository": common},
    )

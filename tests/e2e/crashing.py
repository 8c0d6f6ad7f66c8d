"""A daemon that is killed at its N-th effect: `python -m tests.e2e.crashing`.

The double stands at two ports: every command, file and signal goes through `Host`, every commit through `Database`.
Counting begins when the file named by CRASH_ARM exists; at effect number CRASH_AT the process sends itself SIGKILL
before the effect happens (CRASH_WHEN=before) or right after it (after).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from ao import config, daemon, log
from ao.host import LocalHost
from ao.ports import Completed, Connection, ProcessId
from ao.store.database import Database

T = TypeVar("T")


class Fuse:
    """Counts effects once armed and ends the process at the chosen one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._arm = environ["CRASH_ARM"]
        self._at = int(environ["CRASH_AT"])
        self._after = environ["CRASH_WHEN"] == "after"
        self._count = 0

    async def around(self, effect: Callable[[], Awaitable[T]]) -> T:
        """Perform an effect, or die beside it."""
        due = self._step()
        if due and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return await effect()
        finally:
            if due:
                os.kill(os.getpid(), signal.SIGKILL)

    def _step(self) -> bool:
        if not os.path.exists(self._arm):
            return False
        self._count += 1
        return self._count == self._at


class CrashingConnection:
    """A connection whose writes are effects."""

    def __init__(self, inner: Connection, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    async def write(self, data: bytes) -> None:
        """An effect."""
        await self._fuse.around(lambda: self._inner.write(data))

    def lines(self) -> AsyncIterator[bytes]:
        """As it is."""
        return self._inner.lines()

    async def close(self) -> None:
        """As it is."""
        await self._inner.close()


class CrashingHost(LocalHost):
    """The local host with a fuse before every effect."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        super().__init__(environ=environ)
        self.fuse = Fuse(environ)

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        """An effect."""
        return await self.fuse.around(lambda: super(CrashingHost, self).run(argv, **options))

    async def connect(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Connection:
        """An effect whose writes are effects too."""
        inner = await self.fuse.around(lambda: super(CrashingHost, self).connect(argv, env=env))
        return CrashingConnection(inner, self.fuse)

    async def write_private(self, path: str, data: bytes, **options: Any) -> None:
        """An effect."""
        await self.fuse.around(lambda: super(CrashingHost, self).write_private(path, data, **options))

    async def remove_tree(self, path: str) -> None:
        """An effect."""
        await self.fuse.around(lambda: super(CrashingHost, self).remove_tree(path))

    async def kill(self, root: ProcessId | None, marks: Mapping[str, str], *, grace_s: float) -> list[ProcessId]:
        """An effect."""
        return await self.fuse.around(lambda: super(CrashingHost, self).kill(root, marks, grace_s=grace_s))


class CrashingParts(daemon.Parts):
    """The real things behind the fuse."""

    def __init__(self) -> None:
        self.made: CrashingHost | None = None

    def host(self, environ: Mapping[str, str]) -> CrashingHost:
        """The host; its fuse also guards the store's commits."""
        self.made = CrashingHost(environ=environ)
        return self.made

    def database(self, path: str, **options: Any) -> Database:
        """The store, each commit of which is an effect."""
        database = Database.open(path, **options)
        write = database.write

        async def guarded(fn: Callable[[Any], T]) -> T:
            if self.made is None:
                return await write(fn)
            return await self.made.fuse.around(lambda: write(fn))

        database.write = guarded  # type: ignore[method-assign]
        return database


if __name__ == "__main__":
    log.configure()
    asyncio.run(daemon.serve(config.load(os.environ), os.environ, CrashingParts()))

"""One lock per session. Lifecycle commands hold it; kill and rollback cancel a spawn or restore that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ao.model.errors import AoError


@dataclass
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    cancellable: asyncio.Task[Any] | None = None
    users: int = 0


class SessionLocks:
    """Locks by session id, forgotten when nobody uses them."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def busy(self, session_id: str) -> bool:
        """Whether a lifecycle command of this session is running."""
        entry = self._entries.get(session_id)
        return entry is not None and entry.lock.locked()

    @asynccontextmanager
    async def hold(self, session_id: str, *, cancellable: bool = False) -> AsyncIterator[None]:
        """Wait for the lock and hold it. `cancellable`: `preempt` may cancel the task that holds it."""
        entry = self._entries.setdefault(session_id, _Entry())
        entry.users += 1
        try:
            async with entry.lock:
                entry.cancellable = asyncio.current_task() if cancellable else None
                try:
                    yield
                finally:
                    entry.cancellable = None
        finally:
            entry.users -= 1
            if not entry.users:
                self._entries.pop(session_id, None)

    @asynccontextmanager
    async def preempt(self, session_id: str) -> AsyncIterator[None]:
        """Cancel the spawn or restore that holds the lock, wait for its end, and hold the lock."""
        entry = self._entries.get(session_id)
        if entry is not None and entry.cancellable is not None:
            entry.cancellable.cancel()
        async with self.hold(session_id):
            yield

    def check_free(self, session_id: str) -> None:
        """Raises `SESSION_BUSY` when a lifecycle command of this session is running."""
        if self.busy(session_id):
            raise AoError(
                "SESSION_BUSY",
                f"another command is working on session {session_id!r}",
                hint="wait a moment and try again; `ao session kill` cancels a spawn or restore",
            )

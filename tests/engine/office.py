"""Notifications and channels over a real store, with a sender that keeps letters and a clock that is set by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from ao.engine.channels import Channels
from ao.engine.notifications import Notifications
from ao.engine.world import World
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.notification import Delivery, Notification, NotificationType
from ao.model.project import Project
from ao.ports.channels import Channel, Letter
from ao.store import notifications, projects
from ao.store.database import Connection, Database

NOON = int(time.mktime((2031, 2, 3, 12, 0, 0, 0, 0, -1))) * 1_000


class Post:
    """A sender that keeps what it was given; channels in `broken` fail, those in `held` wait until `gate` is set."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Letter]] = []
        self.broken: set[str] = set()
        self.held: set[str] = set()
        self.gate = asyncio.Event()
        self.arrived = asyncio.Event()

    async def send(self, channel: Channel, letter: Letter) -> None:
        """Take it."""
        self.sent.append((channel.name, letter))
        self.arrived.set()
        if channel.name in self.held:
            await self.gate.wait()
        if channel.name in self.broken:
            raise AoError("CHANNEL_FAILED", f"channel {channel.name!r}: error=500", hint="look")

    @property
    def titles(self) -> list[str]:
        """What was sent, in order."""
        return [letter.title for _, letter in self.sent]


class Office:
    """Channels over a real store, with a clock that is set by hand."""

    def __init__(self, db: Database, *configured: Channel) -> None:
        self.db = db
        self.now = NOON
        self.post = Post()
        self.tasks: list[asyncio.Task[Any]] = []
        nothing = cast("Any", None)
        self.world = World(
            db=db, host=nothing, workspaces=nothing, runtime=nothing, agents=nothing, trees=nothing, settings=nothing,
            now=lambda: self.now, start=self._start, token_for=nothing, api_url=nothing,
        )  # fmt: skip
        self.channels = Channels(self.world, configured, self.post)
        self.notifications = Notifications(self.world, self.channels)

    def _start(self, work: Any) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]

    async def tell(self, number: int, **fields: Any) -> Notification:
        """A stored notification with its deliveries."""
        told = Notification(
            **{
                "id": f"ntf_{number:032x}",
                "project_id": "shop",
                "session_id": "shop-1",
                "type": NotificationType.NEEDS_INPUT,
                "signature": str(number),
                "title": f"title {number}",
                "created_at": self.now,
                "updated_at": self.now,
                **fields,
            }
        )

        def insert(conn: Connection) -> None:
            assert notifications.add(conn, told) is not None
            notifications.add_deliveries(conn, self.channels.deliveries(told))

        await self.db.write(insert)
        return told

    def deliveries(self, told: Notification) -> dict[str, Delivery]:
        """The deliveries of a notification by channel."""
        return {row.channel: row for row in notifications.deliveries_of(self.db.read, told.id)}

    async def settled(self) -> None:
        """Wait until every task has ended; at rest nothing is left to do."""
        async with asyncio.timeout(10):
            while pending := [task for task in self.tasks if not task.done()]:
                await asyncio.gather(*pending)

    async def close(self) -> None:
        """End what still runs."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Store:
    """A store whose commits reach whoever listens, as in the daemon."""

    def __init__(self, path: Path) -> None:
        self.listeners: list[Notifications] = []
        self.changes: list[Change] = []
        self.db = Database.open(str(path / "ao.db"), on_commit=self._committed)

    def _committed(self, found: list[Change]) -> None:
        self.changes += found
        for change in found:
            for listener in self.listeners:
                listener.committed(change)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    """A store with project `shop`."""
    store = Store(path)
    project = Project(id="shop", path=str(path / "shop"), registered_at=1, updated_at=1)
    await store.db.write(lambda conn: projects.put(conn, project))
    try:
        yield store
    finally:
        await store.db.close()

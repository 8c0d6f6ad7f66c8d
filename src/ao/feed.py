"""The feed: committed changes, in order, to every subscriber, each encoded once.

The last changes are kept in a ring; a subscriber is a cursor into it and nothing else, so a slow one costs and delays
nobody. When the ring has passed a subscriber's cursor it is told (`FeedLagged`) and starts over from the store.
One commit wakes all subscribers in one step of the loop; while nothing changes nothing runs.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from ao.model.change import Change

BATCH_LIMIT: Final = 512
_DEFAULT_SIZE: Final = 1024
_MAX_SIZE: Final = 100_000


class FeedLagged(Exception):  # noqa: N818 (an answer, not a fault)
    """Changes after the subscriber's cursor are no longer in the ring; they are in the store."""


class FeedClosed(Exception):  # noqa: N818 (an answer, not a fault)
    """The feed has ended: the daemon stops."""


class _Data(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    seq: int
    project_id: str
    session_id: str | None = None
    type: str
    payload: msgspec.Raw
    created_at: str


class _Item(NamedTuple):
    project_id: str
    session_id: str | None
    frame: bytes


_encode: Final = msgspec.json.Encoder().encode


def frame(change: Change) -> bytes:
    """The server-sent event of a change: `id`, `event` and `data` lines and a blank one."""
    data = _Data(
        seq=change.seq,
        project_id=change.project_id,
        session_id=change.session_id,
        type=change.type,
        payload=msgspec.Raw(change.payload.encode()),
        created_at=change.created_at,
    )
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (change.seq, change.type.encode(), _encode(data))


class Feed:
    """Publishes to the readers of one event loop. `head` is the sequence number of the last change before it began;
    `size` how many changes the ring keeps at least (at most twice that)."""

    def __init__(self, *, head: int = 0, size: int = _DEFAULT_SIZE) -> None:
        self._size = min(size, _MAX_SIZE)
        self._seqs: list[int] = []
        self._items: list[_Item] = []
        self._waiters: set[asyncio.Future[None]] = set()
        self._listeners: list[Callable[[], None]] = []
        self.floor = head
        """Every change after this sequence number is in the ring: the lowest cursor that can be served."""
        self.head = head
        """The sequence number of the last change published."""
        self.closed = False

    def publish(self, changes: Sequence[Change]) -> None:
        """Append `changes`, in order of their sequence numbers, and wake every reader."""
        if not changes:
            return
        self._seqs.extend(change.seq for change in changes)
        self._items.extend(_Item(change.project_id, change.session_id, frame(change)) for change in changes)
        self.head = self._seqs[-1]
        if len(self._seqs) > 2 * self._size:
            surplus = len(self._seqs) - self._size
            self.floor = self._seqs[surplus - 1]
            del self._seqs[:surplus]
            del self._items[:surplus]
        self._wake()

    def subscribe(self, cursor: int | None = None, *, project: str | None = None, session: str | None = None) -> Reader:
        """A reader of the changes after `cursor` (default: those to come), of one project or session if given.

        A cursor below `floor` is answered from the store first; reading from it raises FeedLagged.
        """
        return Reader(self, self.head if cursor is None else cursor, project, session)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever changes were published, and when the feed was closed."""
        self._listeners.append(listener)

    def close(self) -> None:
        """End every reader once it has read what is there."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        for listener in self._listeners:
            listener()

    async def _more(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


class Reader:
    """A place in the feed; needs no closing. `cursor` is the sequence number of the last change passed."""

    __slots__ = ("_feed", "_project", "_session", "cursor")

    def __init__(self, feed: Feed, cursor: int, project: str | None, session: str | None) -> None:
        self._feed = feed
        self._project = project
        self._session = session
        self.cursor = cursor

    def ready(self) -> bytes:
        """The frames of what has come since the last call, joined; empty when there are none, or none yet.

        Raises FeedLagged, and FeedClosed once everything was passed.
        """
        found = self._take()
        if not found and self._feed.closed and self.cursor >= self._feed.head:
            raise FeedClosed
        return b"".join([item.frame for item in found])

    async def batch(self) -> bytes:
        """The same; waits while there are none. Cancelling it loses nothing."""
        return b"".join([item.frame for item in await self._next()])

    async def _next(self) -> list[_Item]:
        while True:
            found = self._take()
            if found:
                return found
            if self.cursor < self._feed.head:
                continue
            if self._feed.closed:
                raise FeedClosed
            await self._feed._more()

    def _take(self) -> list[_Item]:
        feed = self._feed
        if self.cursor < feed.floor:
            raise FeedLagged
        if self.cursor >= feed.head:
            return []
        start = bisect_right(feed._seqs, self.cursor)
        stop = min(start + BATCH_LIMIT, len(feed._seqs))
        self.cursor = feed._seqs[stop - 1]
        items = feed._items[start:stop]
        if self._session is not None:
            items = [item for item in items if item.session_id == self._session]
        if self._project is not None:
            items = [item for item in items if item.project_id == self._project]
        return items

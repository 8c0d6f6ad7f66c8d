"""The stream of notifications: two kinds of frames, made from the feed of changes.

A frame's id is the sequence number of its change, so a client that comes back with `Last-Event-ID` is told what it
missed; if that is no longer kept it gets `event: reset` first and should fetch the list. Every frame holds the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ao.api.streams import HEARTBEAT
from ao.engine.notifications import Notifications
from ao.feed import Feed, FeedLagged, frame
from ao.model.notification import Notification

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}
_REPLAY_BATCH: Final = 256
_REMEMBERED: Final = 1_000
_MARK: Final = b"\nevent: notification_"


class _Payload(msgspec.Struct, frozen=True):
    id: str
    resolved: bool = False


class _Data(msgspec.Struct, frozen=True):
    seq: int
    type: str
    payload: msgspec.Raw


class NotificationSource:
    """The changes after the reader's place, of notifications only. `frame_of` makes a frame's data from a notification
    and the two counts."""

    def __init__(
        self,
        feed: Feed,
        engine: Notifications,
        *,
        last: str,
        project: str | None,
        frame_of: Callable[[Notification, int, int], bytes],
    ) -> None:
        self._feed = feed
        self._engine = engine
        self._project = project
        self._frame_of = frame_of
        digits = last.strip()
        known = digits.isascii() and digits.isdigit() and len(digits) < 19
        self._reader = feed.subscribe(int(digits) if known else None, project=project)
        self._resolved: set[str] = set()
        """Told already: that one is read later makes it no more resolved."""

    @property
    def behind(self) -> bool:
        """Whether there is more to take."""
        return self._reader.cursor < self._feed.head

    def first(self) -> bytes:
        """Something at once, so that a client knows that it is connected."""
        return self._reset() or HEARTBEAT

    def take(self) -> bytes:
        """The next frames, perhaps none. Raises FeedClosed."""
        try:
            found = self._reader.ready()
        except FeedLagged:
            return self._reset() or self._replay()
        return b"".join(self._frames(found)) if _MARK in found else b""

    def _reset(self) -> bytes:
        oldest, head = self._engine.bounds()
        if oldest - 1 <= self._reader.cursor <= max(head, self._feed.head):
            return b""
        self._reader.cursor = self._feed.head
        return b"event: reset\ndata: %s\n\n" % msgspec.json.encode({"oldest": oldest, "head": self._feed.head})

    def _replay(self) -> bytes:
        found = self._engine.missed(self._reader.cursor, _REPLAY_BATCH)
        self._reader.cursor = found[-1].seq if found else self._feed.head
        mine = [change for change in found if self._project in (None, change.project_id)]
        return b"".join(self._frames(b"".join(frame(change) for change in mine)))

    def _frames(self, frames: bytes) -> Iterator[bytes]:
        for piece in frames.split(b"\n\n"):
            if _MARK in piece:
                data = msgspec.json.decode(piece.partition(b"\ndata: ")[2], type=_Data)
                yield self._translated(data)

    def _translated(self, data: _Data) -> bytes:
        payload = msgspec.json.decode(data.payload, type=_Payload)
        event = b"notification_created"
        if data.type != "notification_created":
            if not payload.resolved or payload.id in self._resolved:
                return b""
            event = b"notification_resolved"
            self._remember(payload.id)
        told = self._engine.find(payload.id)
        if told is None:
            return b""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (data.seq, event, self._frame_of(told, *self._counts()))

    def _counts(self) -> tuple[int, int]:
        return self._engine.counts(self._project)

    def _remember(self, notification_id: str) -> None:
        if len(self._resolved) >= _REMEMBERED:
            self._resolved.clear()
        self._resolved.add(notification_id)

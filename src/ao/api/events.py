"""The stream of committed changes, as server-sent events.

A stream is a cursor: what lies in the feed's ring comes from there, what is older from the change log, so replay and
live meet without gap or double, and a slow client costs nothing but its place. A cursor that can't be served honestly
(older than what is kept, or beyond the newest) gets `event: reset` first, with the bounds, and then what comes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ao.api.access import Scope
from ao.api.inputs import EventsQuery, NoBody
from ao.api.operation import PREFIX, Call, Operation, Stream
from ao.api.streams import HEARTBEAT
from ao.api.wire import Output
from ao.feed import Feed, FeedLagged, frame
from ao.model.errors import AoError
from ao.store import changes
from ao.store.database import Database

_REPLAY_BATCH: Final = 256
_MAX_CURSOR: Final = 2**63 - 1
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}


def _stream(call: Call[NoBody, EventsQuery]) -> Stream:
    query = call.query
    wanted = _wanted(query.after, call.headers.get("Last-Event-ID"))
    source = _Source(
        call.api.feed, call.engine.world.db, wanted, session=query.session, project=call.within(query.project)
    )
    if wanted is None and query.after != "latest":
        source.rewind()
    return Stream(source=source, headers=_HEADERS)


def _wanted(after: str | None, last: str | None) -> int | None:
    """The cursor asked for: the larger of the two. A bad header counts only when there is no `after`."""
    if after == "latest":
        return None
    if after is None:
        return _cursor(last.strip()) if last and last.strip() else None
    cursor = _cursor(after)
    try:
        return max(cursor, _cursor(last.strip())) if last and last.strip() else cursor
    except AoError:
        return cursor


def _cursor(text: str) -> int:
    digits = text.removeprefix("+")
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= _MAX_CURSOR:
        return int(digits)
    raise AoError(
        "INVALID_AFTER",
        f"{text[:40]!r} is not an event's sequence number",
        hint="a number from an event's id, or latest",
        details={"field": "after"},
    )


class _Source:
    """The changes after the reader's cursor, from the feed as far as it reaches back and from the log beyond that."""

    __slots__ = ("_database", "_feed", "_project", "_reader", "_session")

    def __init__(
        self, feed: Feed, database: Database, cursor: int | None, *, session: str | None, project: str | None
    ) -> None:
        self._feed = feed
        self._database = database
        self._session = session
        self._project = project
        self._reader = feed.subscribe(cursor, project=project, session=session)

    @property
    def behind(self) -> bool:
        """Whether there is more to take."""
        return self._reader.cursor < self._feed.head

    def rewind(self) -> None:
        """Begin with the oldest change that is kept."""
        self._reader.cursor = max(self._bounds()[0] - 1, 0)

    def first(self) -> bytes:
        """Something at once, so that a client knows that it is connected."""
        return self._reset() or HEARTBEAT

    def take(self) -> bytes:
        """The next frames, perhaps none. Raises FeedClosed."""
        try:
            return self._reader.ready()
        except FeedLagged:
            return self._reset() or self._replay()

    def _bounds(self) -> tuple[int, int]:
        oldest, head = changes.bounds(self._database.read)
        return oldest, max(head, self._feed.head)

    def _reset(self) -> bytes:
        """The frame that says that changes after the cursor are gone, and move to the end; "" when they aren't."""
        oldest, head = self._bounds()
        if oldest - 1 <= self._reader.cursor <= head:
            return b""
        self._reader.cursor = self._feed.head
        return b"event: reset\ndata: %s\n\n" % msgspec.json.encode({"oldest": oldest, "head": head})

    def _replay(self) -> bytes:
        """The next changes from the log, at most up to where the feed takes over."""
        found = changes.after(self._database.read, self._reader.cursor, _REPLAY_BATCH)
        self._reader.cursor = found[-1].seq if found else self._feed.head
        return b"".join(
            frame(change)
            for change in found
            if self._session in (None, change.session_id) and self._project in (None, change.project_id)
        )


OPERATIONS = (
    Operation(
        id="streamEvents",
        method="GET",
        path=f"{PREFIX}/events",
        handler=_stream,
        query=EventsQuery,
        answers={200: Output},
        summary="Committed changes as server-sent events",
        tag="events",
        scope=Scope.PROJECT,
        errors=("INVALID_AFTER",),
        stream=True,
    ),
)

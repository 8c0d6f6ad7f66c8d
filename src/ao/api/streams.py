"""Open event streams: connections without a task, a request or a parser, so that a thousand of them cost little.

A stream is a place in its source and a transport. The hub wakes when the feed does and lets streams write in turns, a
few at a time, so that a crowd doesn't hold up anybody's request. A client that reads slowly is passed over until it has
read: it costs its place and what its socket holds. The only timer is the heartbeat, while there is a stream at all.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import Final, Protocol

from ao.feed import Feed, FeedClosed

HEARTBEAT_S: Final = 15.0
HEARTBEAT: Final = b": alive\n\n"
_TURNS: Final = 32
"""Streams that write before anything else may run: about half a millisecond."""

_logger: Final = logging.getLogger("ao.api")


class Source(Protocol):
    """Where a stream's bytes come from."""

    @property
    def behind(self) -> bool:
        """Whether there is more to take."""

    def first(self) -> bytes:
        """What a client gets as soon as it is connected."""

    def take(self) -> bytes:
        """The next piece, perhaps empty. Raises FeedClosed after the last one."""


class Streams:
    """Every open stream."""

    def __init__(self, feed: Feed) -> None:
        self._open: set[_Stream] = set()
        self._due: deque[_Stream] = deque()
        self._running = False
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        feed.listen(self._changed)

    def __len__(self) -> int:
        return len(self._open)

    def attach(self, transport: asyncio.Transport, source: Source, *, chunked: bool) -> None:
        """Send `source` over a connection whose head is sent already, in HTTP chunks or plain, until either ends."""
        stream = _Stream(self, transport, source, chunked=chunked)
        transport.set_protocol(stream)
        if not transport.is_reading():
            transport.resume_reading()  # or nobody would notice that the client leaves
        self._open.add(stream)
        if self._timer is None:
            self._set_timer()
        stream.write(source.first())
        self.schedule(stream)

    async def close(self, grace_s: float) -> None:
        """Wait until every stream has ended, which they do when the feed has; after `grace_s` drop those left."""
        if self._open:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._emptied}, timeout=grace_s)
        for stream in tuple(self._open):
            stream.abort()

    def schedule(self, stream: _Stream) -> None:
        """Let a stream write when its turn comes."""
        if not stream.due:
            stream.due = True
            self._due.append(stream)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def forget(self, stream: _Stream) -> None:
        """A stream's connection is gone."""
        self._open.discard(stream)
        if self._open:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def _changed(self) -> None:
        for stream in self._open:
            self.schedule(stream)

    def _run(self) -> None:
        for _ in range(min(_TURNS, len(self._due))):
            stream = self._due.popleft()
            stream.due = False
            try:
                stream.pump()
            except Exception:
                _logger.exception("stream failed")
                stream.abort()
        self._running = bool(self._due)
        if self._running:
            asyncio.get_running_loop().call_soon(self._run)

    def _set_timer(self) -> None:
        """The beats of all streams fall together, so idle streams cost one wake-up."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at((math.floor(loop.time() / HEARTBEAT_S) + 1) * HEARTBEAT_S, self._beat)

    def _beat(self) -> None:
        self._set_timer()
        for stream in self._open:
            stream.beat = True
            self.schedule(stream)


class _Stream(asyncio.Protocol):
    """One connection. What the client sends is ignored; when it leaves, that's that."""

    __slots__ = ("_chunked", "_hub", "_paused", "_source", "_transport", "beat", "due")

    def __init__(self, hub: Streams, transport: asyncio.Transport, source: Source, *, chunked: bool) -> None:
        self._hub = hub
        self._transport = transport
        self._source = source
        self._chunked = chunked
        self._paused = False
        self.beat = False
        """A heartbeat is to be sent unless there is something better."""
        self.due = False
        """Stands in the hub's queue."""

    def pump(self) -> None:
        """Write the next piece; stand in the queue again when there is more."""
        if self._paused or self._transport.is_closing():
            return
        try:
            piece = self._source.take()
        except FeedClosed:
            if self._chunked:
                self._transport.write(b"0\r\n\r\n")
            self._transport.close()
            return
        if piece or self.beat:
            self.beat = False
            self.write(piece or HEARTBEAT)
        if self._source.behind:
            self._hub.schedule(self)

    def write(self, piece: bytes) -> None:
        """Write a piece that isn't empty."""
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    def abort(self) -> None:
        """Drop the connection with what it hasn't sent."""
        self._transport.abort()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has read."""
        self._paused = False
        self._hub.schedule(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whoever's doing."""
        self._hub.forget(self)

"""Connections of clients: aiohttp's, with our envelope for what isn't HTTP, a bound on slow heads, and a way out.

A head that isn't complete 10 s after the connection was made, or after its first byte on a connection that waited, ends
the connection (slow loris). A connection that merely waits for its next request has no timer of ours.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from ao.api.wire import APIError

HEAD_WITHIN_S: Final = 10.0
HEAD_TOO_LARGE: Final = 431
JSON_TYPE: Final = "application/json; charset=utf-8"
_logger: Final = logging.getLogger("ao.api")


class Connections(web.Server):
    """Makes a connection's protocol and knows all that are open."""

    def __init__(self, handler: Callable[[web.BaseRequest], Coroutine[Any, Any, web.StreamResponse]]) -> None:
        super().__init__(handler, access_log=None, auto_decompress=False)

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_head_timer",)

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(manager, loop=loop, **options)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is still incomplete has its time from the first of them."""
        seen = self._request_count
        super().data_received(data)
        if self._request_count != seen:
            self._stop_waiting()
        elif self._head_timer is None and self._waits():
            self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def detach(self) -> asyncio.Transport | None:
        """Give the transport away; None when the client has left. For aiohttp this connection is over then: what still
        works on it ends, and everything it holds is released."""
        transport, self.transport = self.transport, None
        self.connection_lost(None)
        return transport if isinstance(transport, asyncio.Transport) else None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the HTTP parser refuses; everything else is answered by the dispatcher."""
        if status >= 500:
            _logger.error("request failed before it was dispatched", exc_info=exc)
        request_id = os.urandom(8).hex()  # nobody has read the client's own
        text = "this is not an HTTP/1.1 request"
        if isinstance(exc, LineTooLong):
            status, text = HEAD_TOO_LARGE, "the request's target or one of its headers is too long"
        problem = APIError(error="bad_request", code="INVALID_REQUEST", message=text, request_id=request_id)
        headers = {"Content-Type": JSON_TYPE, "X-Request-Id": request_id}
        response = web.Response(body=msgspec.json.encode(problem) + b"\n", status=status, headers=headers)
        response.force_close()
        return response

    def _waits(self) -> bool:
        """Whether no request is being answered or stands in line, so that bytes belong to the next one's head."""
        return self._waiter is not None and not self._waiter.done()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(HEAD_WITHIN_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._waits():
            self.force_close()

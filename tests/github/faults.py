"""What can go wrong on the way to GitHub, scripted: for the next requests, or for those that a test picks."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

Kind = Literal["status", "hang", "reset", "truncated", "not_json", "secondary"]
KINDS: tuple[Kind, ...] = ("status", "hang", "reset", "truncated", "not_json", "secondary")


@dataclass
class Fault:
    """`status` answers `code` with `body`; `secondary` is GitHub's secondary rate limit (403, Retry-After); `hang`
    never answers; `reset` breaks the connection; `truncated` ends a good answer midway; `not_json` is a proxy's page.

    It strikes `times` requests (None: all) for which `when` holds; `when` gets method, path and GraphQL operation.
    """

    kind: Kind
    times: int | None = 1
    when: Callable[[str, str, str], bool] = lambda _method, _path, _operation: True
    code: int = 502
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: int = 30
    struck: int = 0

    def strikes(self, method: str, path: str, operation: str) -> bool:
        """Whether this request is hit; counts it."""
        if (self.times is not None and self.struck >= self.times) or not self.when(method, path, operation):
            return False
        self.struck += 1
        return True


def reply(fault: Fault) -> web.Response:
    """The answer of a fault that answers at all."""
    if fault.kind == "not_json":
        return web.Response(text="<html><body>upstream proxy</body></html>", content_type="text/html")
    if fault.kind == "secondary":
        text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
        return web.json_response({"message": text}, status=403, headers=headers)
    shown = fault.body if fault.body is not None else {"message": "Server Error"}
    return web.Response(
        text=json.dumps(shown), status=fault.code, headers=dict(fault.headers), content_type="application/json"
    )


def reset(request: web.Request) -> None:
    """Break the connection so that the client sees a reset."""
    if (transport := request.transport) is None:
        return
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def truncate(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Promise the whole answer and send half of it."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    cut = web.StreamResponse(status=whole.status, headers=whole.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut

"""Reading a request's body: its size before its type, its type before its content."""

from __future__ import annotations

from aiohttp import web

from ao.model.errors import AoError


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body, at most `limit` bytes. Raises `PAYLOAD_TOO_LARGE`, and `UNSUPPORTED_MEDIA_TYPE` when there is a
    body that isn't plain JSON."""
    announced = request.content_length or 0
    if announced > limit:
        raise _too_large(limit)
    if not request.body_exists:
        return b""
    if announced:
        _check_type(request)
    content = request.content
    if announced and content.is_eof() and content.exception() is None:
        return content.read_nowait()  # it came with its head
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    pieces: list[bytes] = []
    size = 0
    async for piece in content.iter_any():
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    if size and not announced:
        _check_type(request)
    return b"".join(pieces)


def _check_type(request: web.BaseRequest) -> None:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if kind == "application/json" and encoding == "identity":
        return
    shown = f"Content-Type {kind[:80]!r}" if kind != "application/json" else f"Content-Encoding {encoding[:80]!r}"
    raise AoError("UNSUPPORTED_MEDIA_TYPE", f"{shown} is not accepted", hint="send plain application/json")


def _too_large(limit: int) -> AoError:
    return AoError("PAYLOAD_TOO_LARGE", f"the body has more than {limit:,} bytes", details={"limit": limit})

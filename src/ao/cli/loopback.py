"""HTTP/1.1 to 127.0.0.1 on a bare socket: one request a connection, content-length and chunked answers, event streams.

The `socket` module (enum, selectors) and `http.client` (email, ssl) each cost more than the request itself, so this
speaks to the C socket beneath them. Every operation has a deadline.
"""

from __future__ import annotations

import time
from _socket import AF_INET, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD_LIMIT = 65_536
_CHUNK = 262_144
# What the body still waits for when it isn't a number of bytes.
_UNTIL_CLOSED, _SIZE_LINE, _CHUNK_END = -1, -2, -3


class ProtocolError(Exception):
    """The peer answered with something that isn't the HTTP we understand, or hung up in the middle."""


class Answer:
    """A complete answer: its status, lower-cased headers and body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Exchange:
    """One request and its answer. Use as a context manager; `timeout_s` bounds everything up to the body's end.

    Methods raise `OSError` (also `TimeoutError`) and `ProtocolError`.
    """

    def __init__(self, port: int, timeout_s: float) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._port = port
        self._deadline: float | None = time.monotonic() + timeout_s
        self._socket = socket(AF_INET, SOCK_STREAM)
        self._buffer = b""
        self.ended = False
        self._chunked = False
        self._left = _UNTIL_CLOSED

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; idempotent."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor, to wait for it beside others."""
        return self._socket.fileno()

    def send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Connect and send the request."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        head = "\r\n".join(lines) + "\r\n\r\n"
        self._arm()
        self._socket.connect(("127.0.0.1", self._port))
        self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        try:
            self._arm()
            self._socket.sendall(head.encode("latin-1", "replace") + (body or b""))
        except (BrokenPipeError, ConnectionResetError):
            # A daemon that refuses the body answers before it has read it; that answer says more than this error.
            return

    def read_head(self) -> int:
        """Read the status line and headers; the status."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise ProtocolError("the answer's head is too long")
            self._fill()
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        self._buffer = self._buffer[end + 4 :]
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise ProtocolError(f"not an HTTP answer: {lines[0][:60]!r}")
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.status = int(words[1])
        self._start_body()
        return self.status

    def read_body(self) -> bytes:
        """The whole body."""
        pieces = []
        while not self.ended:
            pieces.append(self.read_some())
        return b"".join(pieces)

    def read_some(self) -> bytes:
        """What is there of the body, after waiting for the peer once if that is nothing; `ended` when it is all."""
        piece = self._take()
        if piece or self.ended:
            return piece
        self._arm()
        data = self._socket.recv(_CHUNK)
        if data:
            self._buffer += data
            return self._take()
        if self._left != _UNTIL_CLOSED:
            raise ProtocolError("the connection was closed before the answer was complete")
        self.ended = True
        return b""

    def expect(self, timeout_s: float | None) -> None:
        """Move the deadline: from now, or none at all."""
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def _start_body(self) -> None:
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        if self._chunked:
            self._left = _SIZE_LINE
        elif "content-length" in self.headers:
            self._left = _length(self.headers["content-length"], 10)
        elif self.status in (204, 304):
            self._left = 0
        self.ended = self._left == 0

    def _take(self) -> bytes:
        if self._chunked:
            return self._take_chunks()
        if self._left == _UNTIL_CLOSED:
            piece, self._buffer = self._buffer, b""
            return piece
        piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(piece)
        self.ended = self._left == 0
        return piece

    def _take_chunks(self) -> bytes:
        pieces = []
        while not self.ended:
            if self._left > 0:
                piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
                pieces.append(piece)
                self._left = self._left - len(piece) or _CHUNK_END
            if self._left == _CHUNK_END and len(self._buffer) >= 2:
                self._buffer, self._left = self._buffer[2:], _SIZE_LINE
            if self._left != _SIZE_LINE or b"\r\n" not in self._buffer:
                break
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            self._left = _length(line.partition(b";")[0].decode("latin-1"), 16)
            self.ended = self._left == 0
        return b"".join(pieces)

    def _fill(self) -> None:
        self._arm()
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ProtocolError("the connection was closed before the answer was complete")
        self._buffer += data

    def _arm(self) -> None:
        if self._deadline is None:
            self._socket.settimeout(None)
            return
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)


def _length(text: str, radix: int) -> int:
    try:
        size = int(text.strip(), radix)
    except ValueError:
        size = -1
    if size < 0:
        raise ProtocolError(f"bad length {text[:20]!r} in the answer")
    return size


def exchange(
    port: int,
    method: str,
    target: str,
    *,
    timeout_s: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request and its whole answer. Raises `OSError`, `TimeoutError` and `ProtocolError`."""
    with Exchange(port, timeout_s) as call:
        call.send(method, target, body, headers or {})
        status = call.read_head()
        return Answer(status, call.headers, call.read_body())

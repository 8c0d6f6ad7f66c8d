"""The thinnest HTTP client there is: one kept-alive loopback socket, requests encoded beforehand."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any


class HttpError(Exception):
    """An answer that isn't 2xx."""


class Client:
    """A kept-alive connection to the daemon."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def encode(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
        """The bytes of a request."""
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {self.token}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        return "\r\n".join([*lines, "", ""]).encode() + data

    def exchange(self, request: bytes) -> bytes:
        """Send encoded bytes, return the body of the answer. Raises `HttpError` unless it is 2xx or 304."""
        self.socket.sendall(request)
        return self.answer()

    def answer(self) -> bytes:
        """Read one answer; it must have a Content-Length."""
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = bytes(data[:end])
        body = data[end + 4 :]
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            body += self._receive()
        if head[9:10] != b"2" and head[9:12] != b"304":
            raise HttpError(f"{head[:60]!r} {bytes(body)[:500]!r}")
        return bytes(body)

    def call(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """A request with a JSON answer, decoded; None when the answer is empty."""
        answer = self.exchange(self.encode(method, path, body, headers))
        return json.loads(answer) if answer else None

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _receive(self) -> bytes:
        data = self.socket.recv(1 << 18)
        if not data:
            raise HttpError("the daemon closed the connection")
        return data

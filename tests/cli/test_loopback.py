"""HTTP over the loopback: every way an answer may be cut into pieces, and every way it may go wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ao.cli.client import EventStream
from ao.cli.errors import CliError
from ao.cli.loopback import Answer, Exchange, ProtocolError, exchange

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Request-Id: r-1\r\n\r\n"
    b"5\r\nhello\r\n7;ext=1\r\n, world\r\n1\r\n!\r\n0\r\n\r\n"
)
SIZED = b"HTTP/1.1 201 Created\r\ncontent-length: 13\r\nX-Request-Id:r-1\r\n\r\nhello, world!"
UNSIZED = b"HTTP/1.0 200 OK\r\nX-Request-Id: r-1\r\n\r\nhello, world!"
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    b': beat\n\nid: 7\nevent: session_updated\ndata: {"seq":7,"x":"\xc3\xa9"}\n\n'
    b'event: reset\r\ndata: {"head": 9}\r\n\r\n'
)


@contextmanager
def peer(pieces: list[bytes], *, hold: bool = False) -> Iterator[int]:
    """A server that reads one request's head and sends these pieces; with `hold` it doesn't hang up by itself."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        link, _ = server.accept()
        with link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = b""
            while b"\r\n\r\n" not in data:
                data += link.recv(65536)
            for piece in pieces:
                _send(link, piece)
            if hold:
                done.wait(10)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        done.set()
        thread.join()
        server.close()


def _send(link: socket.socket, piece: bytes) -> None:
    try:
        link.sendall(piece)
    except ConnectionError:
        # The client may hang up at the last chunk's size, before its empty line.
        return


def ask(pieces: list[bytes]) -> Answer:
    with peer(pieces) as port:
        return exchange(port, "GET", "/x", timeout_s=10)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % len(data) for place in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


@pytest.mark.parametrize("whole", [CHUNKED, SIZED, UNSIZED])
@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(min_value=0, max_value=400), max_size=6))
def test_answer_is_the_same_however_it_is_cut(whole: bytes, places: list[int]) -> None:
    answer = ask(cut(whole, places))
    assert (answer.body, answer.headers["x-request-id"]) == (b"hello, world!", "r-1")


@pytest.mark.parametrize("status", [b"204 No Content", b"200 OK"])
def test_answer_without_a_body_is_empty(status: bytes) -> None:
    assert ask([b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"]).body == b""
    assert ask([b"HTTP/1.1 204 x\r\n\r\n"]).body == b""


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc x\r\n\r\n", SIZED[:-1], CHUNKED[:-8],
     b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
     b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000],
    ids=range(9),
)  # fmt: skip
def test_broken_answer_is_an_error_not_a_wrong_body(data: bytes) -> None:
    with pytest.raises((ProtocolError, ConnectionError)):
        ask([data] if data else [])


def test_silence_ends_at_the_deadline() -> None:
    with peer([SIZED[:-3]], hold=True) as port, pytest.raises(TimeoutError):
        exchange(port, "GET", "/x", timeout_s=0.1)


def test_header_values_cannot_carry_a_line_break_of_bytes_outside_latin() -> None:
    with peer([SIZED]) as port, Exchange(port, 5) as call:
        call.send("GET", "/x", None, {"X-Name": "é…"})
        assert call.read_head() == 201


@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(min_value=0, max_value=400), max_size=6))
def test_stream_yields_the_same_frames_however_it_is_cut(places: list[int]) -> None:
    with peer(cut(STREAM, places)) as port:
        stream = EventStream(port, "/x", {})
        frames = [(frame.event, frame.seq, frame.data) for frame in stream]
        stream.close()
    assert frames == [("", 0, {}), ("session_updated", 7, {"seq": 7, "x": "é"}), ("reset", 0, {"head": 9})]


def test_stream_that_says_nothing_times_out_where_asked() -> None:
    with peer([STREAM[: STREAM.index(b": beat")]], hold=True) as port:
        stream = EventStream(port, "/x", {})
        stream.expect(0.05)
        with pytest.raises(CliError, match="no answer in time"):
            stream.receive()
        stream.close()


def test_request_head_is_what_the_daemon_expects() -> None:
    seen: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve(note: Callable[[bytes], None]) -> None:
        link, _ = server.accept()
        with link:
            note(link.recv(65536))
            link.sendall(SIZED)

    thread = threading.Thread(target=serve, args=(seen.append,))
    thread.start()
    port = server.getsockname()[1]
    exchange(port, "POST", "/api/v1/x?y=1", timeout_s=5, body=b"{}", headers={"Authorization": "Bearer t"})
    thread.join()
    server.close()
    assert seen[0].decode().split("\r\n") == [
        "POST /api/v1/x?y=1 HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: close",
        "Authorization: Bearer t",
        "Content-Type: application/json",
        "Content-Length: 2",
        "",
        "{}",
    ]

"""G12: from the request that changes something to its event at an SSE client, and to the last of 1,000 clients.

The request's own durable commit is inside the time; nothing is subtracted.
"""

from __future__ import annotations

import re
import select
import socket
import statistics
import time

from bench.client import Client
from bench.measure import ROUNDS, Row, absolute, percentile
from bench.place import Daemon, Place

CHANGES = 200
EVENT = re.compile(rb"\ndata:[^\n]*\n\n")
CROWD = 1000


def main(place: Place) -> list[Row]:
    """Median and p99 with one client, the last of a crowd, and memory a subscriber."""
    with place.daemon() as daemon:
        daemon.register("feed", place.repository(10))
        (session,) = daemon.spawn("feed", 1)
        stream = _subscribe(daemon)
        rounds = [_one(daemon, session, stream, turn) for turn in range(ROUNDS)]
        stream.close()
        before = _resident(daemon.pid)
        crowd = [_subscribe(daemon) for _ in range(CROWD)]
        grown = (_resident(daemon.pid) - before) / CROWD
        last = [_last(daemon, session, crowd, number) for number in range(20)]
        for stream in crowd:
            stream.close()
    return [
        absolute("G12", "change → SSE client, median", rounds, limit=1.0),
        absolute("G12", "change → SSE client, p99", rounds, limit=5.0, at=99),
        Row("G12", "change → last of 1,000 clients", statistics.median(last) * 1e3, "ms", 45.0, _worst(last)),
        Row("G12", "memory a subscriber", grown / 1e3, "kB", 8.0, "growth of the daemon with 1,000"),
    ]


def _worst(samples: list[float]) -> str:
    return f"{len(samples)} samples, p99 {percentile(samples, 99) * 1e3:.1f} ms"


def _subscribe(daemon: Daemon) -> socket.socket:
    client = daemon.client()
    client.socket.sendall(client.encode("GET", "/api/v1/events?after=latest", headers={"Accept": "text/event-stream"}))
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += client.socket.recv(4096)
    return client.socket


def _rename(client: Client, session: str, name: str) -> bytes:
    return client.encode("PATCH", f"/api/v1/sessions/{session}", {"displayName": name})


def _one(daemon: Daemon, session: str, stream: socket.socket, turn: int) -> list[float]:
    client = daemon.client()
    took = []
    for number in range(CHANGES):
        request = _rename(client, session, f"name {turn} {number}")
        start = time.perf_counter()
        client.socket.sendall(request)
        seen = b""
        while not EVENT.search(seen):
            seen += stream.recv(65536)
        took.append(time.perf_counter() - start)
        client.answer()
    client.close()
    return took


def _last(daemon: Daemon, session: str, crowd: list[socket.socket], number: int) -> float:
    client = daemon.client()
    request = _rename(client, session, f"crowd {number}")
    poll = select.poll()
    waiting = {stream.fileno(): stream for stream in crowd}
    for stream in waiting:
        poll.register(stream, select.POLLIN)
    start = time.perf_counter()
    client.socket.sendall(request)
    while waiting:
        arrived = poll.poll(20_000)
        if not arrived:
            raise TimeoutError(f"{len(waiting)} clients got no event")
        for stream, _ in arrived:
            waiting.pop(stream).recv(65536)
            poll.unregister(stream)
    took = time.perf_counter() - start
    client.answer()
    client.close()
    return took


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096

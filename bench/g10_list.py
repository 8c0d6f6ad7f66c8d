"""G10: the list of 1,000 sessions, unchanged, against an aiohttp handler that returns the same bytes from memory."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.client import Client, HttpError
from bench.measure import Row, Sample, pairs, ratio
from bench.place import Place
from bench.rows import multiply

BURST = 20
FLOOR = """\
import sys
from aiohttp import web

body = open(sys.argv[2], "rb").read()

async def listed(request):
    return web.Response(body=body, content_type="application/json")

app = web.Application()
app.router.add_get("/api/v1/sessions", listed)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""


def main(place: Place) -> list[Row]:
    """Bursts of requests on one kept-alive connection each."""
    with place.daemon() as daemon:
        daemon.register("many", place.repository(10))
        daemon.spawn("many", 1)
        multiply(daemon, 1000)
        client = daemon.client()
        body = client.exchange(client.encode("GET", "/api/v1/sessions"))
        saved = daemon.home / "list.json"
        saved.write_bytes(body)
        with _floor(place, saved) as floor:
            samples = pairs(_burst(client), _burst(floor))
    return [ratio("G10", f"list of 1,000 ({len(body) / 1e3:.0f} kB), {BURST} in a row", samples, limit=1.3)]


def _burst(client: Client) -> Sample:
    request = client.encode("GET", "/api/v1/sessions")

    def run() -> float:
        start = time.perf_counter()
        for _ in range(BURST):
            client.exchange(request)
        return time.perf_counter() - start

    return run


@contextlib.contextmanager
def _floor(place: Place, body: Path) -> Iterator[Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([place.python, "-c", FLOOR, str(port), body], env=place.env)
    try:
        yield _connect(port)
    finally:
        process.terminate()
        process.wait()


def _connect(port: int) -> Client:
    deadline = time.perf_counter() + 10
    while True:
        try:
            return Client(port, "")
        except (OSError, HttpError):
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.01)

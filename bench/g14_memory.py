"""G14: resident memory of the idle daemon against a bare aiohttp, msgspec and sqlite3 process, and per session."""

from __future__ import annotations

import statistics
import subprocess
import time

from bench.measure import ROUNDS, Row
from bench.place import Place

BARE = """\
import asyncio, sqlite3, sys
import aiohttp, msgspec
from aiohttp import web

async def main():
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sqlite3.connect(":memory:")
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
SESSIONS = 100


def main(place: Place) -> list[Row]:
    """The empty daemon as a ratio; the growth from one session to a hundred more, a session."""
    ratios, grown, sizes = [], [], []
    for _ in range(ROUNDS):
        with place.daemon() as daemon:
            daemon.register("memory", place.repository(10))
            sizes.append(resident(daemon.pid))
            ratios.append(sizes[-1] / _bare(place))
            daemon.spawn("memory", 1)
            time.sleep(1)
            before = resident(daemon.pid)
            daemon.spawn("memory", SESSIONS)
            time.sleep(1)
            grown.append((resident(daemon.pid) - before) / SESSIONS / 1e3)
    detail = f"{statistics.median(sizes) / 1e6:.1f} MB"
    return [
        Row("G14", "idle memory over bare aiohttp", statistics.median(ratios), "×", 1.2, detail),
        Row("G14", f"memory a session, {SESSIONS} sessions", statistics.median(grown), "kB", 15.0),
    ]


def _bare(place: Place) -> int:
    process = subprocess.Popen([place.python, "-c", BARE], env=place.env, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        return resident(process.pid)
    finally:
        process.kill()
        process.communicate()


def resident(pid: int) -> int:
    """Resident memory in bytes, with shared pages."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

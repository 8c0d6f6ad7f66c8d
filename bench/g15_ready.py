"""G15: the daemon from exec to ready, against a Python that only imports what it is made of; then with 1,000 rows."""

from __future__ import annotations

from collections.abc import Callable

from bench.measure import Row, command, pairs, ratio
from bench.place import Daemon, Place
from bench.rows import multiply


def main(place: Place) -> list[Row]:
    """Ready is the first good answer of `/readyz`. The store exists; its first creation isn't measured."""
    imports = command([place.python, "-c", "import aiohttp, msgspec, sqlite3"], place.env)
    with place.daemon() as empty, place.daemon() as full:
        full.register("many", place.repository(10))
        full.spawn("many", 1)
        multiply(full, 1000)
        empty.stop()
        full.stop()
        bare = pairs(_start(empty), imports)
        crowded = pairs(_start(full), _start(empty))
    return [
        ratio("G15", "daemon ready, over importing its parts", bare, limit=1.3),
        ratio("G15", "daemon ready with 1,000 sessions, over empty", crowded, limit=1.3),
    ]


def _start(daemon: Daemon) -> Callable[[], float]:
    def run() -> float:
        took = daemon.start()
        daemon.stop()
        return took

    return run

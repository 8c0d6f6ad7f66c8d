"""G5: a spawn accepted (`wait=seeded`, no branch asked), over one bare `synchronous=FULL` commit.

The bare commit inserts one row of the same size into a database of its own on the same filesystem. After each accepted
spawn its session is awaited, so that the work that follows an acceptance isn't measured with the next one.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

from bench.measure import Row, over, pairs
from bench.place import Place


def main(place: Place) -> list[Row]:
    """At 100 and at 5,000 files: the size of the repository must not matter."""
    return [_measure(place, files) for files in (100, 5000)]


def _measure(place: Place, files: int) -> Row:
    with place.daemon() as daemon:
        daemon.register("accept", place.repository(files))
        client = daemon.client()
        request = client.encode("POST", "/api/v1/sessions?wait=seeded", {"projectId": "accept", "prompt": "wait"})
        with closing(sqlite3.connect(daemon.home / "bare.db", isolation_level=None)) as bare:
            bare.execute("PRAGMA journal_mode=WAL")
            bare.execute("PRAGMA synchronous=FULL")
            bare.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT) STRICT")

            def commit() -> float:
                start = time.perf_counter()
                bare.execute("INSERT INTO t (body) VALUES (?)", ("x" * 600,))
                return time.perf_counter() - start

            def ours() -> float:
                start = time.perf_counter()
                answer = client.exchange(request)
                took = time.perf_counter() - start
                daemon.pipe.wait(b"main ")
                daemon.settle(client, json.loads(answer)["session"]["id"])
                return took

            samples = pairs(ours, commit)
    return over("G5", f"spawn accepted, {files:,} files, over one commit", samples, limit=2.0)

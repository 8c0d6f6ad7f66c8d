"""G2: `ao status` and `ao session ls` with 100 live sessions, `ls` with 1,000 rows, against `python -c pass`."""

from __future__ import annotations

from pathlib import Path

from bench.measure import Row, command, pairs, ratio
from bench.place import Place
from bench.rows import multiply


def main(place: Place) -> list[Row]:
    """Whole commands, with their request, as a person runs them."""
    floor = command([place.python, "-c", "pass"], place.env)
    with place.daemon() as daemon:
        daemon.register("many", place.repository(100))
        daemon.spawn("many", 100)
        rows = [
            ratio(
                "G2",
                f"ao {name}, 100 sessions",
                pairs(command([place.ao, *name.split()], daemon.env), floor),
                limit=1.5,
            )
            for name in ("status", "session ls")
        ]
        everything: list[str | Path] = [place.ao, "session", "ls", "--include-terminated"]
        multiply(daemon, 1000)
        samples = pairs(command(everything, daemon.env), floor)
        return [*rows, ratio("G2", "ao session ls, 1,000 sessions", samples, limit=1.6)]

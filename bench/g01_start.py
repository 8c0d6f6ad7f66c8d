"""G1: `ao --version` and `ao --help` against a Python that does nothing."""

from __future__ import annotations

from bench.measure import Row, command, pairs, ratio
from bench.place import Place


def main(place: Place) -> list[Row]:
    """Both commands, paired with `python -c pass` of the same environment."""
    floor = command([place.python, "-c", "pass"], place.env)
    return [
        ratio("G1", f"ao {flag}", pairs(command([place.ao, flag], place.env), floor, count=40), limit=limit)
        for flag, limit in (("--version", 1.10), ("--help", 1.20))
    ]

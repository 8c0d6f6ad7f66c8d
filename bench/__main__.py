"""Run the measurements: `python -m bench [g1 g5 …] [--markdown FILE]`."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from bench.install import install
from bench.measure import Row
from bench.place import Place, end_all


def main() -> int:
    """Print every row; 0 unless a measurement could not be made."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("g[0-9][0-9]_*.py"))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("goals", nargs="*", help="goals to measure, as g1; all when none is named")
    parser.add_argument("--markdown", type=Path, help="write the table of all goals to this file")
    options = parser.parse_args()
    wanted = {goal.lower().lstrip("g").zfill(2) for goal in options.goals}
    chosen = [name for name in modules if not wanted or name[1:3] in wanted]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGTERM, _terminated)
    root = Path(tempfile.mkdtemp(prefix="ao-b-"))
    failed = False
    rows: list[Row] = []
    try:
        place = Place(root, install(root))
        for name in chosen:
            try:
                found: list[Row] = importlib.import_module(f"bench.{name}").main(place)
            except Exception as error:
                print(f"{name}: not measured: {type(error).__name__}: {error}", file=sys.stderr)
                failed = True
                continue
            rows += found
            for row in found:
                print(text(row), flush=True)
    finally:
        end_all(root)
        shutil.rmtree(root, ignore_errors=True)
    if options.markdown and not wanted and not failed:
        options.markdown.write_text(markdown(rows))
    return int(failed)


def _terminated(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def text(row: Row) -> str:
    """A row as a line of text."""
    sign = "≥" if row.at_least else "≤"
    verdict = "met" if row.met else "NOT MET"
    goal = f"{sign} {row.limit:g} {row.unit}"
    return f"{row.goal:<4} {row.what:<46} {row.value:>9.3g} {row.unit:<4} goal {goal:<12} {verdict:<8} {row.detail}"


def markdown(rows: list[Row]) -> str:
    """The page of all rows, with the machine they were measured on."""
    kernel = platform.release().partition("-")[0]
    lines = [
        "# Speed",
        "",
        "Written by `make bench`. Ratios are medians of interleaved pairs against a floor measured in the same run;",
        "an absolute figure is the median of three rounds; p99 is printed, not judged. What a row measures, and how,",
        "is in the docstring of its module in `bench/`.",
        "",
        f"Machine: {os.cpu_count()} cores, Linux {kernel}, Python {platform.python_version()}.",
        "",
        "| goal | what | measured | goal is | met | detail |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        sign = "≥" if row.at_least else "≤"
        measured = f"{row.value:.3g} {row.unit}"
        met = "yes" if row.met else "no"
        lines.append(
            f"| {row.goal} | {row.what} | {measured} | {sign} {row.limit:g} {row.unit} | {met} | {row.detail} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())

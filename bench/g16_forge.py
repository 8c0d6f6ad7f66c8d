"""G16 to G19: what watching pull requests on GitHub costs, in requests, points and time.

The real observer, store and GitHub client over a double of GitHub that answers after 100 ms, counts requests, and
prices queries by GitHub's published rule. One repository; all its pull requests belong to living sessions. The first
hour follows the first look, after which all count as just changed; the idle hour is the one after that.
"""

from __future__ import annotations

import asyncio
import statistics
from math import ceil
from pathlib import Path

from bench.measure import ROUNDS, Row
from bench.place import Place
from tests.engine.watching import HOUR_MS, Cost, Watching, watching

SIZES = (1, 25, 100, 500)
LATENCY_S = 0.1
BUDGET_HOUR = 1000
BUDGET_FIFTY = 300


def main(place: Place) -> list[Row]:
    """Every size idle, after one change of a check and after one push; two hours of 500 and of 50 of them."""
    rows: list[Row] = []
    for count in SIZES:
        rows += asyncio.run(_cycles(place.root / f"forge-{count}", count))
    for count, limit in ((500, BUDGET_HOUR), (50, BUDGET_FIFTY)):
        rows += asyncio.run(_hours(place.root / f"hours-{count}", count, limit))
    return rows


async def _cycles(path: Path, count: int) -> list[Row]:
    async with watching(path, count, latency_s=LATENCY_S) as watched:
        first = await watched.cycle()
        idle = [await watched.whole_cycle() for _ in range(ROUNDS)]
        changed = [await _changed(watched, number) for number in range(ROUNDS)]
        pushed = [await _pushed(watched, number) for number in range(ROUNDS)]
    queries = ceil(count / 100)
    usual = max(cost.requests for cost in idle)
    what = f"N={count:<3}"
    return [
        Row("G16", f"{what} requests, idle", usual, "", 1 + queries),
        Row("G17", f"{what} points, idle", max(cost.points for cost in idle), "", 2 * queries),
        Row("G17", f"{what} requests, first sync", first.requests, "", 15, f"{first.points} points"),
        Row("G18", f"{what} requests more, one CI change", _most(changed) - usual, "", 2, _points(changed)),
        Row("G18", f"{what} requests more, one push", _most(pushed) - usual, "", 2, _points(pushed)),
        Row("G19", f"{what} cycle at 100 ms", statistics.median(cost.seconds for cost in idle), "s", 1.0),
    ]


async def _changed(watched: Watching, number: int) -> Cost:
    conclusion = "success" if number % 2 else "failure"
    watched.github.state.set_check(watched.pulls[0], "unit", conclusion, log="error: no")
    return await watched.whole_cycle()


async def _pushed(watched: Watching, number: int) -> Cost:
    branch = watched.pulls[-1].head_branch
    watched.github.state.push(watched.github.repo, branch, {"more": f"{number}\n"})
    return await watched.whole_cycle()


async def _hours(path: Path, count: int, limit: int) -> list[Row]:
    async with watching(path, count) as watched:
        await watched.cycle()
        spent = {name: await watched.through(HOUR_MS) for name in ("the first hour", "an idle hour")}
    return [
        Row("G17", f"N={count:<3} points in {name}", cost.points, "", limit, f"{cost.requests} requests")
        for name, cost in spent.items()
    ]


def _most(costs: list[Cost]) -> int:
    return max(cost.requests for cost in costs)


def _points(costs: list[Cost]) -> str:
    return f"{max(cost.points for cost in costs)} points"

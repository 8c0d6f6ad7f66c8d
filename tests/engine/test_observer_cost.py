"""What looking costs a forge: few requests when nothing happens, few more when something does (G16 to G18)."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest

from ao.model import cadence
from ao.store import pulls
from tests.engine.watching import HOUR_MS, watching


@pytest.mark.parametrize("count", [25, 120])
async def test_looking_costs_one_list_and_one_query_for_a_hundred(tmp_path: Path, count: int) -> None:
    async with watching(tmp_path, count) as watched:
        first = await watched.cycle()
        assert first.requests <= 15
        assert all(pull.ci == "passing" for pull in pulls.open_pulls(watched.world.db.read))

        idle = await watched.whole_cycle()
        assert idle.requests <= 1 + ceil(count / 100)
        assert idle.points <= 2 * ceil(count / 100)

        github = watched.github.state
        github.set_check(watched.pulls[7], "unit", "failure", log="error: no")
        red = await watched.whole_cycle()
        assert red.requests <= idle.requests + 2
        changed = pulls.get(watched.world.db.read, f"https://github.com/octo/widgets/pull/{watched.pulls[7].number}")
        assert changed is not None
        assert changed.ci == "failing"

        watched.clock[0] += 60_000
        head = github.push(watched.github.repo, watched.pulls[9].head_branch, {"more": "x\n"})
        pushed = await watched.whole_cycle()
        assert pushed.requests <= idle.requests + 2
        moved = pulls.get(watched.world.db.read, f"https://github.com/octo/widgets/pull/{watched.pulls[9].number}")
        assert moved is not None
        assert moved.head_sha == head


async def test_pull_requests_of_several_repositories_share_a_query(tmp_path: Path) -> None:
    async with watching(tmp_path, 120, repos=3) as watched:
        await watched.cycle()
        idle = await watched.whole_cycle()
        assert len(pulls.open_pulls(watched.world.db.read)) == 120
        assert [request.kind for request in watched.github.requests].count("rest") == 3
        assert idle.requests == 3 + 2


async def test_fifty_idle_sessions_cost_at_most_300_points_an_hour(tmp_path: Path) -> None:
    async with watching(tmp_path, 50) as watched:
        await watched.through(HOUR_MS)
        assert (await watched.through(HOUR_MS)).points <= 300


async def test_a_list_that_is_due_brings_no_look_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cadence, "MANY", 15)  # 25 are then stretched as 500 are by 300: 50 s for 30 s
    async with watching(tmp_path, 25) as watched:
        await watched.cycle()
        await watched.through(cadence.JUST_NOW + cadence.NORMAL)
        await watched.through(20 * 60_000)
        asked = [request.kind for request in watched.github.requests]
        assert asked.count("rest") == 20 * 2
        assert 20 * 60 // 50 - 1 <= asked.count("graphql") <= 20 * 60 // 50 + 1

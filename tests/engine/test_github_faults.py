"""The observer when GitHub fails: nothing is believed, nothing is lost, and it is left alone as long as it wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao.forges.github import transport
from ao.model.pull import Pull
from ao.store import pulls
from tests.engine.watching import LONG_MS, Watching, watching
from tests.github.faults import Kind

FAULTS: list[tuple[Kind, int]] = [
    ("status", 500), ("status", 502), ("status", 503), ("reset", 0), ("truncated", 0), ("not_json", 0),
    ("secondary", 0),
]  # fmt: skip


def row(watched: Watching, number: int) -> Pull:
    """What is stored of a pull request."""
    found = pulls.get(watched.world.db.read, f"https://github.com/octo/widgets/pull/{watched.pulls[number].number}")
    assert found is not None
    return found


@pytest.mark.parametrize(("kind", "code"), FAULTS)
async def test_a_fault_changes_no_fact_and_what_happened_meanwhile_is_seen_after_it(
    tmp_path: Path, kind: Kind, code: int
) -> None:
    async with watching(tmp_path, 3) as watched:
        await watched.cycle()
        before = [row(watched, number) for number in range(3)]
        watched.github.state.set_check(watched.pulls[1], "unit", "failure", log="error: no")
        watched.github.fail(kind, times=None, code=code or 502, retry_after_s=90)
        cost = await watched.whole_cycle()
        assert cost.requests
        assert [row(watched, number) for number in range(3)] == before

        watched.clock[0] += 10_000
        assert (await watched.cycle()).requests == 0, "a failing forge is left alone"
        watched.github.mend()
        if kind == "secondary":
            watched.clock[0] += 70_000
            assert (await watched.cycle()).requests == 0, "Retry-After is honoured"
        await watched.through(LONG_MS)
        assert [row(watched, number).ci for number in range(3)] == ["passing", "failing", "passing"]


async def test_c7_a_used_up_graphql_budget_blinds_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path, 3) as watched:
        await watched.cycle()
        watched.github.graphql.use_up()
        watched.github.state.set_check(watched.pulls[1], "unit", "failure", log="error: no")
        await watched.through(LONG_MS)
        assert row(watched, 1).ci == "failing"


async def test_a_deleted_pull_request_starves_no_other_and_is_closed_after_three_looks(tmp_path: Path) -> None:
    async with watching(tmp_path, 3) as watched:
        await watched.cycle()
        watched.github.state.delete_pull(watched.pulls[0])
        watched.github.state.set_check(watched.pulls[1], "unit", "failure", log="error: no")
        await watched.whole_cycle()
        assert (row(watched, 0).state, row(watched, 1).ci) == ("open", "failing")
        await watched.whole_cycle()
        await watched.whole_cycle()
        assert row(watched, 0).state == "closed"


async def test_a_clock_that_is_wrong_hides_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path, 2) as watched:
        for skew_s in (7_200, -7_200):
            watched.github.state.skew_s = skew_s
            watched.github.state.set_check(
                watched.pulls[1], "unit", "failure" if skew_s > 0 else "success", log="error"
            )
            await watched.whole_cycle()
            assert row(watched, 1).ci == ("failing" if skew_s > 0 else "passing")


async def test_a_token_that_is_refused_is_asked_for_again(tmp_path: Path) -> None:
    async with watching(tmp_path, 2) as watched:
        await watched.cycle()
        good, watched.github.token = watched.github.token, "ghp_" + "another0" * 5
        watched.github.state.set_check(watched.pulls[1], "unit", "failure", log="error: no")
        await watched.whole_cycle()
        assert row(watched, 1).ci == "passing"
        watched.github.token = good
        await watched.through(3 * LONG_MS)
        assert row(watched, 1).ci == "failing"


async def test_a_forge_that_never_answers_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_S", 0.5)
    async with watching(tmp_path, 2) as watched:
        await watched.cycle()
        watched.github.state.set_check(watched.pulls[1], "unit", "failure", log="error: no")
        watched.github.fail("hang", times=None)
        assert (await watched.whole_cycle()).seconds < 10
        assert row(watched, 1).ci == "passing"
        watched.github.mend()
        await watched.through(LONG_MS)
        assert row(watched, 1).ci == "failing"

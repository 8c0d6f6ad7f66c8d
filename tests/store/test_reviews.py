"""Review runs: what keeps another one from starting, and what of them is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.review import ReviewRun, RunStatus
from ao.store import reviews
from ao.store.database import Database
from ao.store.reviews import RunExists
from tests.store.seeds import seeded


def run(name: str, **changes: Any) -> ReviewRun:
    """A run on commit `a` of `u1`."""
    values: dict[str, Any] = {
        "session_id": "app-1", "project_id": "app", "agent": "claude-code", "pull_url": "u1", "target_sha": "a",
        "lease_until": 100, "created_at": 20, "updated_at": 20,
    }  # fmt: skip
    return ReviewRun(id=name, **values | changes)


async def added(database: Database, name: str, **changes: Any) -> ReviewRun:
    """The run once it is stored."""
    one = run(name, **changes)
    await database.write(lambda conn: reviews.add(conn, one))
    return one


async def changed(database: Database, name: str, **values: Any) -> ReviewRun | None:
    """The run after a change."""
    return await database.write(lambda conn: reviews.change(conn, name, lambda row: replace(row, **values), now=30))


async def refused(database: Database, name: str, **changes: Any) -> ReviewRun:
    """What stands in the way of a run."""
    with pytest.raises(RunExists) as caught:
        await added(database, name, **changes)
    return caught.value.run


async def test_one_run_at_a_time_reads_a_session_s_pull_request(database: Database) -> None:
    await seeded(database)
    first = await added(database, "r1")
    assert await refused(database, "r2", target_sha="b", agent="codex") == first
    await added(database, "r3", pull_url="u2")
    await changed(database, "r1", status=RunStatus.COMPLETE, verdict="changes_requested")
    await added(database, "r2", target_sha="b")


async def test_of_runs_asked_for_at_once_one_is_made(database: Database) -> None:
    await seeded(database)
    results = await asyncio.gather(
        *(added(database, f"r{number}", agent=f"agent-{number}") for number in range(8)), return_exceptions=True
    )
    [made] = [result for result in results if isinstance(result, ReviewRun)]
    assert {result.run.id for result in results if isinstance(result, RunExists)} == {made.id}
    assert [found.id for found in reviews.running(database.read)] == [made.id]


@pytest.mark.parametrize(
    ("status", "verdict", "again"),
    [
        (RunStatus.COMPLETE, "approved", False),
        (RunStatus.DELIVERED, "approved", False),
        (RunStatus.COMPLETE, "changes_requested", True),
        (RunStatus.DELIVERED, "changes_requested", True),
        (RunStatus.FAILED, "", True),
        (RunStatus.CANCELLED, "", True),
    ],
)
async def test_a_commit_that_was_approved_is_not_read_again(
    database: Database, status: RunStatus, verdict: str, again: bool
) -> None:
    await seeded(database)
    await added(database, "r1")
    done = await changed(database, "r1", status=status, verdict=verdict)
    if again:
        await added(database, "r2")
    else:
        assert await refused(database, "r2") == done
        await added(database, "r3", target_sha="b")


async def test_a_run_is_not_set_running_beside_another(database: Database) -> None:
    await seeded(database)
    await added(database, "r1", status=RunStatus.FAILED)
    second = await added(database, "r2")
    with pytest.raises(RunExists) as caught:
        await changed(database, "r1", status=RunStatus.RUNNING)
    assert caught.value.run == second


async def test_runs_are_found_by_session_pull_request_and_reviewer(database: Database) -> None:
    await seeded(database)
    await seeded(database)
    done = RunStatus.CANCELLED
    await added(database, "r1", status=done, reviewer_id="app-2", created_at=1)
    await added(database, "r2", status=done, reviewer_id="app-2", created_at=2)
    await added(database, "r3", session_id="app-2", pull_url="u2", created_at=3)
    read = database.read
    assert [found.id for found in reviews.of_session(read, "app-1")] == ["r2", "r1"]
    assert [found.id for found in reviews.of_pull(read, "u2")] == ["r3"]
    newest = reviews.by_reviewer(read, "app-2")
    assert newest is not None
    assert newest.id == "r2"
    assert reviews.by_reviewer(read, "") is None
    assert reviews.get(read, "r9") is None


async def test_status_and_verdict_are_told_and_nothing_else(database: Database, published: list[Change]) -> None:
    session = await seeded(database)
    published.clear()
    await added(database, "r1")
    await changed(database, "r1", lease_until=200, reviewer_id="app-2")
    await changed(database, "r1", status=RunStatus.COMPLETE, verdict="approved")
    assert [(change.type, change.session_id, change.project_id) for change in published] == [
        ("review_updated", session.id, "app")
    ] * 2
    shown = {"id": "r1", "session": session.id, "pr": "u1"}
    assert [json.loads(change.payload) for change in published] == [
        {**shown, "status": "running", "verdict": ""},
        {**shown, "status": "complete", "verdict": "approved"},
    ]


async def test_a_run_for_nobody_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await added(database, "r1")

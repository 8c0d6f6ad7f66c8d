"""Commands that meet: each pair ends as if one had come first, and neither leaves a row that nobody works on."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ao.engine.requests import OrchestratorRequest, SpawnRequest
from ao.model.errors import AoError
from ao.model.message import MessageSource
from ao.model.project import ProjectConfig
from ao.model.session import Activity, Phase
from tests.engine.house import House, refused

SLOW = ProjectConfig(post_create=["sleep 60"])
ORCHESTRATOR = OrchestratorRequest(project_id="demo", agent="demo")
CLEAN = OrchestratorRequest(project_id="demo", agent="demo", clean=True)


async def replacing(house: House) -> tuple[str, str]:
    """An orchestrator at work, and its replacement that is still on its way up."""
    old, _ = await house.engine.orchestrators.ensure(ORCHESTRATOR, wait="live")
    await house.configure(SLOW)
    new, created = await house.engine.orchestrators.ensure(CLEAN, wait="seeded")
    assert created
    await house.until(new.id, lambda row: row.phase is Phase.WORKSPACE)
    return old.id, new.id


async def test_a_replacement_that_is_killed_gives_the_place_back(house: House) -> None:
    old, new = await replacing(house)
    assert house.engine.sessions.get(old).phase is Phase.ENDING
    await house.engine.sessions.kill(new)
    await house.until(old, lambda row: row.phase is Phase.LIVE)
    assert house.engine.sessions.get(new).phase is Phase.ENDED
    again, created = await house.engine.orchestrators.ensure(ORCHESTRATOR, wait="live")
    assert (again.id, created) == (old, False)


async def test_an_agent_that_ended_while_it_was_being_replaced_is_seen_to_have_ended(house: House) -> None:
    old, new = await replacing(house)
    pid = house.engine.sessions.get(old).agent_pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)

    await house.engine.sessions.kill(new)
    await house.until(old, lambda row: row.phase is Phase.LIVE and row.activity is Activity.EXITED)


async def test_a_replacement_that_fails_later_keeps_its_row_and_the_old_one(house: House) -> None:
    old, _ = await house.engine.orchestrators.ensure(ORCHESTRATOR, wait="live")
    await house.configure(ProjectConfig(post_create=["exit 7"]))
    new, _ = await house.engine.orchestrators.ensure(CLEAN, wait="seeded")
    failed = await house.until(new.id, lambda row: row.phase is Phase.ENDED)
    assert failed.failure_code == "POST_CREATE_FAILED"
    await house.until(old.id, lambda row: row.phase is Phase.LIVE)


async def test_who_asks_for_an_orchestrator_that_is_starting_waits_for_it(house: House) -> None:
    first, second = await asyncio.gather(
        *(house.engine.orchestrators.ensure(ORCHESTRATOR, wait="live") for _ in range(2))
    )
    assert first[0].id == second[0].id
    assert {first[0].phase, second[0].phase} == {Phase.LIVE}
    assert {first[1], second[1]} == {True, False}


async def test_removing_a_project_ends_what_is_spawned_meanwhile(house: House) -> None:
    await house.spawn()
    await house.configure(SLOW)
    request = SpawnRequest(project_id="demo", agent="demo")
    starting = await house.engine.sessions.spawn(request, wait="seeded")
    removing = asyncio.ensure_future(house.engine.projects.remove("demo"))
    await house.until(starting.id, lambda row: row.phase is not Phase.SEEDED)
    late = await asyncio.gather(house.engine.sessions.spawn(request, wait="seeded"), return_exceptions=True)
    await removing
    assert {facts.session.phase for facts in house.engine.views.list()} == {Phase.ENDED}
    if isinstance(late[0], AoError):
        assert late[0].code == "PROJECT_NOT_FOUND"


async def test_removing_a_project_ends_an_orchestrator_that_is_being_replaced(house: House) -> None:
    await replacing(house)
    removed = await house.engine.projects.remove("demo")
    assert {facts.session.phase for facts in house.engine.views.list()} == {Phase.ENDED}
    assert len(removed.killed) == 2


async def test_a_kill_sees_what_a_cancelled_restore_was_just_writing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await house.spawn("write")
    await house.at_rest(session.id)
    await house.engine.sessions.kill(session.id)
    db = house.engine.world.db
    gate, handed_in, write = threading.Event(), asyncio.Event(), db.write
    blocked = asyncio.ensure_future(write(lambda _: gate.wait(10)))

    async def noted(fn: Any) -> Any:
        job = asyncio.ensure_future(write(fn))
        await asyncio.sleep(0)
        handed_in.set()
        return await job

    monkeypatch.setattr(db, "write", noted)
    restoring = asyncio.ensure_future(house.engine.sessions.restore(session.id))
    await asyncio.wait_for(handed_in.wait(), 10)
    killing = asyncio.ensure_future(house.engine.sessions.kill(session.id))
    await asyncio.wait({restoring}, timeout=10)
    gate.set()
    await asyncio.gather(blocked, killing)
    assert isinstance(restoring.exception(), AoError)
    assert house.engine.sessions.get(session.id).phase is Phase.ENDED
    assert not Path(session.workspace_path).exists()


async def test_a_refused_restore_leaves_the_persons_shell_alone(house: House) -> None:
    session = await house.spawn()
    await house.engine.messaging.send(session.id, "[[demo: exit 0]]", source=MessageSource.USER)
    await house.until(session.id, lambda row: row.activity is Activity.EXITED)
    for transcript in (house.path / "d" / "demo").iterdir():
        transcript.unlink()
    await refused("SESSION_NOT_RESUMABLE", house.engine.sessions.restore(session.id))
    assert house.engine.sessions.get(session.id).phase is Phase.LIVE
    assert await house.engine.world.runtime.terminals(0) == ["demo-1"]
    assert Path(session.workspace_path).exists()


async def test_two_spawns_with_one_key_at_once_are_one_session(house: House) -> None:
    request = SpawnRequest(project_id="demo", agent="demo", idempotency_key="k1")
    made = await asyncio.gather(*(house.engine.sessions.spawn(request, wait="live") for _ in range(4)))
    assert {session.id for session in made} == {"demo-1"}
    assert {session.phase for session in made} == {Phase.LIVE}
    assert len(house.engine.views.list()) == 1


async def test_a_spawn_that_failed_may_be_asked_for_again_with_its_key(house: House) -> None:
    await house.configure(ProjectConfig(post_create=["exit 7"]))
    request = SpawnRequest(project_id="demo", agent="demo", idempotency_key="k1")
    await refused("POST_CREATE_FAILED", house.engine.sessions.spawn(request, wait="live"))
    await house.configure(ProjectConfig())
    assert (await house.engine.sessions.spawn(request, wait="live")).phase is Phase.LIVE


async def test_every_kill_of_a_session_tells_the_same_about_its_branch(house: House) -> None:
    session = await house.spawn("write")
    await house.at_rest(session.id)
    results = [await house.engine.sessions.kill(session.id) for _ in range(3)]
    assert [(result.freed, result.branch, result.branch_kept) for result in results] == [
        (True, session.branch, True)
    ] * 3


async def test_cleanup_takes_up_a_teardown_that_could_not_be_finished(house: House) -> None:
    session = await house.spawn()
    await house.engine.world.change(session.id, lambda row: replace(row, phase=Phase.ENDING))
    cleaned = await house.engine.sessions.cleanup("demo")
    assert cleaned.cleaned == [session.id]
    assert house.engine.sessions.get(session.id).phase is Phase.ENDED

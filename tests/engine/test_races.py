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


async def test_two_spawns_that_ask_for_the_same_new_branch_are_one_session_and_one_refusal(house: House) -> None:
    outcomes = await asyncio.gather(*(house.spawn(branch="feature") for _ in range(2)), return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, AoError)]
    assert [error.code for error in refusals] == ["BRANCH_CHECKED_OUT_ELSEWHERE"]
    assert [facts.session.branch for facts in house.engine.views.list()] == ["feature"]


async def test_a_late_failure_keeps_the_end_of_the_commands_output(house: House) -> None:
    await house.configure(ProjectConfig(post_create=["echo early; for i in 1 2 3; do echo why $i; done; exit 7"]))
    request = SpawnRequest(project_id="demo", agent="demo")
    session = await house.engine.sessions.spawn(request, wait="seeded")
    failed = await house.until(session.id, lambda row: row.phase is Phase.ENDED)
    assert failed.failure_code == "POST_CREATE_FAILED"
    assert failed.failure_hint.endswith("why 1\nwhy 2\nwhy 3")


async def test_a_clock_set_back_does_not_lengthen_post_create_commands(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.configure(ProjectConfig(post_create=["true", "sleep 60"], post_create_timeout=1))
    world = house.engine.world
    run, now = world.host.run, world.now
    behind = 0

    async def set_back(argv: Any, **options: Any) -> Any:
        nonlocal behind
        if argv[-1] == "true":
            behind = 3_600_000
        return await run(argv, **options)

    monkeypatch.setattr(world.host, "run", set_back)
    object.__setattr__(world, "now", lambda: now() - behind)
    async with asyncio.timeout(20):
        await refused("POST_CREATE_FAILED", house.spawn())
    assert behind


async def test_a_repository_whose_path_can_not_be_followed_is_told_and_not_an_internal_error(house: House) -> None:
    moved = house.path / "moved"
    house.repository.rename(moved)
    house.repository.symlink_to(house.repository)
    await refused("PROJECT_NOT_RESOLVABLE", house.spawn())
    house.repository.unlink()
    moved.rename(house.repository)
    assert (await house.spawn()).phase is Phase.LIVE

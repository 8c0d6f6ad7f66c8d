"""Lifecycle commands against the real store, git, tmux and demo agent."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from ao.engine.preflight import prepare
from ao.engine.requests import SpawnRequest
from ao.model.errors import AoError
from ao.model.message import MessageSource
from ao.model.project import ProjectConfig
from ao.model.session import Activity, Kind, NewSession, Phase
from ao.store import changes, sessions
from tests.engine.house import House, refused


async def test_a_spawned_session_lives_in_its_own_worktree(house: House) -> None:
    session = await house.spawn()
    assert session.phase is Phase.LIVE
    assert house.git("branch", "--show-current", where=session.workspace_path) == "ao/demo-1/root"
    killed = await house.engine.sessions.kill(session.id)
    assert killed.freed
    assert not Path(session.workspace_path).exists()


async def test_w13_twenty_concurrent_spawns_in_one_repository_all_succeed(house: House) -> None:
    made = await asyncio.gather(*(house.spawn() for _ in range(20)))
    assert len({session.id for session in made}) == 20
    assert {session.phase for session in made} == {Phase.LIVE}
    house.git("fsck", "--strict")


async def test_w3_a_path_and_a_number_are_never_given_to_another_session(house: House) -> None:
    first = await house.spawn()
    await house.engine.sessions.rollback(first.id)
    second = await house.spawn()
    assert second.num > first.num
    assert second.workspace_path != first.workspace_path


async def test_a_foreign_branch_of_our_namespace_is_stepped_over(house: House) -> None:
    house.git("branch", "ao/demo-1/root")
    session = await house.spawn()
    assert session.id == "demo-2"


async def test_w9_kill_is_idempotent_from_every_state(house: House) -> None:
    session = await house.spawn()
    shutil.rmtree(session.workspace_path)
    for _ in range(3):
        assert (await house.engine.sessions.kill(session.id)).freed
    assert "demo-1" not in house.git("worktree", "list")


async def test_w4_a_branch_with_commits_on_no_remote_survives_its_session(house: House) -> None:
    session = await house.spawn()
    Path(session.workspace_path, "new.txt").write_text("new\n")
    house.git("add", ".", where=session.workspace_path)
    house.git("commit", "-q", "-m", "mine", where=session.workspace_path)
    result = await house.engine.sessions.kill(session.id)
    assert result.freed
    assert result.branch_kept
    assert house.git("show", f"{session.branch}:new.txt") == "new"


async def test_a_caller_that_leaves_never_cancels_half_a_spawn(house: House) -> None:
    caller = asyncio.ensure_future(house.spawn())
    await house.until_row()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    session = await house.until("demo-1", lambda row: row.phase is Phase.LIVE)
    assert Path(session.workspace_path).exists()


async def test_a_failed_spawn_leaves_no_row_no_branch_and_no_folder(house: House) -> None:
    await house.configure(ProjectConfig(post_create=["echo why; exit 7"]))
    error = await refused("POST_CREATE_FAILED", house.spawn())
    assert "why" in error.details["output"]
    assert house.engine.views.list() == []
    assert house.git("branch", "--list", "ao/*") == ""
    assert not Path(house.path, "d", "worktrees", "demo", "demo-1").exists()
    assert [change.type for change in house.changes][-1] == "session_deleted"


async def test_a_failed_spawn_that_left_work_keeps_its_row_and_the_work(house: House) -> None:
    await house.configure(ProjectConfig(post_create=["echo mine > mine.txt; exit 7"]))
    await refused("POST_CREATE_FAILED", house.spawn())
    session = house.engine.sessions.get("demo-1")
    assert session.phase is Phase.ENDED
    assert session.failure_code == "POST_CREATE_FAILED"
    assert Path(session.preserved_path, "mine.txt").exists()


async def test_post_create_commands_are_bounded_in_time(house: House) -> None:
    await house.configure(ProjectConfig(post_create=["sleep 60"], post_create_timeout=1))
    error = await refused("POST_CREATE_FAILED", house.spawn())
    assert "1 s" in error.message


async def test_an_agent_that_ends_at_once_is_no_session_p14(house: House) -> None:
    error = await refused("AGENT_NOT_STARTED", house.spawn(agent="broken"))
    assert error.details["exitCode"] == 3
    assert "no licence" in error.details["output"]
    assert house.engine.views.list() == []


async def test_two_restores_at_once_are_one_restore_and_one_refusal(house: House) -> None:
    session = await house.spawn("write")
    await house.at_rest(session.id)
    await house.engine.sessions.kill(session.id)
    first = asyncio.ensure_future(house.engine.sessions.restore(session.id))
    await house.until(session.id, lambda row: row.phase is not Phase.ENDED)
    await refused("SESSION_BUSY", house.engine.sessions.restore(session.id))
    restored, mode = await first
    assert (restored.phase, mode) == (Phase.LIVE, "native")
    await refused("SESSION_NOT_RESTORABLE", house.engine.sessions.restore(session.id))


async def test_kill_during_a_restore_wins_and_leaves_one_ended_row(house: House) -> None:
    session = await house.spawn("write")
    await house.at_rest(session.id)
    await house.engine.sessions.kill(session.id)
    restoring = asyncio.ensure_future(house.engine.sessions.restore(session.id))
    await house.until(session.id, lambda row: row.phase is not Phase.ENDED)
    await house.engine.sessions.kill(session.id)
    outcome = (await asyncio.gather(restoring, return_exceptions=True))[0]
    assert isinstance(outcome, AoError)
    assert outcome.code == "SPAWN_CANCELLED"
    assert house.engine.sessions.get(session.id).phase is Phase.ENDED


async def test_an_agent_that_has_ended_can_be_restored_in_place(house: House) -> None:
    session = await house.spawn("write")
    await house.at_rest(session.id)
    await house.engine.messaging.send(session.id, "[[demo: exit 0]]", source=MessageSource.USER)
    await house.until(session.id, lambda row: row.activity is Activity.EXITED)
    restored, mode = await house.engine.sessions.restore(session.id)
    assert (restored.phase, restored.activity, mode) == (Phase.LIVE, Activity.IDLE, "native")


async def test_rename_never_waits_for_a_running_command(house: House) -> None:
    await house.configure(ProjectConfig(post_create=["sleep 60"]))
    request = SpawnRequest(project_id="demo", agent="demo")
    session = await house.engine.sessions.spawn(request, wait="seeded")
    named = await house.engine.sessions.rename(session.id, "  a  name ")
    assert named.display_name == "a name"
    await house.engine.sessions.kill(session.id)


async def test_rollback_of_a_seed_leaves_one_deletion_and_no_history(house: House) -> None:
    await house.configure(ProjectConfig(fetch="never"))
    new = NewSession(project_id="demo", kind=Kind.WORKER, agent="demo", repo_path=str(house.repository))
    seeded = await house.engine.world.db.write(lambda conn: sessions.seed(conn, new, now=1))
    result = await house.engine.sessions.rollback(seeded.id)
    assert result.deleted
    kept = changes.after(house.engine.world.db.read, 0)
    assert [change.type for change in kept if change.session_id == seeded.id] == ["session_deleted"]
    await refused("SESSION_NOT_FOUND", house.engine.sessions.rollback(seeded.id))


async def test_the_rules_of_the_project_reach_the_agent(house: House) -> None:
    (house.repository / "RULES.md").write_text("Use tabs.\n")
    await house.configure(ProjectConfig(agent_rules="Be kind.", agent_rules_file="RULES.md"))
    session = await house.spawn()
    assert "Be kind." in session.rules
    assert "Use tabs." in session.rules
    await house.configure(ProjectConfig(agent_rules_file="missing.md"))
    await refused("RULES_FILE_UNREADABLE", house.spawn())


async def test_an_archived_project_refuses_spawns_and_keeps_its_history(house: House) -> None:
    session = await house.spawn()
    removed = await house.engine.projects.remove("demo")
    assert removed.killed == [session.id]
    await refused("PROJECT_NOT_FOUND", house.spawn())
    await house.engine.projects.add(str(house.repository), project_id="demo")
    assert [facts.session.id for facts in house.engine.views.list()] == [session.id]
    assert (await house.spawn()).num == session.num + 1


async def test_two_registrations_at_once_are_one_project_and_one_refusal(house: House) -> None:
    other = house.path / "other"
    shutil.copytree(house.repository, other)
    outcomes = await asyncio.gather(
        *(house.engine.projects.add(str(other), project_id=name) for name in ("one", "two")), return_exceptions=True
    )
    refusals = [outcome for outcome in outcomes if isinstance(outcome, AoError)]
    assert [error.code for error in refusals] == ["PATH_ALREADY_REGISTERED"]


async def test_forced_cleanup_keeps_a_snapshot_of_everything_and_the_log_names_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    session = await house.spawn()
    Path(session.workspace_path, "note.txt").write_text("mine\n")
    kept = await house.engine.sessions.kill(session.id)
    assert not kept.freed
    dry = await house.engine.sessions.cleanup("demo", dry_run=True)
    assert [item[0] for item in dry.skipped] == [session.id]
    forced = await house.engine.sessions.cleanup("demo", force=True)
    assert forced.cleaned == [session.id]
    assert [item[0] for item in forced.snapshots] == [session.id]
    ref = forced.snapshots[0][1]
    assert house.git("show", f"{ref}:note.txt") == "mine"
    assert [record.snapshot for record in caplog.records if hasattr(record, "snapshot")] == [ref]
    assert (await house.engine.sessions.cleanup("demo")).cleaned == []


async def test_a_base_that_cannot_be_fetched_is_a_warning_with_its_age(house: House) -> None:
    house.git("remote", "add", "origin", str(house.path / "nowhere.git"))
    house.git("update-ref", "refs/remotes/origin/main", "HEAD")
    await house.engine.projects.remove("demo")
    await house.engine.projects.add(str(house.repository), project_id="demo")
    await house.configure(ProjectConfig(fetch="always"))
    session = await house.spawn()
    warnings = " ".join(session.warning_list)
    assert "fetch" in warnings
    assert "the base is from less than an hour ago" in warnings
    await house.configure(ProjectConfig(fetch="never"))
    assert (await house.spawn()).warning_list == []


async def test_a_fetched_base_is_the_one_work_starts_from(house: House) -> None:
    upstream = house.path / "upstream"
    shutil.copytree(house.repository, upstream)
    house.git("remote", "add", "origin", str(upstream))
    house.git("fetch", "-q", "origin")
    await house.engine.projects.remove("demo")
    await house.engine.projects.add(str(house.repository), project_id="demo")
    (upstream / "newer.txt").write_text("newer\n")
    house.git("add", ".", where=upstream)
    house.git("commit", "-q", "-m", "newer", where=upstream)
    await house.configure(ProjectConfig(fetch="always"))
    session = await house.spawn()
    assert session.base_sha == house.git("rev-parse", "HEAD", where=upstream)
    assert Path(session.workspace_path, "newer.txt").exists()


async def test_a_base_that_was_fetched_a_moment_ago_is_not_fetched_again(house: House) -> None:
    upstream = house.path / "upstream"
    shutil.copytree(house.repository, upstream)
    house.git("remote", "add", "origin", str(upstream))
    house.git("fetch", "-q", "--no-write-fetch-head", "origin")
    house.git("pack-refs", "--all")  # as a clone has them: nothing tells when they were renewed
    await house.engine.projects.remove("demo")
    await house.engine.projects.add(str(house.repository), project_id="demo")
    await house.configure(ProjectConfig(fetch="auto"))
    known = (await house.spawn()).base_sha
    (upstream / "newer.txt").write_text("newer\n")
    house.git("add", ".", where=upstream)
    house.git("commit", "-q", "-m", "newer", where=upstream)
    assert (await house.spawn()).base_sha == known


async def test_a_rules_file_that_is_no_regular_file_is_refused_and_blocks_nothing(house: House) -> None:
    os.mkfifo(house.repository / "RULES.md")
    await house.configure(ProjectConfig(agent_rules_file="RULES.md"))
    await refused("RULES_FILE_UNREADABLE", house.spawn())


async def test_rules_of_both_roles_lose_their_control_characters(house: House) -> None:
    await house.configure(ProjectConfig(agent_rules="a\x00b", orchestrator_rules="c\x00d"))
    worker = await prepare(house.engine.world, SpawnRequest(project_id="demo"))
    leader = await prepare(house.engine.world, SpawnRequest(project_id="demo", kind=Kind.ORCHESTRATOR))
    assert (worker.new.rules, leader.new.rules) == ("ab", "cd")

"""Sessions: ids used once, one active orchestrator, writes by column, and lists that stay fast with a long history."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.session import Activity, Kind, Phase, Session, WorkspaceState
from ao.store import changes, messages, projects, sessions
from ao.store.database import Database
from ao.store.sessions import OrchestratorExists
from tests.store.seeds import message, new_session, project, seeded


async def changed(database: Database, session_id: str, *, now: int = 30, **facts: Any) -> Session:
    """The session after `facts` were written."""
    after = await database.write(
        lambda conn: sessions.change(conn, session_id, lambda before: replace(before, **facts), now=now)
    )
    assert after is not None
    return after


async def test_a_seed_has_its_names_before_any_effect(database: Database) -> None:
    session = await seeded(database)
    assert (session.id, session.num, session.branch) == ("app-1", 1, "ao/app-1/root")
    assert (session.phase, session.activity, session.created_at) == (Phase.SEEDED, Activity.IDLE, 10)
    assert sessions.get(database.read, "app-1") == session
    asked = replace(new_session(), branch="feature/x")
    assert (await database.write(lambda conn: sessions.seed(conn, asked, now=11))).branch == "feature/x"


async def test_every_field_comes_back_as_it_was_written(database: Database) -> None:
    session = await seeded(database)
    facts: dict[str, Any] = {
        "workspace_state": WorkspaceState.PRESERVED,
        "phase": Phase.ENDED,
        "activity": Activity.WAITING_INPUT,
        "branch_created": True,
        "base_at": 5,
        "exit_code": -9,
        "agent_pid": 4_000_000_000_000,
        "warnings": '["old base"]',
        "failure_message": "null 'quoted' \N{SNOWMAN}",
        "preserved_reason": "1",
    }
    after = await changed(database, session.id, **facts)
    read = sessions.get(database.read, session.id)
    assert read == after == replace(session, **facts, updated_at=30)
    assert read is not None
    assert [type(getattr(read, name)) for name in facts] == [type(value) for value in facts.values()]


async def test_w3_an_id_is_never_given_again_not_even_that_of_a_rolled_back_top_seed(database: Database) -> None:
    top = await seeded(database)
    assert await database.write(lambda conn: sessions.delete_seed(conn, top.id))
    following = await seeded(database)
    assert following.id == "app-2"
    assert await database.write(lambda conn: sessions.delete_row(conn, following.id))
    assert (await seeded(database)).id == "app-3"


async def test_w3_the_counter_starts_above_the_names_found_in_the_repository(database: Database) -> None:
    taken = await database.write(lambda conn: sessions.seed(conn, new_session(), now=1, at_least=41))
    assert taken.id == "app-41"
    assert (await seeded(database)).id == "app-42"
    assert (await database.write(lambda conn: sessions.seed(conn, new_session(), now=1, at_least=3))).id == "app-43"


@pytest.mark.parametrize("gone", ["archived", "unknown"])
async def test_no_session_is_seeded_in_a_project_that_is_gone(database: Database, gone: str) -> None:
    await database.write(lambda conn: projects.archive(conn, "app", 5))
    with pytest.raises(LookupError):
        await seeded(database, {"archived": "app", "unknown": "nope"}[gone])
    assert sessions.all_sessions(database.read) == []


async def test_a_project_has_one_active_orchestrator_however_many_ask(database: Database) -> None:
    async def ask() -> str:
        try:
            return (await seeded(database, kind=Kind.ORCHESTRATOR)).id
        except OrchestratorExists as exists:
            return exists.session.id

    assert set(await asyncio.gather(*(ask() for _ in range(20)))) == {"app-1"}
    assert len(sessions.all_sessions(database.read)) == 1
    active = sessions.active_orchestrator(database.read, "app")
    assert active is not None
    assert active.id == "app-1"
    assert (await seeded(database)).kind is Kind.WORKER


async def test_an_orchestrator_that_is_ending_gives_its_place_up_and_cannot_take_it_back(database: Database) -> None:
    old = await seeded(database, kind=Kind.ORCHESTRATOR)
    await changed(database, old.id, phase=Phase.ENDING)
    new = await seeded(database, kind=Kind.ORCHESTRATOR)
    with pytest.raises(OrchestratorExists) as exists:
        await changed(database, old.id, phase=Phase.LIVE)
    assert exists.value.session == new
    await changed(database, new.id, phase=Phase.ENDED)
    assert (await changed(database, old.id, phase=Phase.LIVE)).phase is Phase.LIVE


async def test_a_rename_survives_a_concurrent_change_of_other_facts(database: Database) -> None:
    """A whole-row write from a stale read would undo one of the two."""
    session = await seeded(database)
    await asyncio.gather(
        *(changed(database, session.id, display_name=f"name {number}") for number in range(25)),
        *(changed(database, session.id, hook_seq=number, activity_at=number) for number in range(25)),
    )
    after = sessions.get(database.read, session.id)
    assert after == replace(session, display_name="name 24", hook_seq=24, activity_at=24, updated_at=30)


async def test_only_columns_that_differ_are_written(database: Database) -> None:
    session = await seeded(database)
    statements: list[str] = []
    await database.write(lambda conn: conn.set_trace_callback(statements.append))
    await changed(database, session.id, display_name="new")
    await database.write(lambda conn: conn.set_trace_callback(None))
    # SQLite traces a statement once more for each trigger it runs.
    assert {text for text in statements if text.startswith("UPDATE")} == {
        "UPDATE sessions SET display_name = 'new', updated_at = 30 WHERE id = 'app-1'"
    }


async def test_an_unchanged_a_declined_and_an_absent_row_are_not_written(database: Database) -> None:
    session = await seeded(database)
    assert await changed(database, session.id, display_name="") == session
    for session_id in (session.id, "nope"):
        decline = partial(sessions.change, session_id=session_id, fn=lambda _before: None, now=40)
        assert await database.write(decline) is None
    assert sessions.get(database.read, session.id) == session


async def test_what_names_a_session_never_changes(database: Database) -> None:
    session = await seeded(database)
    with pytest.raises(ValueError, match="never change"):
        await changed(database, session.id, num=9)


async def test_rollback_of_a_seed_leaves_one_deletion_and_no_other_trace(
    database: Database, published: list[Change]
) -> None:
    session = await seeded(database)
    published.clear()
    assert await database.write(lambda conn: sessions.delete_seed(conn, session.id))
    assert sessions.get(database.read, session.id) is None
    kept = [change for change in changes.after(database.read, 0) if change.session_id == session.id]
    assert kept == published
    assert [(change.type, change.payload) for change in kept] == [("session_deleted", '{"id":"app-1"}')]


async def test_a_session_past_its_seed_is_not_rolled_back_as_one(database: Database) -> None:
    session = await seeded(database)
    await changed(database, session.id, phase=Phase.WORKSPACE)
    assert not await database.write(lambda conn: sessions.delete_seed(conn, session.id))
    assert not await database.write(lambda conn: sessions.delete_seed(conn, "nope"))
    assert not await database.write(lambda conn: sessions.delete_row(conn, "nope"))
    assert sessions.get(database.read, session.id) is not None
    assert await database.write(lambda conn: sessions.delete_row(conn, session.id))
    left = [change.type for change in changes.after(database.read, 0) if change.session_id == session.id]
    assert left == ["session_deleted"]


async def test_lists_are_filtered_and_ordered_by_number(database: Database) -> None:
    await database.write(lambda conn: projects.put(conn, project("web")))
    for _ in range(11):
        await seeded(database)
    await seeded(database, "web", kind=Kind.ORCHESTRATOR)
    await changed(database, "app-3", phase=Phase.ENDED)
    await changed(database, "app-4", phase=Phase.ENDING)

    def names(found: list[Session]) -> list[str]:
        return [session.id for session in found]

    assert names(sessions.all_sessions(database.read)) == [*(f"app-{number}" for number in range(1, 12)), "web-1"]
    assert names(sessions.terminated(database.read)) == ["app-3", "app-4"]
    assert names(sessions.terminated(database.read, project="web")) == []
    assert names(sessions.unfinished(database.read, project="web")) == ["web-1"]
    assert names(sessions.unfinished(database.read)) == [
        *(f"app-{number}" for number in range(1, 12) if number != 3),
        "web-1",
    ]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT id FROM sessions WHERE project_id = ? AND phase IN ('live', 'ending')", "sessions_phase"),
        ("SELECT id FROM messages WHERE session_id = ? AND state = 'queued' ORDER BY num", "messages_queued"),
        ("SELECT seq FROM change_log WHERE session_id = ? ORDER BY seq DESC", "change_log_session"),
    ],
    ids=["unfinished", "due", "changes"],
)  # fmt: skip
async def test_lists_read_an_index_and_sort_nothing(database: Database, statement: str, index: str) -> None:
    plan = database.read.execute(f"EXPLAIN QUERY PLAN {statement}", ("app",)).fetchall()
    assert index in plan[0][3]
    assert not [step for step in plan if "TEMP B-TREE" in step[3] or step[3].startswith("SCAN")]


async def test_an_idempotency_key_leads_to_its_session_until_that_or_the_key_is_gone(database: Database) -> None:
    session = await seeded(database)
    assert sessions.find_idempotent(database.read, "k") is None
    await database.write(lambda conn: sessions.remember_idempotent(conn, "k", "print", session.id, 100))
    assert sessions.find_idempotent(database.read, "k") == ("print", session)
    await database.write(lambda conn: sessions.delete_row(conn, session.id))
    assert sessions.find_idempotent(database.read, "k") == ("print", None)
    again = await seeded(database)
    await database.write(lambda conn: sessions.remember_idempotent(conn, "k", "other", again.id, 200))
    assert sessions.find_idempotent(database.read, "k") == ("other", again)
    assert await database.write(lambda conn: sessions.forget_idempotent(conn, before=200)) == 0
    assert await database.write(lambda conn: sessions.forget_idempotent(conn, before=201)) == 1
    assert sessions.find_idempotent(database.read, "k") is None


async def test_the_changes_of_a_sessions_life_are_told_with_json_types(
    database: Database, published: list[Change]
) -> None:
    published.clear()
    session = await seeded(database)
    await changed(database, session.id, phase=Phase.LAUNCHED, launches=1)
    await changed(database, session.id, phase=Phase.ENDED, display_name='done "so" \n far')
    assert [(change.type, change.session_id, change.project_id) for change in published] == [
        ("session_created", "app-1", "app"),
        ("session_updated", "app-1", "app"),
        ("session_updated", "app-1", "app"),
    ]
    created, launched, ended = (json.loads(change.payload) for change in published)
    assert created == {"id": "app-1", "activity": "idle", "isTerminated": False}
    shown = {
        **created,
        "phase": "launched",
        "displayName": "",
        "previewUrl": "",
        "previewRevision": 0,
        "branch": "ao/app-1/root",
        "terminalHandleId": "app-1",
        "terminateOnPrMerge": None,
    }
    assert launched == shown
    assert ended == {**shown, "isTerminated": True, "phase": "ended", "displayName": 'done "so" \n far'}


@pytest.mark.parametrize("choice", [True, False])
async def test_the_choice_for_a_merge_is_stored_and_told_as_a_boolean(
    database: Database, published: list[Change], choice: bool
) -> None:
    session = await seeded(database)
    assert session.terminate_on_pr_merge is None
    stored = await changed(database, session.id, terminate_on_pr_merge=choice)
    assert stored is not None
    assert stored.terminate_on_pr_merge is choice
    assert sessions.get(database.read, session.id) == stored
    assert json.loads(published[-1].payload)["terminateOnPrMerge"] is choice


async def test_the_commit_to_begin_at_is_stored_with_the_seed(database: Database) -> None:
    new = replace(new_session(), start_commit="a" * 40)
    seed = await database.write(lambda conn: sessions.seed(conn, new, now=10))
    assert seed.start_commit == "a" * 40
    assert sessions.get(database.read, seed.id) == seed


async def test_the_terminals_name_is_told_as_it_is_derived(database: Database, published: list[Change]) -> None:
    await database.write(lambda conn: projects.put(conn, project("my.app")))
    session = await seeded(database, "my.app")
    await changed(database, session.id, launches=1)
    assert json.loads(published[-1].payload)["terminalHandleId"] == session.handle != session.id


VISIBLE: dict[str, Any] = {
    "phase": Phase.LIVE,
    "activity": Activity.ACTIVE,
    "activity_source": "hook:stop",
    "display_name": "x",
    "branch": "x",
    "workspace_path": "/x",
    "workspace_state": WorkspaceState.PRESENT,
    "agent": "codex",
    "model": "x",
    "permissions": "auto",
    "issue_id": "x",
    "base_ref": "x",
    "base_sha": "x",
    "base_at": 5,
    "warnings": '["x"]',
    "launches": 1,
    "native_id": "x",
    "exit_code": 0,
    "failure_code": "x",
    "failure_message": "x",
    "failure_hint": "x",
    "preserved_path": "/x",
    "preserved_reason": "x",
    "first_signal_at": 5,
    "terminate_on_pr_merge": False,
}
UNSEEN: dict[str, Any] = {
    "prompt": "x",
    "rules": "x",
    "repo_path": "/x",
    "branch_created": True,
    "server": 1,
    "activity_at": 99,
    "hook_boot": "x",
    "hook_seq": 5,
    "agent_pid": 5,
    "agent_started": "x",
    "replaces": "x",
    "launched_at": 5,
    "ended_at": 5,
    "start_commit": "x",
}


def test_every_column_is_known_to_be_visible_or_not() -> None:
    named = {"id", "project_id", "num", "kind", "created_at", "updated_at"}
    assert {*VISIBLE, *UNSEEN} | named == {field.name for field in msgspec.structs.fields(Session)}


@pytest.mark.parametrize("column", sorted(VISIBLE))
async def test_each_visible_fact_is_told_once_and_not_again_when_repeated(
    database: Database, published: list[Change], column: str
) -> None:
    session = await seeded(database)
    published.clear()
    for _ in range(2):
        await changed(database, session.id, **{column: VISIBLE[column]})
    assert [change.type for change in published] == ["session_updated"]


async def test_unseen_facts_are_not_told(database: Database, published: list[Change]) -> None:
    session = await seeded(database)
    await changed(database, session.id, first_signal_at=5)
    published.clear()
    for column, value in UNSEEN.items():
        await changed(database, session.id, **{column: value})
    await changed(database, session.id, first_signal_at=6)
    assert published == []
    assert sessions.get(database.read, session.id) == replace(session, **UNSEEN, first_signal_at=6, updated_at=30)


async def test_messages_do_not_keep_a_session_from_going(database: Database) -> None:
    session = await seeded(database)
    await database.write(lambda conn: messages.add(conn, message(session.id)))
    assert await database.write(lambda conn: sessions.delete_seed(conn, session.id))

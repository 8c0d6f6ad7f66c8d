"""The ledger of nudges: each with the fate of its message, in order."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.message import MessageState
from ao.model.nudge import Cause, LedgerEntry, Nudge, NudgeState
from ao.store import messages, nudges, sessions
from ao.store.database import Database
from tests.store.seeds import message, seeded


def nudge(name: str, *, session_id: str = "app-1", url: str = "u1", message_id: str = "") -> Nudge:
    """A nudge because of checks."""
    return Nudge(
        id=name,
        session_id=session_id,
        pull_url=url,
        cause=Cause.CI,
        head_sha="a",
        signature="s",
        round=1,
        message_id=message_id,
        created_at=20,
        updated_at=20,
    )


async def added(database: Database, one: Nudge) -> Nudge:
    """The nudge once it is stored."""
    await database.write(lambda conn: nudges.add(conn, one))
    return one


async def test_a_ledger_shows_the_fate_of_each_message(database: Database) -> None:
    session = await seeded(database)
    told, _ = await database.write(lambda conn: messages.add(conn, message(session.id)))
    first = await added(database, nudge("n1", message_id=told.id))
    second = await added(database, nudge("n2"))
    assert nudges.of_pull(database.read, "u1") == [
        LedgerEntry(nudge=first, message=MessageState.QUEUED),
        LedgerEntry(nudge=second),
    ]
    await database.write(
        lambda conn: messages.change(
            conn,
            told.id,
            lambda row: replace(row, state=MessageState.SENT, held_reason="blocked", possible_duplicate=True),
            now=30,
        )
    )
    [entry, _] = nudges.of_pull(database.read, "u1")
    assert entry == LedgerEntry(nudge=first, message=MessageState.SENT, held_reason="blocked", possible_duplicate=True)


async def test_a_session_s_ledger_holds_its_last_ones_newest_last(database: Database) -> None:
    session, other = await seeded(database), await seeded(database)
    for name in ("z", "a", "m"):
        await added(database, nudge(name, session_id=session.id))
    await added(database, nudge("x", session_id=other.id))
    assert [entry.nudge.id for entry in nudges.of_session(database.read, session.id, 2)] == ["a", "m"]
    assert [entry.nudge.id for entry in nudges.of_session(database.read, session.id, 9)] == ["z", "a", "m"]
    assert [entry.nudge.id for entry in nudges.of_pull(database.read, "u1")] == ["z", "a", "m", "x"]
    assert nudges.of_pull(database.read, "u2") == []


async def test_states_are_told_and_nothing_else(database: Database, published: list[Change]) -> None:
    session = await seeded(database)
    published.clear()
    one = await added(database, nudge("n1"))
    await database.write(lambda conn: nudges.change(conn, "n1", lambda row: replace(row, reason="why"), now=30))
    after = await database.write(
        lambda conn: nudges.change(conn, "n1", lambda row: replace(row, state=NudgeState.WITHDRAWN), now=40)
    )
    assert after == replace(one, reason="why", state=NudgeState.WITHDRAWN, updated_at=40)
    assert nudges.get(database.read, "n1") == after
    assert nudges.get(database.read, "n2") is None
    shown = {"id": "n1", "session": session.id, "pr": "u1", "cause": "ci"}
    assert [(change.type, change.project_id, change.session_id) for change in published] == [
        ("nudge_updated", "app", session.id)
    ] * 2
    assert [json.loads(change.payload) for change in published] == [
        {**shown, "state": "queued"},
        {**shown, "state": "withdrawn"},
    ]


async def test_a_nudge_follows_its_message_when_it_is_sent_again(database: Database) -> None:
    await seeded(database)
    await added(database, nudge("n1", message_id="old"))
    await added(database, nudge("n2"))
    await database.write(lambda conn: nudges.follow(conn, "old", "new"))
    await database.write(lambda conn: nudges.follow(conn, "", "wrong"))
    assert [entry.nudge.message_id for entry in nudges.of_pull(database.read, "u1")] == ["new", ""]


async def test_what_was_said_of_it_never_changes(database: Database) -> None:
    await seeded(database)
    await added(database, nudge("n1"))
    with pytest.raises(ValueError, match="signature"):
        await database.write(lambda conn: nudges.change(conn, "n1", lambda row: replace(row, signature="x"), now=30))


async def test_nudges_go_with_the_row_of_their_session(database: Database) -> None:
    session = await seeded(database)
    await added(database, nudge("n1"))
    assert await database.write(lambda conn: sessions.delete_seed(conn, session.id))
    assert nudges.get(database.read, "n1") is None

"""The outbox: numbered a session, delivered in order, each message once."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.message import Message, MessageState
from ao.store import messages, sessions
from ao.store.database import Database
from tests.store.seeds import message, seeded


async def added(database: Database, one: Message) -> Message:
    """The message as it was added."""
    stored, is_new = await database.write(lambda conn: messages.add(conn, one))
    assert is_new
    return stored


async def to_state(database: Database, message_id: str, state: MessageState) -> Message | None:
    """The message after a change of state."""
    return await database.write(
        lambda conn: messages.change(conn, message_id, lambda before: replace(before, state=state), now=30)
    )


async def test_messages_are_numbered_by_session_in_the_order_they_came(database: Database) -> None:
    first, second = await seeded(database), await seeded(database)
    await asyncio.gather(*(added(database, message(first.id, str(number))) for number in range(20)))
    await added(database, message(second.id, "only"))
    stored = messages.of_session(database.read, first.id)
    assert [(found.num, found.text) for found in stored] == [(number + 1, str(number)) for number in range(20)]
    assert [found.num for found in messages.of_session(database.read, first.id, 3)] == [18, 19, 20]
    assert [found.num for found in messages.of_session(database.read, second.id)] == [1]
    assert messages.get(database.read, stored[4].id) == stored[4]


async def test_a_message_with_a_known_key_is_not_added_again(database: Database) -> None:
    session, other = await seeded(database), await seeded(database)
    first = await added(database, message(session.id, "one", key="k"))
    again = await database.write(lambda conn: messages.add(conn, message(session.id, "two", key="k")))
    assert again == (first, False)
    await added(database, message(other.id, "one", key="k"))
    await added(database, message(session.id, "three"))
    await added(database, message(session.id, "four"))
    assert [found.text for found in messages.of_session(database.read, session.id)] == ["one", "three", "four"]


async def test_a_message_to_nobody_is_refused(database: Database) -> None:
    with pytest.raises(LookupError):
        await database.write(lambda conn: messages.add(conn, message("app-9")))


async def test_only_queued_messages_are_due_and_those_in_sending_were_interrupted(database: Database) -> None:
    session, quiet = await seeded(database), await seeded(database)
    ids = [(await added(database, message(session.id, text))).id for text in ("a", "b", "c")]
    await added(database, message(quiet.id, "d"))
    assert messages.sessions_with_queued(database.read) == [session.id, quiet.id]
    await to_state(database, ids[0], MessageState.SENDING)
    await to_state(database, f"m-{quiet.id}-d", MessageState.SUBMITTED)
    assert [found.text for found in messages.due(database.read, session.id)] == ["b", "c"]
    assert [found.id for found in messages.interrupted(database.read)] == [ids[0]]
    assert messages.sessions_with_queued(database.read) == [session.id]


async def test_states_and_holding_are_told_and_nothing_else(database: Database, published: list[Change]) -> None:
    session = await seeded(database)
    published.clear()
    stored = await added(database, message(session.id))
    await database.write(
        lambda conn: messages.change(conn, stored.id, lambda before: replace(before, held_reason="blocked"), now=30)
    )
    await database.write(
        lambda conn: messages.change(conn, stored.id, lambda before: replace(before, attempts=1), now=31)
    )
    await to_state(database, stored.id, MessageState.SENT)
    assert {(change.type, change.project_id, change.session_id) for change in published} == {
        ("message_updated", "app", session.id)
    }
    shown = {"id": stored.id, "sessionId": session.id, "state": "queued", "heldReason": "", "source": "user"}
    assert [json.loads(change.payload) for change in published] == [
        shown,
        {**shown, "heldReason": "blocked"},
        {**shown, "heldReason": "blocked", "state": "sent"},
    ]


async def test_a_change_of_no_message_and_a_declined_one_write_nothing(database: Database) -> None:
    session = await seeded(database)
    stored = await added(database, message(session.id))
    assert await to_state(database, "nope", MessageState.SENT) is None
    declined = await database.write(lambda conn: messages.change(conn, stored.id, lambda _before: None, now=30))
    assert declined is None
    assert messages.get(database.read, stored.id) == stored


async def test_messages_go_with_their_session(database: Database) -> None:
    session = await seeded(database)
    stored = await added(database, message(session.id))
    await database.write(lambda conn: sessions.delete_row(conn, session.id))
    assert messages.get(database.read, stored.id) is None

"""The outbox against real terminals: written once, whole, when the agent reads it, and never into a dialog."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from ao.model.message import Message, MessageSource, MessageState
from ao.model.session import Activity, Session
from ao.ports import Sent, Terminal
from ao.store import messages
from tests.engine.house import PATIENCE_S, House, refused


async def settled(house: House, session_id: str, wanted: Callable[[list[Message]], bool]) -> list[Message]:
    """The outbox once `wanted` accepts it."""
    async with asyncio.timeout(PATIENCE_S):
        while not wanted(found := house.engine.messaging.list(session_id)):
            house.changed.clear()
            await house.changed.wait()
    return found


async def sent(house: House, session: Session, text: str, key: str = "") -> Message:
    return await house.engine.messaging.send(session.id, text, source=MessageSource.USER, key=key)


def states(found: list[Message]) -> list[MessageState]:
    return [message.state for message in found]


async def blocked(house: House) -> Session:
    """A session whose agent asks for permission."""
    session = await house.spawn("[[demo: ask]] write")
    return await house.until(session.id, lambda row: row.activity is Activity.BLOCKED)


async def allow(house: House, session: Session) -> None:
    """What a person types into the dialog."""
    argv = house.engine.sessions.attach(session.id)[0]
    command = [*argv[: argv.index("attach-session")], "send-keys", "-t", f"={session.handle}:", "y"]
    assert (await house.engine.world.host.run(command)).code == 0


async def test_a_prompt_that_must_be_typed_waits_in_the_outbox_for_the_agents_screen(house: House) -> None:
    session = await house.spawn("one\ntwo\nxxx", agent="slow")
    assert states(house.engine.messaging.list(session.id)) == [MessageState.QUEUED]
    found = await settled(house, session.id, lambda rows: states(rows) == [MessageState.SENT])
    assert found[0].attempts == 1
    got = await house.engine.world.host.await_file(os.path.join(session.workspace_path, "got"), timeout_s=10)
    assert got
    assert found[0].text.encode().startswith(got)
    assert found[0].text.endswith("one\ntwo\nxxx")


async def test_h7_a_dialog_that_opens_between_the_check_and_the_paste_gets_no_enter(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await house.spawn("begin")
    await house.at_rest(session.id)
    runtime = house.engine.world.runtime
    paste = runtime.send

    async def late(terminal: Terminal, text: str, *, may_enter: Callable[[str], bool]) -> Sent:
        """Between the outbox's check and the paste the agent opens a dialog."""
        await paste(terminal, "[[demo: ask]] write", may_enter=lambda _: True)
        await house.until(session.id, lambda row: row.activity is Activity.BLOCKED)
        return await paste(terminal, text, may_enter=may_enter)

    monkeypatch.setattr(runtime, "send", late)
    await sent(house, session, "yes please")
    found = await settled(house, session.id, lambda rows: states(rows) == [MessageState.UNKNOWN])
    assert "dialog" in found[0].failure
    assert house.engine.sessions.get(session.id).activity is Activity.BLOCKED
    assert "allowed" not in await house.engine.sessions.output(session.id, 100)


async def test_h7_a_dialog_no_hook_has_told_of_holds_messages_too(house: House) -> None:
    session = await blocked(house)
    await house.engine.world.change(session.id, lambda row: replace(row, activity=Activity.IDLE))
    await sent(house, session, "write more")
    found = await settled(house, session.id, lambda rows: bool(rows[0].held_reason))
    assert (found[0].state, found[0].attempts) == (MessageState.QUEUED, 0)
    assert "dialog" in found[0].held_reason
    await allow(house, session)
    await settled(house, session.id, lambda rows: states(rows) == [MessageState.SUBMITTED])


async def test_p6_a_terminal_that_can_not_be_asked_delays_a_message_and_loses_none(house: House) -> None:
    session = await house.spawn("begin")
    await house.at_rest(session.id)
    record = (house.path / "d" / "tmux" / "0.process").read_text()
    server = int(record.split()[0])
    os.kill(server, signal.SIGSTOP)
    try:
        await sent(house, session, "write more")
        await asyncio.wait({asyncio.ensure_future(_given_up_once(house))}, timeout=20)
        assert states(house.engine.messaging.list(session.id)) == [MessageState.QUEUED]
    finally:
        os.kill(server, signal.SIGCONT)
    await settled(house, session.id, lambda rows: states(rows) == [MessageState.SUBMITTED])
    assert house.git("rev-list", "--count", f"main..{session.branch}") == "1"


async def _given_up_once(house: House) -> None:
    """Longer than the runtime waits for a reply."""
    with pytest.raises(Exception, match="tmux"):
        await house.engine.world.runtime.capture(Terminal(0, "demo-1"), lines=1)


async def test_a_message_that_meets_a_teardown_is_refused_and_never_stranded(house: House) -> None:
    session = await house.spawn()
    db = house.engine.world.db
    gate = threading.Event()
    held = asyncio.ensure_future(db.write(lambda _: gate.wait(10)))
    killing = asyncio.ensure_future(house.engine.sessions.kill(session.id))
    for _ in range(5):
        await asyncio.sleep(0)
    sending = asyncio.ensure_future(sent(house, session, "hello"))
    for _ in range(5):
        await asyncio.sleep(0)
    gate.set()
    await refused("SESSION_TERMINATED", sending)
    await asyncio.gather(held, killing)
    assert house.engine.messaging.list(session.id) == []


async def test_h9_a_key_with_another_text_is_refused_and_a_repeat_gets_the_first_for_ever(house: House) -> None:
    session = await house.spawn("begin")
    first = await sent(house, session, "write more", key="k")
    error = await refused("IDEMPOTENCY_KEY_REUSED", sent(house, session, "something else", key="k"))
    assert error.details == {"messageId": first.id}
    await house.engine.sessions.kill(session.id)
    assert (await sent(house, session, "write more", key="k")).id == first.id
    await refused("SESSION_TERMINATED", sent(house, session, "write more", key="other"))


async def test_a_boot_resends_no_users_message_and_each_nudge_once_marked(house: House) -> None:
    session = await blocked(house)
    for source in (MessageSource.USER, MessageSource.NUDGE):
        row = Message(
            id=f"msg_{uuid.uuid4().hex}",
            session_id=session.id,
            num=0,
            source=source,
            text=source,
            state=MessageState.SENDING,
            created_at=1,
            updated_at=1,
        )
        await house.engine.world.db.write(partial(messages.add, message=row))
    for _ in range(2):
        await house.engine.messaging.resume()
    found = house.engine.messaging.list(session.id)
    assert [(row.source, row.state, row.possible_duplicate) for row in found] == [
        (MessageSource.USER, MessageState.UNKNOWN, False),
        (MessageSource.NUDGE, MessageState.UNKNOWN, False),
        (MessageSource.NUDGE, MessageState.QUEUED, True),
    ]


async def test_a_clock_set_back_holds_no_message(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await house.spawn("begin")
    await house.at_rest(session.id)

    async def an_hour_ahead(_terminal: Terminal) -> int:
        return house.engine.world.now() + 3_600_000

    monkeypatch.setattr(house.engine.world.runtime, "typed_at", an_hour_ahead)
    await sent(house, session, "write more")
    await settled(house, session.id, lambda rows: states(rows) == [MessageState.SUBMITTED])


async def test_messages_of_a_killed_session_are_told_to_have_failed(house: House) -> None:
    session = await blocked(house)
    await sent(house, session, "write more")
    await settled(house, session.id, lambda rows: bool(rows[0].held_reason))
    await house.engine.sessions.kill(session.id, force=True)
    found = house.engine.messaging.list(session.id)
    assert states(found) == [MessageState.FAILED]
    assert "ended" in found[0].failure
    assert Path(session.workspace_path).exists() is False


async def test_an_agent_that_shows_nothing_is_not_waited_for(house: House) -> None:
    session = await house.spawn(agent="silent")
    async with asyncio.timeout(10):
        await house.engine.messaging.send(session.id, "hello", source=MessageSource.USER)
        while house.engine.messaging.list(session.id)[0].state is MessageState.QUEUED:
            house.changed.clear()
            await house.changed.wait()

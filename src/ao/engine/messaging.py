"""The outbox at work: every message to an agent is a row, delivered in order when the agent may be written to.

One task per session with queued messages. It sleeps until something changes that could free its first message; nothing
is dropped because an agent was busy, and nothing whose fate is unknown is written twice.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any, Final

from msgspec.structs import replace

from ao.engine.sessions import refuse_half_made
from ao.engine.world import World, terminal_of
from ao.model.delivery import hold
from ao.model.errors import AoError
from ao.model.message import Message, MessageSource, MessageState
from ao.model.session import Activity, Session
from ao.model.text import limit_text, sanitise, too_long
from ao.ports import Sent
from ao.store import messages

CONFIRM_S: Final = 2.0
"""How long the agent's own confirmation of a prompt is awaited before Enter is pressed again."""
EXTRA_ENTERS: Final = 2
RECENT: Final = 200
_WRITTEN: Final = frozenset({MessageState.SENDING, MessageState.SENT})

log = logging.getLogger("ao.engine.messaging")


class Messaging:
    """Accepts and delivers messages."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._confirms: dict[str, asyncio.Event] = {}

    async def send(
        self, session_id: str, text: str, *, source: MessageSource, sender: str = "", key: str = ""
    ) -> Message:
        """Queue a message. A repeated idempotency key returns the first message.

        Raises `MESSAGE_REQUIRED`, `MESSAGE_TOO_LONG`, `SESSION_NOT_FOUND`, `SESSION_TERMINATED`,
        `SESSION_INCOMPLETE_HANDLE`, `AGENT_EXITED`.
        """
        clean = _checked(text, compat=self._world.settings.compat)
        session = self._world.session(session_id)
        _refuse_unreachable(session)
        now = self._world.now()
        message = Message(
            id=f"msg_{uuid.uuid4().hex}",
            session_id=session_id,
            num=0,
            source=source,
            sender=sender,
            text=clean,
            idempotency_key=key,
            created_at=now,
            updated_at=now,
        )
        stored = await self._add(message)
        self.wake(session_id)
        return stored

    def list(self, session_id: str, *, limit: int = 200) -> list[Message]:
        """The newest messages of a session, oldest first. Raises `SESSION_NOT_FOUND`."""
        self._world.session(session_id)
        return messages.of_session(self._world.db.read, session_id, limit)

    def wake(self, session_id: str) -> None:
        """Something changed that may free a queued message."""
        event = self._wakes.get(session_id)
        if event is not None:
            event.set()
        elif messages.due(self._world.db.read, session_id):
            self._wakes[session_id] = asyncio.Event()
            self._tasks[session_id] = self._world.start(self._drain(session_id))

    async def confirmed(self, session_id: str) -> None:
        """The agent's hook says that it took a prompt: the oldest message that was written is submitted."""
        now = self._world.now()
        written = [row for row in messages.of_session(self._world.db.read, session_id, RECENT) if row.state in _WRITTEN]
        if written:
            oldest = written[0].id
            await self._world.db.write(
                lambda conn: messages.change(
                    conn, oldest, lambda row: replace(row, state=MessageState.SUBMITTED, failure=""), now=now
                )
            )
        event = self._confirms.get(session_id)
        if event is not None:
            event.set()

    async def resume(self) -> None:
        """After a restart: what was being written has an unknown fate; what waits is delivered."""
        now = self._world.now()
        for message in messages.interrupted(self._world.db.read):
            await self._settle(message.id, MessageState.UNKNOWN, "the daemon ended while it was being written")
            if message.source is MessageSource.NUDGE:
                again = replace(
                    message,
                    id=f"msg_{uuid.uuid4().hex}",
                    state=MessageState.QUEUED,
                    idempotency_key="",
                    possible_duplicate=True,
                    created_at=now,
                    updated_at=now,
                )
                await self._add(again)
        for session_id in messages.sessions_with_queued(self._world.db.read):
            self.wake(session_id)

    async def _add(self, message: Message) -> Message:
        try:
            stored, _is_new = await self._world.db.write(lambda conn: messages.add(conn, message))
        except LookupError:
            self._world.session(message.session_id)
            raise
        return stored

    async def _drain(self, session_id: str) -> None:
        event = self._wakes[session_id]
        try:
            while True:
                event.clear()
                queue = messages.due(self._world.db.read, session_id)
                if not queue:
                    return
                retry_s = await self._attempt(self._world.session(session_id), queue[0])
                if retry_s is None:
                    continue
                await _woken(event, retry_s)
        except Exception:
            log.exception("delivery failed", extra={"session": session_id})
        finally:
            del self._wakes[session_id]
            self._tasks.pop(session_id, None)

    async def _attempt(self, session: Session, message: Message) -> float | None:
        """Deliver, or note why not. Returns None when the next message may be tried, else seconds until a look."""
        now = self._world.now()
        typed_at = await self._world.runtime.typed_at(terminal_of(session)) if session.launches else None
        held = hold(session, message.source, typed_at=typed_at, now=now)
        if held is None:
            await self._deliver(session, message)
            return None
        await self._world.db.write(
            lambda conn: messages.change(
                conn,
                message.id,
                lambda row: replace(row, held_reason=held.reason) if row.held_reason != held.reason else None,
                now=now,
            )
        )
        return held.retry_ms / 1000 if held.retry_ms is not None else float("inf")

    async def _deliver(self, session: Session, message: Message) -> None:
        before = session.activity
        confirm = self._confirms[session.id] = asyncio.Event()
        try:
            await self._mark_sending(message)
            sent, trouble = await self._write(session, message.text)
            if sent is Sent.NOT_WRITTEN:
                await self._settle(message.id, MessageState.FAILED, trouble)
            elif sent is Sent.PASTED:
                await self._settle(
                    message.id, MessageState.UNKNOWN, "a dialog opened while it was being written; it was not submitted"
                )
            else:
                await self._settle(message.id, MessageState.SENT, "")
                if before is not Activity.ACTIVE and self._world.agents.get(session.agent).confirms:
                    await self._await_submit(session, message, confirm)
        finally:
            self._confirms.pop(session.id, None)

    async def _write(self, session: Session, text: str) -> tuple[Sent, str]:
        def may_enter(screen: str) -> bool:
            current = self._world.session(session.id)
            return current.activity is not Activity.BLOCKED and not self._world.agents.dialog(session.agent, screen)

        try:
            return await self._world.runtime.send(terminal_of(session), text, may_enter=may_enter), ""
        except AoError as error:
            return Sent.NOT_WRITTEN, error.message

    async def _await_submit(self, session: Session, message: Message, confirm: asyncio.Event) -> None:
        """Wait for the agent's word; press Enter again at most twice, never into a dialog."""
        for attempt in range(EXTRA_ENTERS + 1):
            if confirm.is_set() or await _woken(confirm, CONFIRM_S):
                return
            current = self._world.session(session.id)
            screen = await self._world.runtime.capture(terminal_of(session), lines=60)
            dialog = self._world.agents.dialog(session.agent, screen)
            if attempt == EXTRA_ENTERS or current.activity is not Activity.IDLE or dialog:
                log.info("prompt not confirmed", extra={"session": session.id, "message_id": message.id})
                return
            await self._world.runtime.press_enter(terminal_of(session))

    async def _mark_sending(self, message: Message) -> None:
        now = self._world.now()
        await self._world.db.write(
            lambda conn: messages.change(
                conn,
                message.id,
                lambda row: replace(row, state=MessageState.SENDING, held_reason="", attempts=row.attempts + 1),
                now=now,
            )
        )

    async def _settle(self, message_id: str, state: MessageState, failure: str) -> None:
        now = self._world.now()

        def settle(row: Message) -> Message | None:
            confirmed = row.state is MessageState.SUBMITTED
            return None if confirmed else replace(row, state=state, failure=failure, held_reason="")

        await self._world.db.write(lambda conn: messages.change(conn, message_id, settle, now=now))


def _checked(text: str, *, compat: bool) -> str:
    if not text:
        raise AoError("MESSAGE_REQUIRED", "the message is empty")
    clean = sanitise(text)
    if too_long(clean, compat=compat):
        raise AoError(
            "MESSAGE_TOO_LONG",
            f"the message has {len(clean):,} characters; the limit is {limit_text(compat=compat)}",
            hint="put long material into a file of the worktree and name the file",
        )
    if not clean.strip():
        raise AoError("MESSAGE_REQUIRED", "nothing is left of the message after control characters were removed")
    return clean


def _refuse_unreachable(session: Session) -> None:
    refuse_half_made(session, "write to")
    if session.is_terminated:
        raise AoError(
            "SESSION_TERMINATED", f"session {session.id!r} has ended", hint=f"`ao session restore {session.id}`"
        )
    if session.activity is Activity.EXITED:
        raise AoError(
            "AGENT_EXITED",
            f"the agent of session {session.id!r} has ended (exit code {session.exit_code})",
            hint=f"`ao session restore {session.id}` starts it again; `ao attach {session.id}` opens its shell",
        )


async def _woken(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(None if timeout_s == float("inf") else timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True

"""The outbox at work: every message to an agent is a row, delivered in order when the agent may be written to.

One task per session with queued messages. It sleeps until something changes that could free its first message; nothing
is dropped because an agent was busy, and nothing whose fate is unknown is written twice.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from ao.engine.sessions import refuse_half_made
from ao.engine.watching import Watches
from ao.engine.world import World, terminal_of
from ao.model.delivery import Hold, hold
from ao.model.errors import AoError
from ao.model.message import Message, MessageSource, MessageState
from ao.model.session import Activity, Phase, Session
from ao.model.text import limit_text, sanitise, too_long
from ao.ports import Liveness, Sent
from ao.store import messages, nudges, sessions
from ao.store.database import Connection

CONFIRM_S: Final = 2.0
"""How long the agent's own confirmation of a prompt is awaited before Enter is pressed again."""
EXTRA_ENTERS: Final = 2
DIALOG_MS: Final = 1_000
"""How soon to look again at a screen that shows a dialog no hook has told of."""
LONGEST_PAUSE_S: Final = 60.0
CLOCK_SKEW_MS: Final = 2_000
"""A key typed further in the future than this was typed before the clock was set back."""
RECENT: Final = 200

log = logging.getLogger("ao.engine.messaging")


class Messaging:
    """Accepts and delivers messages."""

    def __init__(self, world: World, watches: Watches) -> None:
        self._world = world
        self._watches = watches
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._confirms: dict[str, asyncio.Event] = {}
        self._entered: set[str] = set()

    async def send(
        self, session_id: str, text: str, *, source: MessageSource, sender: str = "", key: str = ""
    ) -> Message:
        """Queue a message. A repeated idempotency key returns the first message, whatever became of it or the session.

        Raises `MESSAGE_REQUIRED`, `MESSAGE_TOO_LONG`, `SESSION_NOT_FOUND`, `SESSION_TERMINATED`,
        `SESSION_INCOMPLETE_HANDLE`, `AGENT_EXITED`, and `IDEMPOTENCY_KEY_REUSED` for a key that has another text.
        """
        clean = _checked(text, compat=self._world.settings.compat)
        self._world.session(session_id)
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

        def add(conn: Connection) -> Message:
            known = messages.by_key(conn, session_id, key) if key else None
            if known is not None:
                return known
            # Decided where no teardown can come between: what it has not seen nobody would ever deliver.
            session = sessions.get(conn, session_id)
            if session is not None:
                _refuse_unreachable(session)
            return messages.add(conn, message)[0]

        stored = await self._write_row(add, session_id)
        if stored.text != clean:
            raise AoError(
                "IDEMPOTENCY_KEY_REUSED",
                "this idempotency key belongs to another message",
                hint="use a new key for a new message",
                details={"messageId": stored.id},
            )
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
        """The agent's hook says that it took a prompt: the oldest message that was entered is submitted. One that is
        only being pasted isn't it; then the prompt is a person's."""
        now = self._world.now()
        recent = messages.of_session(self._world.db.read, session_id, RECENT)
        entered = [row.id for row in recent if self._is_entered(row)]
        if entered:
            oldest = entered[0]
            await self._world.db.write(
                lambda conn: messages.change(
                    conn, oldest, lambda row: replace(row, state=MessageState.SUBMITTED, failure=""), now=now
                )
            )
        event = self._confirms.get(session_id)
        if event is not None:
            event.set()

    def _is_entered(self, message: Message) -> bool:
        if message.state is MessageState.SENDING:
            return message.id in self._entered
        return message.state is MessageState.SENT

    async def resume(self) -> None:
        """After a restart: what was being written has an unknown fate; what waits is delivered."""
        now = self._world.now()
        for message in messages.interrupted(self._world.db.read):
            await self._world.db.write(_interrupted(message, now))
        for session_id in messages.sessions_with_queued(self._world.db.read):
            self.wake(session_id)

    async def _write_row(self, fn: Callable[[Connection], Message], session_id: str) -> Message:
        try:
            return await self._world.db.write(fn)
        except LookupError:
            self._world.session(session_id)
            raise

    async def _drain(self, session_id: str) -> None:
        event = self._wakes[session_id]
        failures = 0
        try:
            while queue := messages.due(self._world.db.read, session_id):
                event.clear()
                try:
                    retry_s = await self._attempt(self._world.session(session_id), queue[0])
                    failures = 0
                except Exception as error:
                    failures += 1
                    retry_s = min(2.0**failures / 4, LONGEST_PAUSE_S)
                    log.warning("delivery failed", extra={"session": session_id}, exc_info=_unforeseen(error))
                if retry_s is not None:
                    await _woken(event, retry_s)
        finally:
            del self._wakes[session_id]
            self._tasks.pop(session_id, None)

    async def _attempt(self, session: Session, message: Message) -> float | None:
        """Deliver, or note why not. Returns None when the queue may be looked at again, else seconds until then."""
        if session.phase is Phase.LIVE and self._watches.is_fresh(session):
            await self._note(message, "the agent is starting")
            await self._watches.until_ready(session)
            return None
        held = await self._held(session, message)
        if held is None:
            return await self._deliver(session, message)
        await self._note(message, held.reason)
        return held.retry_ms / 1000 if held.retry_ms is not None else float("inf")

    async def _held(self, session: Session, message: Message) -> Hold | None:
        now = self._world.now()
        typed_at = await self._world.runtime.typed_at(terminal_of(session)) if session.launches else None
        if typed_at is not None and typed_at > now + CLOCK_SKEW_MS:
            typed_at = None
        held = hold(session, message.source, typed_at=typed_at, now=now)
        if held is not None:
            return held
        # A dialog may stand there before its hook has arrived, or have none (a first-run question).
        screen = await self._world.runtime.capture(terminal_of(session), lines=60)
        dialog = self._world.agents.dialog(session.agent, screen)
        return Hold(f"a dialog is open: {dialog}", DIALOG_MS) if dialog else None

    async def _note(self, message: Message, reason: str) -> None:
        if message.held_reason == reason:
            return
        now = self._world.now()
        await self._world.db.write(
            lambda conn: messages.change(
                conn,
                message.id,
                lambda row: replace(row, held_reason=reason) if row.state is MessageState.QUEUED else None,
                now=now,
            )
        )

    async def _deliver(self, session: Session, message: Message) -> float | None:
        before = session.activity
        confirm = self._confirms[session.id] = asyncio.Event()
        try:
            if not await self._mark_sending(message):
                return None
            sent, trouble = await self._write(session, message)
            if sent is Sent.NOT_WRITTEN:
                return await self._not_written(session, message, trouble)
            if sent is Sent.PASTED:
                await self._settle(message.id, MessageState.UNKNOWN, trouble)
                return None
            await self._settle(message.id, MessageState.SENT, "")
            if before is not Activity.ACTIVE and self._world.agents.get(session.agent).confirms:
                await self._await_submit(session, message, confirm)
            return None
        finally:
            self._confirms.pop(session.id, None)
            self._entered.discard(message.id)

    async def _not_written(self, session: Session, message: Message, trouble: str) -> float | None:
        """Nothing has arrived, so it may be tried again, unless the terminal is known to be gone."""
        terminal = terminal_of(session)
        if (await self._world.runtime.probe([terminal]))[terminal] is Liveness.DEAD:
            await self._settle(message.id, MessageState.FAILED, trouble)
            return None
        await self._settle(message.id, MessageState.QUEUED, "", held=trouble)
        return min(2.0**message.attempts / 4, LONGEST_PAUSE_S)

    async def _write(self, session: Session, message: Message) -> tuple[Sent, str]:
        """How far the text got, and why not further."""
        trouble = "the terminal was lost while it was being written; it may have arrived"

        def may_enter(screen: str) -> bool:
            nonlocal trouble
            current = self._world.session(session.id)
            if current.activity is not Activity.BLOCKED and not self._world.agents.dialog(session.agent, screen):
                self._entered.add(message.id)
                return True
            trouble = "a dialog opened while it was being written; it was not submitted"
            return False

        try:
            return await self._world.runtime.send(terminal_of(session), message.text, may_enter=may_enter), trouble
        except AoError as error:
            return Sent.NOT_WRITTEN, error.message

    async def _await_submit(self, session: Session, message: Message, confirm: asyncio.Event) -> None:
        """Wait for the agent's word; press Enter again at most twice, never into a dialog."""
        for attempt in range(EXTRA_ENTERS + 1):
            if confirm.is_set() or await _woken(confirm, CONFIRM_S):
                return
            if attempt == EXTRA_ENTERS or not await self._enter_again(session):
                log.info("prompt not confirmed", extra={"session": session.id, "message_id": message.id})
                return

    async def _enter_again(self, session: Session) -> bool:
        """Press Enter if the agent rests at its prompt; whether that was done."""
        try:
            screen = await self._world.runtime.capture(terminal_of(session), lines=60)
            resting = self._world.session(session.id).activity is Activity.IDLE
            if not resting or self._world.agents.dialog(session.agent, screen):
                return False
            await self._world.runtime.press_enter(terminal_of(session))
        except AoError:
            return False  # the terminal is gone or can't be asked: the message stays `sent`
        return True

    async def _mark_sending(self, message: Message) -> bool:
        """Whether it was still queued: a teardown may have given it up meanwhile."""
        now = self._world.now()

        def mark(row: Message) -> Message | None:
            if row.state is not MessageState.QUEUED:
                return None
            return replace(row, state=MessageState.SENDING, held_reason="", attempts=row.attempts + 1)

        return await self._world.db.write(lambda conn: messages.change(conn, message.id, mark, now=now)) is not None

    async def _settle(self, message_id: str, state: MessageState, failure: str, *, held: str = "") -> None:
        now = self._world.now()

        def settle(row: Message) -> Message | None:
            confirmed = row.state is MessageState.SUBMITTED
            return None if confirmed else replace(row, state=state, failure=failure, held_reason=held)

        await self._world.db.write(lambda conn: messages.change(conn, message_id, settle, now=now))


def _interrupted(message: Message, now: int) -> Callable[[Connection], None]:
    """A message that was being written when a daemon ended: its fate is unknown, and a nudge is repeated
    as a possible duplicate, in the same transaction, so that another crash can't lose it."""
    again = replace(
        message,
        id=f"msg_{uuid.uuid4().hex}",
        state=MessageState.QUEUED,
        idempotency_key="",
        possible_duplicate=True,
        created_at=now,
        updated_at=now,
    )
    lost = replace(message, state=MessageState.UNKNOWN, failure="the daemon ended while it was being written")

    def settle(conn: Connection) -> None:
        messages.change(conn, message.id, lambda _: lost, now=now)
        if message.source is MessageSource.NUDGE:
            nudges.follow(conn, message.id, messages.add(conn, again)[0].id)

    return settle


def _unforeseen(error: Exception) -> Exception | None:
    """The error, when its cause is worth a traceback in the log."""
    return None if isinstance(error, AoError) else error


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

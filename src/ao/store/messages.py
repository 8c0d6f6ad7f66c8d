"""Messages: the outbox of each session, in the order in which they are delivered."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from ao.model.message import Message
from ao.store.rows import Connection, Table

_TABLE = Table("messages", Message, fixed=frozenset({"id", "session_id", "num", "source", "created_at"}))


def add(conn: Connection, message: Message) -> tuple[Message, bool]:
    """Append `message` to its session's outbox; its `num` is assigned here.

    A message of the same session with the same non-empty idempotency key is returned instead, with False. Raises
    LookupError when there is no such session.
    """
    if message.idempotency_key:
        existing = by_key(conn, message.session_id, message.idempotency_key)
        if existing is not None:
            return existing, False
    row = conn.execute(
        "SELECT (SELECT coalesce(max(num), 0) + 1 FROM messages WHERE session_id = ?1) FROM sessions WHERE id = ?1",
        (message.session_id,),
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no session {message.session_id}")
    numbered = replace(message, num=row[0])
    _TABLE.insert(conn, numbered)
    return numbered, True


def get(conn: Connection, message_id: str) -> Message | None:
    """The message, None when there is none."""
    return _TABLE.first(conn, "WHERE id = ?", (message_id,))


def by_key(conn: Connection, session_id: str, key: str) -> Message | None:
    """The session's message with this non-empty idempotency key."""
    rest = "WHERE session_id = ? AND idempotency_key = ? AND idempotency_key <> ''"
    return _TABLE.first(conn, rest, (session_id, key))


def of_session(conn: Connection, session_id: str, limit: int = 100) -> list[Message]:
    """The last `limit` messages of a session, oldest first."""
    return _TABLE.select(conn, "WHERE session_id = ? ORDER BY num DESC LIMIT ?", (session_id, limit))[::-1]


def due(conn: Connection, session_id: str) -> list[Message]:
    """The session's queued messages, in order of delivery."""
    return _TABLE.select(conn, "WHERE session_id = ? AND state = 'queued' ORDER BY num", (session_id,))


def change(conn: Connection, message_id: str, fn: Callable[[Message], Message | None], *, now: int) -> Message | None:
    """Apply the pure `fn` to the row as it is now and write only the columns that differ; the row after.

    None when there is no such row or `fn` returned None.
    """
    return _TABLE.change(conn, message_id, fn, now=now)


def interrupted(conn: Connection) -> list[Message]:
    """Messages left in `sending`: at the start of a daemon, those whose fate is unknown."""
    return _TABLE.select(conn, "WHERE state = 'sending' ORDER BY session_id, num")


def sessions_with_queued(conn: Connection) -> list[str]:
    """Ids of the sessions that have queued messages."""
    found = conn.execute("SELECT DISTINCT session_id FROM messages WHERE state = 'queued' ORDER BY session_id")
    return [row[0] for row in found.fetchall()]

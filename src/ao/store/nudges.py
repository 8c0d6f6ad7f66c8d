"""Nudges: the ledger of what an agent was told because of a fact, was not told, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ao.model.message import MessageState
from ao.model.nudge import LedgerEntry, Nudge
from ao.store.rows import Connection, Table

_TABLE = Table(
    "nudges", Nudge, fixed=frozenset({"id", "session_id", "pull_url", "cause", "head_sha", "signature", "created_at"})
)
_SELECT: Final = (
    f"SELECT {', '.join(f'nudges.{name}' for name in _TABLE.columns)}, "  # noqa: S608 (names of our own struct)
    "messages.state, messages.held_reason, messages.possible_duplicate "
    "FROM nudges LEFT JOIN messages ON messages.id = nudges.message_id "
)


def add(conn: Connection, nudge: Nudge) -> None:
    """Insert it. Raises sqlite3.IntegrityError when there is no such session."""
    _TABLE.insert(conn, nudge)


def get(conn: Connection, nudge_id: str) -> Nudge | None:
    """The nudge, None when there is none."""
    return _TABLE.first(conn, "WHERE id = ?", (nudge_id,))


def change(conn: Connection, nudge_id: str, fn: Callable[[Nudge], Nudge | None], *, now: int) -> Nudge | None:
    """Apply the pure `fn` to the row and write the columns that differ; the row after.

    None when there is no such row or `fn` returned None.
    """
    return _TABLE.change(conn, nudge_id, fn, now=now)


def of_pull(conn: Connection, url: str) -> list[LedgerEntry]:
    """All of a pull request, oldest first; also those to sessions that owned it before."""
    return _entries(conn, "WHERE nudges.pull_url = ? ORDER BY nudges.rowid", (url,))


def of_session(conn: Connection, session_id: str, limit: int) -> list[LedgerEntry]:
    """The last `limit` of a session, oldest first."""
    return _entries(conn, "WHERE nudges.session_id = ? ORDER BY nudges.rowid DESC LIMIT ?", (session_id, limit))[::-1]


def follow(conn: Connection, old_message_id: str, new_message_id: str) -> None:
    """A message was sent again under a new id: the nudge follows it."""
    conn.execute(
        "UPDATE nudges SET message_id = ? WHERE message_id = ? AND message_id <> ''", (new_message_id, old_message_id)
    )


def _entries(conn: Connection, rest: str, values: tuple[Any, ...]) -> list[LedgerEntry]:
    return [
        LedgerEntry(
            nudge=_TABLE.parse(nudge),
            message=MessageState(state) if state is not None else None,
            held_reason=held_reason or "",
            possible_duplicate=bool(possible_duplicate),
        )
        for *nudge, state, held_reason, possible_duplicate in conn.execute(_SELECT + rest, values).fetchall()
    ]

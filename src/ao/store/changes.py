"""The change log: what the triggers wrote, in the order of commit, and how much of it is kept."""

from __future__ import annotations

from typing import Any

from ao.model.change import Change
from ao.store.rows import Connection

_SELECT = "SELECT seq, project_id, session_id, type, payload, created_at FROM change_log "


def after(conn: Connection, seq: int, limit: int = -1) -> list[Change]:
    """Changes with a higher sequence number than `seq`, at most `limit` (negative: all), in order."""
    return _changes(conn, "WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))


def bounds(conn: Connection) -> tuple[int, int]:
    """The oldest sequence number kept and the newest ever given; (0, 0) when nothing was ever written.

    When everything was pruned the oldest is the one after the newest: a cursor `c` has missed changes that are gone
    exactly when `c < oldest - 1`.
    """
    given = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change_log'").fetchone()
    if given is None:
        return 0, 0
    oldest = conn.execute("SELECT min(seq) FROM change_log").fetchone()[0]
    return (given[0] + 1 if oldest is None else oldest), given[0]


def prune(conn: Connection, *, older_than_iso: str, keep_rows: int) -> int:
    """Drop the oldest changes: all before the first one written at `older_than_iso` (RFC 3339 UTC with milliseconds)
    or later, and all but the newest `keep_rows`. Returns how many went."""
    fresh = conn.execute(
        "SELECT seq FROM change_log WHERE created_at >= ? ORDER BY seq LIMIT 1", (older_than_iso,)
    ).fetchone()
    surplus = conn.execute("SELECT seq FROM change_log ORDER BY seq DESC LIMIT 1 OFFSET ?", (keep_rows,)).fetchone()
    first = bounds(conn)[1] + 1 if fresh is None else fresh[0]
    if surplus is not None:
        first = max(first, surplus[0] + 1)
    return conn.execute("DELETE FROM change_log WHERE seq < ?", (first,)).rowcount


def _changes(conn: Connection, rest: str, values: tuple[Any, ...]) -> list[Change]:
    return [
        Change(seq=seq, project_id=project, session_id=session, type=kind, payload=payload, created_at=created)
        for seq, project, session, kind, payload, created in conn.execute(_SELECT + rest, values).fetchall()
    ]

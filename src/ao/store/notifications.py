"""Notifications, each told once, and their deliveries to outgoing channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from msgspec.structs import replace

from ao.model.notification import LASTING, Delivery, Notification, NotificationType
from ao.store.rows import Connection, Table

Which = Literal["unread", "unresolved", "all"]
_TABLE = Table(
    "notifications",
    Notification,
    fixed=frozenset({"id", "project_id", "session_id", "pull_url", "type", "signature", "created_at"}),
)
_DELIVERIES = Table("deliveries", Delivery, fixed=frozenset({"id", "notification_id", "channel", "created_at"}))
_FILTER: Final[dict[Which, str]] = {"unread": "read_at IS NULL", "unresolved": "resolved_at IS NULL", "all": "true"}
_NEWEST: Final = " ORDER BY created_at DESC, id DESC"


def add(conn: Connection, notification: Notification) -> Notification | None:
    """Insert it; None when it was told already.

    That is when a row of the same session, pull request, type and signature is unread or unresolved, or, for a type
    that is told once and for ever, when there is any. A test is always told.
    """
    if notification.type is not NotificationType.TEST:
        same = "SELECT 1 FROM notifications WHERE session_id = ? AND pull_url = ? AND type = ? AND signature = ?"
        still = "" if notification.type in LASTING else " AND (read_at IS NULL OR resolved_at IS NULL)"
        key = (notification.session_id, notification.pull_url, notification.type.value, notification.signature)
        if conn.execute(f"{same}{still} LIMIT 1", key).fetchone() is not None:
            return None
    _TABLE.insert(conn, notification)
    return notification


def get(conn: Connection, notification_id: str) -> Notification | None:
    """The notification, None when there is none."""
    return _TABLE.first(conn, "WHERE id = ?", (notification_id,))


def of(
    conn: Connection,
    *,
    status: Which,
    limit: int,
    before: tuple[int, str] | None = None,
    project: str | None = None,
) -> list[Notification]:
    """At most `limit`, newest first; `before` is (created_at, id) of the last one seen."""
    where, values = [_FILTER[status]], list[Any]()
    if project is not None:
        where.append("project_id = ?")
        values.append(project)
    if before is not None:
        where.append("(created_at, id) < (?, ?)")
        values += before
    return _TABLE.select(conn, f"WHERE {' AND '.join(where)}{_NEWEST} LIMIT ?", (*values, limit))


def open_of(conn: Connection, session_id: str) -> list[Notification]:
    """A session's unresolved ones, newest first."""
    return _TABLE.select(conn, f"WHERE session_id = ? AND resolved_at IS NULL{_NEWEST}", (session_id,))


def read(conn: Connection, notification_id: str, now: int) -> Notification | None:
    """Mark one as read; None when it is unknown or was read."""
    return _TABLE.change(
        conn, notification_id, lambda row: replace(row, read_at=now) if row.read_at is None else None, now=now
    )


def read_all(conn: Connection, ids: Sequence[str] | None, now: int) -> list[Notification]:
    """Mark these as read (None: all); those that were unread, newest first."""
    if ids is None:
        ids = [row.id for row in _TABLE.select(conn, f"WHERE read_at IS NULL{_NEWEST}")]
    marked = [read(conn, notification_id, now) for notification_id in dict.fromkeys(ids)]
    found = [row for row in marked if row is not None]
    return sorted(found, key=lambda row: (row.created_at, row.id), reverse=True)


def resolve(conn: Connection, notification_id: str, now: int) -> Notification | None:
    """Note that it is no longer true; None when it is unknown or was resolved."""
    return _TABLE.change(
        conn, notification_id, lambda row: replace(row, resolved_at=now) if row.resolved_at is None else None, now=now
    )


def counts(conn: Connection, project: str | None = None) -> tuple[int, int]:
    """How many are unread and how many unresolved, of one project if given."""
    where, values = ("", ()) if project is None else (" AND project_id = ?", (project,))
    unread, unresolved = (
        conn.execute(f"SELECT count(*) FROM notifications WHERE {_FILTER[which]}{where}", values).fetchone()[0]  # noqa: S608
        for which in ("unread", "unresolved")
    )
    return unread, unresolved


def prune(conn: Connection, before: int) -> int:
    """Drop those made before `before` (milliseconds) that are no longer true, and tests; how many went.

    Those told once and for ever stay: without them they would be told again.
    """
    gone = conn.execute(
        "DELETE FROM notifications WHERE created_at < ? AND type NOT IN ('pr_merged', 'pr_closed_unmerged') "
        "AND (resolved_at IS NOT NULL OR type = 'test')",
        (before,),
    )
    return gone.rowcount


def add_deliveries(conn: Connection, deliveries: Sequence[Delivery]) -> None:
    """Insert them. Raises sqlite3.IntegrityError when the notification isn't there."""
    for delivery in deliveries:
        _DELIVERIES.insert(conn, delivery)


def due(conn: Connection, now: int) -> list[Delivery]:
    """Pending deliveries whose time has come, in the order of their times."""
    return _DELIVERIES.select(conn, "WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, rowid", (now,))


def next_due(conn: Connection) -> int | None:
    """When the next pending delivery is due; None when none is pending."""
    found: int | None = conn.execute("SELECT min(due_at) FROM deliveries WHERE state = 'pending'").fetchone()[0]
    return found


def change_delivery(
    conn: Connection, delivery_id: str, fn: Callable[[Delivery], Delivery | None], *, now: int
) -> Delivery | None:
    """Apply the pure `fn` to the row and write the columns that differ; the row after, None as usual."""
    return _DELIVERIES.change(conn, delivery_id, fn, now=now)


def deliveries_of(conn: Connection, notification_id: str) -> list[Delivery]:
    """A notification's deliveries, by channel."""
    return _DELIVERIES.select(conn, "WHERE notification_id = ? ORDER BY channel", (notification_id,))

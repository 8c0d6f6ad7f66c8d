"""Queries: what is asked often finds its rows by an index, however many there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ao.store import cursors, notifications, nudges, pulls, reviews
from ao.store.database import Connection, Database
from ao.store.local_pulls import LocalPulls

Ask = Callable[[Connection], object]
ASKED: dict[str, Ask] = {
    "a pull request": lambda conn: pulls.get(conn, "u"),
    "a picture": lambda conn: pulls.picture(conn, "u"),
    "by number": lambda conn: pulls.by_number(conn, "app", 1),
    "numbered": lambda conn: pulls.numbered(conn, 1),
    "of a session": lambda conn: pulls.of_session(conn, "app-1"),
    "of a project": lambda conn: pulls.of_project(conn, "app", open_only=False),
    "open of a project": lambda conn: pulls.of_project(conn, "app", open_only=True),
    "open": pulls.open_pulls,
    "how many are open": pulls.count_open,
    "undecided": pulls.undecided,
    "nudges of a pull request": lambda conn: nudges.of_pull(conn, "u"),
    "nudges of a session": lambda conn: nudges.of_session(conn, "app-1", 9),
    "a cursor": lambda conn: cursors.get(conn, "k"),
    "all notifications": lambda conn: notifications.of(conn, status="all", limit=9, before=(5, "x")),
    "unread": lambda conn: notifications.of(conn, status="unread", limit=9),
    "unresolved": lambda conn: notifications.of(conn, status="unresolved", limit=9, before=(5, "x")),
    "a project's": lambda conn: notifications.of(conn, status="all", limit=9, project="app"),
    "a session's unresolved": lambda conn: notifications.open_of(conn, "app-1"),
    "counts": notifications.counts,
    "a project's counts": lambda conn: notifications.counts(conn, "app"),
    "due": lambda conn: notifications.due(conn, 5),
    "next due": notifications.next_due,
    "deliveries": lambda conn: notifications.deliveries_of(conn, "n"),
    "runs of a session": lambda conn: reviews.of_session(conn, "app-1"),
    "runs of a pull request": lambda conn: reviews.of_pull(conn, "u"),
    "running": reviews.running,
    "a reviewer's": lambda conn: reviews.by_reviewer(conn, "app-2"),
}
BOOKS: dict[str, Callable[[LocalPulls], object]] = {
    "one": lambda book: book.pull("app", 1),
    "list": lambda book: book.pulls("app", changed_after=5),
    "threads": lambda book: book.threads("app/1"),
    "comments": lambda book: book.comments("app/1"),
    "reviews": lambda book: book.reviews("app/1"),
    "checks": lambda book: book.checks("app", "t"),
    "unfinished": lambda book: book.unfinished_checks(),
}


def scans(conn: Connection, ask: Callable[[], object]) -> list[str]:
    """The steps of the plans of what `ask` asks that read a whole table."""
    asked: list[str] = []
    conn.set_trace_callback(asked.append)
    ask()
    conn.set_trace_callback(None)
    selects = [sql for sql in asked if sql.startswith("SELECT")]
    assert selects
    steps = [row[3] for sql in selects for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
    return [step for step in steps if step.startswith("SCAN") and "INDEX" not in step and "CONSTANT" not in step]


@pytest.mark.parametrize("name", ASKED)
async def test_no_whole_table_is_read(database: Database, name: str) -> None:
    assert scans(database.read, lambda: ASKED[name](database.read)) == []


@pytest.mark.parametrize("name", BOOKS)
async def test_no_whole_table_of_the_local_forge_is_read(database: Database, name: str) -> None:
    book = LocalPulls(database)
    assert scans(database.read, lambda: BOOKS[name](book)) == []


async def test_a_whole_table_that_is_read_is_noticed(database: Database) -> None:
    assert scans(database.read, lambda: pulls.grouped(database.read)) == ["SCAN pr"]

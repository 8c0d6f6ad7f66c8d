"""Review runs: one at a time for a session and pull request, and none of a commit that its agent found good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ao.model.review import ReviewRun
from ao.store.rows import Connection, Table

_TABLE = Table(
    "review_runs",
    ReviewRun,
    fixed=frozenset({"id", "session_id", "project_id", "agent", "pull_url", "target_sha", "created_at"}),
)
_NEWEST = " ORDER BY created_at DESC, rowid DESC"


class RunExists(Exception):  # noqa: N818 (a fact about the store, callers answer with it)
    """There is a run that makes another one needless: `run`."""

    def __init__(self, run: ReviewRun) -> None:
        super().__init__(f"{run.id} of {run.pull_url} is {run.status}")
        self.run = run


def add(conn: Connection, run: ReviewRun) -> None:
    """Insert it.

    Raises RunExists when one of this session and pull request is running, or the same agent reads this commit or has
    approved it; sqlite3.IntegrityError when there is no such session.
    """
    try:
        _TABLE.insert(conn, run)
    except sqlite3.IntegrityError as error:
        raise _in_the_way(conn, run) or error from error


def get(conn: Connection, run_id: str) -> ReviewRun | None:
    """The run, None when there is none."""
    return _TABLE.first(conn, "WHERE id = ?", (run_id,))


def of_session(conn: Connection, session_id: str) -> list[ReviewRun]:
    """The runs on a worker's pull requests, newest first."""
    return _TABLE.select(conn, f"WHERE session_id = ?{_NEWEST}", (session_id,))


def of_pull(conn: Connection, url: str) -> list[ReviewRun]:
    """The runs on a pull request, newest first."""
    return _TABLE.select(conn, f"WHERE pull_url = ?{_NEWEST}", (url,))


def running(conn: Connection) -> list[ReviewRun]:
    """All that are running, oldest first."""
    return _TABLE.select(conn, "WHERE status = 'running' ORDER BY created_at, rowid")


def by_reviewer(conn: Connection, reviewer_session_id: str) -> ReviewRun | None:
    """The newest run that this session reads for."""
    return _TABLE.first(conn, f"WHERE reviewer_id = ? AND reviewer_id <> ''{_NEWEST} LIMIT 1", (reviewer_session_id,))


def change(conn: Connection, run_id: str, fn: Callable[[ReviewRun], ReviewRun | None], *, now: int) -> ReviewRun | None:
    """Apply the pure `fn` to the row and write the columns that differ; the row after.

    None when there is no such row or `fn` returned None. Raises RunExists as `add` does.
    """
    try:
        return _TABLE.change(conn, run_id, fn, now=now)
    except sqlite3.IntegrityError as error:
        current = get(conn, run_id)
        raise (_in_the_way(conn, current) if current else None) or error from error


def _in_the_way(conn: Connection, run: ReviewRun) -> RunExists | None:
    """What the two unique indexes of the table found."""
    found = _TABLE.first(
        conn,
        "WHERE id <> ? AND ((status = 'running' AND session_id = ? AND pull_url = ?) "
        "OR (pull_url = ? AND target_sha = ? AND agent = ? "
        "AND (status = 'running' OR (status IN ('complete', 'delivered') AND verdict = 'approved')))) LIMIT 1",
        (run.id, run.session_id, run.pull_url, run.pull_url, run.target_sha, run.agent),
    )
    return RunExists(found) if found else None

"""The rows of the local forge. They are the forge itself; what is observed of them is in `pulls`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ao.model.errors import AoError
from ao.model.local_pull import LocalCheck, LocalComment, LocalPull, LocalReview, LocalThread
from ao.store.database import Database
from ao.store.rows import Connection, Table

_PULLS = Table(
    "local_pulls",
    LocalPull,
    fixed=frozenset({"id", "project_id", "number", "source_branch", "author", "author_session", "created_at"}),
)
_THREADS = Table("local_threads", LocalThread, fixed=frozenset({"id", "pull_id", "created_at"}))
_COMMENTS = Table("local_comments", LocalComment, fixed=frozenset({"id", "pull_id", "created_at"}))
_REVIEWS = Table("local_reviews", LocalReview, fixed=frozenset({"id", "pull_id", "created_at"}))
_CHECKS = Table("local_checks", LocalCheck, fixed=frozenset({"id", "project_id", "tree", "name", "created_at"}))
_OLDEST: Final = " ORDER BY created_at, rowid"
_PUT_CHECK: Final = "ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _CHECKS.columns if name not in ("id", "created_at")
)


class LocalPulls:
    """`PullBook` on the store: writes through its writer, reads of the last commit.

    Whatever is said about a pull request moves its `updated_at`, so that a list of what changed shows it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_pull(self, new: LocalPull) -> LocalPull:
        """Insert with the project's next number (its id follows from that). Raises `PR_EXISTS` (details.number) for an
        open one of the same two branches."""
        return await self._database.write(lambda conn: _open(conn, new))

    def pull(self, project_id: str, number: int) -> LocalPull | None:
        """One, None when there is none."""
        return _PULLS.first(self._database.read, "WHERE project_id = ? AND number = ?", (project_id, number))

    def pulls(self, project_id: str, *, changed_after: int = 0) -> list[LocalPull]:
        """Those of a project that are open or changed after that time, newest first."""
        return _PULLS.select(
            self._database.read,
            "WHERE project_id = ? AND (state = 'open' OR updated_at > ?) ORDER BY number DESC",
            (project_id, changed_after),
        )

    async def saw_head(self, pull_id: str, *, head_sha: str, base_sha: str, now: int) -> None:
        """Record where its branches are; writes only what differs, and nothing once it is merged or closed."""
        await self._database.write(
            lambda conn: _PULLS.change(
                conn,
                pull_id,
                lambda row: replace(row, head_sha=head_sha, base_sha=base_sha) if row.state == "open" else None,
                now=now,
            )
        )

    async def settle(self, pull_id: str, state: str, *, merge_sha: str = "", now: int) -> bool:
        """Take an open one to `merged` or `closed`; whether it was open. Raises ValueError for another state."""
        return await self._database.write(lambda conn: _settle(conn, pull_id, state, merge_sha, now))

    def threads(self, pull_id: str) -> list[LocalThread]:
        """Its conversations, oldest first."""
        return _THREADS.select(self._database.read, f"WHERE pull_id = ?{_OLDEST}", (pull_id,))

    def comments(self, pull_id: str) -> list[LocalComment]:
        """Its comments, oldest first."""
        return _COMMENTS.select(self._database.read, f"WHERE pull_id = ?{_OLDEST}", (pull_id,))

    def reviews(self, pull_id: str) -> list[LocalReview]:
        """Its reviews, oldest first."""
        return _REVIEWS.select(self._database.read, f"WHERE pull_id = ?{_OLDEST}", (pull_id,))

    async def add_comment(self, comment: LocalComment) -> None:
        """Add one. Raises LookupError when its pull request or thread isn't there."""
        await self._database.write(lambda conn: _add_comment(conn, comment))

    async def add_review(
        self, review: LocalReview, threads: Sequence[LocalThread], comments: Sequence[LocalComment]
    ) -> None:
        """Add a review with the conversations it opens, in one transaction. Raises LookupError as `add_comment`."""

        def add(conn: Connection) -> None:
            _touch(conn, review.pull_id, review.created_at)
            _REVIEWS.insert(conn, review)
            for thread in threads:
                _THREADS.insert(conn, thread)
            for comment in comments:
                _add_comment(conn, comment)

        await self._database.write(add)

    async def resolve(self, thread_id: str, *, resolved: bool, now: int) -> bool:
        """Set the flag; False when there is no such thread."""
        return await self._database.write(lambda conn: _resolve(conn, thread_id, resolved=resolved, now=now))

    def checks(self, project_id: str, tree: str) -> list[LocalCheck]:
        """All checks ever run on a tree, by name."""
        return _CHECKS.select(
            self._database.read, "WHERE project_id = ? AND tree = ? ORDER BY name, id", (project_id, tree)
        )

    def unfinished_checks(self) -> list[LocalCheck]:
        """Those queued or in progress, oldest first."""
        return _CHECKS.select(self._database.read, f"WHERE status IN ('queued', 'in_progress'){_OLDEST}")

    async def put_check(self, check: LocalCheck) -> None:
        """Insert or replace by id; the time it was first made stays."""
        await self._database.write(lambda conn: _CHECKS.insert(conn, check, on_conflict=_PUT_CHECK))


def _open(conn: Connection, new: LocalPull) -> LocalPull:
    # Rows are never removed, so a number is never given twice.
    row = conn.execute("SELECT coalesce(max(number), 0) + 1 FROM local_pulls WHERE project_id = ?", (new.project_id,))
    number: int = row.fetchone()[0]
    numbered = replace(new, id=f"{new.project_id}/{number}", number=number)
    try:
        _PULLS.insert(conn, numbered)
    except sqlite3.IntegrityError as error:
        same = "WHERE project_id = ? AND source_branch = ? AND target_branch = ? AND state = 'open'"
        existing = _PULLS.first(conn, same, (new.project_id, new.source_branch, new.target_branch))
        if existing is None:
            raise
        raise AoError(
            "PR_EXISTS",
            f"#{existing.number} already asks to merge {new.source_branch!r} into {new.target_branch!r}",
            hint=f"`ao pr view {existing.number}` shows it; new commits on the branch are part of it",
            details={"number": existing.number},
        ) from error
    return numbered


def _settle(conn: Connection, pull_id: str, state: str, merge_sha: str, now: int) -> bool:
    def settled(row: LocalPull) -> LocalPull | None:
        if row.state != "open":
            return None
        if state == "merged":
            return replace(row, state="merged", merge_sha=merge_sha, merged_at=now, closed_at=now)
        return replace(row, state="closed", closed_at=now)

    if state not in ("merged", "closed"):
        raise ValueError(f"a pull request doesn't become {state!r}")
    return _PULLS.change(conn, pull_id, settled, now=now) is not None


def _add_comment(conn: Connection, comment: LocalComment) -> None:
    _touch(conn, comment.pull_id, comment.created_at)
    if comment.thread_id:
        known = conn.execute(
            "SELECT 1 FROM local_threads WHERE id = ? AND pull_id = ?", (comment.thread_id, comment.pull_id)
        ).fetchone()
        if known is None:
            raise LookupError(f"{comment.pull_id} has no thread {comment.thread_id}")
    _COMMENTS.insert(conn, comment)


def _resolve(conn: Connection, thread_id: str, *, resolved: bool, now: int) -> bool:
    before = _THREADS.first(conn, "WHERE id = ?", (thread_id,))
    if before is None:
        return False
    if before.resolved != resolved:
        _THREADS.write(conn, before, replace(before, resolved=resolved, updated_at=now))
        _touch(conn, before.pull_id, now)
    return True


def _touch(conn: Connection, pull_id: str, now: int) -> None:
    """Its `updated_at` moves. Raises LookupError when there is no such pull request."""
    touched = conn.execute("UPDATE local_pulls SET updated_at = max(updated_at, ?) WHERE id = ?", (now, pull_id))
    if touched.rowcount == 0:
        raise LookupError(f"there is no pull request {pull_id}")


def prune_checks(conn: Connection, before: int) -> int:
    """Drop the outcome of checks that were made before `before` (milliseconds) and have ended; how many went. A tree
    that comes back is checked again."""
    return conn.execute("DELETE FROM local_checks WHERE created_at < ? AND ended_at IS NOT NULL", (before,)).rowcount

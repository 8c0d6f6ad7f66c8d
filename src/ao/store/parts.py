"""The parts of a pull request: its checks, review threads, comments and reviews.

What a forge shows of a part replaces what is stored, in place: a row that is the same is not touched, one that differs
is updated, a new one inserted, and one that is gone removed. So the triggers tell of each real change once, and of
nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from ao.model.pull import FAILED, Author, Check, Comment, Review, Thread, unresolved_threads
from ao.store.rows import Connection

Row = tuple[Any, ...]
Pairs = list[tuple[Row | None, Row | None]]
"""Rows that changed, as they were and as they are; None: wasn't there, isn't there any more."""


class _Part(msgspec.Struct, frozen=True):
    """A table of parts: `pull_url`, then `columns`, of which the first `keys` tell the rows of a pull request apart."""

    table: str
    columns: tuple[str, ...]
    keys: int = 1

    def rows(self, conn: Connection, url: str, order: str = "rowid") -> list[Row]:
        """The rows of a pull request."""
        names = ", ".join(self.columns)
        found: list[Row] = conn.execute(
            f"SELECT {names} FROM {self.table} WHERE pull_url = ? ORDER BY {order}",  # noqa: S608 (our own names)
            (url,),
        ).fetchall()
        return found

    def insert(self, conn: Connection, url: str, row: Row) -> None:
        """Add a row."""
        marks = ", ".join("?" * (len(self.columns) + 1))
        conn.execute(f"INSERT INTO {self.table} (pull_url, {', '.join(self.columns)}) VALUES ({marks})", (url, *row))  # noqa: S608

    def update(self, conn: Connection, url: str, row: Row) -> None:
        """Overwrite the row of the same key."""
        assignments = ", ".join(f"{name} = ?" for name in self.columns[self.keys :])
        conn.execute(
            f"UPDATE {self.table} SET {assignments} WHERE {self._key}",  # noqa: S608
            (*row[self.keys :], url, *row[: self.keys]),
        )

    def delete(self, conn: Connection, url: str, row: Row) -> None:
        """Remove the row of the same key."""
        conn.execute(f"DELETE FROM {self.table} WHERE {self._key}", (url, *row[: self.keys]))  # noqa: S608

    @property
    def _key(self) -> str:
        return " AND ".join(f"{name} = ?" for name in ("pull_url", *self.columns[: self.keys]))


_AUTHOR: Final = ("author", "association", "is_bot", "is_viewer", "author_session")
_CHECKS: Final = _Part("pr_checks", Check.__struct_fields__, keys=2)
_THREADS: Final = _Part(
    "pr_review_threads", ("thread_id", "path", "line", "resolved", "is_bot", "semantic_hash", "updated_at")
)
_COMMENTS: Final = _Part(
    "pr_comment", ("comment_id", "thread_id", *_AUTHOR, "body", "path", "line", "url", "reply", "created_at")
)
_REVIEWS: Final = _Part("pr_reviews", ("review_id", *_AUTHOR, "state", "body", "url", "commit_sha", "submitted_at"))
_COMMENTS_ORDER: Final = "reply, created_at, rowid"


def put_checks(conn: Connection, url: str, checks: tuple[Check, ...], *, head_sha: str, now: int) -> Pairs:
    """Store all checks of `head_sha`.

    A log stays with its check as long as the same run is a failed one; `created_at` 0 means `now`, once.
    """

    def merge(before: Row | None, row: Row) -> Row:
        old = Check(**dict(zip(Check.__struct_fields__, before, strict=True))) if before is not None else None
        new = Check(**dict(zip(Check.__struct_fields__, row, strict=True)))
        if old is None:
            return msgspec.structs.astuple(msgspec.structs.replace(new, created_at=new.created_at or now))
        same_failure = new.status in FAILED and old.status in FAILED and new.provider_id == old.provider_id
        log_tail = new.log_tail or (old.log_tail if same_failure else "")
        return msgspec.structs.astuple(
            msgspec.structs.replace(new, log_tail=log_tail, created_at=new.created_at or old.created_at)
        )

    rows = (msgspec.structs.astuple(check) for check in checks)
    return _put(conn, _CHECKS, url, rows, gone=lambda row: row[1] == head_sha, merge=merge)


def keep_checks(conn: Connection, url: str, commits: tuple[str, str]) -> None:
    """Drop the checks of all other commits."""
    conn.execute("DELETE FROM pr_checks WHERE pull_url = ? AND commit_sha NOT IN (?, ?)", (url, *commits))


def is_decisive(pair: tuple[Row | None, Row | None]) -> bool:
    """Whether a decision could rest on this change of a check: it came, went, or its status or conclusion differs."""
    before, after = pair
    return before is None or after is None or before[2:4] != after[2:4]


def put_threads(conn: Connection, url: str, threads: tuple[Thread, ...], *, whole: bool, now: int) -> Pairs:
    """Store threads with their comments; with `whole` there are no others."""

    def merge(before: Row | None, row: Row) -> Row:
        return before if before is not None and before[:-1] == row[:-1] else row

    shown = {thread.thread_id for thread in threads}
    rows = [_thread_row(thread, now) for thread in threads]
    changed = _put(conn, _THREADS, url, rows, gone=lambda row: whole and row[0] not in shown, merge=merge)
    comments = [_comment_row(comment, thread.thread_id) for thread in threads for comment in thread.comments]
    return changed + _put(conn, _COMMENTS, url, comments, gone=lambda row: row[1] in shown or (whole and row[1] != ""))


def put_comments(conn: Connection, url: str, comments: tuple[Comment, ...]) -> Pairs:
    """Store all comments outside threads."""
    rows = [_comment_row(comment, "") for comment in comments]
    return _put(conn, _COMMENTS, url, rows, gone=lambda row: row[1] == "")


def put_reviews(conn: Connection, url: str, reviews: tuple[Review, ...]) -> Pairs:
    """Store all reviews."""
    rows = [
        (
            review.review_id, *_author_row(review.author), review.state, review.body, review.url, review.commit_sha,
            review.submitted_at,
        )
        for review in reviews
    ]  # fmt: skip
    return _put(conn, _REVIEWS, url, rows, gone=lambda _: True)


def set_log(conn: Connection, url: str, name: str, commit_sha: str, text: str) -> bool:
    """Keep the output of a check; False when there is no such check."""
    changed = conn.execute(
        "UPDATE pr_checks SET log_tail = ? WHERE pull_url = ? AND name = ? AND commit_sha = ?",
        (text, url, name, commit_sha),
    )
    return changed.rowcount == 1


def checks_of(conn: Connection, url: str, head_sha: str) -> tuple[Check, ...]:
    """The checks of one commit, in the order in which they were first seen."""
    rows = _CHECKS.rows(conn, url)
    return tuple(Check(**dict(zip(_CHECKS.columns, row, strict=True))) for row in rows if row[1] == head_sha)


def conversations(conn: Connection, url: str) -> tuple[tuple[Thread, ...], tuple[Comment, ...]]:
    """The threads, in the order in which they were first seen, and the comments outside them, oldest first."""
    comments = [_comment(row) for row in _COMMENTS.rows(conn, url, _COMMENTS_ORDER)]
    of_thread: dict[str, list[Comment]] = {"": []}
    for comment in comments:
        of_thread.setdefault(comment.thread_id, []).append(comment)
    threads = tuple(
        Thread(
            thread_id=thread_id,
            path=path,
            line=line,
            resolved=bool(resolved),
            is_bot=bool(is_bot),
            comments=tuple(of_thread.get(thread_id, ())),
        )
        for thread_id, path, line, resolved, is_bot, *_ in _THREADS.rows(conn, url)
    )
    return threads, tuple(of_thread[""])


def reviews_of(conn: Connection, url: str) -> tuple[Review, ...]:
    """The reviews, oldest first."""
    return tuple(
        Review(
            review_id=row[0],
            author=_author(row[1:6]),
            state=row[6],
            body=row[7],
            url=row[8],
            commit_sha=row[9],
            submitted_at=row[10],
        )
        for row in _REVIEWS.rows(conn, url, "submitted_at, rowid")
    )


def unresolved(conn: Connection, url: str) -> int:
    """The stored threads that wait for an answer."""
    rows = _THREADS.rows(conn, url)
    return unresolved_threads(
        tuple(Thread(thread_id=row[0], resolved=bool(row[3]), is_bot=bool(row[4])) for row in rows)
    )


def _put(
    conn: Connection,
    part: _Part,
    url: str,
    wanted: Iterable[Row],
    *,
    gone: Callable[[Row], bool],
    merge: Callable[[Row | None, Row], Row] = lambda _, row: row,
) -> Pairs:
    """Bring the rows of a pull request to `wanted`; of the others those go for which `gone` holds.

    `merge` completes a wanted row with what the stored one knows.
    """
    stored = {row[: part.keys]: row for row in part.rows(conn, url)}
    target = {row[: part.keys]: row for row in wanted}
    changed: Pairs = []
    for key, row in target.items():
        before = stored.get(key)
        after = merge(before, row)
        if before == after:
            continue
        (part.insert if before is None else part.update)(conn, url, after)
        changed.append((before, after))
    for key, row in stored.items():
        if key not in target and gone(row):
            part.delete(conn, url, row)
            changed.append((row, None))
    return changed


def _thread_row(thread: Thread, now: int) -> Row:
    content = hashlib.sha256(msgspec.json.encode(thread)).hexdigest()
    return (thread.thread_id, thread.path, thread.line, thread.resolved, thread.is_bot, content, now)


def _comment_row(comment: Comment, thread_id: str) -> Row:
    return (
        comment.comment_id, thread_id, *_author_row(comment.author), comment.body, comment.path, comment.line,
        comment.url, comment.reply, comment.created_at,
    )  # fmt: skip


def _comment(row: Row) -> Comment:
    return Comment(
        comment_id=row[0],
        thread_id=row[1],
        author=_author(row[2:7]),
        body=row[7],
        path=row[8],
        line=row[9],
        url=row[10],
        reply=bool(row[11]),
        created_at=row[12],
    )


def _author_row(author: Author) -> Row:
    return (author.login, author.association, author.is_bot, author.is_viewer, author.session)


def _author(row: Row) -> Author:
    login, association, is_bot, is_viewer, session = row
    return Author(login=login, association=association, is_bot=bool(is_bot), is_viewer=bool(is_viewer), session=session)

"""Pull requests: what forges showed of them, and whose they are.

Everything of one observation is stored in one transaction. `revision` counts the changes that a decision could rest
on; `acked` says up to which one it was decided. So nothing is lost between seeing, deciding and telling, whenever a
daemon dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ao.model.pull import Facts, Observation, Picture, Pull, PullRef, unresolved_threads
from ao.store import parts, sessions
from ao.store.rows import Connection, Table

_TABLE = Table("pr", Pull, key="url", fixed=frozenset({"url", "forge", "created_at"}))
_DECISIVE: Final = ("state", "ci", "review", "mergeability", "head_sha", "target_branch")
"""Facts that a decision could rest on, beside checks, conversations and reviews."""
_MARKS: Final = {"stamp": "", "provider_changed_at": 0, "observed_at": 0, "ci_observed_at": 0, "review_observed_at": 0}
"""Columns that say when and how it was seen, which is no fact about it."""
_SHARED: Final = tuple(
    name
    for name in Facts.__struct_fields__
    if name in Pull.__struct_fields__ and name not in ("url", "repo", "reasons", "node", "created_at")
)
_OPEN: Final = "state IN ('open', 'draft')"
_ORDER: Final = f" ORDER BY {_OPEN} DESC, updated_at DESC, url"

set_log = parts.set_log


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What storing an observation did. `changed`: a fact or a part differs; true of a new one."""

    pull: Pull
    created: bool
    changed: bool
    head_changed: bool


class ClaimedByOther(Exception):  # noqa: N818 (a fact about the store, callers answer with it)
    """The pull request belongs to a session that hasn't ended."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"the pull request belongs to {session_id}")
        self.session_id = session_id


def record(conn: Connection, owner: tuple[str, str], ref: PullRef, seen: Observation, *, now: int) -> Recorded:
    """Store an observation. A new row goes to `owner` (session, project); the present owner of an old one stays.

    Parts that weren't asked for stay as they are; checks of commits before the last two heads go. Raises
    sqlite3.IntegrityError when there is no such session.
    """
    before = get(conn, seen.facts.url)
    if before is None:
        return _record_new(conn, owner, ref, seen, now=now)
    after = _with_facts(before, seen, node=ref.node, now=now)
    head_changed = after.head_sha != before.head_sha
    if head_changed:
        after = replace(after, head_at=now)
        parts.keep_checks(conn, before.url, (after.head_sha, before.head_sha))
    changed, decisive = _put_parts(conn, seen, now=now)
    if seen.threads is not None:
        after = replace(after, unresolved=parts.unresolved(conn, before.url))
    if decisive or any(getattr(before, name) != getattr(after, name) for name in _DECISIVE):
        after = replace(after, revision=before.revision + 1)
    changed = changed or replace(before, **_MARKS) != replace(after, **_MARKS)
    if changed:
        after = replace(after, updated_at=now)
    _TABLE.write(conn, before, after)
    return Recorded(pull=after, created=False, changed=changed, head_changed=head_changed)


def claim(
    conn: Connection,
    owner: tuple[str, str],
    ref: PullRef,
    seen: Observation,
    *,
    allow_takeover: bool,
    now: int,
) -> tuple[Recorded, str]:
    """Make `owner` the owner and store the observation; with the id of the session it was taken from, "" for none.

    Raises ClaimedByOther without `allow_takeover` when it belongs to another session that hasn't ended.
    """
    before = get(conn, seen.facts.url)
    if before is None or before.session_id == owner[0]:
        return record(conn, owner, ref, seen, now=now), ""
    holder = sessions.get(conn, before.session_id)
    if holder is not None and not holder.is_terminated and not allow_takeover:
        raise ClaimedByOther(holder.id)
    moved = replace(before, session_id=owner[0], project_id=owner[1], revision=before.revision + 1, updated_at=now)
    _TABLE.write(conn, before, moved)
    recorded = record(conn, owner, ref, seen, now=now)
    return replace(recorded, changed=True), before.session_id


def get(conn: Connection, url: str) -> Pull | None:
    """The pull request, None when no session owns it."""
    return _TABLE.first(conn, "WHERE url = ?", (url,))


def by_number(conn: Connection, project_id: str, number: int) -> list[Pull]:
    """A project's pull requests of this number; several when they are of several repositories."""
    return _TABLE.select(conn, "WHERE project_id = ? AND number = ? ORDER BY url", (project_id, number))


def numbered(conn: Connection, number: int) -> list[Pull]:
    """All pull requests of this number, by project."""
    return _TABLE.select(conn, "WHERE number = ? ORDER BY project_id, url", (number,))


def of_session(conn: Connection, session_id: str) -> list[Pull]:
    """A session's pull requests: open ones first, then by their last change, the newest first."""
    return _TABLE.select(conn, f"WHERE session_id = ?{_ORDER}", (session_id,))


def of_project(conn: Connection, project_id: str, *, open_only: bool) -> list[Pull]:
    """A project's pull requests, by number."""
    where = f"project_id = ? AND {_OPEN}" if open_only else "project_id = ?"
    return _TABLE.select(conn, f"WHERE {where} ORDER BY number, url", (project_id,))


def grouped(conn: Connection) -> dict[str, list[Pull]]:
    """The pull requests of every session that has some, each list in the order of `of_session`."""
    found: dict[str, list[Pull]] = {}
    for pull in _TABLE.select(conn, _ORDER):
        found.setdefault(pull.session_id, []).append(pull)
    return found


def picture(conn: Connection, url: str) -> Picture | None:
    """Everything stored of a pull request, as of one moment; checks of its head only. None when no session owns it."""
    with _moment(conn):
        pull = get(conn, url)
        if pull is None:
            return None
        threads, comments = parts.conversations(conn, url)
        return Picture(
            pull=pull,
            checks=parts.checks_of(conn, url, pull.head_sha),
            threads=threads,
            comments=comments,
            reviews=parts.reviews_of(conn, url),
        )


def open_pulls(conn: Connection) -> list[Pull]:
    """The open pull requests of all projects that aren't archived, by project and number."""
    active = "project_id IN (SELECT id FROM projects WHERE archived_at IS NULL)"
    return _TABLE.select(conn, f"WHERE {_OPEN} AND {active} ORDER BY project_id, number, url")


def count_open(conn: Connection) -> int:
    """How many open ones there are, in archived projects too."""
    count: int = conn.execute(f"SELECT count(*) FROM pr WHERE {_OPEN}").fetchone()[0]  # noqa: S608
    return count


def undecided(conn: Connection) -> list[str]:
    """URLs of the pull requests, open or not, whose present state has not been decided upon."""
    return [row[0] for row in conn.execute("SELECT url FROM pr WHERE acked < revision ORDER BY url").fetchall()]


def ack(conn: Connection, url: str, revision: int) -> None:
    """Note that `revision` has been decided upon. Never goes back."""
    conn.execute("UPDATE pr SET acked = ?2 WHERE url = ?1 AND acked < ?2", (url, revision))


def mark_gone(conn: Connection, url: str, now: int) -> bool:
    """The forge knows it no more: an open one is closed. Whether it was open."""
    before = get(conn, url)
    if before is None or not before.is_open:
        return False
    after = replace(
        before, state="closed", closed_at=now, revision=before.revision + 1, observed_at=now, updated_at=now
    )
    _TABLE.write(conn, before, after)
    return True


def _record_new(conn: Connection, owner: tuple[str, str], ref: PullRef, seen: Observation, *, now: int) -> Recorded:
    blank = Pull(
        url=seen.facts.url,
        session_id=owner[0],
        project_id=owner[1],
        number=seen.facts.number,
        forge=ref.repo.forge,
        host=ref.repo.host,
        repo=ref.repo.path,
        unresolved=unresolved_threads(seen.threads or ()),
        revision=1,
        head_at=now,
        created_at=now,
        updated_at=now,
    )
    pull = _with_facts(blank, seen, node=ref.node, now=now)
    _TABLE.insert(conn, pull)
    _put_parts(conn, seen, now=now)
    return Recorded(pull=pull, created=True, changed=True, head_changed=True)


def _with_facts(before: Pull, seen: Observation, *, node: str, now: int) -> Pull:
    """`before` with what was seen of it; what follows from a comparison is left as it was."""
    facts = seen.facts
    values: dict[str, Any] = {name: getattr(facts, name) for name in _SHARED}
    values["reasons"] = msgspec.json.encode(facts.reasons).decode()
    values["node"] = facts.node or node or before.node
    values["provider_created_at"] = facts.created_at
    values["provider_changed_at"] = facts.changed_at
    values["stamp"] = seen.stamp
    values["observed_at"] = now
    if seen.checks is not None:
        values["ci_observed_at"] = now
    if seen.threads is not None or seen.reviews is not None:
        values["review_observed_at"] = now
    return replace(before, **values)


def _put_parts(conn: Connection, seen: Observation, *, now: int) -> tuple[bool, bool]:
    """Store the parts that were seen; whether one changed, and whether a decision could rest on that."""
    url, head = seen.facts.url, seen.facts.head_sha
    checks: parts.Pairs = []
    said: parts.Pairs = []
    if seen.checks is not None:
        checks = parts.put_checks(conn, url, seen.checks, head_sha=head, now=now)
    if seen.threads is not None:
        said = parts.put_threads(conn, url, seen.threads, whole=seen.whole_threads, now=now)
    if seen.comments is not None:
        said = said + parts.put_comments(conn, url, seen.comments)
    if seen.reviews is not None:
        said = said + parts.put_reviews(conn, url, seen.reviews)
    decisive = bool(said) or any(parts.is_decisive(pair) for pair in checks)
    return bool(checks or said), decisive


@contextmanager
def _moment(conn: Connection) -> Iterator[None]:
    """All reads in the block see the same commit."""
    if conn.in_transaction:
        yield
        return
    conn.execute("BEGIN")
    try:
        yield
    finally:
        conn.execute("COMMIT")

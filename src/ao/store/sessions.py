"""Sessions: the rows, the counter that gives them their ids, and the idempotency keys of spawn requests.

An id is never given twice: the number comes from a counter on the project that only grows, in the transaction that
inserts the row, so removing a row frees nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ao.model import ids
from ao.model.session import Kind, NewSession, Session
from ao.store.rows import Connection, Table

_TABLE = Table("sessions", Session, fixed=frozenset({"id", "project_id", "num", "kind", "created_at"}))
_IN_ORDER = " ORDER BY project_id, num"
_GIVE_BACK = """
UPDATE pr SET session_id = owner.id, project_id = owner.project_id, revision = revision + 1
FROM sessions AS owner
WHERE pr.session_id = ?1 AND owner.id = (
    SELECT json_extract(payload, '$.fromSession') FROM change_log
    WHERE session_id = ?1 AND type = 'pr_session_changed' AND json_extract(payload, '$.url') = pr.url
    ORDER BY seq DESC LIMIT 1
)"""


class OrchestratorExists(Exception):  # noqa: N818 (a fact about the store, most callers answer with it)
    """The project already has an active orchestrator: `session`."""

    def __init__(self, session: Session) -> None:
        super().__init__(f"project {session.project_id} has the active orchestrator {session.id}")
        self.session = session


def seed(conn: Connection, new: NewSession, *, now: int, at_least: int = 1) -> Session:
    """Insert a session in phase `seeded` under the project's next number, at least `at_least`.

    Raises LookupError when the project is unknown or archived, OrchestratorExists when a second active
    orchestrator would come of it.
    """
    advanced = conn.execute(
        "UPDATE projects SET next_num = max(next_num, ?) + 1 WHERE id = ? AND archived_at IS NULL "
        "RETURNING next_num - 1",
        (at_least, new.project_id),
    ).fetchall()
    if not advanced:
        raise LookupError(f"project {new.project_id} isn't registered")
    num: int = advanced[0][0]
    session_id = ids.session_id(new.project_id, num)
    session = Session(
        id=session_id,
        project_id=new.project_id,
        num=num,
        kind=new.kind,
        agent=new.agent,
        issue_id=new.issue_id,
        display_name=new.display_name,
        prompt=new.prompt,
        rules=new.rules,
        model=new.model,
        permissions=new.permissions,
        repo_path=new.repo_path,
        branch=new.branch or ids.default_branch(session_id),
        native_id=new.native_id,
        replaces=new.replaces,
        start_commit=new.start_commit,
        activity_at=now,
        created_at=now,
        updated_at=now,
    )
    try:
        _TABLE.insert(conn, session)
    except sqlite3.IntegrityError as error:
        raise _orchestrator_exists(conn, session) or error from error
    return session


def get(conn: Connection, session_id: str) -> Session | None:
    """The session, None when there is none."""
    return _TABLE.first(conn, "WHERE id = ?", (session_id,))


def all_sessions(conn: Connection) -> list[Session]:
    """Every session, by project and number."""
    return _TABLE.select(conn, _IN_ORDER)


def terminated(conn: Connection, *, project: str | None = None) -> list[Session]:
    """Sessions whose teardown has begun or is done, of one project if given, in the same order."""
    return _listed(conn, "phase IN ('ending', 'ended')", project)


def change(conn: Connection, session_id: str, fn: Callable[[Session], Session | None], *, now: int) -> Session | None:
    """Apply the pure `fn` to the row as it is now and write only the columns that differ; the row after.

    None when there is no such row or `fn` returned None. Raises OrchestratorExists when it would make a second
    active orchestrator.
    """
    try:
        return _TABLE.change(conn, session_id, fn, now=now)
    except sqlite3.IntegrityError as error:
        current = get(conn, session_id)
        raise (_orchestrator_exists(conn, current) if current else None) or error from error


def delete_seed(conn: Connection, session_id: str) -> bool:
    """Remove a session that is still a seed, with its changes; one `session_deleted` change takes their place.

    Tells whether it did: a session past `seeded` stays as it is.
    """
    found = conn.execute("SELECT 1 FROM sessions WHERE id = ? AND phase = 'seeded'", (session_id,)).fetchone()
    return found is not None and delete_row(conn, session_id)


def delete_row(conn: Connection, session_id: str) -> bool:
    """Remove a session of any phase with its messages, changes, pull requests and notifications; one `session_deleted`
    change takes their place. A pull request that it had taken from another session goes back to that one."""
    if conn.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone() is None:
        return False
    conn.execute(_GIVE_BACK, (session_id,))
    conn.execute("DELETE FROM change_log WHERE session_id = ?", (session_id,))
    return conn.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount == 1


def forget_failed(conn: Connection, session_id: str) -> None:
    """`delete_row` of a spawn that failed, and its idempotency key: the same request may be made again."""
    delete_row(conn, session_id)
    conn.execute("DELETE FROM idempotency WHERE session_id = ?", (session_id,))


def active_orchestrator(conn: Connection, project_id: str) -> Session | None:
    """The project's orchestrator in phase seeded to live; there is at most one."""
    return _TABLE.first(
        conn,
        "WHERE project_id = ? AND kind = 'orchestrator' AND phase IN ('seeded', 'workspace', 'launched', 'live')",
        (project_id,),
    )


def replacement_of(conn: Connection, session_id: str) -> Session | None:
    """The orchestrator that was to take this one's place, as long as it isn't settled which of the two stays."""
    return _TABLE.first(conn, "WHERE replaces = ? ORDER BY num DESC LIMIT 1", (session_id,))


def unfinished(conn: Connection, *, project: str | None = None) -> list[Session]:
    """Every session that isn't `ended`, of one project if given: what a start of the daemon has to look at."""
    return _listed(conn, "phase IN ('seeded', 'workspace', 'launched', 'live', 'ending')", project)


def find_idempotent(conn: Connection, key: str) -> tuple[str, Session | None] | None:
    """What `key` was used for: the request's fingerprint and its session (None once that is gone)."""
    row = conn.execute("SELECT fingerprint, session_id FROM idempotency WHERE key = ?", (key,)).fetchone()
    return (row[0], get(conn, row[1])) if row else None


def remember_idempotent(conn: Connection, key: str, fingerprint: str, session_id: str, now: int) -> None:
    """Tie `key` to a request and its session, in place of what it was tied to."""
    conn.execute("INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?)", (key, fingerprint, session_id, now))


def forget_idempotent(conn: Connection, *, before: int) -> int:
    """Drop keys remembered before `before` (milliseconds); how many."""
    return conn.execute("DELETE FROM idempotency WHERE created_at < ?", (before,)).rowcount


def _listed(conn: Connection, phases: str, project: str | None) -> list[Session]:
    if project is None:
        return _TABLE.select(conn, f"WHERE {phases}{_IN_ORDER}")
    return _TABLE.select(conn, f"WHERE {phases} AND project_id = ?{_IN_ORDER}", (project,))


def _orchestrator_exists(conn: Connection, refused: Session) -> OrchestratorExists | None:
    if refused.kind is not Kind.ORCHESTRATOR:
        return None
    active = active_orchestrator(conn, refused.project_id)
    return OrchestratorExists(active) if active and active.id != refused.id else None

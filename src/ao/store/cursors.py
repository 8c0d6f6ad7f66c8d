"""How far the list of a repository's pull requests has been read."""

from __future__ import annotations

from ao.store.rows import Connection


def get(conn: Connection, repo_key: str) -> str:
    """The cursor of a repository (`Repo.key`), "" when its list was never read."""
    row = conn.execute("SELECT cursor FROM scm_cursors WHERE repo_key = ?", (repo_key,)).fetchone()
    return row[0] if row else ""


def put(conn: Connection, repo_key: str, cursor: str, now: int) -> None:
    """Remember where to go on from."""
    conn.execute(
        "INSERT INTO scm_cursors VALUES (?, ?, ?) ON CONFLICT (repo_key) DO UPDATE SET cursor = excluded.cursor, "
        "updated_at = excluded.updated_at",
        (repo_key, cursor, now),
    )

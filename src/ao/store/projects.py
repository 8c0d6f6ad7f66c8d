"""Projects: rows are archived, never removed, so the counter behind the session ids survives a re-registration."""

from __future__ import annotations

from msgspec.structs import replace

from ao.model.project import Project
from ao.store.rows import Connection, Table

_TABLE = Table("projects", Project, fixed=frozenset({"id", "registered_at"}))
_KEPT = ("id", "next_num", "registered_at")
_OVERWRITE = (
    "ON CONFLICT (id) DO UPDATE SET next_num = max(next_num, excluded.next_num), "
    + ", ".join(f"{name} = excluded.{name}" for name in _TABLE.columns if name not in _KEPT)
)  # fmt: skip


def get(conn: Connection, project_id: str, *, archived: bool = False) -> Project | None:
    """The project; an archived one only with `archived`."""
    found = _TABLE.first(conn, "WHERE id = ?", (project_id,))
    return found if found is not None and (archived or found.archived_at is None) else None


def active(conn: Connection) -> list[Project]:
    """All projects that aren't archived, by id."""
    return _TABLE.select(conn, "WHERE archived_at IS NULL ORDER BY id")


def by_path(conn: Connection, path: str) -> Project | None:
    """The active project registered at `path`."""
    return _TABLE.first(conn, "WHERE path = ? AND archived_at IS NULL", (path,))


def taken_ids(conn: Connection) -> set[str]:
    """The ids of all projects, archived ones included."""
    return {row[0] for row in conn.execute("SELECT id FROM projects").fetchall()}


def put(conn: Connection, project: Project) -> None:
    """Insert or overwrite a project. Its first `registered_at` stays and its counter never goes back."""
    _TABLE.insert(conn, project, on_conflict=_OVERWRITE)


def archive(conn: Connection, project_id: str, now: int) -> bool:
    """Archive an active project; tells whether it did."""
    changed = _TABLE.change(
        conn,
        project_id,
        lambda project: replace(project, archived_at=now) if project.archived_at is None else None,
        now=now,
    )
    return changed is not None


def set_config(conn: Connection, project_id: str, config_json: str, now: int) -> Project | None:
    """Store the configuration of an active project; the project after, None when there is none."""
    return _TABLE.change(
        conn,
        project_id,
        lambda project: replace(project, config=config_json) if project.archived_at is None else None,
        now=now,
    )


def next_num(conn: Connection, project_id: str) -> int:
    """The number the project's next session gets at least. Raises LookupError when it was never registered."""
    row = conn.execute("SELECT next_num FROM projects WHERE id = ?", (project_id,)).fetchone()
    if row is None:
        raise LookupError(f"project {project_id} isn't registered")
    found: int = row[0]
    return found

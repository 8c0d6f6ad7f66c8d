"""The store's file: no empty one in place of another, no migration without a copy, refused when not understood."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from ao.model.errors import AoError
from ao.store import changes, migrate, projects, sessions
from ao.store.database import Database
from ao.store.migrate import Migration
from tests.store.seeds import project, seeded

SHIPPED = migrate.shipped()
LAST = SHIPPED[-1].num
COLOUR = Migration(LAST + 1, "colour", "ALTER TABLE projects ADD COLUMN colour TEXT NOT NULL DEFAULT '';\n")


@pytest.fixture
async def store(path: str) -> str:
    """The path of a store that holds a project and a session, and is closed."""
    database = Database.open(path)
    await database.write(lambda conn: projects.put(conn, project()))
    await seeded(database)
    await database.close()
    return path


def refusal(path: str, *, migrations: tuple[Migration, ...] = SHIPPED) -> AoError:
    """How the store at `path` is refused; neither it nor its folder may change."""
    before = _files(path)
    with pytest.raises(AoError) as caught:
        Database.open(path, migrations=migrations)
    assert _files(path) == before
    return caught.value


def _files(path: str) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in Path(path).parent.iterdir()}


async def holds_everything(path: str, *, migrations: tuple[Migration, ...] = SHIPPED) -> bool:
    """Whether project and session of fixture `store` are there."""
    database = Database.open(path, migrations=migrations)
    try:
        return bool(projects.get(database.read, "app")) and sessions.get(database.read, "app-1") is not None
    finally:
        await database.close()


@pytest.mark.parametrize("trace", ["ao.db-wal", "ao.db.created", "ao.db.backup-1-20260101T000000000000Z"])
def test_d4_a_store_that_is_gone_is_not_replaced_by_an_empty_one(path: str, trace: str) -> None:
    folder = Path(path).parent
    folder.mkdir()
    (folder / trace).write_bytes(b"")
    error = refusal(path)
    assert error.code == "STORE_DAMAGED"
    assert trace in error.message
    assert error.hint is not None
    assert ("backup-1-" in error.hint) == ("backup" in trace)


def test_d4_removing_the_file_of_a_used_store_is_noticed(store: str) -> None:
    os.unlink(store)
    assert refusal(store).code == "STORE_DAMAGED"


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 5000, b"not a database at all" * 500],
    ids=["empty", "zeros", "broken header", "text"],
)
def test_d4_a_damaged_file_is_refused_and_left_as_it_is(store: str, content: bytes) -> None:
    Path(store).write_bytes(content)
    assert refusal(store).code == "STORE_DAMAGED"


def test_d4_a_broken_page_in_the_middle_is_refused(store: str) -> None:
    with open(store, "r+b") as file:
        for page in range(2, os.path.getsize(store) // 4096):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    assert refusal(store).code == "STORE_DAMAGED"


def test_d4_a_truncated_file_is_refused(store: str) -> None:
    os.truncate(store, os.path.getsize(store) // 2)
    assert refusal(store).code == "STORE_DAMAGED"


def test_d4_another_programs_database_is_refused(path: str) -> None:
    Path(path).parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE issues (id TEXT)")
    assert refusal(path).code == "STORE_DAMAGED"


async def test_d4_a_backup_put_in_the_place_of_a_lost_store_is_used(store: str) -> None:
    newer = Database.open(store, migrations=(*SHIPPED, COLOUR))
    await newer.close()
    os.unlink(store)
    hint = refusal(store, migrations=(*SHIPPED, COLOUR)).hint or ""
    backup = migrate.backups(store)[-1]
    assert backup in hint
    os.rename(backup, store)
    assert await holds_everything(store)


async def test_a_crash_while_the_store_is_first_made_leaves_no_half_made_one(path: str) -> None:
    os.mkdir(os.path.dirname(path))
    for name in ("ao.db.new", "ao.db.new-wal"):
        os.symlink("nowhere", os.path.join(os.path.dirname(path), name))
    database = Database.open(path)
    await database.write(lambda conn: projects.put(conn, project()))
    await database.close()
    assert sorted(os.listdir(os.path.dirname(path))) == ["ao.db", "ao.db.created"]


async def test_a_migration_keeps_every_row_and_a_whole_copy_of_the_store_before(store: str) -> None:
    assert await holds_everything(store, migrations=(*SHIPPED, COLOUR))
    [backup] = migrate.backups(store)
    assert sorted(os.listdir(os.path.dirname(store))) == ["ao.db", os.path.basename(backup), "ao.db.created"]
    assert os.path.basename(backup).startswith(f"ao.db.backup-{LAST}-2")
    assert os.stat(backup).st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("PRAGMA user_version").fetchone() == (LAST,)
        assert copy.execute("SELECT id FROM sessions").fetchall() == [("app-1",)]
    with closing(sqlite3.connect(store)) as migrated:
        assert migrated.execute("SELECT id, colour FROM projects").fetchall() == [("app", "")]
        ledger = migrated.execute("SELECT num, name, sha256 FROM migrations ORDER BY num").fetchall()
    assert ledger == [(step.num, step.name, step.sha256) for step in (*SHIPPED, COLOUR)]


async def test_a_backup_that_a_crash_cut_short_is_not_taken_for_one(store: str) -> None:
    os.symlink("nowhere", f"{store}.backup-{LAST}-20260101T000000000000Z.part")
    assert migrate.backups(store) == []
    await Database.open(store, migrations=(*SHIPPED, COLOUR)).close()
    assert [name for name in os.listdir(os.path.dirname(store)) if name.endswith(".part")] == []


async def test_opening_again_migrates_nothing_and_makes_no_backup(store: str) -> None:
    assert await holds_everything(store)
    assert await holds_everything(store)
    assert migrate.backups(store) == []


async def test_the_last_three_backups_are_kept(store: str) -> None:
    steps = [Migration(LAST + n, f"step{n}", f"CREATE TABLE step{n} (a TEXT) STRICT;\n") for n in range(1, 6)]
    for count in range(1, 6):
        await Database.open(store, migrations=(*SHIPPED, *steps[:count])).close()
    kept = [os.path.basename(backup).split("-")[1] for backup in migrate.backups(store)]
    assert kept == [str(LAST + 2), str(LAST + 3), str(LAST + 4)]


async def test_d5_an_older_version_refuses_a_newer_store_and_opens_its_backup(store: str) -> None:
    await Database.open(store, migrations=(*SHIPPED, COLOUR)).close()
    error = refusal(store)
    assert error.code == "STORE_TOO_NEW"
    [backup] = migrate.backups(store)
    assert backup in (error.hint or "")
    os.replace(backup, store)
    assert await holds_everything(store)


async def test_a_migration_that_fails_leaves_the_store_at_the_version_before(store: str) -> None:
    broken = Migration(LAST + 1, "broken", "CREATE TABLE half (a TEXT) STRICT;\nINSERT INTO nowhere VALUES (1);\n")
    with pytest.raises(AoError, match="nowhere"):
        Database.open(store, migrations=(*SHIPPED, broken))
    assert await holds_everything(store)


async def test_a_migration_that_breaks_a_foreign_key_is_undone(store: str) -> None:
    orphaning = Migration(LAST + 1, "orphaning", "DELETE FROM projects;\n")
    with pytest.raises(AoError, match="foreign key"):
        Database.open(store, migrations=(*SHIPPED, orphaning))
    assert await holds_everything(store)


def test_a_migration_changed_after_it_was_applied_is_noticed(store: str) -> None:
    edited = Migration(SHIPPED[-1].num, SHIPPED[-1].name, SHIPPED[-1].sql + "\n")
    error = refusal(store, migrations=(*SHIPPED[:-1], edited))
    assert error.code == "STORE_DAMAGED"
    assert SHIPPED[-1].name in error.message


def test_the_ledger_is_not_trusted_over_the_tables(store: str) -> None:
    with closing(sqlite3.connect(store)) as conn:
        conn.execute("DROP INDEX sessions_one_orchestrator")
    error = refusal(store)
    assert error.code == "STORE_DAMAGED"
    assert "tables" in error.message


def test_migrations_are_numbered_without_gaps_or_repeats() -> None:
    assert [step.num for step in SHIPPED] == list(range(1, len(SHIPPED) + 1))
    assert len({step.name for step in SHIPPED}) == len(SHIPPED)


async def test_a_store_of_the_first_schema_is_migrated_with_all_it_holds(path: str) -> None:
    await Database.open(path, migrations=SHIPPED[:1]).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as first:
        first.create_function("ao_handle", 1, lambda session: session, deterministic=True)
        fill_first_schema(first)
        before = {table: first.execute(f"SELECT * FROM {table}").fetchall() for table in FIRST_TABLES}
    assert all(before.values())
    database = Database.open(path)
    try:
        stored = sessions.get(database.read, "app-1")
        assert stored is not None
        assert (stored.prompt, stored.terminate_on_pr_merge, stored.start_commit) == ("Do it.", None, "")
        for table, rows in before.items():
            after = database.read.execute(f"SELECT * FROM {table}").fetchall()
            assert [row[: len(rows[0])] for row in after] == rows
        assert database.read.execute("SELECT count(*) FROM pr").fetchone() == (0,)
        await database.write(
            lambda conn: sessions.change(conn, "app-1", lambda row: replace(row, terminate_on_pr_merge=True), now=9)
        )
        assert changes.after(database.read, 0)[-1].type == "session_updated"
        assert await database.write(lambda conn: sessions.delete_row(conn, "app-1"))
    finally:
        await database.close()
    [backup] = migrate.backups(path)
    assert os.path.basename(backup).startswith("ao.db.backup-1-")
    with closing(sqlite3.connect(backup)) as copy:
        assert {table: copy.execute(f"SELECT * FROM {table}").fetchall() for table in FIRST_TABLES} == before


FIRST_TABLES = ("projects", "sessions", "messages", "idempotency", "change_log")
WORDS = {"kind": "worker", "phase": "live", "activity": "idle", "workspace_state": "present"}


def fill_first_schema(conn: sqlite3.Connection) -> None:
    """A row or more in every table of the first schema."""
    rows: dict[str, dict[str, object]] = {
        "projects": {"id": "app", "path": "/src/app"},
        "sessions": {"id": "app-1", "project_id": "app", "num": 1, "prompt": "Do it.", "warnings": "[]", **WORDS},
        "messages": {"id": "m1", "session_id": "app-1", "num": 1, "text": "hello"},
        "idempotency": {"key": "k", "session_id": "app-1"},
    }
    for table, values in rows.items():
        columns = conn.execute('SELECT name, type, "notnull" FROM pragma_table_info(?)', (table,)).fetchall()
        needed = {name: 0 if kind == "INTEGER" else "" for name, kind, required in columns if required}
        row = needed | values
        marks = ", ".join("?" * len(row))
        conn.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))

"""The store's file: made whole or not at all, checked before use, migrated with a backup kept.

Migrations are `schema/NNNN_name.sql`, applied in order, each in one transaction, and recorded with a checksum in the
table `migrations`. What the ledger says isn't trusted alone: the schema found is compared with the one the migrations
make. Nothing here ever puts an empty store where another one was.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ao.model import ids
from ao.model.errors import AoError

BACKUPS_KEPT: Final = 3
_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    num INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT"""


PAGE_CACHE: Final = "cache_size=-128"
"""In KiB: the system's cache holds the file anyway, and a daemon at rest should be small."""


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema."""

    num: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Checksum of its text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> tuple[Migration, ...]:
    """The migrations of this version of `ao`, in order."""
    files = sorted((Path(__file__).parent / "schema").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return tuple(Migration(int(file.stem[:4]), file.stem[5:], file.read_text()) for file in files)


def prepare(path: str, migrations: Sequence[Migration]) -> sqlite3.Connection:
    """Open the store at `path` for writing, made or migrated as needed.

    The caller holds the data directory's lock. Raises `STORE_DAMAGED` (also when the file is gone but was there
    before) and `STORE_TOO_NEW`; the file is then as it was.
    """
    if not os.path.lexists(path):
        _refuse_if_lost(path)
        try:
            _create(path, migrations)
        except sqlite3.OperationalError as error:
            raise unavailable(error) or error from error
    try:
        conn = _connect(path)
    except (sqlite3.DatabaseError, OSError) as error:
        raise _damaged(path, str(error)) from error
    try:
        _bring_up(conn, path, migrations)
        _leave_mark(path)
    except sqlite3.DatabaseError as error:
        conn.close()
        if isinstance(error, sqlite3.OperationalError) and (trouble := unavailable(error)):
            raise trouble from error
        raise _damaged(path, str(error)) from error
    except BaseException:
        conn.close()
        raise
    return conn


def backups(path: str) -> list[str]:
    """The backups beside the store at `path`, oldest first."""
    folder, name = os.path.split(path)
    prefix = f"{name}.backup-"
    found = [entry for entry in os.listdir(folder) if entry.startswith(prefix) and not entry.endswith(".part")]
    return [os.path.join(folder, entry) for entry in sorted(found, key=lambda entry: entry.rpartition("-")[2])]


def _connect(path: str) -> sqlite3.Connection:
    os.chmod(path, 0o600)
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        conn.create_function("ao_handle", 1, ids.handle_for, deterministic=True)
        for pragma in (
            "busy_timeout=5000",
            "synchronous=FULL",
            "temp_store=MEMORY",
            "journal_size_limit=16777216",
            PAGE_CACHE,
        ):
            conn.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        conn.close()
        raise
    return conn


def _create(path: str, migrations: Sequence[Migration]) -> None:
    """Build the store beside its place and move it there: a crash leaves either none or a whole one."""
    draft = f"{path}.new"
    for suffix in ("", "-wal", "-shm"):
        Path(draft + suffix).unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with closing(_connect(draft)) as conn:
        conn.execute("PRAGMA journal_mode=WAL").fetchall()
        _apply(conn, migrations)
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    os.rename(draft, path)
    _sync_folder(path)


def _bring_up(conn: sqlite3.Connection, path: str, migrations: Sequence[Migration]) -> None:
    problems = conn.execute("PRAGMA quick_check(1)").fetchall()
    if problems != [("ok",)]:
        raise _damaged(path, problems[0][0])
    pending = _pending(conn, path, migrations)
    conn.execute("PRAGMA journal_mode=WAL").fetchall()
    if pending:
        _back_up(conn, path, pending[0].num - 1)
        _apply(conn, pending)
    if _schema(conn) != _expected_schema(migrations):
        raise _damaged(path, "its tables aren't those of this version")
    conn.execute("PRAGMA foreign_keys=ON").fetchall()


def _pending(conn: sqlite3.Connection, path: str, migrations: Sequence[Migration]) -> Sequence[Migration]:
    version: int = conn.execute("PRAGMA user_version").fetchone()[0]
    if version > migrations[-1].num:
        raise AoError(
            "STORE_TOO_NEW",
            f"{path} was written by a newer version of ao (schema {version}, known here: {migrations[-1].num})",
            hint=f"use that version, or put one of the backups in its place: {_listing(path)}",
        )
    if not conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone():
        raise _damaged(path, "it is empty" if not version else "it has no ledger of migrations")
    applied = conn.execute("SELECT num, name, sha256 FROM migrations ORDER BY num").fetchall()
    known = [(migration.num, migration.name, migration.sha256) for migration in migrations]
    if not applied or applied != known[: len(applied)]:
        differing = next((row[1] for row, own in zip(applied, known, strict=False) if row != own), "none applied")
        raise _damaged(path, f"its migrations aren't those of this version ({differing})")
    return migrations[len(applied) :]


def _apply(conn: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Apply each migration in a transaction of its own. Foreign keys are off, so that a table can be rebuilt, and
    checked before the commit."""
    conn.execute("PRAGMA foreign_keys=OFF").fetchall()
    for migration in migrations:
        conn.execute("BEGIN IMMEDIATE")
        try:
            conn.execute(_LEDGER)
            for statement in _statements(migration.sql):
                conn.execute(statement)
            if conn.execute("PRAGMA foreign_key_check").fetchall():
                raise sqlite3.IntegrityError(f"migration {migration.num} breaks a foreign key")
            conn.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, ?)",
                (migration.num, migration.name, migration.sha256, _utc("%Y-%m-%dT%H:%M:%SZ")),
            )
            conn.execute(f"PRAGMA user_version={migration.num}")
        except BaseException:
            conn.execute("ROLLBACK")
            raise
        conn.execute("COMMIT")


def _statements(sql: str) -> list[str]:
    """The statements of a script; a trigger's body has semicolons of its own."""
    found: list[str] = []
    rest = ""
    for line in sql.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return [*found, rest] if rest.strip() else found


def _back_up(conn: sqlite3.Connection, path: str, num: int) -> None:
    """Copy the whole store to `<path>.backup-<num>-<utc>`, durable before it has that name; the last three stay."""
    for unfinished in Path(path).parent.glob(f"{glob.escape(os.path.basename(path))}.backup-*.part*"):
        unfinished.unlink()
    target = f"{path}.backup-{num}-{_utc('%Y%m%dT%H%M%S%fZ')}"
    draft = f"{target}.part"
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with closing(sqlite3.connect(draft)) as copy:
            conn.backup(copy)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(draft, target)
    _sync_folder(path)
    for old in backups(path)[:-BACKUPS_KEPT]:
        os.unlink(old)


def _schema(conn: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(conn.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").fetchall())


def _expected_schema(migrations: Sequence[Migration]) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        conn.create_function("ao_handle", 1, ids.handle_for, deterministic=True)
        _apply(conn, migrations)
        return _schema(conn)


def _mark(path: str) -> str:
    return f"{path}.created"


def _leave_mark(path: str) -> None:
    """Note beside the store that there is one: so its loss is told from a first start."""
    if os.path.exists(_mark(path)):
        return
    descriptor = os.open(_mark(path), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(f"A store was made here at {_utc('%Y-%m-%dT%H:%M:%SZ')}.\n")
    _sync_folder(path)


def _refuse_if_lost(path: str) -> None:
    traces = [trace for trace in (f"{path}-wal", _mark(path), *backups(path)) if os.path.lexists(trace)]
    if traces:
        raise AoError(
            "STORE_DAMAGED",
            f"{path} is gone, but there was a store: {traces[0]} is still there",
            hint=f"put it back, or one of the backups: {_listing(path)}; "
            f"to start anew, move {os.path.dirname(path)} away",
        )


def unavailable(error: sqlite3.OperationalError) -> AoError | None:
    """`STORE_UNAVAILABLE` when the machine and not the file is at fault (result codes: sqlite.org/rescode.html)."""
    name = getattr(error, "sqlite_errorname", "")
    if not name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")):
        return None
    return AoError(
        "STORE_UNAVAILABLE",
        f"the store can't be written: {error}",
        hint="make room on the disk of the data folder and see that it is writable; nothing was lost",
    )


def _damaged(path: str, reason: str) -> AoError:
    return AoError(
        "STORE_DAMAGED",
        f"{path} can't be used: {reason}",
        hint=f"it was left as it is; backups: {_listing(path)}",
    )


def _listing(path: str) -> str:
    return ", ".join(backups(path)) or f"none beside {path}"


def _utc(form: str) -> str:
    return datetime.now(UTC).strftime(form)


def _sync_folder(path: str) -> None:
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

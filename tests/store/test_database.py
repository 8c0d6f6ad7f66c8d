"""The door to the store: durable answers, groups that don't share their failures, nothing lost by a kill."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from ao.model.change import Change
from ao.model.errors import AoError
from ao.store import changes, projects, sessions
from ao.store.database import Connection, Database
from tests.store.seeds import new_session, project, seeded

WRITER = """
import asyncio, sys
from ao.store import sessions
from ao.store.database import Database
from tests.store.seeds import new_session

async def main():
    database = Database.open(sys.argv[1])

    async def write():
        while True:
            session = await database.write(lambda conn: sessions.seed(conn, new_session(), now=1))
            print(session.id, flush=True)

    await asyncio.gather(*(write() for _ in range(8)))

asyncio.run(main())
"""


@asynccontextmanager
async def held(database: Database) -> AsyncIterator[None]:
    """While the body runs the writer is busy: what is handed in meanwhile forms one group."""
    busy, release = threading.Event(), threading.Event()

    def hold(_conn: Connection) -> None:
        busy.set()
        assert release.wait(30)

    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(hold))
        await asyncio.to_thread(busy.wait, 30)
        try:
            yield
        finally:
            release.set()


async def test_d6_fifty_parallel_spawns_make_fifty_rows(database: Database) -> None:
    made = await asyncio.gather(*(seeded(database) for _ in range(50)))
    assert len({session.id for session in made}) == 50
    assert [session.num for session in sessions.all_sessions(database.read)] == list(range(1, 51))


async def test_a_failing_write_is_undone_alone_and_its_neighbours_are_committed(
    database: Database, published: list[Change]
) -> None:
    published.clear()
    async with asyncio.TaskGroup() as group, held(database):
        before = group.create_task(seeded(database))
        failing = group.create_task(failure(database, KeyError("deliberate")))
        after = group.create_task(seeded(database))
        await asyncio.sleep(0)
        assert sessions.all_sessions(database.read) == []
    assert str(failing.result()) == "'deliberate'"
    assert {before.result().id, after.result().id} == {"app-1", "app-2"}
    assert [session.id for session in sessions.all_sessions(database.read)] == ["app-1", "app-2"]
    assert [change.type for change in published] == ["session_created"] * 2


async def failure(database: Database, error: Exception) -> BaseException:
    """What a write that seeds a session and then raises `error` raises here."""

    def write(conn: Connection) -> NoReturn:
        sessions.seed(conn, new_session(), now=1)
        raise error

    with pytest.raises(Exception) as caught:
        await database.write(write)
    return caught.value


async def test_one_commit_publishes_the_changes_of_its_whole_group_once_and_in_order(path: str) -> None:
    groups: list[list[Change]] = []
    database = Database.open(path, on_commit=groups.append)
    await database.write(lambda conn: projects.put(conn, project()))
    async with asyncio.TaskGroup() as group, held(database):
        for _ in range(20):
            group.create_task(seeded(database))
        await asyncio.sleep(0)
    await database.close()
    assert [len(found) for found in groups] == [1, 20]
    assert [change.seq for found in groups for change in found] == list(range(1, 22))


async def test_a_result_is_seen_together_with_its_revision_and_its_changes(path: str) -> None:
    published: list[Change] = []
    database = Database.open(path, on_commit=published.extend)
    assert database.revision == 0
    await database.write(lambda conn: projects.put(conn, project()))
    session = await seeded(database)
    assert database.revision == published[-1].seq == changes.bounds(database.read)[1]
    assert published[-1].session_id == session.id
    assert sessions.get(database.read, session.id) == session
    await database.close()
    reopened = Database.open(path)
    assert reopened.revision == database.revision
    await reopened.close()


async def test_cancelling_the_caller_does_not_stop_the_write(database: Database) -> None:
    async with held(database):
        caller = asyncio.get_running_loop().create_task(seeded(database))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    await seeded(database)
    assert [session.num for session in sessions.all_sessions(database.read)] == [1, 2]


def test_a_loop_that_ended_before_its_write_does_not_stop_the_writer(path: str) -> None:
    database = Database.open(path)
    busy, release = threading.Event(), threading.Event()

    def write(conn: Connection) -> None:
        busy.set()
        assert release.wait(30)
        projects.put(conn, project())

    async def abandon() -> None:
        caller = asyncio.get_running_loop().create_task(database.write(write))
        await asyncio.to_thread(busy.wait, 30)
        caller.cancel()

    async def go_on() -> int:
        session = await seeded(database)
        await database.close()
        return session.num

    asyncio.run(abandon())
    release.set()
    assert asyncio.run(go_on()) == 1


async def test_stop_iteration_from_a_write_reaches_its_caller(database: Database) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await database.write(lambda _conn: next(iter(())))
    assert (await seeded(database)).num == 1


async def test_a_full_disk_fails_the_write_and_the_store_goes_on(database: Database) -> None:
    pages = await database.write(lambda conn: conn.execute("PRAGMA page_count").fetchone()[0])
    await database.write(lambda conn: conn.execute(f"PRAGMA max_page_count={pages + 2}").fetchall())
    with pytest.raises(AoError, match="full") as caught:
        await database.write(lambda conn: sessions.remember_idempotent(conn, "x" * 500_000, "", "", 1))
    assert (caught.value.code, caught.value.status) == ("STORE_UNAVAILABLE", 503)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    await database.write(lambda conn: conn.execute("PRAGMA max_page_count=1000000").fetchall())
    assert (await seeded(database)).num == 1
    assert database.read.execute("SELECT count(*) FROM idempotency").fetchone() == (0,)


async def test_close_finishes_what_was_handed_in_and_refuses_more(path: str) -> None:
    database = Database.open(path)
    await database.write(lambda conn: projects.put(conn, project()))
    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(seeded(database))
        await asyncio.sleep(0)
        group.create_task(database.close())
    await database.close()
    with pytest.raises(RuntimeError, match="closed"):
        await seeded(database)
    reopened = Database.open(path)
    assert len(sessions.all_sessions(reopened.read)) == 30
    await reopened.close()
    assert not [name for name in os.listdir(os.path.dirname(path)) if name.endswith(("-wal", "-shm"))]


async def test_the_readers_connection_refuses_to_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        sessions.seed(database.read, new_session(), now=1)


async def test_commits_are_flushed_before_they_are_answered(database: Database) -> None:
    pragmas = await database.write(
        lambda conn: [conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    )
    assert pragmas == ["wal", 2]


async def test_files_and_folder_are_the_owners_alone(path: str) -> None:
    previous = os.umask(0)
    try:
        database = Database.open(path)
        await database.write(lambda conn: projects.put(conn, project()))
    finally:
        os.umask(previous)
    folder = os.path.dirname(path)
    modes = {name: stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)}
    assert modes == {"ao.db": 0o600, "ao.db-wal": 0o600, "ao.db-shm": 0o600, "ao.db.created": 0o600}
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    await database.close()


async def test_d2_every_answered_write_survives_kill_9_and_the_file_stays_whole(path: str) -> None:
    database = Database.open(path)
    await database.write(lambda conn: projects.put(conn, project()))
    await database.close()
    answered: set[str] = set()
    for round_number in range(20):
        answered |= written_until_killed(path, at_least=3 + 7 * round_number)
        found = await check_whole(path)
        assert answered <= found
    assert len(answered) > 400


def written_until_killed(path: str, *, at_least: int) -> set[str]:
    """The ids a writing process had been answered when SIGKILL met it in full flight."""
    root = Path(__file__).parent.parent.parent
    child = subprocess.Popen([sys.executable, "-c", WRITER, path], cwd=root, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    seen: list[str] = []
    try:
        while len(seen) < at_least and (line := child.stdout.readline()):
            seen.append(line)
    finally:
        child.kill()
        seen += child.stdout.readlines()
        child.stdout.close()
        child.wait()
    assert len(seen) >= at_least
    return {line.strip() for line in seen if line.endswith("\n")}


async def check_whole(path: str) -> set[str]:
    """The ids in the store, after it opened and SQLite found nothing wrong with it."""
    database = Database.open(path)
    assert database.read.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not database.read.execute("PRAGMA foreign_key_check").fetchall()
    found = {session.id for session in sessions.all_sessions(database.read)}
    await database.close()
    return found

"""The change log: its order, its bounds, and what retention leaves."""

from __future__ import annotations

import re

import pytest

from ao.store import changes, projects
from ao.store.database import Connection, Database
from tests.store.seeds import project, seeded

LONG_AGO = "2000-01-01T00:00:00.000Z"
FAR_AHEAD = "2999-01-01T00:00:00.000Z"


def fill(conn: Connection, stamps: list[str]) -> None:
    """Log rows written at `stamps`, oldest first."""
    conn.execute("DELETE FROM change_log")
    for stamp in stamps:
        conn.execute(
            "INSERT INTO change_log (project_id, type, payload, created_at) VALUES ('app', 'x', '{}', ?)", (stamp,)
        )


def days(*numbers: int) -> list[str]:
    """A stamp for each day of January 2026."""
    return [f"2026-01-{number:02}T00:00:00.000Z" for number in numbers]


async def prune(database: Database, *, older_than_iso: str = LONG_AGO, keep_rows: int = 100_000) -> int:
    """How many rows went."""
    return await database.write(lambda conn: changes.prune(conn, older_than_iso=older_than_iso, keep_rows=keep_rows))


def kept(database: Database) -> list[str]:
    """The days that are left."""
    return [change.created_at[8:10].lstrip("0") for change in changes.after(database.read, 0)]


async def test_a_store_without_a_history_has_no_bounds(path: str) -> None:
    database = Database.open(path)
    assert changes.bounds(database.read) == (0, 0)
    assert await prune(database, older_than_iso=FAR_AHEAD, keep_rows=0) == 0
    await database.close()


async def test_changes_are_read_in_order_after_a_cursor_and_in_batches(database: Database) -> None:
    for _ in range(9):
        await seeded(database)
    assert [change.seq for change in changes.after(database.read, 0)] == list(range(1, 11))
    assert [change.seq for change in changes.after(database.read, 4, 3)] == [5, 6, 7]
    assert changes.after(database.read, 10) == []
    assert changes.bounds(database.read) == (1, 10)


async def test_stamps_have_one_format(database: Database) -> None:
    for change in changes.after(database.read, 0):
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", change.created_at)


async def test_old_rows_go_and_fresh_ones_stay(database: Database) -> None:
    await database.write(lambda conn: fill(conn, days(1, 2, 3, 4, 5)))
    assert await prune(database, older_than_iso="2026-01-03T00:00:00.000Z") == 2
    assert kept(database) == ["3", "4", "5"]
    assert await prune(database, older_than_iso="2026-01-03T00:00:00.000Z") == 0


async def test_rows_beyond_the_number_kept_go_oldest_first(database: Database) -> None:
    await database.write(lambda conn: fill(conn, days(1, 2, 3, 4, 5)))
    assert await prune(database, keep_rows=5) == 0
    assert await prune(database, keep_rows=2) == 3
    assert kept(database) == ["4", "5"]


async def test_what_is_kept_has_no_gap_even_when_the_clock_went_back(database: Database) -> None:
    await database.write(lambda conn: fill(conn, days(1, 9, 2, 3, 10)))
    assert await prune(database, older_than_iso="2026-01-05T00:00:00.000Z") == 1
    assert kept(database) == ["9", "2", "3", "10"]


@pytest.mark.parametrize("limits", [{"older_than_iso": FAR_AHEAD}, {"keep_rows": 0}], ids=["age", "rows"])
async def test_the_head_survives_when_every_row_is_pruned(
    database: Database, path: str, limits: dict[str, str]
) -> None:
    await seeded(database)
    head = changes.bounds(database.read)[1]
    assert await prune(database, **limits) == head  # type: ignore[arg-type]
    assert changes.bounds(database.read) == (head + 1, head)
    await database.close()
    reopened = Database.open(path)
    assert reopened.revision == head
    await reopened.write(lambda conn: projects.put(conn, project("web")))
    assert [change.seq for change in changes.after(reopened.read, head)] == [head + 1]
    await reopened.close()

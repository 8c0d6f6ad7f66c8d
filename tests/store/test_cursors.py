"""Cursors: one for each repository, the last one put."""

from __future__ import annotations

from ao.store import cursors
from ao.store.database import Database


async def test_a_cursor_is_kept_for_each_repository(database: Database) -> None:
    assert cursors.get(database.read, "github:x/a") == ""
    for key, cursor in [("github:x/a", "1"), ("github:x/b", "2"), ("github:x/a", "3")]:
        await database.write(lambda conn, key=key, cursor=cursor: cursors.put(conn, key, cursor, 5))  # type: ignore[misc]
    assert (cursors.get(database.read, "github:x/a"), cursors.get(database.read, "github:x/b")) == ("3", "2")

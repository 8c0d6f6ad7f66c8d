"""Projects: what a re-registration keeps, and what the triggers tell of them."""

from __future__ import annotations

import json
import sqlite3

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.store import projects
from ao.store.database import Database
from tests.store.seeds import project, seeded


def told(published: list[Change]) -> list[tuple[str, object]]:
    """Type and payload of what was published since the last call."""
    found = [(change.type, json.loads(change.payload)) for change in published]
    published.clear()
    return found


async def test_a_project_comes_back_as_it_was_put(database: Database) -> None:
    put = replace(project("web"), repo="git@host:web.git", config='{"fetch":"never"}', next_num=7)
    await database.write(lambda conn: projects.put(conn, put))
    assert projects.get(database.read, "web") == put
    assert projects.by_path(database.read, "/src/web") == put
    assert [found.id for found in projects.active(database.read)] == ["app", "web"]
    assert projects.get(database.read, "nope") is None


async def test_an_archived_project_is_found_only_when_asked_for_and_frees_its_path(database: Database) -> None:
    assert await database.write(lambda conn: projects.archive(conn, "app", 50))
    assert not await database.write(lambda conn: projects.archive(conn, "app", 60))
    assert projects.get(database.read, "app") is None
    archived = projects.get(database.read, "app", archived=True)
    assert archived is not None
    assert archived.archived_at == 50
    assert projects.active(database.read) == []
    assert projects.by_path(database.read, "/src/app") is None
    assert projects.taken_ids(database.read) == {"app"}
    await database.write(lambda conn: projects.put(conn, project("other", path="/src/app")))


async def test_two_active_projects_never_share_a_path(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(lambda conn: projects.put(conn, project("other", path="/src/app")))


async def test_w3_registering_again_keeps_the_counter_and_the_first_date(database: Database) -> None:
    for _ in range(3):
        await seeded(database)
    await database.write(lambda conn: projects.archive(conn, "app", 50))
    again = replace(project(), registered_at=99, updated_at=99, name="renamed")
    await database.write(lambda conn: projects.put(conn, again))
    assert projects.get(database.read, "app") == replace(again, registered_at=1, next_num=4)
    assert (await seeded(database)).id == "app-4"


async def test_the_counter_can_be_raised_and_never_lowered(database: Database) -> None:
    await database.write(lambda conn: projects.put(conn, replace(project(), next_num=12)))
    await database.write(lambda conn: projects.put(conn, replace(project(), next_num=5)))
    assert projects.next_num(database.read, "app") == 12
    with pytest.raises(LookupError):
        projects.next_num(database.read, "nope")


async def test_configuration_is_set_on_active_projects_only(database: Database) -> None:
    changed = await database.write(lambda conn: projects.set_config(conn, "app", '{"fetch":"always"}', 70))
    assert changed is not None
    assert (changed.settings.fetch, changed.updated_at) == ("always", 70)
    assert projects.get(database.read, "app") == changed
    await database.write(lambda conn: projects.archive(conn, "app", 80))
    assert await database.write(lambda conn: projects.set_config(conn, "app", "{}", 90)) is None
    assert await database.write(lambda conn: projects.set_config(conn, "nope", "{}", 90)) is None


async def test_every_visible_change_of_a_project_is_told(database: Database, published: list[Change]) -> None:
    shown = {"id": "app", "name": "app", "path": "/src/app"}
    assert told(published) == [("project_added", shown)]
    await database.write(lambda conn: projects.set_config(conn, "app", '{"fetch":"always"}', 2))
    assert told(published) == [("project_updated", shown)]
    await database.write(lambda conn: projects.put(conn, replace(project(), name="App", config='{"fetch":"always"}')))
    assert told(published) == [("project_updated", {**shown, "name": "App"})]
    await database.write(lambda conn: projects.archive(conn, "app", 3))
    assert told(published) == [("project_removed", {"id": "app"})]
    await database.write(lambda conn: projects.put(conn, project(path="/moved")))
    assert told(published) == [("project_added", {**shown, "path": "/moved"})]


async def test_nothing_is_told_when_no_visible_fact_of_a_project_changed(
    database: Database, published: list[Change]
) -> None:
    published.clear()
    await database.write(lambda conn: projects.put(conn, replace(project(), updated_at=500)))
    await database.write(lambda conn: projects.put(conn, replace(project(), next_num=40)))
    await database.write(lambda conn: projects.set_config(conn, "app", "", 600))
    assert published == []

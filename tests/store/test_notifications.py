"""Notifications: told once, until read or no longer true; and their deliveries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.notification import Delivery, DeliveryState, Notification, NotificationType
from ao.store import notifications, sessions
from ao.store.database import Database
from tests.store.seeds import seeded

NEEDS_INPUT, MERGED, TEST = NotificationType.NEEDS_INPUT, NotificationType.PR_MERGED, NotificationType.TEST


def notification(name: str, **changes: Any) -> Notification:
    """A notification of session app-1."""
    values: dict[str, Any] = {
        "project_id": "app", "session_id": "app-1", "type": NEEDS_INPUT, "title": name, "created_at": 20,
        "updated_at": 20,
    }  # fmt: skip
    return Notification(id=name, **values | changes)


async def added(database: Database, name: str, **changes: Any) -> bool:
    """Whether it was added; then it is as it was given."""
    one = notification(name, **changes)
    outcome = await database.write(lambda conn: notifications.add(conn, one))
    assert outcome in (None, one)
    assert (notifications.get(database.read, name) == one) == (outcome is not None)
    return outcome is not None


async def read(database: Database, name: str, now: int = 30) -> Notification | None:
    """What marking as read did."""
    return await database.write(lambda conn: notifications.read(conn, name, now))


async def resolve(database: Database, name: str, now: int = 40) -> Notification | None:
    """What resolving did."""
    return await database.write(lambda conn: notifications.resolve(conn, name, now))


def names(database: Database, **wanted: Any) -> list[str]:
    """The ids of a list."""
    asked: dict[str, Any] = {"status": "all", "limit": 100} | wanted
    return [found.id for found in notifications.of(database.read, **asked)]


async def test_the_same_is_told_again_only_when_it_was_read_and_had_ended(database: Database) -> None:
    assert await added(database, "n1")
    assert not await added(database, "n2")
    await read(database, "n1")
    assert not await added(database, "n2")
    await resolve(database, "n1")
    assert await added(database, "n2")
    await resolve(database, "n2")
    assert not await added(database, "n3")


@pytest.mark.parametrize(
    "difference",
    [{"session_id": "app-2"}, {"pull_url": "u1"}, {"type": NotificationType.BUDGET}, {"signature": "s"}],
    ids=lambda value: next(iter(value)),
)
async def test_something_else_is_told_beside_it(database: Database, difference: dict[str, Any]) -> None:
    assert await added(database, "n1")
    assert await added(database, "n2", **difference)


async def test_what_is_told_once_and_for_ever_is_never_told_again(database: Database) -> None:
    assert await added(database, "n1", type=MERGED)
    await read(database, "n1")
    await resolve(database, "n1")
    assert not await added(database, "n2", type=MERGED)
    await database.write(lambda conn: notifications.prune(conn, 1000))
    assert not await added(database, "n2", type=MERGED)


async def test_a_test_is_always_told(database: Database) -> None:
    assert await added(database, "n1", type=TEST)
    assert await added(database, "n2", type=TEST)


async def test_each_is_read_and_resolved_once(database: Database, published: list[Change]) -> None:
    await added(database, "n1", session_id="", pull_url="u1", title="why?")
    marked = await read(database, "n1")
    assert marked is not None
    assert (marked.read_at, marked.updated_at) == (30, 30)
    assert await read(database, "n1", 50) is None
    assert await read(database, "n9") is None
    ended = await resolve(database, "n1")
    assert ended is not None
    assert ended.resolved_at == 40
    assert await resolve(database, "n1", 50) is None
    told = [change for change in published if change.type.startswith("notification_")]
    assert [(change.project_id, change.session_id) for change in told] == [("app", None)] * 3
    assert [(change.type, json.loads(change.payload)) for change in told] == [
        ("notification_created", {"id": "n1", "type": "needs_input", "session": "", "pr": "u1", "title": "why?"}),
        ("notification_updated", {"id": "n1", "read": True, "resolved": False}),
        ("notification_updated", {"id": "n1", "read": True, "resolved": True}),
    ]


async def test_the_change_of_a_session_s_notification_is_the_session_s(
    database: Database, published: list[Change]
) -> None:
    await seeded(database)
    published.clear()
    await added(database, "n1")
    assert [(change.type, change.session_id) for change in published] == [("notification_created", "app-1")]


async def test_lists_are_newest_first_in_pages_and_filtered(database: Database) -> None:
    for name, at, project in [("a", 1, "app"), ("c", 3, "web"), ("b", 3, "app"), ("d", 4, "app")]:
        await added(database, name, created_at=at, project_id=project, signature=name)
    await read(database, "d")
    await resolve(database, "b")
    assert names(database) == ["d", "c", "b", "a"]
    assert names(database, limit=2) == ["d", "c"]
    assert names(database, limit=2, before=(3, "c")) == ["b", "a"]
    assert names(database, status="unread") == ["c", "b", "a"]
    assert names(database, status="unresolved") == ["d", "c", "a"]
    assert names(database, project="app", status="unread") == ["b", "a"]
    assert notifications.counts(database.read) == (3, 3)
    assert notifications.counts(database.read, "app") == (2, 2)
    assert [one.id for one in notifications.open_of(database.read, "app-1")] == ["d", "c", "a"]


async def test_several_are_read_at_once(database: Database) -> None:
    for name in ("a", "b", "c", "d"):
        await added(database, name, signature=name)
    await read(database, "a")
    some = await database.write(lambda conn: notifications.read_all(conn, ["a", "b", "nobody", "b"], 50))
    assert [one.id for one in some] == ["b"]
    rest = await database.write(lambda conn: notifications.read_all(conn, None, 60))
    assert [(one.id, one.read_at) for one in rest] == [("d", 60), ("c", 60)]
    assert notifications.counts(database.read)[0] == 0


async def test_pruning_drops_what_has_ended_and_keeps_what_would_be_told_again(database: Database) -> None:
    await added(database, "open", signature="1")
    await added(database, "ended", signature="2")
    await added(database, "merged", type=MERGED)
    await added(database, "test", type=TEST)
    await added(database, "young", signature="3", created_at=99)
    for name in ("ended", "merged", "young"):
        await resolve(database, name)
    await database.write(lambda conn: notifications.add_deliveries(conn, [delivery("d1", of="ended")]))
    assert await database.write(lambda conn: notifications.prune(conn, 99)) == 2
    assert set(names(database)) == {"open", "merged", "young"}
    assert notifications.next_due(database.read) is None


async def test_notifications_go_with_the_row_of_their_session(database: Database) -> None:
    session = await seeded(database)
    await added(database, "n1")
    await added(database, "n2", session_id="")
    await database.write(lambda conn: sessions.forget_failed(conn, session.id))
    assert names(database) == ["n2"]


def delivery(name: str, *, of: str = "n1", channel: str = "phone", due_at: int = 50) -> Delivery:
    """A delivery to make."""
    return Delivery(id=name, notification_id=of, channel=channel, due_at=due_at, created_at=20, updated_at=20)


async def test_deliveries_are_due_in_the_order_of_their_times_until_they_are_made(database: Database) -> None:
    await added(database, "n1")
    assert notifications.next_due(database.read) is None
    made = [delivery("d1", due_at=60), delivery("d2", channel="mail"), delivery("d3", channel="chat", due_at=70)]
    await database.write(lambda conn: notifications.add_deliveries(conn, made))
    assert [one.id for one in notifications.due(database.read, 60)] == ["d2", "d1"]
    assert notifications.due(database.read, 49) == []
    assert notifications.next_due(database.read) == 50
    sent = await database.write(
        lambda conn: notifications.change_delivery(
            conn, "d2", lambda row: replace(row, state=DeliveryState.SENT, attempts=1), now=55
        )
    )
    assert sent == replace(made[1], state=DeliveryState.SENT, attempts=1, updated_at=55)
    assert notifications.next_due(database.read) == 60
    assert [one.id for one in notifications.deliveries_of(database.read, "n1")] == ["d3", "d2", "d1"]


async def test_a_delivery_of_nothing_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await database.write(lambda conn: notifications.add_deliveries(conn, [delivery("d1")]))

"""Notifications over HTTP: list and pages, marking, the stream, channels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession
from msgspec.structs import replace

from ao.api import streams
from ao.engine.channels import Channels
from ao.engine.notifications import Notifications
from ao.model.errors import AoError
from ao.model.notices import Wanted
from ao.model.notification import Notification, NotificationType
from ao.model.session import Activity
from ao.ports.channels import Channel, Letter
from ao.store import changes, notifications, sessions
from tests.api.house import House

BASE = "/api/v1/notifications"
SECRET = "ntfy://very-secret-topic"


class Post:
    """A sender on whose channels named `broken` nothing arrives."""

    async def send(self, channel: Channel, letter: Letter) -> None:
        """Take it or refuse it."""
        if channel.name == "broken":
            raise AoError("CHANNEL_FAILED", "channel 'broken': error=500", hint="look")


@pytest.fixture
def room(house: House) -> Notifications:
    """The notifications of the served engine, with two channels."""
    configured = (
        Channel(name="phone", url=SECRET, types=(NotificationType.NEEDS_INPUT,), quiet="22:00-07:00"),
        Channel(name="broken", url=SECRET, projects=("shop",)),
    )
    house.engine.notifications = Notifications(house.engine.world, Channels(house.engine.world, configured, Post()))
    return house.engine.notifications


async def tell(room: Notifications, number: int, **fields: Any) -> Notification:
    """A new notification of project `shop`."""
    wanted = Wanted(
        type=fields.pop("type", NotificationType.BUDGET),
        pull_url=fields.pop("pull_url", ""),
        signature=str(number),
        title=f"title {number}",
        body="",
    )
    told = await room.add(wanted, **{"project_id": "shop", "session_id": "shop-1", **fields})
    assert told is not None
    return told


async def test_a_notification_is_shown_with_its_target_and_status(house: House, room: Notifications) -> None:
    url = "https://example.com/pull/4"
    told = await tell(room, 1, pull_url=url)
    body = (await house.call("GET", BASE)).body
    (shown,) = body["notifications"]
    assert shown == {
        "id": told.id,
        "sessionId": "shop-1",
        "projectId": "shop",
        "prUrl": url,
        "type": "budget",
        "title": "title 1",
        "body": "",
        "status": "unread",
        "createdAt": shown["createdAt"],
        "target": {"kind": "pr", "sessionId": "shop-1", "prUrl": url},
    }
    assert (body["unreadCount"], body["unresolvedCount"]) == (1, 1)
    assert "nextCursor" not in body


async def test_pages_hold_every_notification_once_newest_first(house: House, room: Notifications) -> None:
    told = [(await tell(room, number)).id for number in range(7)]
    seen: list[str] = []
    query = f"{BASE}?limit=3"
    while query:
        body = (await house.call("GET", query)).body
        seen += [row["id"] for row in body["notifications"]]
        cursor = body.get("nextCursor")
        query = f"{BASE}?limit=3&cursor={cursor}" if cursor else ""
    assert sorted(seen) == sorted(told)
    assert len(seen) == 7
    stored = notifications.of(house.engine.world.db.read, status="all", limit=100)
    assert seen == [row.id for row in stored]


async def test_lists_are_by_status_and_project(house: House, room: Notifications) -> None:
    read, resolved, other = await tell(room, 1), await tell(room, 2), await tell(room, 3, project_id="else")
    await room.read(read.id)
    await room.resolve(resolved.id)

    async def ids(query: str) -> set[str]:
        return {row["id"] for row in (await house.call("GET", BASE + query)).body["notifications"]}

    assert await ids("") == {resolved.id, other.id}
    assert await ids("?status=unread&projectId=shop") == {resolved.id}
    assert await ids("?status=unresolved") == {read.id, other.id}
    assert await ids("?status=all") == {read.id, resolved.id, other.id}
    shown = {row["id"]: row for row in (await house.call("GET", f"{BASE}?status=all")).body["notifications"]}
    assert shown[read.id]["status"] == "read"
    assert "resolvedAt" in shown[resolved.id]
    assert "resolvedAt" not in shown[read.id]
    counts = (await house.call("GET", f"{BASE}?projectId=shop")).body
    assert (counts["unreadCount"], counts["unresolvedCount"]) == (1, 1)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?limit=0", "INVALID_QUERY"),
        ("?limit=-1", "INVALID_QUERY"),
        ("?limit=x", "INVALID_QUERY"),
        ("?status=read", "INVALID_NOTIFICATION_STATUS"),
        ("?cursor=x", "INVALID_NOTIFICATION_CURSOR"),
        ("?cursor=WzEsMl0=", "INVALID_NOTIFICATION_CURSOR"),
        ("?cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTksIngiXQ==", "INVALID_NOTIFICATION_CURSOR"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(house: House, room: Notifications, query: str, code: str) -> None:
    answer = await house.call("GET", BASE + query)
    assert (answer.status, answer.code) == (400, code)


async def test_more_than_a_hundred_are_never_answered_at_once(house: House, room: Notifications) -> None:
    for number in range(101):
        await tell(room, number)
    body = (await house.call("GET", f"{BASE}?limit=5000")).body
    assert len(body["notifications"]) == 100
    assert body["nextCursor"]
    assert len((await house.call("GET", BASE)).body["notifications"]) == 50


async def test_one_is_marked_as_read_once(house: House, room: Notifications) -> None:
    told = await tell(room, 1)
    answer = await house.call("PATCH", f"{BASE}/{told.id}", {"status": "read"})
    assert (answer.status, answer.body["notification"]["status"]) == (200, "read")
    again = await house.call("PATCH", f"{BASE}/{told.id}", {"status": "read"})
    assert (again.status, again.code) == (404, "NOTIFICATION_NOT_FOUND")


@pytest.mark.parametrize(
    ("which", "body", "code"),
    [
        ("ntf_0", {"status": "read"}, "NOTIFICATION_NOT_FOUND"),
        ("ntf_0", {"status": "unread"}, "INVALID_NOTIFICATION_STATUS"),
        ("ntf_0", {}, "INVALID_NOTIFICATION_STATUS"),
        ("%20", {"status": "read"}, "INVALID_NOTIFICATION_ID"),
        ("ntf_0", {"status": 1}, "INVALID_JSON"),
        ("ntf_0", {"state": "read"}, "INVALID_JSON"),
    ],
)
async def test_what_cannot_be_marked_is_refused(
    house: House, room: Notifications, which: str, body: dict[str, Any], code: str
) -> None:
    assert (await house.call("PATCH", f"{BASE}/{which}", body)).code == code


async def test_all_or_some_are_marked_and_told(house: House, room: Notifications) -> None:
    first, second, third = [await tell(room, number) for number in range(3)]
    some = (await house.call("POST", f"{BASE}/read-all", {"ids": [first.id, "ntf_unknown"]})).body
    assert ([row["id"] for row in some["notifications"]], some["updatedCount"]) == ([first.id], 1)
    rest = (await house.call("POST", f"{BASE}/read-all", {"anything": 1})).body
    assert {row["id"] for row in rest["notifications"]} == {second.id, third.id}
    none = (await house.call("POST", f"{BASE}/read-all", {})).body
    assert none == {"notifications": [], "updatedCount": 0}


async def test_a_sessions_token_opens_none_of_it(house: House, room: Notifications) -> None:
    session = await house.spawn()
    for method, path in (("GET", BASE), ("GET", f"{BASE}/stream"), ("GET", "/api/v1/channels")):
        assert (await house.call(method, path, headers=house.bearer(session))).code == "FORBIDDEN"


async def test_channels_are_shown_without_their_urls(house: House, room: Notifications) -> None:
    answer = await house.call("GET", "/api/v1/channels")
    assert answer.body["channels"] == [
        {"name": "phone", "types": ["needs_input"], "projects": [], "quiet": "22:00-07:00"},
        {"name": "broken", "types": [], "projects": ["shop"]},
    ]
    assert b"secret" not in answer.raw


async def test_a_test_says_how_each_channel_went_and_the_list_remembers(house: House, room: Notifications) -> None:
    results = (await house.call("POST", "/api/v1/channels/test", {})).body["results"]
    assert [(one["channel"], one["ok"], one.get("failure")) for one in results] == [
        ("phone", True, None),
        ("broken", False, "channel 'broken': error=500"),
    ]
    assert results[1]["hint"] == "look"
    shown = (await house.call("GET", "/api/v1/channels")).body["channels"]
    assert [channel["last"]["ok"] for channel in shown] == [True, False]
    unknown = await house.call("POST", "/api/v1/channels/test", {"channel": "x"})
    assert (unknown.status, unknown.code) == (404, "CHANNEL_NOT_FOUND")


class Frames:
    """What the stream brings, frame by frame; comments are kept apart."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self.comments = 0

    async def next(self) -> dict[str, Any]:
        """The next frame: `id`, `event` and the decoded `data`."""
        async with asyncio.timeout(10):
            fields: dict[str, Any] = {}
            while line := await self._response.content.readline():
                text = line.decode().removesuffix("\n")
                if text.startswith(":"):
                    self.comments += 1
                elif text:
                    name, _, value = text.partition(": ")
                    fields[name] = json.loads(value) if name == "data" else value
                elif fields:
                    return fields
            raise EOFError

    async def told(self) -> tuple[str, str]:
        """Event and notification of the next frame."""
        frame = await self.next()
        return frame["event"], frame["data"]["id"]


@asynccontextmanager
async def stream(house: House, query: str = "", **headers: str) -> AsyncIterator[Frames]:
    """An open stream, once its first byte has come."""
    async with (
        ClientSession() as client,
        client.get(f"{house.url}{BASE}/stream{query}", headers={**house.user, **headers}) as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Frames(response)


async def test_the_stream_tells_of_new_and_of_resolved_ones_with_the_counts(house: House, room: Notifications) -> None:
    async with stream(house) as frames:
        told = await tell(room, 1)
        first = await frames.next()
        assert (first["event"], first["data"]["id"]) == ("notification_created", told.id)
        assert first["data"]["target"] == {"kind": "session", "sessionId": "shop-1"}
        assert (first["data"]["unreadCount"], first["data"]["unresolvedCount"]) == (1, 1)
        await room.resolve(told.id)
        second = await frames.next()
        assert (second["event"], second["data"]["id"]) == ("notification_resolved", told.id)
        assert second["data"]["unresolvedCount"] == 0
        assert "resolvedAt" in second["data"]
        await room.read(told.id)
        after = await tell(room, 2)
        assert await frames.told() == ("notification_created", after.id)


async def test_the_stream_leaves_other_projects_and_other_changes_out(house: House, room: Notifications) -> None:
    async with stream(house, "?projectId=shop") as frames:
        await tell(room, 1, project_id="else")
        await house.spawn()
        mine = await tell(room, 2)
        assert await frames.told() == ("notification_created", mine.id)


async def test_a_client_that_comes_back_is_told_what_it_missed(house: House, room: Notifications) -> None:
    async with stream(house) as frames:
        await tell(room, 1)
        last = (await frames.next())["id"]
    missed = [(await tell(room, number)).id for number in (2, 3)]
    async with stream(house, **{"Last-Event-ID": last}) as frames:
        assert [await frames.told() for _ in missed] == [("notification_created", one) for one in missed]


async def test_what_the_feed_no_longer_holds_comes_from_the_store(house: House, room: Notifications) -> None:
    missed = [(await tell(room, number)).id for number in range(3)]
    house.feed.floor = house.feed.head
    async with stream(house, **{"Last-Event-ID": "0"}) as frames:
        assert [await frames.told() for _ in missed] == [("notification_created", one) for one in missed]


async def test_a_place_that_is_no_longer_kept_is_answered_with_a_reset(house: House, room: Notifications) -> None:
    await tell(room, 1)
    head = house.feed.head
    await house.engine.world.db.write(lambda conn: changes.prune(conn, older_than_iso="9999", keep_rows=0))
    async with stream(house, **{"Last-Event-ID": "0"}) as frames:
        frame = await frames.next()
        assert (frame["event"], frame["data"]["head"]) == ("reset", head)
        after = await tell(room, 2)
        assert await frames.told() == ("notification_created", after.id)


async def test_an_idle_stream_beats(house: House, room: Notifications, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.02)
    async with stream(house) as frames, asyncio.timeout(10):
        waiting = asyncio.ensure_future(frames.next())
        while frames.comments < 3:
            done, _ = await asyncio.wait({waiting}, timeout=0.02)
            assert not done
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_an_agent_that_waits_is_notified_and_what_it_waited_for_resolves_it(house: House) -> None:
    session = await house.spawn()
    db = house.engine.world.db
    async with stream(house) as frames:
        for activity, event in (
            (Activity.WAITING_INPUT, "notification_created"),
            (Activity.ACTIVE, "notification_resolved"),
        ):
            now = house.engine.world.now()
            await db.write(
                lambda conn, to=activity, at=now: sessions.change(  # type: ignore[misc]
                    conn, session.id, lambda row: replace(row, activity=to, activity_at=at), now=at
                )
            )
            frame = await frames.next()
            assert (frame["event"], frame["data"]["type"]) == (event, "needs_input")
            assert frame["data"]["sessionId"] == session.id

"""The event stream: replay, live, reset, filters, heartbeat and a prompt end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from ao.api import events, streams
from ao.api.streams import HEARTBEAT
from ao.feed import Feed, FeedClosed
from ao.model.session import Kind
from ao.store import changes
from tests.api.house import House, within


class Frames:
    """What a stream brings, frame by frame; comments are passed over."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.ended = False

    async def next(self) -> dict[str, Any]:
        """The next event: `id`, `event` and the decoded `data`."""
        async with asyncio.timeout(10):
            fields: dict[str, Any] = {}
            while line := await self.response.content.readline():
                text = line.decode().removesuffix("\n")
                if text.startswith(":"):
                    continue
                if text:
                    name, _, value = text.partition(": ")
                    fields[name] = json.loads(value) if name == "data" else value
                elif fields:
                    return fields
            self.ended = True
            return {}

    async def types(self, count: int) -> list[str]:
        """The types of the next events."""
        return [(await self.next())["event"] for _ in range(count)]


@asynccontextmanager
async def stream(house: House, query: str = "", **headers: str) -> AsyncIterator[Frames]:
    """An open stream."""
    async with (
        ClientSession() as client,
        client.get(f"{house.url}/api/v1/events{query}", headers={**house.user, **headers}) as response,
    ):
        assert response.status == 200
        yield Frames(response)


async def test_without_a_cursor_everything_kept_is_replayed_then_comes_what_happens(house: House) -> None:
    session = await house.spawn()
    head = house.feed.head
    async with stream(house) as frames:
        seen = [await frames.next() for _ in range(head)]
        assert [int(frame["id"]) for frame in seen] == list(range(1, head + 1))
        assert [frame["event"] for frame in seen[:2]] == ["project_added", "session_created"]
        created = seen[1]["data"]
        assert set(created) == {"seq", "projectId", "sessionId", "type", "payload", "createdAt"}
        assert created["payload"]["isTerminated"] is False
        await house.engine.sessions.rename(session.id, "new")
        live = await frames.next()
        assert (int(live["id"]), live["event"], live["data"]["payload"]["displayName"]) == (
            head + 1,
            "session_updated",
            "new",
        )


async def test_the_head_of_a_stream_is_that_of_an_event_stream(house: House) -> None:
    async with stream(house, "?after=latest") as frames:
        headers = frames.response.headers
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["Cache-Control"] == "no-cache"
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["Transfer-Encoding"] == "chunked"
        assert headers["X-Request-Id"]


async def test_the_larger_of_parameter_and_header_is_the_cursor(house: House) -> None:
    await house.spawn()
    cases = [("?after=1", "3", 4), ("?after=3", "1", 4), ("", " 2 ", 3), ("?after=2", "x", 3), ("?after=%2B2", "", 3)]
    for query, header, first in cases:
        async with stream(house, query, **{"Last-Event-ID": header}) as frames:
            assert int((await frames.next())["id"]) == first, (query, header)


async def test_latest_brings_only_what_comes(house: House) -> None:
    session = await house.spawn()
    head = house.feed.head
    async with stream(house, "?after=latest") as frames:
        await house.engine.sessions.rename(session.id, "new")
        assert int((await frames.next())["id"]) == head + 1


@pytest.mark.parametrize("after", ["x", "-1", "1.0", "9223372036854775808", "1 2", "\u0661"])
async def test_a_bad_cursor_is_refused(house: House, after: str) -> None:
    answer = await house.call("GET", f"/api/v1/events?after={after}", headers={**house.user, "Last-Event-ID": "1"})
    assert (answer.status, answer.code) == (400, "INVALID_AFTER")
    header = await house.call("GET", "/api/v1/events", headers={**house.user, "Last-Event-ID": "x"})
    assert header.code == "INVALID_AFTER"


async def test_a_cursor_beyond_the_newest_is_reset_then_live(house: House) -> None:
    session = await house.spawn()
    head = house.feed.head
    async with stream(house, f"?after={head + 1}") as frames:
        assert await frames.next() == {"event": "reset", "data": {"oldest": 1, "head": head}}
        await house.engine.sessions.rename(session.id, "new")
        assert int((await frames.next())["id"]) == head + 1


async def test_a_cursor_older_than_what_is_kept_is_reset(house: House) -> None:
    await house.spawn()
    head = house.feed.head
    await house.engine.world.db.write(lambda conn: changes.prune(conn, older_than_iso="2000", keep_rows=2))
    async with stream(house, "?after=1") as frames:
        assert await frames.next() == {"event": "reset", "data": {"oldest": head - 1, "head": head}}
    async with stream(house) as frames:
        assert [int((await frames.next())["id"]) for _ in range(2)] == [head - 1, head]
    async with stream(house, f"?after={head - 2}") as frames:
        assert int((await frames.next())["id"]) == head - 1


async def test_a_stream_that_fell_behind_the_ring_is_continued_from_the_log(house: House) -> None:
    session = await house.spawn()
    small = Feed(head=house.feed.head, size=2)
    source = events._Source(small, house.engine.world.db, 0, session=None, project=None)
    assert source.first() == HEARTBEAT
    for number in range(6):
        await house.engine.sessions.rename(session.id, f"n{number}")
    for change in changes.after(house.engine.world.db.read, small.head):
        small.publish([change])
    text = b""
    while source.behind:
        text += source.take()
    found = [int(line[4:]) for line in text.split(b"\n") if line.startswith(b"id: ")]
    assert found == list(range(1, small.head + 1))
    small.close()
    with pytest.raises(FeedClosed):
        source.take()


async def test_filters_leave_other_projects_and_sessions_out(house: House) -> None:
    await house.project("other")
    first = await house.spawn()
    second = await house.spawn("other")
    await house.engine.sessions.kill(first.id)
    async with stream(house, "?project=other") as frames:
        assert (await frames.next())["data"]["projectId"] == "other"
        assert (await frames.next())["data"]["sessionId"] == second.id
    async with stream(house, f"?session={second.id}") as frames:
        assert {(await frames.next())["data"]["sessionId"] for _ in range(3)} == {second.id}


async def test_an_orchestrators_stream_shows_its_own_project_only(house: House) -> None:
    await house.project("other")
    leader = await house.spawn(kind=Kind.ORCHESTRATOR)
    await house.spawn("other")
    async with stream(house, "?after=0", **house.bearer(leader)) as frames:
        seen = [await frames.next() for _ in range(3)]
        assert {frame["data"]["projectId"] for frame in seen} == {"shop"}


async def test_an_idle_stream_beats(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    async with stream(house, "?after=latest") as frames:
        async with asyncio.timeout(5):
            lines = [await frames.response.content.readline() for _ in range(8)]
        assert lines == [b": alive\n", b"\n"] * 4
        await house.project("other")
        assert (await within(5, frames.next()))["event"] == "project_added"


async def test_a_stop_ends_open_streams_and_polls_within_two_seconds(house: House) -> None:
    session = await house.spawn()
    poll = asyncio.create_task(house.call("GET", f"/api/v1/sessions/{session.id}?phaseNot=live"))
    async with stream(house, "?after=latest") as frames:
        waiting = asyncio.create_task(frames.next())
        async with asyncio.timeout(5):
            while not house.feed._waiters:  # noqa: ASYNC110 (nothing tells that a reader waits)
                await asyncio.sleep(0.01)
        await within(2, house.server.close())
        assert await waiting == {}
        assert frames.ended
        assert (await poll).status == 200

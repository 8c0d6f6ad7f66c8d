"""The feed: every change once and in order to everyone, a slow subscriber alone falls behind, all end at once."""

from __future__ import annotations

import asyncio
import json

import pytest

from ao.feed import BATCH_LIMIT, Feed, FeedClosed, FeedLagged, Reader, frame
from ao.model.change import Change


def change(seq: int, *, project: str = "app", session: str | None = "app-1") -> Change:
    """A change to publish."""
    return Change(
        seq=seq,
        project_id=project,
        session_id=session,
        type="session_updated",
        payload='{"id":"app-1","isTerminated":false}',
        created_at="2026-01-01T00:00:00.000Z",
    )


async def seqs(reader: Reader) -> list[int]:
    """The sequence numbers of the next batch."""
    async with asyncio.timeout(10):
        return numbers(await reader.batch())


def numbers(frames: bytes) -> list[int]:
    """The sequence numbers of frames."""
    return [int(line.removeprefix(b"id: ")) for line in frames.split(b"\n") if line.startswith(b"id: ")]


def test_a_frame_is_an_event_with_its_data_on_one_line() -> None:
    head, data = frame(change(7)).decode().split("\ndata: ")
    assert head == "id: 7\nevent: session_updated"
    assert data.endswith("}\n\n")
    assert data.count("\n") == 2
    assert json.loads(data) == {
        "seq": 7,
        "projectId": "app",
        "sessionId": "app-1",
        "type": "session_updated",
        "payload": {"id": "app-1", "isTerminated": False},
        "createdAt": "2026-01-01T00:00:00.000Z",
    }


def test_a_change_of_a_project_has_no_session() -> None:
    data = frame(change(7, session=None)).split(b"data: ")[1]
    assert "sessionId" not in json.loads(data)


async def test_what_is_there_comes_in_one_batch_encoded_as_frames() -> None:
    feed = Feed()
    reader = feed.subscribe()
    feed.publish([change(1), change(2)])
    feed.publish([change(5)])
    assert await reader.batch() == b"".join(frame(change(seq)) for seq in (1, 2, 5))
    assert reader.cursor == 5


async def test_a_long_backlog_comes_in_batches_of_limited_size() -> None:
    feed = Feed()
    reader = feed.subscribe()
    feed.publish([change(seq) for seq in range(1, BATCH_LIMIT + 11)])
    assert await seqs(reader) == list(range(1, BATCH_LIMIT + 1))
    assert await seqs(reader) == list(range(BATCH_LIMIT + 1, BATCH_LIMIT + 11))


async def test_a_thousand_waiting_readers_are_all_woken_by_one_publication() -> None:
    feed = Feed(head=3)
    readers = [feed.subscribe() for _ in range(1000)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(seqs(reader)) for reader in readers]
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        feed.publish([change(4), change(5)])
    assert {tuple(task.result()) for task in tasks} == {(4, 5)}


async def test_the_same_encoded_bytes_serve_every_reader() -> None:
    feed = Feed()
    readers = [feed.subscribe() for _ in range(2)]
    feed.publish([change(1)])
    first, second = [(await reader._next())[0].frame for reader in readers]
    assert first is second


async def test_a_reader_starts_after_its_cursor_and_by_default_at_what_is_to_come() -> None:
    feed = Feed(head=10)
    feed.publish([change(seq) for seq in (11, 14, 15)])
    assert (feed.floor, feed.head) == (10, 15)
    assert await seqs(feed.subscribe(10)) == [11, 14, 15]
    assert await seqs(feed.subscribe(12)) == [14, 15]
    live = feed.subscribe()
    feed.publish([change(16)])
    assert await seqs(live) == [16]


async def test_a_reader_ahead_of_the_feed_gets_nothing_twice() -> None:
    """The store may show a commit before the feed publishes it; a replay then ends beyond the feed's head."""
    feed = Feed(head=10)
    reader = feed.subscribe(12)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(seqs(reader))
        await asyncio.sleep(0)
        feed.publish([change(11), change(12)])
        await asyncio.sleep(0)
        feed.publish([change(13)])
    assert task.result() == [13]


async def test_a_reader_gets_only_its_project_or_session() -> None:
    feed = Feed()
    by_project = feed.subscribe(project="web")
    by_session = feed.subscribe(session="app-2")
    feed.publish([change(1), change(2, project="web", session=None), change(3, session="app-2")])
    assert await seqs(by_project) == [2]
    assert await seqs(by_session) == [3]


async def test_a_reader_whose_changes_are_all_filtered_waits_on_and_keeps_up() -> None:
    feed = Feed(size=4)
    reader = feed.subscribe(project="web")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(seqs(reader))
        for seq in range(1, 100):
            await asyncio.sleep(0)
            feed.publish([change(seq)])
        await asyncio.sleep(0)
        assert not task.done()
        feed.publish([change(100, project="web")])
    assert task.result() == [100]


async def test_a_slow_reader_is_told_that_it_lags_and_delays_nobody() -> None:
    feed = Feed(size=10)
    slow, quick = feed.subscribe(), feed.subscribe()
    received: list[int] = []
    for seq in range(1, 101):
        feed.publish([change(seq)])
        received += await seqs(quick)
    assert received == list(range(1, 101))
    with pytest.raises(FeedLagged):
        await slow.batch()


async def test_the_ring_keeps_what_it_promises_and_no_more_than_twice_that() -> None:
    feed = Feed(size=10)
    for seq in range(1, 1001):
        feed.publish([change(seq)])
        assert feed.head - feed.floor >= min(seq, 10)
        assert feed.head - feed.floor <= 20
    assert await seqs(feed.subscribe(feed.floor)) == list(range(feed.floor + 1, 1001))
    with pytest.raises(FeedLagged):
        await feed.subscribe(feed.floor - 1).batch()


async def test_closing_ends_every_reader_at_once_after_what_is_there() -> None:
    feed = Feed()
    behind = feed.subscribe()
    waiting = [feed.subscribe(1) for _ in range(100)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ending(reader)) for reader in waiting]
        await asyncio.sleep(0)
        feed.publish([change(1)])
        feed.close()
    assert all(task.result() for task in tasks)
    assert await seqs(behind) == [1]
    assert await _ending(behind)
    assert await _ending(feed.subscribe())


async def _ending(reader: Reader) -> bool:
    try:
        await reader.batch()
    except FeedClosed:
        return True
    return False


async def test_a_reader_that_stops_waiting_loses_nothing_and_leaves_nothing() -> None:
    feed = Feed()
    reader, other = feed.subscribe(), feed.subscribe()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await reader.batch()
    assert not feed._waiters
    async with asyncio.TaskGroup() as group:
        task = group.create_task(seqs(other))
        await asyncio.sleep(0)
        feed.publish([change(1)])
    assert task.result() == await seqs(reader) == [1]
    assert not feed._waiters


async def test_what_is_ready_comes_without_waiting_and_then_nothing_until_the_feed_ends() -> None:
    feed = Feed(head=3)
    reader, other = feed.subscribe(), feed.subscribe(project="web")
    assert reader.ready() == b""
    feed.publish([change(4)])
    assert numbers(reader.ready()) == [4]
    assert (reader.ready(), other.ready(), other.cursor) == (b"", b"", 4)
    feed.publish([change(5)])
    feed.close()
    assert numbers(reader.ready()) == [5]
    for ended in (reader, feed.subscribe()):
        with pytest.raises(FeedClosed):
            ended.ready()


async def test_listeners_hear_of_every_publication_and_of_the_end() -> None:
    feed = Feed()
    heard: list[int] = []
    feed.listen(lambda: heard.append(feed.head))
    feed.publish([change(1), change(2)])
    feed.publish([])
    feed.close()
    assert heard == [2, 2]

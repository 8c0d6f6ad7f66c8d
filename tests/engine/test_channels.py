"""Deliveries over channels: filters, retries, quiet hours, digests and what needn't be sent any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ao.engine import channels as room
from ao.engine.channels import ATTEMPTS, BACKOFF_S, letter, quiet_for
from ao.model.errors import AoError
from ao.model.notification import DeliveryState, NotificationType
from ao.ports.channels import Channel
from ao.store import notifications
from ao.store.database import Connection, Database
from tests.engine.office import NOON, Office, opened

NIGHT = int(time.mktime((2031, 2, 3, 23, 30, 0, 0, 0, -1))) * 1_000
PHONE, DESK = Channel(name="phone", url="x://phone"), Channel(name="desk", url="x://desk")


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """A store."""
    async with opened(tmp_path) as store:
        yield store.db


async def test_each_channel_gets_what_its_filters_let_through(db: Database) -> None:
    merges = Channel(name="merges", url="x://m", types=(NotificationType.PR_MERGED,))
    other = Channel(name="other", url="x://o", projects=("else",))
    office = Office(db, PHONE, merges, other)
    asked = await office.tell(1)
    merged = await office.tell(2, type=NotificationType.PR_MERGED)
    assert set(office.deliveries(asked)) == {"phone"}
    assert set(office.deliveries(merged)) == {"phone", "merges"}


async def test_what_was_sent_is_not_sent_again(db: Database) -> None:
    office = Office(db, PHONE)
    told = await office.tell(1, body="body", pull_url="https://example.com/pull/4")
    await office.channels.deliver()
    await office.channels.deliver()
    ((name, sent),) = office.post.sent
    assert (name, sent.title, sent.body) == ("phone", "title 1", "body\nshop-1 of shop\nhttps://example.com/pull/4")
    row = office.deliveries(told)["phone"]
    assert (row.state, row.attempts, row.failure) == (DeliveryState.SENT, 1, "")
    last = office.channels.last("phone")
    assert last is not None
    assert (last.failure, last.at) == ("", NOON)


async def test_a_failed_delivery_is_tried_again_with_growing_pauses_and_then_given_up_with_its_reason(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office(db, PHONE)
    office.post.broken = {"phone"}
    told = await office.tell(1)
    for attempt, pause_s in enumerate(BACKOFF_S, 1):
        await office.channels.deliver()
        row = office.deliveries(told)["phone"]
        assert (row.state, row.attempts) == (DeliveryState.PENDING, attempt)
        assert row.due_at == office.now + pause_s * 1_000
        office.now = row.due_at - 1
        await office.channels.deliver()
        assert len(office.post.sent) == attempt
        office.now += 1
    await office.channels.deliver()
    row = office.deliveries(told)["phone"]
    assert (row.state, row.attempts, row.failure) == (DeliveryState.FAILED, ATTEMPTS, "channel 'phone': error=500")
    office.now += 10**9
    await office.channels.deliver()
    assert len(office.post.sent) == ATTEMPTS
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == ["WARNING"]


async def test_one_channel_that_fails_or_hangs_does_not_hold_up_another(db: Database) -> None:
    office = Office(db, PHONE, DESK)
    office.post.held = {"phone"}
    told = await office.tell(1)
    work = asyncio.create_task(office.channels.deliver())
    async with asyncio.timeout(10):
        while len(office.post.sent) < 2:
            office.post.arrived.clear()
            await office.post.arrived.wait()
    assert {name for name, _ in office.post.sent} == {"phone", "desk"}
    office.post.gate.set()
    await work
    assert {row.state for row in office.deliveries(told).values()} == {DeliveryState.SENT}


async def test_in_quiet_hours_nothing_is_sent_and_at_their_end_one_letter_tells_of_all(db: Database) -> None:
    office = Office(db, replace(PHONE, quiet="22:00-07:00"), DESK)
    office.now = NIGHT
    first = await office.tell(1)
    second = await office.tell(2, session_id="")
    await office.channels.deliver()
    assert [name for name, _ in office.post.sent] == ["desk"]
    due = office.deliveries(first)["phone"].due_at
    assert due == office.deliveries(second)["phone"].due_at == NIGHT + 7 * 3_600_000 + 1_800_000
    office.post.sent.clear()
    office.now = due
    await office.channels.deliver()
    ((name, digest),) = office.post.sent
    assert (name, digest.title) == ("phone", "2 notifications")
    assert digest.body == "- title 1 (shop-1)\n- title 2"
    assert office.deliveries(first)["phone"].state is office.deliveries(second)["phone"].state is DeliveryState.SENT


@pytest.mark.parametrize("mark", [notifications.read, notifications.resolve])
async def test_what_was_read_or_is_no_longer_true_is_not_sent(
    db: Database, mark: Callable[[Connection, str, int], object]
) -> None:
    office = Office(db, PHONE)
    told, news = await office.tell(1), await office.tell(2)
    await db.write(lambda conn: mark(conn, told.id, NOON))
    await office.channels.deliver()
    assert office.post.titles == ["title 2"]
    assert office.deliveries(told)["phone"].state is DeliveryState.SKIPPED
    assert office.deliveries(news)["phone"].state is DeliveryState.SENT


async def test_a_channel_that_is_no_longer_configured_is_skipped(db: Database) -> None:
    told = await Office(db, PHONE).tell(1)
    office = Office(db, DESK)
    await office.channels.deliver()
    assert not office.post.sent
    row = office.deliveries(told)["phone"]
    assert (row.state, row.failure) == (DeliveryState.SKIPPED, "there is no such channel any more")


async def test_what_a_killed_daemon_left_is_sent_by_the_next_one(db: Database) -> None:
    told = await Office(db, PHONE).tell(1)
    office = Office(db, PHONE)
    await office.channels.deliver()
    assert office.post.titles == ["title 1"]
    assert office.deliveries(told)["phone"].state is DeliveryState.SENT


async def test_what_was_sent_while_the_store_could_not_take_it_down_is_only_taken_down_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(db, PHONE)
    told = await office.tell(1)
    with monkeypatch.context() as patch:
        patch.setattr(notifications, "change_delivery", _full)
        with pytest.raises(ExceptionGroup):
            await office.channels.deliver()
    await office.channels.deliver()
    assert office.post.titles == ["title 1"]
    assert office.deliveries(told)["phone"].state is DeliveryState.SENT


def _full(*_: object, **__: object) -> None:
    raise AoError("STORE_UNAVAILABLE", "the disk is full")


async def test_the_loop_wakes_for_news_and_survives_an_error(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(db, PHONE)
    failed = asyncio.Event()

    async def trouble() -> None:
        monkeypatch.undo()
        failed.set()
        raise RuntimeError("once")

    monkeypatch.setattr(office.channels, "deliver", trouble)
    loop = office.world.start(office.channels.run())
    async with asyncio.timeout(10):
        await failed.wait()
        await office.tell(1)
        office.channels.wake()
        await office.post.arrived.wait()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert office.post.titles == ["title 1"]


async def test_a_test_goes_past_filters_and_quiet_hours_and_says_how_each_channel_went(db: Database) -> None:
    quiet = Channel(name="quiet", url="x://q", quiet="00:00-23:59", types=(NotificationType.BUDGET,))
    office = Office(db, quiet, DESK)
    office.post.broken = {"desk"}
    results = await office.channels.test(None)
    assert [(one.channel, one.failure, one.hint) for one in results] == [
        ("quiet", "", ""),
        ("desk", "channel 'desk': error=500", "look"),
    ]
    assert [one.channel for one in await office.channels.test("desk")] == ["desk"]


@pytest.mark.parametrize(("configured", "hint"), [((PHONE, DESK), "phone, desk"), ((), "config.toml")])
async def test_a_test_of_an_unknown_channel_is_refused(
    db: Database, configured: tuple[Channel, ...], hint: str
) -> None:
    with pytest.raises(AoError) as caught:
        await Office(db, *configured).channels.test("x" if configured else None)
    assert caught.value.code == "CHANNEL_NOT_FOUND"
    assert hint in (caught.value.hint or "")


async def test_a_digest_is_bounded(db: Database) -> None:
    office = Office(db)
    told = [await office.tell(number) for number in range(40)]
    digest = letter(told)
    assert digest.title == "40 notifications"
    assert digest.body.splitlines()[-1] == f"and {40 - room.DIGEST_LINES} more"
    assert len(digest.body.splitlines()) == room.DIGEST_LINES + 1


def test_quiet_hours_end_on_the_minute() -> None:
    channel = replace(PHONE, quiet="22:00-07:00")
    assert quiet_for(channel, NOON) == 0
    assert quiet_for(channel, NIGHT + 59_000) == 7 * 3_600 + 1_800 - 59
    assert quiet_for(PHONE, NIGHT) == 0

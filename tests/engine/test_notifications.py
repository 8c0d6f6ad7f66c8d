"""Notifications are equal to what holds: told once, resolved by the facts, nothing lost over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ao.engine.notifications import Notifications
from ao.model.errors import AoError
from ao.model.notices import Wanted
from ao.model.notification import DeliveryState, Notification, NotificationType
from ao.model.nudge import Cause, Nudge, NudgeState
from ao.model.pull import Check, Facts, Observation, PullRef, Repo
from ao.model.session import Activity, Kind, NewSession, Phase, Session
from ao.ports.channels import Channel
from ao.store import notifications, nudges, pulls, sessions
from ao.store.database import Connection
from tests.engine.office import Office, Store, opened

PHONE = Channel(name="phone", url="x://phone")
URL = "https://example.com/acme/shop/pull/4"
REF = PullRef(repo=Repo(forge="github", host="example.com", path="acme/shop"), number=4)
READY: dict[str, Any] = {"ci": "passing", "review": "approved", "mergeability": "mergeable"}
ASKS, READY_TYPE = NotificationType.NEEDS_INPUT, NotificationType.READY_TO_MERGE


class Desk:
    """A session of project `shop`, and what is noted of it."""

    def __init__(self, store: Store, office: Office, session: Session) -> None:
        self.store = store
        self.office = office
        self.id = session.id

    async def change(self, **fields: Any) -> None:
        """Change the session and let its notifications follow."""
        now = self.office.now
        if "activity" in fields:
            fields.setdefault("activity_at", now)
        await self.store.db.write(
            lambda conn: sessions.change(conn, self.id, lambda row: replace(row, **fields), now=now)
        )
        await self.office.settled()

    async def observe(self, **facts: Any) -> None:
        """Record its pull request and let the notifications follow."""
        given: dict[str, Any] = {"url": URL, "number": 4, "repo": REF.repo.key, "title": "Add", "head_sha": "a" * 40}
        seen = Observation(facts=Facts(**{**given, **facts}), threads=(), reviews=(), comments=())
        now = self.office.now
        await self.store.db.write(lambda conn: pulls.record(conn, (self.id, "shop"), REF, seen, now=now))
        await self.office.settled()

    async def give_up(self, state: NudgeState = NudgeState.GAVE_UP) -> None:
        """Enter into the ledger that the agent is told of failing checks no more."""
        now = self.office.now
        nudge = Nudge(
            id=f"ndg_{now}", session_id=self.id, pull_url=URL, cause=Cause.CI, head_sha="a" * 40, signature="s",
            round=3, state=state, reason="told 3 times", created_at=now, updated_at=now,
        )  # fmt: skip
        await self.store.db.write(lambda conn: nudges.add(conn, nudge))
        await self.office.settled()

    def rows(self) -> list[Notification]:
        """All its notifications, newest first."""
        return [row for row in self.office.notifications.page(status="all", limit=100) if row.session_id == self.id]

    def standing(self) -> list[str]:
        """The types of those that hold."""
        return sorted(row.type.value for row in self.rows() if row.resolved_at is None)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store."""
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
async def desk(store: Store) -> AsyncIterator[Desk]:
    """A living session, watched."""
    office = Office(store.db, PHONE)
    store.listeners.append(office.notifications)
    yield await seat(store, office)
    await office.close()


async def seat(store: Store, office: Office) -> Desk:
    """A living session."""

    def seed(conn: Connection) -> Session:
        new = NewSession(project_id="shop", kind=Kind.WORKER, agent="demo", repo_path="/r")
        made = sessions.seed(conn, new, now=office.now)
        live = sessions.change(
            conn, made.id, lambda row: replace(row, phase=Phase.LIVE, activity=Activity.ACTIVE), now=office.now
        )
        assert live is not None
        return live

    desk = Desk(store, office, await store.db.write(seed))
    await office.settled()
    return desk


async def test_an_agent_that_waits_is_told_once_and_resolved_when_it_goes_on(desk: Desk) -> None:
    await desk.change(activity=Activity.WAITING_INPUT)
    await desk.change(display_name="parser")
    (told,) = desk.rows()
    assert (told.type, told.title, told.project_id) == (ASKS, f"{desk.id} needs input", "shop")
    desk.office.now += 1
    await desk.change(activity=Activity.ACTIVE)
    (row,) = desk.rows()
    assert (row.id, row.resolved_at, row.read_at) == (told.id, desk.office.now, None)


async def test_a_question_that_becomes_more_urgent_is_not_told_again_until_it_was_read(desk: Desk) -> None:
    await desk.change(activity=Activity.WAITING_INPUT)
    desk.office.now += 1
    await desk.change(activity=Activity.BLOCKED)
    (told,) = desk.rows()
    assert told.resolved_at is None
    await desk.office.notifications.read(told.id)
    desk.office.now += 1
    await desk.change(activity=Activity.WAITING_INPUT)
    new, old = desk.rows()
    assert old.id == told.id
    assert old.resolved_at is not None
    assert (new.read_at, new.resolved_at) == (None, None)


async def test_each_new_question_is_told_anew(desk: Desk) -> None:
    for _ in range(2):
        desk.office.now += 1
        await desk.change(activity=Activity.WAITING_INPUT)
        await desk.change(activity=Activity.ACTIVE)
    assert len(desk.rows()) == 2
    assert desk.standing() == []


async def test_the_end_of_a_session_resolves_its_question(desk: Desk) -> None:
    await desk.change(activity=Activity.BLOCKED)
    await desk.change(phase=Phase.ENDING)
    assert desk.standing() == []
    assert len(desk.rows()) == 1


async def test_a_pull_request_is_ready_until_it_is_merged_which_is_told_once_for_ever(desk: Desk) -> None:
    await desk.observe(**READY)
    assert desk.standing() == ["ready_to_merge"]
    desk.office.now += 1
    await desk.observe(state="merged", **READY)
    assert desk.standing() == ["pr_merged"]
    merged = desk.rows()[0]
    assert (merged.pull_url, merged.title) == (URL, "PR #4 was merged")
    await desk.office.notifications.read(merged.id)
    await desk.observe(state="merged", title="Renamed", **READY)
    again = Office(desk.store.db, PHONE)
    await again.notifications.reconcile(desk.id)
    assert [row.type.value for row in desk.rows()].count("pr_merged") == 1


async def test_what_holds_again_while_nobody_has_looked_stands_again_without_a_second_letter(desk: Desk) -> None:
    await desk.observe(**READY)
    await desk.office.channels.deliver()
    await desk.observe(**{**READY, "ci": "pending"})
    assert desk.standing() == []
    await desk.observe(**READY)
    assert desk.standing() == ["ready_to_merge"]
    unread = desk.office.notifications.page(status="unread", limit=10)
    assert [row.resolved_at for row in unread] == [None]
    await desk.office.channels.deliver()
    assert desk.office.post.titles == ["PR #4 is ready to merge"]


async def test_what_was_resolved_before_its_letter_went_is_sent_when_it_holds_again(desk: Desk) -> None:
    await desk.observe(**READY)
    await desk.observe(**{**READY, "ci": "pending"})
    await desk.office.channels.deliver()
    assert desk.office.post.titles == []
    await desk.observe(**READY)
    await desk.office.channels.deliver()
    assert desk.office.post.titles == ["PR #4 is ready to merge"]


async def test_a_used_up_budget_is_told_with_its_reason_until_a_new_commit_comes(desk: Desk) -> None:
    await desk.observe(ci="failing")
    assert desk.standing() == []
    await desk.give_up()
    assert desk.standing() == ["ci_gave_up"]
    assert "told 3 times" in desk.rows()[0].body
    await desk.observe(ci="failing", head_sha="b" * 40)
    assert desk.standing() == []


async def test_an_agent_that_died_is_lost_until_it_is_restored(desk: Desk) -> None:
    await desk.change(activity=Activity.EXITED, exit_code=1, launches=1)
    assert desk.standing() == ["session_lost"]
    await desk.change(activity=Activity.ACTIVE, exit_code=None, launches=2)
    assert desk.standing() == []


async def test_a_pull_request_that_is_taken_over_moves_its_notifications(desk: Desk) -> None:
    await desk.observe(**READY)
    other = await seat(desk.store, desk.office)
    seen = Observation(facts=Facts(url=URL, number=4, repo=REF.repo.key, title="Add", head_sha="a" * 40, **READY))
    await desk.store.db.write(
        lambda conn: pulls.claim(conn, (other.id, "shop"), REF, seen, allow_takeover=True, now=desk.office.now)
    )
    await desk.office.settled()
    assert desk.standing() == []
    assert other.standing() == ["ready_to_merge"]


async def test_the_row_and_its_deliveries_come_in_one_commit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AoError("STORE_UNAVAILABLE", "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(notifications, "add_deliveries", broken)
        await desk.change(activity=Activity.BLOCKED)
    assert desk.rows() == []
    await desk.office.notifications.reconcile(desk.id)
    (told,) = desk.rows()
    assert [row.state for row in notifications.deliveries_of(desk.store.db.read, told.id)] == [DeliveryState.PENDING]


async def test_after_a_restart_what_was_missed_is_told_and_resolved_and_what_waits_is_sent(store: Store) -> None:
    office = Office(store.db, PHONE)
    lost, answered, gone = [await seat(store, office) for _ in range(3)]
    for desk in (answered, gone):
        await desk.change(activity=Activity.BLOCKED)
        await office.notifications.reconcile(desk.id)
    await answered.change(activity=Activity.ACTIVE)
    await gone.change(phase=Phase.ENDED)
    await lost.observe(state="merged")
    await lost.change(phase=Phase.ENDED)
    assert (lost.standing(), answered.standing(), gone.standing()) == ([], ["needs_input"], ["needs_input"])

    restarted = Office(store.db, PHONE)
    restarted.notifications.resume()
    async with asyncio.timeout(10):
        await restarted.post.arrived.wait()
        while not lost.standing() or answered.standing() or gone.standing():
            restarted.post.arrived.clear()
            await asyncio.wait(restarted.tasks, return_when=asyncio.FIRST_COMPLETED)
    await restarted.close()
    assert lost.standing() == ["pr_merged"]
    assert restarted.post.titles[-1] == "PR #4 was merged"


async def test_many_changes_of_a_session_cost_one_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    reconcile = Notifications.reconcile

    async def counted(self: Notifications, session_id: str) -> None:
        looks.append(session_id)
        await reconcile(self, session_id)

    monkeypatch.setattr(Notifications, "reconcile", counted)
    for _ in range(50):
        desk.office.notifications.wake(desk.id)
    await desk.office.settled()
    assert looks == [desk.id]


async def test_nothing_is_written_while_nothing_changes(desk: Desk) -> None:
    await desk.observe(state="merged")
    await desk.change(activity=Activity.BLOCKED)
    before = desk.store.db.revision
    writes: list[object] = []
    write = desk.store.db.write
    desk.store.db.write = lambda fn: writes.append(fn) or write(fn)  # type: ignore[method-assign, func-returns-value]
    await desk.office.notifications.reconcile(desk.id)
    assert (writes, desk.store.db.revision) == ([], before)


async def test_one_session_that_cannot_be_read_does_not_hold_up_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await seat(desk.store, desk.office)
    reconcile = Notifications.reconcile

    async def failing(self: Notifications, session_id: str) -> None:
        if session_id == desk.id:
            raise RuntimeError("broken row")
        await reconcile(self, session_id)

    monkeypatch.setattr(Notifications, "reconcile", failing)
    desk.office.notifications.wake(desk.id)
    await other.change(activity=Activity.BLOCKED)
    assert other.standing() == ["needs_input"]


async def test_what_no_rule_finds_is_added_once_and_stays_until_it_is_resolved(desk: Desk) -> None:
    wanted = Wanted(type=NotificationType.BUDGET, signature="day-1", title="Budget reached")
    room = desk.office.notifications
    told = await room.add(wanted, project_id="shop", session_id=desk.id)
    assert told is not None
    assert await room.add(wanted, project_id="shop", session_id=desk.id) is None
    await room.reconcile(desk.id)
    assert desk.standing() == ["budget"]
    await room.resolve(told.id)
    await room.resolve(told.id)
    assert desk.standing() == []
    assert room.counts() == (1, 0)


async def test_an_unknown_or_read_one_cannot_be_marked(desk: Desk) -> None:
    await desk.change(activity=Activity.BLOCKED)
    (told,) = desk.rows()
    await desk.office.notifications.read(told.id)
    for which in (told.id, "ntf_unknown"):
        with pytest.raises(AoError) as refused:
            await desk.office.notifications.read(which)
        assert refused.value.code == "NOTIFICATION_NOT_FOUND"


async def test_a_failing_check_alone_is_the_agents_business(desk: Desk) -> None:
    seen = Observation(
        facts=Facts(url=URL, number=4, repo=REF.repo.key, ci="failing", head_sha="a" * 40),
        checks=(Check(name="test", commit_sha="a" * 40, status="failed"),),
    )
    await desk.store.db.write(lambda conn: pulls.record(conn, (desk.id, "shop"), REF, seen, now=desk.office.now))
    await desk.office.settled()
    assert desk.rows() == []

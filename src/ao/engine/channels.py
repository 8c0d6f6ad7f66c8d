"""Deliveries: what was notified goes out over the configured channels, at least once, without holding anything up.

A delivery is a row, made in the transaction of its notification. One task sends what is due and sleeps until the next
is; a failed one is tried again, five times in all over about 36 minutes, and then given up with its reason. In a
channel's quiet hours nothing goes; at their end, as whenever several wait, one letter tells of all. What was read or is
no longer true by then isn't sent. Only this task changes deliveries.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ao.engine.world import World
from ao.model import quiet_hours
from ao.model.errors import AoError
from ao.model.notification import Delivery, DeliveryState, Notification, NotificationType
from ao.ports.channels import Channel, Letter, Sender
from ao.store import notifications
from ao.store.database import Connection

BACKOFF_S: Final = (10, 60, 300, 1_800)
"""Pauses after the first, second, … failed attempt; after the last of them one more attempt."""
ATTEMPTS: Final = len(BACKOFF_S) + 1
AFTER_TROUBLE_S: Final = 30.0
LONGEST_SLEEP_S: Final = 300.0
"""While something waits: the machine may have slept, or its clock been set, meanwhile."""
DIGEST_LINES: Final = 15
_CAUSE_LIMIT: Final = 300

log = logging.getLogger("ao.engine.channels")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel's last attempt went. `failure` is "" when it was taken; `at` in milliseconds since the epoch."""

    channel: str
    failure: str = ""
    hint: str = ""
    at: int


class Channels:
    """The configured channels and what is on its way to them."""

    def __init__(self, world: World, configured: Sequence[Channel], sender: Sender) -> None:
        self.configured = tuple(configured)
        self._world = world
        self._sender = sender
        self._wake = asyncio.Event()
        self._results: dict[str, Result] = {}
        self._unmarked: set[str] = set()
        """Deliveries that were sent, while the store couldn't take that down."""

    def last(self, name: str) -> Result | None:
        """How the channel's last attempt of this daemon went, None when there was none."""
        return self._results.get(name)

    def deliveries(self, told: Notification) -> list[Delivery]:
        """The rows for a new notification: one for each channel whose filters let it through."""
        return [
            Delivery(
                id=f"dlv_{uuid.uuid4().hex}",
                notification_id=told.id,
                channel=channel.name,
                due_at=told.created_at,
                created_at=told.created_at,
                updated_at=told.created_at,
            )
            for channel in self.configured
            if channel.admits(told.type, told.project_id)
        ]

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            self._wake.clear()
            try:
                await self.deliver()
                pause = self._pause_s()
            except Exception:
                log.exception("deliveries failed")
                pause = AFTER_TROUBLE_S
            await _waited(self._wake, pause)

    async def deliver(self) -> None:
        """Send what is due now, each channel beside the others; returns when all have answered."""
        waiting: dict[str, list[Delivery]] = {}
        for delivery in notifications.due(self._world.db.read, self._world.now()):
            waiting.setdefault(delivery.channel, []).append(delivery)
        async with asyncio.TaskGroup() as group:
            for name, rows in waiting.items():
                group.create_task(self._serve(name, rows))

    async def test(self, name: str | None) -> list[Result]:
        """Send a test over one channel, or over all, whatever their filters and quiet hours say.

        Raises `CHANNEL_NOT_FOUND` for an unknown one, or when there is none at all.
        """
        chosen = [channel for channel in self.configured if name in (None, channel.name)]
        if not chosen:
            known = ", ".join(channel.name for channel in self.configured)
            raise AoError(
                "CHANNEL_NOT_FOUND",
                f"no channel {name!r}" if name is not None else "no channel is configured",
                hint=f"configured: {known}" if known else "add [channels.NAME] to config.toml and restart the daemon",
            )
        letter = Letter(type=NotificationType.TEST, title="Test from ao", body="This channel works.")
        return list(await asyncio.gather(*(self._attempt(channel, letter) for channel in chosen)))

    async def _serve(self, name: str, rows: list[Delivery]) -> None:
        channel = next((channel for channel in self.configured if channel.name == name), None)
        if channel is None:
            await self._mark(rows, _skipped("there is no such channel any more"))
            return
        now = self._world.now()
        quiet_s = quiet_for(channel, now)
        if quiet_s:
            await self._mark(rows, lambda row: replace(row, due_at=now + quiet_s * 1_000))
            return
        told = {row.id: notifications.get(self._world.db.read, row.notification_id) for row in rows}
        sent = [row for row in rows if row.id in self._unmarked]
        fresh = [row for row in rows if row not in sent and _still_news(told[row.id])]
        stale = [row for row in rows if row not in sent and row not in fresh]
        await self._mark(sent, _sent)
        await self._mark(stale, _skipped("read, or no longer true"))
        if fresh:
            result = await self._attempt(channel, letter([found for row in fresh if (found := told[row.id])]))
            await self._settle(fresh, result)

    async def _attempt(self, channel: Channel, text: Letter) -> Result:
        failure, hint = "", ""
        try:
            await self._sender.send(channel, text)
        except AoError as error:
            failure, hint = error.message[:_CAUSE_LIMIT], error.hint or ""
        self._results[channel.name] = Result(channel=channel.name, failure=failure, hint=hint, at=self._world.now())
        return self._results[channel.name]

    async def _settle(self, rows: list[Delivery], result: Result) -> None:
        if not result.failure:
            self._unmarked.update(row.id for row in rows)
            await self._mark(rows, _sent)
            return
        last = max(row.attempts for row in rows) + 1 >= ATTEMPTS
        level = logging.WARNING if last else logging.INFO
        log.log(level, "channel failed", extra={"channel": result.channel, "cause": result.failure, "gave_up": last})
        await self._mark(rows, _failed(result))

    async def _mark(self, rows: list[Delivery], fn: Callable[[Delivery], Delivery]) -> None:
        now = self._world.now()

        def mark(conn: Connection) -> None:
            for row in rows:
                notifications.change_delivery(conn, row.id, fn, now=now)

        if rows:
            await self._world.db.write(mark)
            self._unmarked.difference_update(row.id for row in rows)

    def _pause_s(self) -> float | None:
        due = notifications.next_due(self._world.db.read)
        return None if due is None else min(max((due - self._world.now()) / 1_000, 0.0), LONGEST_SLEEP_S)


def quiet_for(channel: Channel, now: int) -> int:
    """Seconds until the channel's quiet hours end; 0 outside of them. `now` in milliseconds since the epoch."""
    if not channel.quiet:
        return 0
    local = time.localtime(now / 1_000)
    wait_s = quiet_hours.until(channel.quiet, local.tm_hour * 60 + local.tm_min)
    return max(wait_s - local.tm_sec, 1) if wait_s else 0


def letter(told: Sequence[Notification]) -> Letter:
    """What tells of one notification, or of several at once."""
    if len(told) == 1:
        return Letter(type=told[0].type, title=told[0].title, body=_body(told[0]))
    lines = [f"- {one.title}" + (f" ({one.session_id})" if one.session_id else "") for one in told[:DIGEST_LINES]]
    more = len(told) - DIGEST_LINES
    return Letter(
        type=told[0].type,
        title=f"{len(told)} notifications",
        body="\n".join([*lines, *([f"and {more} more"] if more > 0 else [])]),
    )


def _body(told: Notification) -> str:
    where = " of ".join(name for name in (told.session_id, told.project_id) if name)
    link = told.pull_url if told.pull_url.startswith("https://") else ""
    return "\n".join(line for line in (told.body, where, link) if line)


def _still_news(told: Notification | None) -> bool:
    return told is not None and told.read_at is None and told.resolved_at is None


def _sent(row: Delivery) -> Delivery:
    return replace(row, state=DeliveryState.SENT, attempts=row.attempts + 1, failure="")


def _skipped(reason: str) -> Callable[[Delivery], Delivery]:
    return lambda row: replace(row, state=DeliveryState.SKIPPED, failure=reason)


def _failed(result: Result) -> Callable[[Delivery], Delivery]:
    def change(row: Delivery) -> Delivery:
        attempts = row.attempts + 1
        if attempts >= ATTEMPTS:
            return replace(row, state=DeliveryState.FAILED, attempts=attempts, failure=result.failure)
        due_at = result.at + BACKOFF_S[attempts - 1] * 1_000
        return replace(row, attempts=attempts, failure=result.failure, due_at=due_at)

    return change


async def _waited(event: asyncio.Event, pause_s: float | None) -> None:
    """Return when `event` is set, or after `pause_s` (None: never)."""
    try:
        async with asyncio.timeout(pause_s):
            await event.wait()
    except TimeoutError:
        return

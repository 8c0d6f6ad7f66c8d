"""Reviewers while they are at it: leases, reminders, ends.

What happens to a reviewer is decided by `review_plan.step` from its session and its run as they are, so a restart loses
nothing but the last sign of life. One task waits for the next lease to end; there is none while no reviewer lives.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from msgspec.structs import replace

from ao.engine.messaging import Messaging
from ao.engine.sessions import Sessions
from ao.engine.world import World
from ao.model import review_texts
from ao.model.errors import AoError
from ao.model.message import MessageSource
from ao.model.review import ReviewRun, RunStatus
from ao.model.review_plan import LEASE_MS, Do, Step, step
from ao.model.session import Kind, Session
from ao.store import pulls, reviews, sessions
from ao.store.database import Connection

RETRY_MS: Final = 30_000
"""When something that failed is tried again."""

log = logging.getLogger("ao.engine.reviews")


class Reviewers:
    """Watches those that live."""

    def __init__(self, world: World, sessions_: Sessions, messaging: Messaging) -> None:
        self._world = world
        self._sessions = sessions_
        self._messaging = messaging
        self._heard: dict[str, int] = {}
        """When each watched reviewer gave its last sign of life."""
        self._news = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    def of(self, run: ReviewRun) -> Session | None:
        """The session that reads for a run, also before the run knows of it; None when there is none."""
        read = self._world.db.read
        if run.reviewer_id:
            return sessions.get(read, run.reviewer_id)
        found = sessions.find_idempotent(read, run.id)
        return found[1] if found is not None else None

    def heard(self, session_id: str) -> None:
        """A session gave a sign of life; nothing happens when it is no reviewer."""
        if session_id in self._heard:
            self._heard[session_id] = self._world.now()

    def changed(self, session_id: str) -> None:
        """A session's row has changed; if it is a reviewer something may follow."""
        if session_id in self._heard:
            self.heard(session_id)
            self.wake()

    def wake(self) -> None:
        """A run or a reviewer has changed."""
        self._news.set()
        if self._task is None or self._task.done():
            self._task = self._world.start(self._watch())

    async def _watch(self) -> None:
        while True:
            self._news.clear()
            next_at = await self._round()
            if next_at is None and not self._news.is_set():
                return
            pause_s = None if next_at is None else max(0.0, (next_at - self._world.now()) / 1000)
            try:
                async with asyncio.timeout(pause_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _round(self) -> int | None:
        """Do what is due for every run; when to look again (None: nobody is left to look at)."""
        watched = self._watched()
        ids = {reviewer.id for _, reviewer in watched if reviewer is not None}
        self._heard = {session_id: self._heard.get(session_id, self._world.now()) for session_id in sorted(ids)}
        times = []
        for run, _ in watched:
            try:
                times.append(await self.settle(run.id))
            except Exception as error:
                cause = None if isinstance(error, AoError) else error
                log.warning("reviewer not settled", extra={"run": run.id, "cause": str(error)}, exc_info=cause)
                times.append(self._world.now() + RETRY_MS)
        return min((at for at in times if at is not None), default=None)

    def _watched(self) -> list[tuple[ReviewRun, Session | None]]:
        """Running runs with their reviewers, and reviewers that outlive their runs."""
        read = self._world.db.read
        found = {run.id: (run, self.of(run)) for run in reviews.running(read)}
        for session in sessions.unfinished(read):
            run = reviews.by_reviewer(read, session.id) if session.kind is Kind.REVIEWER else None
            if run is not None:
                found.setdefault(run.id, (run, session))
        return list(found.values())

    async def settle(self, run_id: str) -> int | None:
        """Do what is due for one run; when to look again (None: never). Raises what killing a session raises."""
        run = reviews.get(self._world.db.read, run_id)
        if run is None:
            return None
        reviewer = self.of(run)
        heard_at = self._heard.get(reviewer.id, 0) if reviewer is not None else 0
        found = step(run, reviewer, now=self._world.now(), heard_at=heard_at)
        if found.do is Do.EXTEND:
            await self._extend(run.id, found.until)
        elif found.do is Do.REMIND and reviewer is not None:
            await self._remind(run, reviewer)
        elif found.do is Do.FAIL:
            await self.end(run.id, RunStatus.FAILED, found.reason)
        if found.do in (Do.FAIL, Do.KILL):
            await self.kill(run)
        return self._next(found)

    def _next(self, found: Step) -> int | None:
        return found.until if found.do in (Do.WAIT, Do.EXTEND, Do.REMIND) else None

    async def _extend(self, run_id: str, until: int) -> None:
        now = self._world.now()

        def extend(row: ReviewRun) -> ReviewRun | None:
            return replace(row, lease_until=until) if row.status is RunStatus.RUNNING else None

        await self._world.db.write(lambda conn: reviews.change(conn, run_id, extend, now=now))

    async def _remind(self, run: ReviewRun, reviewer: Session) -> None:
        """Once: the key makes every further reminder the first one."""
        pull = pulls.get(self._world.db.read, run.pull_url)
        if pull is None:
            return
        text = review_texts.reminder(pull, run, ao_bin=self._world.settings.ao_bin)
        try:
            await self._messaging.send(
                reviewer.id, text, source=MessageSource.NUDGE, sender="ao", key=f"remind:{run.id}"
            )
        except AoError as error:
            log.info("reviewer not reminded", extra={"run": run.id, "cause": error.message})

    async def seated(self, run_id: str, session: Session) -> None:
        """The reviewer of a run is there: the run knows it from now on, and its lease begins."""
        now = self._world.now()

        def seat(row: ReviewRun) -> ReviewRun:
            lease = now + LEASE_MS if row.status is RunStatus.RUNNING else row.lease_until
            return replace(row, reviewer_id=session.id, lease_until=lease)

        await self._world.db.write(lambda conn: reviews.change(conn, run_id, seat, now=now))
        self.wake()

    async def end(self, run_id: str, status: RunStatus, reason: str) -> ReviewRun | None:
        """Take a running run to failed or cancelled; the row, None when it wasn't running."""
        now = self._world.now()

        def end(row: ReviewRun) -> ReviewRun | None:
            return replace(row, status=status, failure=reason) if row.status is RunStatus.RUNNING else None

        def change(conn: Connection) -> ReviewRun | None:
            return reviews.change(conn, run_id, end, now=now)

        ended = await self._world.db.write(change)
        if ended is not None:
            log.info("review ended", extra={"run": run_id, "status": status, "cause": reason})
        return ended

    async def kill(self, run: ReviewRun) -> None:
        """End the reviewer of a run; what it left in its worktree is kept in a ref. Raises `RUNTIME_FAILED`."""
        reviewer = self.of(run)
        if reviewer is not None and not reviewer.is_half_made:
            await self._sessions.kill(reviewer.id, force=True)

"""Verdicts on their way to the forge: posted once, whatever the daemon is killed between.

A verdict is recorded first, then posted, then marked as delivered. The posted text ends with a mark that names its
run; before anything is posted it is looked for, so a crash after the post doesn't post twice. The worker hears of
the verdict as of any review: it is observed, and nudging decides. Only when the forge refuses it for good is it told
here.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from typing import Final

from msgspec.structs import replace

from ao.engine.pull_actions import PullActions
from ao.engine.pull_requests import Target
from ao.engine.pulls import Pulls
from ao.engine.world import World
from ao.model import review_texts
from ao.model.errors import AoError
from ao.model.message import Message, MessageSource
from ao.model.pull import Pull, Review
from ao.model.review import ReviewRun, RunStatus
from ao.model.review_plan import MARK, comments_of, posted_body, posted_verdict
from ao.ports.forge import ReviewPost
from ao.store import messages, reviews, sessions
from ao.store.database import Connection

LONGEST_PAUSE_S: Final = 300.0
PASSING: Final = frozenset({"SCM_UNAVAILABLE", "SCM_RATE_LIMITED", "STORE_UNAVAILABLE", "REPOSITORY_BUSY"})
"""Refusals that may be over later."""

log = logging.getLogger("ao.engine.reviews")


class Posting:
    """Posts recorded verdicts, each in a task of its own until that is settled."""

    def __init__(self, world: World, pulls: Pulls, actions: PullActions) -> None:
        self._world = world
        self._pulls = pulls
        self._actions = actions
        self._busy: set[str] = set()

    def start(self, run_id: str) -> None:
        """See to it that the verdict of a complete run gets to where it belongs."""
        if run_id not in self._busy:
            self._busy.add(run_id)
            self._world.start(self._run(run_id))

    async def _run(self, run_id: str) -> None:
        failures = 0
        try:
            while (run := reviews.get(self._world.db.read, run_id)) and run.status is RunStatus.COMPLETE:
                try:
                    await self._settle(run)
                except Exception as error:
                    failures += 1
                    pause_s = _pause_s(error, failures)
                    cause = None if isinstance(error, AoError) else error
                    log.warning("review not posted", extra={"run": run_id, "retry_s": pause_s}, exc_info=cause)
                    await asyncio.sleep(pause_s)
        finally:
            self._busy.discard(run_id)

    async def _settle(self, run: ReviewRun) -> None:
        """One attempt. Raises what may be over later."""
        if run.forge_review_id:
            await self._delivered(run, run.forge_review_id)
            return
        try:
            target = self._pulls.target(run.pull_url, project=run.project_id)
            review_id = await self._post(run, target)
        except AoError as error:
            if error.code in PASSING:
                raise
            await self._refused(run, error.message)
            return
        if review_id:
            await self._delivered(run, review_id)

    async def _post(self, run: ReviewRun, target: Target) -> str:
        """The forge's id of the review; "" when there is nothing to review any more."""
        entry = await self._pulls.refresh(target)
        known = entry.picture.reviews if entry.picture is not None else ()
        mark = MARK.format(run=run.id)
        before = next((review for review in known if mark in review.body), None)
        if before is not None:
            return before.review_id
        if entry.facts.state not in ("open", "draft"):
            await self._too_late(run, entry.facts.state)
            return ""
        return (await self._submit(run, target)).review_id

    async def _submit(self, run: ReviewRun, target: Target) -> Review:
        forge, comments = target.ref.repo.forge, comments_of(run)
        post = ReviewPost(
            verdict=posted_verdict(forge, run.verdict),
            body=posted_body(run, forge, inline=True),
            comments=comments,
            commit_sha=run.target_sha,
            session=self._voice(run),
        )
        try:
            return await self._actions.review(target, post)
        except AoError as error:
            if error.code != "INVALID_REVIEW" or not comments:
                raise
        # A line that isn't part of the change can't be commented on: then it is said in the text.
        return await self._actions.review(
            target, replace(post, body=posted_body(run, forge, inline=False), comments=())
        )

    def _voice(self, run: ReviewRun) -> str:
        """The session in whose name it is posted: that of the pull request's first reviewer. For a forge the newest
        verdict of each reviewer counts, so one that asked for changes would stand for ever beside its successor's."""
        runs = reversed(reviews.of_pull(self._world.db.read, run.pull_url))
        delivered = (old.reviewer_id for old in runs if old.status is RunStatus.DELIVERED and old.reviewer_id)
        return next(delivered, run.reviewer_id)

    async def _delivered(self, run: ReviewRun, review_id: str) -> None:
        now = self._world.now()
        await self._world.db.write(
            lambda conn: reviews.change(conn, run.id, lambda row: _marked(row, review_id, now), now=now)
        )
        log.info("review posted", extra={"run": run.id, "pull": run.pull_url, "verdict": run.verdict})

    async def _refused(self, run: ReviewRun, why: str) -> None:
        """The forge will never take it: tell the worker what was asked for, in the same step as the mark."""
        log.warning("the forge refuses a review", extra={"run": run.id, "pull": run.pull_url, "cause": why})
        now, nonce = self._world.now(), secrets.token_hex(8)
        pull = next((each for each in self._rows(run) if each.url == run.pull_url), None)

        def settle(conn: Connection) -> None:
            changed = reviews.change(conn, run.id, lambda row: _marked(row, "", now, failure=why), now=now)
            worker = sessions.get(conn, run.session_id)
            if changed is None or pull is None or run.verdict == "approved" or worker is None or worker.is_terminated:
                return
            text = review_texts.verdict(pull, run, nonce=nonce)
            messages.add(conn, _message(run, text, now))

        await self._world.db.write(settle)

    def _rows(self, run: ReviewRun) -> list[Pull]:
        return [picture.pull for picture in self._pulls.of_session(run.session_id)]

    async def _too_late(self, run: ReviewRun, state: str) -> None:
        now = self._world.now()

        def drop(row: ReviewRun) -> ReviewRun | None:
            if row.status is not RunStatus.COMPLETE:
                return None
            return replace(
                row, status=RunStatus.CANCELLED, failure=f"the pull request was {state} before it was posted"
            )

        await self._world.db.write(lambda conn: reviews.change(conn, run.id, drop, now=now))


def _marked(row: ReviewRun, review_id: str, now: int, *, failure: str = "") -> ReviewRun | None:
    if row.status is not RunStatus.COMPLETE:
        return None
    return replace(row, status=RunStatus.DELIVERED, forge_review_id=review_id, failure=failure, delivered_at=now)


def _message(run: ReviewRun, text: str, now: int) -> Message:
    return Message(
        id=f"msg_{uuid.uuid4().hex}",
        session_id=run.session_id,
        num=0,
        source=MessageSource.NUDGE,
        sender="ao",
        text=text,
        idempotency_key=f"review:{run.id}",
        created_at=now,
        updated_at=now,
    )


def _pause_s(error: Exception, failures: int) -> float:
    asked = error.details.get("retryAfterS") if isinstance(error, AoError) else None
    return float(asked) if isinstance(asked, int | float) and asked > 0 else min(2.0**failures, LONGEST_PAUSE_S)

"""From facts to messages: what has changed of a pull request is decided upon once, and the decision is kept.

Observation stores facts and counts a revision up. Here the revision is decided upon in one transaction with everything
that follows from it: messages in the outbox, ledger rows, and the acknowledgement. Whatever moment a daemon is killed
at, the next one finds either an undecided revision or a decision that is carried out by the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from typing import Final

import msgspec
from msgspec.structs import replace

from ao.engine.messaging import Messaging
from ao.engine.pulls import Pulls, located
from ao.engine.world import World
from ao.model import clearing, nudge_texts
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.message import Message, MessageSource, MessageState
from ao.model.nudge import Cause, LedgerEntry, Nudge, NudgeState
from ao.model.project import NudgeRule, Project
from ao.model.pull import Check, Picture, Pull
from ao.model.reactions import Draft, Plan, Rules, Situation, plan
from ao.model.session import Activity, Phase, Session
from ao.store import messages, nudges, projects, pulls, sessions
from ao.store.database import Connection

LOG_TIMEOUT_S: Final = 20.0
LOGS_AT_MOST: Final = 5
"""Failed checks whose output is fetched for one nudge; the others are told by name and link."""
LONGEST_PAUSE_S: Final = 300.0
ENOUGH: Final = "automatic-reviews"
"""Signature of the ledger row that says that no more of them come."""

log = logging.getLogger("ao.engine.nudging")


class _News(msgspec.Struct, frozen=True):
    """What matters here of a change's payload."""

    phase: str = ""
    activity: str = ""
    state: str = ""
    source: str = ""


class Nudging:
    """Decides, one pull request at a time."""

    def __init__(self, world: World, pulls_: Pulls, messaging: Messaging) -> None:
        self._world = world
        self._pulls = pulls_
        self._messaging = messaging
        self._again: dict[str, asyncio.Event] = {}
        self._owed: set[str] = set()
        """Sessions that were not told of something because no agent was there."""

    def wake(self, url: str) -> None:
        """Something about this pull request may have to be told."""
        event = self._again.get(url)
        if event is not None:
            event.set()
            return
        self._again[url] = asyncio.Event()
        self._world.start(self._run(url))

    def resume(self) -> None:
        """After a start: decide what was not decided upon, and look once at everything that is open."""
        read = self._world.db.read
        for url in dict.fromkeys([*pulls.undecided(read), *(pull.url for pull in pulls.open_pulls(read))]):
            self.wake(url)

    def committed(self, change: Change) -> None:
        """A session came back, a message to it failed, or its agent ended with messages waiting: what is told, and to
        whom, may have to change."""
        if change.session_id is None or change.type not in ("session_updated", "message_updated"):
            return
        if not self._pulls.owns_any(change.session_id):
            return
        news = msgspec.json.decode(change.payload, type=_News)
        back = change.type == "session_updated" and change.session_id in self._owed and news.phase == Phase.LIVE
        lost = change.type == "message_updated" and news.source == "nudge" and news.state == MessageState.FAILED
        gone = change.type == "session_updated" and news.activity == Activity.EXITED
        if back or lost or gone:
            for pull in pulls.of_session(self._world.db.read, change.session_id):
                self.wake(pull.url)

    def reconsider(self, project_id: str) -> None:
        """The rules of a project have changed."""
        for pull in pulls.of_project(self._world.db.read, project_id, open_only=True):
            self.wake(pull.url)

    def reviewed_enough(self, pull: Pull, reason: str) -> None:
        """No more automatic reviews of this pull request: the ledger says so, and with it a notification."""
        now = self._world.now()
        mark = Draft(cause=Cause.REVIEW, head_sha=pull.head_sha, signature=ENOUGH, round=0)

        def note(conn: Connection) -> None:
            picture = pulls.picture(conn, pull.url)
            known = any(entry.nudge.signature == ENOUGH for entry in nudges.of_pull(conn, pull.url))
            if picture is not None and not known:
                nudges.add(conn, _row(picture, mark, NudgeState.GAVE_UP, reason, now))

        self._world.start(self._world.db.write(note))

    async def _run(self, url: str) -> None:
        event, failures = self._again[url], 0
        try:
            while True:
                event.clear()
                try:
                    await self._decide(url)
                    failures = 0
                except Exception as error:
                    failures += 1
                    cause = None if isinstance(error, AoError) else error
                    log.warning("pull request not decided upon", extra={"pull": url}, exc_info=cause)
                if not await self._more(event, failures):
                    return
        finally:
            del self._again[url]

    async def _more(self, event: asyncio.Event, failures: int) -> bool:
        """Whether to decide again: something was told meanwhile, or the last attempt failed and its pause is over."""
        if failures:
            try:
                async with asyncio.timeout(min(2.0**failures, LONGEST_PAUSE_S)):
                    await event.wait()
            except TimeoutError:
                return True
        return event.is_set()

    async def _decide(self, url: str) -> None:
        picture = pulls.picture(self._world.db.read, url)
        if picture is None:
            return
        found = _situation(self._world.db.read, picture)
        if found is not None:
            await self._fetch_logs(picture, plan(*found[:2]))
        now, nonce = self._world.now(), secrets.token_hex(8)
        owed = await self._world.db.write(lambda conn: _settle(conn, url, now=now, nonce=nonce))
        (self._owed.add if owed else self._owed.discard)(picture.pull.session_id)
        self._messaging.wake(picture.pull.session_id)

    async def _fetch_logs(self, picture: Picture, planned: Plan) -> None:
        """Get the output of failed checks that are about to be told of. Without it they are told of all the same."""
        wanted = [check for draft in planned.send for check in draft.checks if not check.log_tail and check.provider_id]
        if not wanted:
            return
        project = projects.get(self._world.db.read, picture.pull.project_id, archived=True)
        if project is None:
            return
        ref = located(picture.pull, project)
        forge = self._pulls.forges.of(ref.repo)

        async def fetch(check: Check) -> None:
            try:
                text = await forge.log(ref, check)
            except AoError as error:
                log.warning("no log of a check", extra={"pull": picture.pull.url, "cause": error.message})
                return
            await self._world.db.write(
                lambda conn: pulls.set_log(conn, picture.pull.url, check.name, check.commit_sha, text)
            )

        try:
            async with asyncio.timeout(LOG_TIMEOUT_S):
                await asyncio.gather(*(fetch(check) for check in wanted[:LOGS_AT_MOST]))
        except TimeoutError:
            log.warning("logs of checks came too late", extra={"pull": picture.pull.url})


def _situation(conn: Connection, picture: Picture) -> tuple[Situation, Rules, Session, Project] | None:
    """What the plan is made from; None when session or project are gone."""
    pull = picture.pull
    session = sessions.get(conn, pull.session_id)
    project = projects.get(conn, pull.project_id, archived=True)
    if session is None or project is None:
        return None
    ledger = tuple(nudges.of_pull(conn, pull.url))
    own = (entry for entry in ledger if entry.nudge.session_id == session.id)
    situation = Situation(
        picture=picture,
        siblings=tuple(row for row in pulls.of_session(conn, session.id) if row.is_open and row.url != pull.url),
        ledger=tuple(own),
        session_id=session.id,
        reachable=session.phase is Phase.LIVE and session.activity is not Activity.EXITED,
        clear_since=clearing.clear_since(ledger),
    )
    return situation, rules_of(project), session, project


def rules_of(project: Project) -> Rules:
    """The project's rules of what is told, and whose words are."""
    config = project.settings
    return Rules(
        ci=config.nudges.ci,
        review=config.nudges.review,
        conflict=config.nudges.conflict,
        trusted_authors=tuple(config.trusted_authors),
        trust_everyone=config.trust_everyone,
    )


def rule_for(project: Project, cause: Cause) -> NudgeRule:
    """The rule of one cause."""
    rules = project.settings.nudges
    return {Cause.CI: rules.ci, Cause.REVIEW: rules.review, Cause.CONFLICT: rules.conflict}[cause]


def _settle(conn: Connection, url: str, *, now: int, nonce: str) -> bool:
    """Decide upon the state as it is in this transaction, do what follows, and acknowledge it. Whether something is
    owed to a session that has no agent now."""
    picture = pulls.picture(conn, url)
    found = _situation(conn, picture) if picture is not None else None
    if picture is None or found is None:
        return False
    situation, rules, session, project = found
    planned = plan(situation, rules)
    for nudge_id, reason in planned.withdraw:
        _withdraw(conn, nudge_id, reason, situation.ledger, now=now)
    for draft in planned.send:
        text = nudge_texts.text(
            draft, picture, rule_for(project, draft.cause), nonce=nonce, forge_hint=picture.pull.forge
        )
        _send(conn, session, picture, draft, text=text, now=now)
    for draft, reason in planned.give_up:
        nudges.add(conn, _row(picture, draft, NudgeState.GAVE_UP, reason, now))
    for draft, reason in planned.undeliverable:
        nudges.add(conn, _row(picture, draft, NudgeState.UNDELIVERABLE, reason, now))
    for cause in clearing.newly_clear(picture, situation.ledger):
        mark = Draft(cause=cause, head_sha=picture.pull.head_sha, signature="", round=0)
        nudges.add(conn, _row(picture, mark, NudgeState.CLEARED, "", now))
    pulls.ack(conn, url, picture.pull.revision)
    return not situation.reachable and picture.pull.is_open


def _row(picture: Picture, draft: Draft, state: NudgeState, reason: str, now: int) -> Nudge:
    return Nudge(
        id=f"ndg_{uuid.uuid4().hex}",
        session_id=picture.pull.session_id,
        pull_url=picture.pull.url,
        cause=draft.cause,
        head_sha=draft.head_sha,
        signature=draft.signature,
        round=draft.round,
        state=state,
        reason=reason,
        created_at=now,
        updated_at=now,
    )


def _send(conn: Connection, session: Session, picture: Picture, draft: Draft, *, text: str, now: int) -> None:
    message = Message(
        id=f"msg_{uuid.uuid4().hex}",
        session_id=session.id,
        num=0,
        source=MessageSource.NUDGE,
        sender="ao",
        text=text,
        created_at=now,
        updated_at=now,
    )
    stored, _ = messages.add(conn, message)
    nudges.add(conn, replace(_row(picture, draft, NudgeState.QUEUED, "", now), message_id=stored.id))


def _withdraw(conn: Connection, nudge_id: str, reason: str, ledger: tuple[LedgerEntry, ...], *, now: int) -> None:
    """Take back what has not been written yet; what has been stays what it is."""
    entry = next((entry for entry in ledger if entry.nudge.id == nudge_id), None)
    if entry is None:
        return

    def take_back(row: Message) -> Message | None:
        if row.state is not MessageState.QUEUED:
            return None
        return replace(row, state=MessageState.FAILED, failure=f"withdrawn: {reason}", held_reason="")

    if messages.change(conn, entry.nudge.message_id, take_back, now=now) is not None:
        nudges.change(conn, nudge_id, lambda row: replace(row, state=NudgeState.WITHDRAWN, reason=reason), now=now)

"""What a person should know of a session now. Pure, and of the moment: whoever keeps the notifications makes them equal
to this, so that nothing depends on having seen a change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from ao.model.fence import plain
from ao.model.notification import NotificationType
from ao.model.nudge import Cause, LedgerEntry, Nudge, NudgeState
from ao.model.pull import Pull
from ao.model.session import STARTING, Activity, Phase, Session

NAME_LIMIT: Final = 60
TITLE_LIMIT: Final = 120
_GAVE_UP: Final = {
    Cause.CI: (NotificationType.CI_GAVE_UP, "failing checks"),
    Cause.REVIEW: (NotificationType.REVIEW_GAVE_UP, "review feedback"),
    Cause.CONFLICT: (NotificationType.CONFLICT_GAVE_UP, "conflict"),
}
_NEEDS: Final = {
    Activity.WAITING_INPUT: "The agent waits for an answer.",
    Activity.BLOCKED: "A permission dialog is open in its terminal.",
}


class PullNow(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request of the session. `ready`: see `model.readiness.ready`."""

    pull: Pull
    ready: bool = False


class NoticeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a session: its pull requests, and its nudges with the oldest first."""

    session: Session
    pulls: tuple[PullNow, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that should be there. `signature` tells one occurrence from the next."""

    type: NotificationType
    pull_url: str = ""
    signature: str = ""
    title: str
    body: str = ""


def label(session: Session) -> str:
    """What a session is called in a title: its display name, else its id."""
    return plain(session.display_name, NAME_LIMIT) or session.id


def wanted(facts: NoticeFacts) -> list[Wanted]:
    """Everything that holds now."""
    found = [*_of_session(facts.session)]
    for item in facts.pulls:
        found += _of_pull(facts, item)
    return found


def _of_session(session: Session) -> Iterable[Wanted]:
    name = label(session)
    if session.phase is Phase.LIVE and session.activity in _NEEDS:
        yield Wanted(
            type=NotificationType.NEEDS_INPUT,
            signature=str(session.activity_at),
            title=f"{name} needs input",
            body=_NEEDS[session.activity],
        )
    lost = _loss(session)
    if lost:
        yield Wanted(
            type=NotificationType.SESSION_LOST,
            signature=str(session.launches),
            title=f"{name} was lost",
            body=f"{lost} `ao session restore {session.id}` starts it again.",
        )


def _loss(session: Session) -> str:
    """How an agent went without being asked to. One that only said goodbye may still tell its exit code."""
    if session.failure_code == "INTERRUPTED":
        return "The daemon stopped while it was being started."
    if session.phase is not Phase.LIVE or session.activity is not Activity.EXITED:
        return ""
    if session.exit_code is None:
        return "Its agent is gone." if session.activity_source == "hook:process-exited" else ""
    return f"Its agent ended with exit code {session.exit_code}." if session.exit_code else ""


def _of_pull(facts: NoticeFacts, item: PullNow) -> Iterable[Wanted]:
    pull, session = item.pull, facts.session
    about = f"{plain(pull.title, TITLE_LIMIT)} ({label(session)})".strip()
    if pull.state == "merged":
        yield _about(pull, NotificationType.PR_MERGED, "was merged", about)
    elif pull.state == "closed":
        yield _about(pull, NotificationType.PR_CLOSED_UNMERGED, "was closed without merging", about)
    elif item.ready and not session.is_terminated:
        yield _about(pull, NotificationType.READY_TO_MERGE, "is ready to merge", about, pull.head_sha)
    if pull.is_open:
        for cause in Cause:
            nudge = _unheard(facts, pull, cause)
            if nudge is not None:
                kind, matter = _GAVE_UP[cause]
                yield _about(pull, kind, f"needs you: {matter}", f"{nudge.reason}. {about}", _short(nudge.signature))


def _unheard(facts: NoticeFacts, pull: Pull, cause: Cause) -> Nudge | None:
    """The nudge of the present head that was given up, or that nobody was there for, if nothing came after it."""
    own = (
        entry.nudge
        for entry in reversed(facts.ledger)
        if entry.nudge.pull_url == pull.url
        and entry.nudge.cause is cause
        and entry.nudge.session_id == facts.session.id
        and entry.nudge.state is not NudgeState.WITHDRAWN
    )
    last = next(own, None)
    if last is None or last.head_sha != pull.head_sha:
        return None
    if last.state is NudgeState.UNDELIVERABLE and facts.session.phase not in STARTING:
        return last
    return last if last.state is NudgeState.GAVE_UP else None


def _about(pull: Pull, kind: NotificationType, what: str, body: str, signature: str = "") -> Wanted:
    return Wanted(type=kind, pull_url=pull.url, signature=signature, title=f"PR #{pull.number} {what}", body=body)


def _short(signature: str) -> str:
    return hashlib.sha256(signature.encode()).hexdigest()[:16]

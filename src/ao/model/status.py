"""Status: the one word shown for a session, computed on every read, with the evidence for it.

Order (what the newest clients expect): terminated; then what the agent does now, when it acts, has ended or waits; then
its open pull requests, the most urgent first; then silence; then idle. The pull-request word is also given apart, so
neither axis hides the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ao.model.pull import PullFacts
from ao.model.session import Activity, Phase, Session

NO_SIGNAL_AFTER_MS: Final = 90_000
URGENCY: Final = ("ci_failed", "changes_requested", "draft", "review_pending", "pr_open", "approved", "mergeable")
STATUSES: Final = (
    "working", "idle", "needs_input", "no_signal", "exited", *URGENCY, "merged", "terminated",
)  # fmt: skip
_BY_ACTIVITY: Final = {
    Activity.ACTIVE: "working",
    Activity.EXITED: "exited",
    Activity.WAITING_INPUT: "needs_input",
    Activity.BLOCKED: "needs_input",
}
_BLOCKED_CHILD: Final = frozenset({"ci_failed", "draft", "changes_requested"})


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that a status rests on: its name, value, who said so, and when (milliseconds, if known)."""

    fact: str
    value: str
    source: str
    at: int | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`word` is for display; `scm` is the pull-request word alone, if any. `until` is the time in milliseconds at which
    the same facts would give another word, if there is one."""

    word: str
    scm: str | None
    evidence: tuple[Evidence, ...]
    until: int | None = None


def derive(session: Session, pulls: Sequence[PullFacts], *, now: int, reports: bool) -> Status:
    """The status at `now` (milliseconds). `reports`: the agent's program can report its activity."""
    scm, scm_evidence = pull_status(pulls)
    activity = Evidence(fact="activity", value=session.activity, source=session.activity_source, at=session.activity_at)
    if session.is_terminated:
        word = "merged" if any(pull.state == "merged" for pull in pulls) else "terminated"
        phase = Evidence(fact="phase", value=session.phase, source="engine", at=session.ended_at or session.updated_at)
        return Status(word=word, scm=scm, evidence=(phase, *scm_evidence))
    if word_now := _BY_ACTIVITY.get(session.activity):
        return Status(word=word_now, scm=scm, evidence=(activity, *scm_evidence))
    if scm is not None:
        return Status(word=scm, scm=scm, evidence=(*scm_evidence, activity))
    return _quiet(session, activity, now=now, reports=reports)


def _quiet(session: Session, activity: Evidence, *, now: int, reports: bool) -> Status:
    listening = reports and session.phase is Phase.LIVE and session.first_signal_at is None
    if not listening or session.launched_at is None:
        return Status(word="idle", scm=None, evidence=(activity,))
    silent = Evidence(fact="first_signal", value="none", source="engine", at=session.launched_at)
    deadline = session.launched_at + NO_SIGNAL_AFTER_MS
    if now > deadline:
        return Status(word="no_signal", scm=None, evidence=(silent, activity))
    return Status(word="idle", scm=None, evidence=(activity, silent), until=deadline + 1)


def pull_status(pulls: Sequence[PullFacts]) -> tuple[str | None, tuple[Evidence, ...]]:
    """The most urgent word over all open pull requests; `merged` when none is open and one was merged.

    A pull request stacked on another open one counts only for what its own author must act on.
    """
    opened = [pull for pull in pulls if pull.is_open]
    if not opened:
        merged = [pull for pull in pulls if pull.state == "merged"]
        return ("merged", tuple(_proof(pull, "merged") for pull in merged)) if merged else (None, ())
    words = [(pull_word(pull), pull) for pull in opened]
    sources = {pull.source_branch for pull in opened if pull.source_branch}
    counted = [
        (word, pull) for word, pull in words if pull.target_branch not in sources or word in _BLOCKED_CHILD
    ] or words
    word, pull = min(counted, key=lambda item: URGENCY.index(item[0]))
    return word, (_proof(pull, word),)


def pull_word(pull: PullFacts) -> str:
    """The word of one open pull request."""
    if pull.ci == "failing":
        return "ci_failed"
    if pull.state == "draft":
        return "draft"
    if pull.review == "changes_requested" or pull.unresolved_human_comments:
        return "changes_requested"
    if pull.mergeability == "mergeable":
        return "mergeable"
    return {"approved": "approved", "review_required": "review_pending"}.get(pull.review, "pr_open")


def _proof(pull: PullFacts, word: str) -> Evidence:
    return Evidence(fact=f"pull#{pull.number}", value=word, source=pull.url, at=pull.updated_at or None)

"""What follows from a pull request's facts and its review runs: who reviews, whether a review is due, what a verdict
may be, and what becomes of a reviewer. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from ao.model.errors import AoError
from ao.model.project import AutoReview, ProjectConfig, is_inside
from ao.model.pull import LOCAL, Pull, Verdict
from ao.model.review import LineComment, ReviewRun, RunStatus
from ao.model.session import Activity, Phase, Session
from ao.model.text import TEXT_LIMIT, sanitise

LEASE_MS: Final = 15 * 60_000
"""A reviewer that isn't heard of for this long is given up."""
LINGER_MS: Final = 60_000
"""How long a reviewer may go on after its verdict, to end its turn."""
FALLBACK: Final = "claude-code"
VERDICTS: Final = ("approved", "changes_requested")
MAX_COMMENTS: Final = 100
MARK: Final = "<!-- ao:review={run} -->"
"""Ends the body of a posted review, so that it is found again after a crash."""

PullReview = Literal["needs_review", "running", "up_to_date", "changes_requested", "ineligible"]
Automatic = Literal["no", "start", "gave_up"]
_DONE: Final = frozenset({RunStatus.COMPLETE, RunStatus.DELIVERED})


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What a reviewer hands in. `forge_review_id` says that it has posted the review itself."""

    run_id: str
    verdict: str
    body: str = ""
    comments: tuple[LineComment, ...] = ()
    forge_review_id: str = ""


def is_reviewable(pull: Pull) -> bool:
    """Whether a review of it can be of use: open, no draft, its head known."""
    return pull.state == "open" and bool(pull.head_sha)


def state(pull: Pull, runs: Sequence[ReviewRun]) -> PullReview:
    """Where a pull request stands with its reviews (`runs`, newest first)."""
    if not is_reviewable(pull):
        return "ineligible"
    here = [run for run in runs if run.target_sha == pull.head_sha]
    if any(run.status is RunStatus.RUNNING for run in here):
        return "running"
    verdicts = [run.verdict for run in here if run.status in _DONE]
    if not verdicts:
        return "needs_review"
    return "up_to_date" if verdicts[0] == "approved" else "changes_requested"


def covering(pull: Pull, runs: Sequence[ReviewRun], agent: str) -> ReviewRun | None:
    """The run that makes another one needless: it reads the present head or gave a verdict on it. An `agent` asked for
    by name is a second opinion, unless it has approved this commit itself."""
    for run in runs:
        if run.target_sha != pull.head_sha:
            continue
        if run.status is RunStatus.RUNNING:
            return run
        if run.status in _DONE and (not agent or (run.agent == agent and run.verdict == "approved")):
            return run
    return None


def automatic(pull: Pull, runs: Sequence[ReviewRun], rule: AutoReview) -> Automatic:
    """Whether a review has to be started without being asked for. `gave_up`: one would be due, but the pull request has
    had as many as it may; the count knows no restart."""
    if not rule.enabled or not is_reviewable(pull):
        return "no"
    if any(run.target_sha == pull.head_sha for run in runs):
        return "no"
    return "start" if sum(run.automatic for run in runs) < rule.rounds else "gave_up"


def overtaken(pull: Pull | None, run: ReviewRun) -> str:
    """Why a running review is of no use any more, "" while it is."""
    if pull is None:
        return "its pull request is gone"
    if not pull.is_open:
        return f"the pull request was {pull.state}"
    if pull.head_sha != run.target_sha:
        return f"superseded: the pull request is at {pull.head_sha[:12]} now"
    return ""


def choose_agent(asked: str, config: ProjectConfig, *, worker: str, able: Sequence[str]) -> tuple[str, str]:
    """Who reviews, and with which model: the agent asked for, the project's first reviewer, the worker's own agent if
    it can, claude-code. Raises `REVIEW_INVALID` for one that can't; `able` are those that can."""
    named = next((one for one in config.reviewers if asked in ("", one.harness)), None)
    if asked or named is not None:
        agent = asked or (named.harness if named is not None else "")
    else:
        agent = worker if worker in able else FALLBACK
    if agent not in able:
        raise AoError(
            "REVIEW_INVALID",
            f"agent {agent!r} can't review: it has no way to read without being able to change",
            hint=f"agents that can: {', '.join(able) or 'none'}",
            details={"agents": list(able)},
        )
    return agent, (named.model or "") if named is not None and named.harness == agent else ""


def checked(given: Submission) -> Submission:
    """The submission, cleaned. Raises `REVIEW_INVALID` for a verdict that isn't one, one that says nothing although it
    asks for changes, and for texts that are too long."""
    if given.verdict not in VERDICTS:
        raise _invalid(f"unknown verdict {given.verdict[:40]!r}", hint=f"one of {', '.join(VERDICTS)}", field="verdict")
    clean = replace(
        given,
        body=sanitise(given.body).strip(),
        comments=tuple(replace(said, body=sanitise(said.body).strip()) for said in given.comments),
        forge_review_id=given.forge_review_id.strip()[:200],
    )
    if clean.verdict == "changes_requested" and not (clean.body or clean.comments):
        raise _invalid("changes_requested needs a body or comments on lines", field="body")
    if len(clean.body) + sum(len(said.body) for said in clean.comments) > TEXT_LIMIT:
        raise _invalid(f"the review has more than {TEXT_LIMIT:,} characters", field="body")
    if len(clean.comments) > MAX_COMMENTS:
        raise _invalid(f"{len(clean.comments)} comments; at most {MAX_COMMENTS}", field="comments")
    for said in clean.comments:
        if not is_inside(said.path) or said.line < 0 or not said.body:
            raise _invalid(
                f"{said.path[:200]!r} line {said.line} with {len(said.body)} characters is no comment on a line",
                hint="a path in the repository, a line (0: the whole file) and a text",
                field="comments",
            )
    return clean


def submitted(run: ReviewRun, given: Submission, *, now: int) -> ReviewRun | None:
    """The run with its verdict, None when it has this one already. `given` is `checked`. Raises `REVIEW_INVALID` for
    another verdict than the recorded one, and when the run isn't running any more."""
    comments = msgspec.json.encode(given.comments).decode()
    if run.status is RunStatus.RUNNING:
        return replace(
            run,
            status=RunStatus.COMPLETE,
            verdict=given.verdict,
            body=given.body,
            comments=comments,
            forge_review_id=given.forge_review_id,
            lease_until=now + LINGER_MS,
        )
    if run.status not in _DONE:
        raise _invalid(f"review {run.id} is {run.status}: {run.failure or 'no verdict is taken any more'}")
    same_post = given.forge_review_id in ("", run.forge_review_id)
    if (run.verdict, run.body, run.comments) == (given.verdict, given.body, comments) and same_post:
        return None
    raise _invalid(f"review {run.id} has another verdict already: {run.verdict}")


def _invalid(message: str, *, hint: str = "", field: str = "") -> AoError:
    return AoError("REVIEW_INVALID", message, hint=hint or None, details={"field": field} if field else None)


class Do(StrEnum):
    """What happens to a reviewer and its run next."""

    WAIT = "wait"
    """Nothing before the time given."""
    EXTEND = "extend"
    """It was heard of: the lease moves to the time given."""
    REMIND = "remind"
    """It rests without having given a verdict."""
    FAIL = "fail"
    """The run has failed; the reviewer is killed."""
    KILL = "kill"
    """The run is over; the reviewer is killed."""
    NOTHING = "nothing"
    """Both are over."""


class Step(msgspec.Struct, frozen=True):
    """What to do, until when to wait (milliseconds since the epoch), and why it failed."""

    do: Do
    until: int = 0
    reason: str = ""


def step(run: ReviewRun, reviewer: Session | None, *, now: int, heard_at: int) -> Step:
    """What follows from a run and its reviewer (None: not seeded). `heard_at`: its last sign of life that is known.

    After a verdict the reviewer is left alone until its turn is over, for its token must stay valid until its
    submission is answered.
    """
    if run.status is not RunStatus.RUNNING:
        if reviewer is None or reviewer.phase is Phase.ENDED:
            return Step(Do.NOTHING)
        at_work = run.status in _DONE and reviewer.activity not in (Activity.IDLE, Activity.EXITED)
        return Step(Do.WAIT, run.lease_until) if at_work and now < run.lease_until else Step(Do.KILL)
    ended = _ended(reviewer)
    if ended:
        return Step(Do.FAIL, reason=ended)
    if now >= run.lease_until:
        until = heard_at + LEASE_MS
        if until > now:
            return Step(Do.EXTEND, until)
        return Step(Do.FAIL, reason=f"its reviewer wasn't heard of for {LEASE_MS // 60_000} minutes")
    if reviewer is not None and _rests(reviewer):
        return Step(Do.REMIND, run.lease_until)
    return Step(Do.WAIT, run.lease_until)


def _ended(reviewer: Session | None) -> str:
    if reviewer is None:
        return ""
    if reviewer.is_terminated:
        why = f": {reviewer.failure_message}" if reviewer.failure_message else ""
        return f"its reviewer ended without a verdict{why}"
    if reviewer.activity is Activity.EXITED:
        return f"its reviewer's agent exited (code {reviewer.exit_code}) without a verdict"
    return ""


def _rests(reviewer: Session) -> bool:
    """Whether it has finished a turn, by its own word."""
    started = reviewer.phase is Phase.LIVE and reviewer.activity is Activity.IDLE
    return started and reviewer.activity_source.startswith("hook:")


def posted_verdict(forge: str, verdict: str) -> Verdict:
    """The verdict that a forge is given. On one with accounts ours may be the author's own, which can't approve or
    refuse: there it is always a comment, and the words say the rest."""
    if forge != LOCAL:
        return "commented"
    return "approved" if verdict == "approved" else "changes_requested"


def posted_body(run: ReviewRun, forge: str, *, inline: bool) -> str:
    """The text of the review on the forge, ended by its mark. Without `inline` the comments on lines are part of it."""
    head = [] if forge == LOCAL else [f"Review by {run.agent}: {run.verdict.replace('_', ' ')}."]
    lines = [] if inline else [f"- `{place(said)}` {said.body}" for said in comments_of(run)]
    return "\n\n".join([*head, *filter(None, [run.body, "\n".join(lines)]), MARK.format(run=run.id)])


def comments_of(run: ReviewRun) -> tuple[LineComment, ...]:
    """The comments on lines, decoded."""
    return msgspec.json.decode(run.comments, type=tuple[LineComment, ...])


def place(said: LineComment) -> str:
    """PATH:LINE, or PATH for the whole file."""
    return f"{said.path}:{said.line}" if said.line else said.path

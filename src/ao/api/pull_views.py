"""From pull requests as they are known to what is shown of them. Nothing is decided here; the words are the model's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ao.api import pull_wire as wire
from ao.api.views import moment
from ao.engine.pull_requests import PullEntry
from ao.model import readiness
from ao.model.message import MessageState
from ao.model.nudge import LedgerEntry, NudgeState
from ao.model.pull import Check, Comment, Picture, Review, Thread

_WRITTEN: Final = frozenset({MessageState.SENDING, MessageState.SENT, MessageState.SUBMITTED, MessageState.UNKNOWN})


def when(ms: int | None) -> str | None:
    """RFC 3339 of a time in milliseconds; None for one that isn't known."""
    return moment(ms) if ms else None


def row(entry: PullEntry) -> wire.PullRow:
    """A pull request in a list."""
    facts, pull = entry.facts, entry.pull
    return wire.PullRow(
        url=facts.url,
        number=facts.number,
        state=facts.state,
        ci=facts.ci,
        review=facts.review,
        mergeability=facts.mergeability,
        review_comments=pull is not None and pull.unresolved > 0,
        updated_at=moment(pull.updated_at if pull is not None else facts.changed_at),
        source_branch=facts.source_branch,
        target_branch=facts.target_branch,
        head_sha=facts.head_sha,
        title=facts.title,
        project_id=entry.project_id,
        session_id=entry.session_id,
        author=facts.author,
        html_url=facts.html_url,
        reasons=list(facts.reasons),
    )


def summary(entry: PullEntry, ledger: Sequence[LedgerEntry]) -> wire.PullSummary:
    """A pull request without anybody's words."""
    return wire.PullSummary(**_summed_up(entry, ledger))


def detail(entry: PullEntry, ledger: Sequence[LedgerEntry]) -> wire.PullDetail:
    """A pull request with all that was said."""
    picture = _picture(entry)
    return wire.PullDetail(
        **_summed_up(entry, ledger),
        threads=[_thread(thread) for thread in picture.threads],
        comments=[comment(one) for one in picture.comments],
        remarks=[remark(review) for review in picture.reviews],
    )


def checks(entry: PullEntry) -> wire.ChecksAnswer:
    """The checks of the head."""
    picture = _picture(entry)
    return wire.ChecksAnswer(
        head_sha=entry.facts.head_sha,
        state=entry.facts.ci,
        checks=[_check(check) for check in picture.checks],
        observed_at=when(picture.pull.ci_observed_at),
    )


def nudge(entry: LedgerEntry) -> wire.NudgeView:
    """An entry of the ledger."""
    told = entry.nudge
    return wire.NudgeView(
        id=told.id,
        pr_url=told.pull_url,
        cause=told.cause,
        head_sha=told.head_sha,
        round=told.round,
        state=told.state,
        message_id=told.message_id,
        message_state=entry.message or "",
        held_reason=entry.held_reason,
        reason=told.reason,
        possible_duplicate=entry.possible_duplicate,
        created_at=moment(told.created_at),
        updated_at=moment(told.updated_at),
    )


def by_pull(ledger: Iterable[LedgerEntry]) -> Mapping[str, list[LedgerEntry]]:
    """A session's ledger, parted by the URL of the pull request."""
    parted: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in ledger:
        parted[entry.nudge.pull_url].append(entry)
    return parted


def comment(one: Comment) -> wire.PullComment:
    """A comment."""
    return wire.PullComment(
        id=one.comment_id,
        author=one.author.login,
        body=one.body,
        thread_id=one.thread_id,
        session_id=one.author.session,
        is_bot=one.author.is_bot,
        url=one.url,
        created_at=when(one.created_at),
    )


def remark(review: Review) -> wire.PullRemark:
    """A submitted review with its words."""
    return wire.PullRemark(**_verdict(review), body=review.body, session_id=review.author.session)


def _picture(entry: PullEntry) -> Picture:
    """What is known of an entry that is shown whole."""
    assert entry.picture is not None
    return entry.picture


def _summed_up(entry: PullEntry, ledger: Sequence[LedgerEntry]) -> dict[str, Any]:
    """The fields of a summary."""
    facts, picture = entry.facts, _picture(entry)
    pull = picture.pull
    return {
        "url": facts.url,
        "html_url": facts.html_url,
        "number": facts.number,
        "title": facts.title,
        "state": facts.state,
        "provider": pull.forge,
        "repo": pull.repo,
        "author": facts.author,
        "source_branch": facts.source_branch,
        "target_branch": facts.target_branch,
        "head_sha": facts.head_sha,
        "additions": facts.additions,
        "deletions": facts.deletions,
        "changed_files": facts.changed_files,
        "ci": _ci(picture),
        "review": _review(picture),
        "mergeability": wire.PullMergeability(
            state=facts.mergeability, reasons=readiness.reasons(pull), pr_url=facts.html_url or facts.url
        ),
        "updated_at": moment(pull.updated_at),
        "observed_at": when(pull.observed_at),
        "ci_observed_at": when(pull.ci_observed_at),
        "review_observed_at": when(pull.review_observed_at),
        "created_at": when(facts.created_at),
        "state_changed_at": when(facts.merged_at or facts.closed_at),
        "project_id": entry.project_id,
        "session_id": entry.session_id,
        "merge_sha": facts.merge_sha,
        "checks": [_check(check) for check in picture.checks],
        "nudges": _counts(ledger),
        "ready": readiness.ready(picture),
        "obstacles": readiness.merge_refusal(pull, picture.checks, picture.threads),
    }


def _ci(picture: Picture) -> wire.PullCi:
    failing = [
        wire.FailingCheck(name=check.name, status=check.status, conclusion=check.conclusion, url=check.url)
        for check in readiness.failing_checks(picture)
    ]
    return wire.PullCi(state=picture.pull.ci, failing_checks=failing)


def _review(picture: Picture) -> wire.PullReview:
    waiting = readiness.unresolved_by(picture)
    return wire.PullReview(
        decision=picture.pull.review,
        has_unresolved_human_comments=bool(waiting),
        unresolved_by=[
            wire.UnresolvedBy(
                reviewer_id=one.reviewer,
                count=one.count,
                links=[wire.UnresolvedLink(url=link.url, file=link.file, line=link.line) for link in one.links],
            )
            for one in waiting
        ],
        reviews=[wire.PullVerdict(**_verdict(review)) for review in picture.reviews],
    )


def _verdict(review: Review) -> dict[str, Any]:
    return {
        "id": review.review_id,
        "reviewer_id": review.author.login,
        "state": review.state,
        "commit_sha": review.commit_sha,
        "url": review.url,
        "is_bot": review.author.is_bot,
        "submitted_at": when(review.submitted_at),
    }


def _counts(ledger: Sequence[LedgerEntry]) -> wire.NudgeCounts:
    return wire.NudgeCounts(
        sent=sum(entry.message in _WRITTEN for entry in ledger),
        waiting=sum(
            entry.nudge.state is NudgeState.QUEUED and entry.message is MessageState.QUEUED for entry in ledger
        ),
        gave_up=sum(entry.nudge.state is NudgeState.GAVE_UP for entry in ledger),
    )


def _check(check: Check) -> wire.PullCheck:
    return wire.PullCheck(
        name=check.name,
        status=check.status,
        conclusion=check.conclusion,
        url=check.url,
        created_at=when(check.created_at),
    )


def _thread(thread: Thread) -> wire.PullThread:
    return wire.PullThread(
        id=thread.thread_id,
        path=thread.path,
        line=thread.line,
        resolved=thread.resolved,
        is_bot=thread.is_bot,
        comments=[comment(one) for one in thread.comments],
    )

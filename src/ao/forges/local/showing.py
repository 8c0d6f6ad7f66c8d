"""Rows of the local forge in the words of every forge. Pure: branches and checks as they were found, in; facts, out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from ao.model.local_pull import LocalCheck, LocalComment, LocalPull, LocalReview, LocalThread
from ao.model.pull import (
    FAILED,
    LOCAL,
    REASONS,
    Author,
    Check,
    CiState,
    Comment,
    Decision,
    Facts,
    Mergeability,
    Observation,
    PullState,
    Repo,
    Review,
    Thread,
)
from ao.ports.trees import Comparison


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the branches of a pull request are. `comparison` is None when one of them is gone."""

    head: str
    base: str
    comparison: Comparison | None = None


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """What was said about a pull request."""

    threads: Sequence[LocalThread] = ()
    comments: Sequence[LocalComment] = ()
    reviews: Sequence[LocalReview] = ()


def url_of(project_id: str, number: int) -> str:
    """The address of a pull request (decision 28)."""
    return f"ao://local/{project_id}/pull/{number}"


def author_of(login: str, session: str) -> Author:
    """Who wrote a row: a person at this machine owns the repository, an agent works in it."""
    return Author(login=login, association="member" if session else "owner", session=session)


def observation_of(
    repo: Repo, pull: LocalPull, standing: Standing, checks: Sequence[LocalCheck], talk: Talk
) -> Observation:
    """Everything about a pull request; its stamp is the digest of all of it."""
    seen = Observation(
        facts=_facts(repo, pull, standing, checks, talk),
        checks=tuple(shown_check(check, standing.head) for check in checks),
        threads=tuple(_thread(thread, talk.comments) for thread in talk.threads),
        comments=tuple(shown_comment(comment, None) for comment in talk.comments if not comment.thread_id),
        reviews=tuple(shown_review(review) for review in talk.reviews),
    )
    return msgspec.structs.replace(seen, stamp=digest(seen))


def digest(value: object) -> str:
    """A mark of a value made of structs: equal values have equal marks."""
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]


def shown_check(check: LocalCheck, head: str) -> Check:
    """A row of a tree's checks as a check of a commit that has this tree."""
    return Check(
        name=check.name,
        commit_sha=head,
        status=check.status,
        conclusion=check.conclusion,
        provider_id=check.id,
        created_at=check.created_at,
    )


def shown_comment(comment: LocalComment, thread: LocalThread | None, *, reply: bool = False) -> Comment:
    """A comment, with the place of the conversation it belongs to."""
    return Comment(
        comment_id=comment.id,
        thread_id=comment.thread_id,
        author=author_of(comment.author, comment.author_session),
        body=comment.body,
        path=thread.path if thread else "",
        line=thread.line if thread else 0,
        reply=reply,
        created_at=comment.created_at,
    )


def shown_review(review: LocalReview) -> Review:
    """A submitted review."""
    return Review(
        review_id=review.id,
        author=author_of(review.author, review.author_session),
        state=review.state,
        body=review.body,
        commit_sha=review.commit_sha,
        submitted_at=review.created_at,
    )


def ci_of(checks: Sequence[LocalCheck]) -> CiState:
    """The summary of a head's checks; unknown when there are none, or when one could not be run."""
    statuses = {check.status for check in checks}
    if statuses & FAILED:
        return "failing"
    if statuses & {"queued", "in_progress"}:
        return "pending"
    return "unknown" if not statuses or "unknown" in statuses else "passing"


def decision_of(pull: LocalPull, reviews: Sequence[LocalReview]) -> Decision:
    """What the newest verdict of each reviewer comes to. A comment leaves their earlier verdict, the author has none;
    no review is required."""
    verdicts = {
        (review.author_session, review.author): review.state
        for review in sorted(reviews, key=lambda review: review.created_at)
        if review.state != "commented" and (review.author_session, review.author) != (pull.author_session, pull.author)
    }
    if "changes_requested" in verdicts.values():
        return "changes_requested"
    return "approved" if "approved" in verdicts.values() else "none"


def _facts(repo: Repo, pull: LocalPull, standing: Standing, checks: Sequence[LocalCheck], talk: Talk) -> Facts:
    state: PullState = "draft" if pull.state == "open" and pull.draft else pull.state
    ci, review = ci_of(checks), decision_of(pull, talk.reviews)
    mergeability, reasons = _mergeability(
        pull, standing.comparison, waits=ci == "pending" or _unrun(checks), ci=ci, review=review
    )
    comparison = standing.comparison or Comparison(head=standing.head, base=standing.base)
    return Facts(
        url=url_of(pull.project_id, pull.number),
        number=pull.number,
        repo=repo.key,
        state=state,
        ci=ci,
        review=review,
        mergeability=mergeability,
        reasons=reasons,
        title=pull.title,
        author=pull.author,
        source_branch=pull.source_branch,
        target_branch=pull.target_branch,
        head_sha=standing.head,
        base_sha=standing.base,
        head_repo=f"{LOCAL}:{pull.project_id}",
        merge_sha=pull.merge_sha,
        additions=comparison.additions,
        deletions=comparison.deletions,
        changed_files=comparison.files,
        created_at=pull.created_at,
        changed_at=pull.updated_at,
        merged_at=pull.merged_at,
        closed_at=pull.closed_at,
    )


def _unrun(checks: Sequence[LocalCheck]) -> bool:
    return any(check.status == "unknown" for check in checks)


def _mergeability(
    pull: LocalPull, comparison: Comparison | None, *, waits: bool, ci: CiState, review: Decision
) -> tuple[Mergeability, tuple[str, ...]]:
    """The rules of every forge (conflicts before all else; being behind is only a note), with two of this one: checks
    that haven't ended block a merge, and so does a branch that is gone or holds nothing."""
    if pull.state != "open":
        return "unknown", ()
    if comparison is None or comparison.ahead == 0:
        return "unknown", ("blocked_by_provider",)
    holds = {
        "conflicts": bool(comparison.conflicts),
        "draft": pull.draft,
        "ci_failing": ci == "failing",
        "changes_requested": review == "changes_requested",
        "blocked_by_provider": waits,
    }
    notes = {"behind_base": comparison.behind > 0}
    reasons = tuple(reason for reason in REASONS if holds.get(reason) or notes.get(reason))
    if holds["conflicts"]:
        return "conflicting", reasons
    return ("blocked" if any(holds.values()) else "mergeable"), reasons


def _thread(thread: LocalThread, comments: Sequence[LocalComment]) -> Thread:
    said = [comment for comment in comments if comment.thread_id == thread.id]
    return Thread(
        thread_id=thread.id,
        path=thread.path,
        line=thread.line,
        resolved=thread.resolved,
        comments=tuple(shown_comment(comment, thread, reply=index > 0) for index, comment in enumerate(said)),
    )

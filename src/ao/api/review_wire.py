"""Reviews by agents on the wire: the original's shapes, old and new, and what we add to them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from ao.api.inputs import Input
from ao.api.wire import Output, Time

MAX_BATCH: Final = 50


class ReviewLine(Output, frozen=True, kw_only=True):
    """A comment on a line; `line` 0 is the whole file."""

    path: str
    line: int
    body: str


class ReviewRunView(Output, frozen=True, kw_only=True):
    """One agent reading one commit of a pull request. `sessionId` is the worker's, `reviewerId` the session that reads.
    `failure` says why it failed or was cancelled, or why the forge didn't take it."""

    id: str
    review_id: str
    session_id: str
    harness: str
    pr_url: str
    target_sha: str
    status: Literal["running", "complete", "delivered", "failed", "cancelled"]
    verdict: Annotated[str, Meta(description='"", approved or changes_requested')]
    body: str
    github_review_id: str
    created_at: Time
    delivered_at: Time | None = None
    reviewer_id: str = ""
    round: int = 0
    automatic: bool = False
    comments: tuple[ReviewLine, ...] = ()
    failure: str = ""


class PullReviewState(Output, frozen=True, kw_only=True):
    """Where a pull request stands with its reviews."""

    pr_url: str
    pr_number: int
    title: str
    target_sha: str
    status: Literal["needs_review", "running", "up_to_date", "changes_requested", "ineligible"]
    latest_run: ReviewRunView | None = None
    previous_run: ReviewRunView | None = None


class ReviewsAnswer(Output, frozen=True, kw_only=True):
    """A worker's pull requests, and all runs on them, newest first. `reviewerHandleId` is the terminal of the reviewer
    at work, "" when there is none."""

    reviewer_handle_id: str
    reviewer_harness: str = ""
    reviews: list[PullReviewState]
    runs: list[ReviewRunView]


class TriggerAnswer(Output, frozen=True, kw_only=True):
    """What reads now, or has read, the present commits. `created`: a review was started."""

    created: bool
    reviewer_handle_id: str
    review: ReviewRunView
    reviews: list[PullReviewState]
    runs: list[ReviewRunView]


class SubmitAnswer(Output, frozen=True, kw_only=True):
    """What was recorded, the first of them once more as `review`."""

    review: ReviewRunView
    reviewer_handle_id: str
    reviews: list[ReviewRunView]


class CancelAnswer(Output, frozen=True, kw_only=True):
    """The runs that were stopped, and where the pull requests stand now."""

    cancelled: list[ReviewRunView]
    reviews: list[PullReviewState]


class TriggerInput(Input, frozen=True, kw_only=True):
    """Who reviews; chosen when absent: the project's first reviewer, the worker's own agent, claude-code."""

    harness: str = ""


class ReviewLineInput(Input, frozen=True, kw_only=True):
    """A comment on a line; 0 is the whole file."""

    path: str
    line: Annotated[int, Meta(ge=0)] = 0
    body: str


class VerdictInput(Input, frozen=True, kw_only=True):
    """The verdict of one run."""

    run_id: str = ""
    verdict: str = ""
    body: str = ""
    comments: tuple[ReviewLineInput, ...] = ()
    github_review_id: Annotated[
        str, Meta(description="of a review that the reviewer has posted itself; it isn't posted again")
    ] = ""


class SubmitInput(VerdictInput, frozen=True, kw_only=True):
    """One verdict, or several as `reviews`."""

    reviews: Annotated[tuple[VerdictInput, ...], Meta(max_length=MAX_BATCH)] = ()


class CancelInput(Input, frozen=True, kw_only=True):
    """Which run; all that are running when absent."""

    run_id: str = ""

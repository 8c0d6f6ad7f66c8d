"""Pull requests on the wire: the session's summary of the original, and what we add to it.

A session's summary shows no log and no words of others; those are in the view of one pull request.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ao.api.session_wire import PullView
from ao.api.wire import Flag, Output, Time


class PullCheck(Output, frozen=True, kw_only=True):
    """A check of the present head."""

    name: str
    status: str
    conclusion: str
    url: str = ""
    created_at: Time | None = None


class FailingCheck(Output, frozen=True, kw_only=True):
    """A check in the way of the head of an open pull request."""

    name: str
    status: str
    conclusion: str
    url: str = ""


class PullCi(Output, frozen=True, kw_only=True):
    """What the checks say together."""

    state: str
    failing_checks: list[FailingCheck]


class UnresolvedLink(Output, frozen=True, kw_only=True):
    """Where a conversation waits for an answer."""

    url: str = ""
    file: str = ""
    line: int = 0


class UnresolvedBy(Output, frozen=True, kw_only=True):
    """Who waits for an answer, and in how many conversations."""

    reviewer_id: str
    count: int
    links: list[UnresolvedLink]


class PullVerdict(Output, frozen=True, kw_only=True):
    """A submitted review, without its words."""

    id: str
    reviewer_id: str
    state: str
    commit_sha: str
    url: str = ""
    is_bot: bool = False
    submitted_at: Time | None = None


class PullReview(Output, frozen=True, kw_only=True):
    """What the reviews say together, and who waits for an answer."""

    decision: str
    has_unresolved_human_comments: bool
    unresolved_by: list[UnresolvedBy]
    reviews: list[PullVerdict]


class ConflictFile(Output, frozen=True, kw_only=True):
    """A file in conflict with the base."""

    path: str
    url: str = ""


class PullMergeability(Output, frozen=True, kw_only=True):
    """Whether it can be merged, and why not."""

    state: str
    reasons: list[str]
    pr_url: str
    conflict_files: tuple[ConflictFile, ...] = ()


class NudgeCounts(Output, frozen=True, kw_only=True):
    """How often its agent was told of trouble: written, waiting to be written, given up."""

    sent: int
    waiting: int
    gave_up: int


class PullSummary(Output, frozen=True, kw_only=True):
    """A pull request and what stands in its way. Unknown times are absent."""

    url: str
    html_url: str = ""
    number: int
    title: str
    state: str
    provider: str
    repo: str
    author: str
    source_branch: str
    target_branch: str
    head_sha: str
    additions: int
    deletions: int
    changed_files: int
    ci: PullCi
    review: PullReview
    mergeability: PullMergeability
    updated_at: Time
    observed_at: Time | None = None
    ci_observed_at: Time | None = None
    review_observed_at: Time | None = None
    created_at: Time | None = None
    state_changed_at: Annotated[Time | None, Meta(description="when it was merged or closed")] = None
    project_id: str
    session_id: str = ""
    merge_sha: str = ""
    checks: list[PullCheck]
    nudges: NudgeCounts
    ready: Annotated[bool, Meta(description="nothing but the decision to merge is left")] = False
    obstacles: Annotated[list[str], Meta(description="what is in the way of merging, in words")]


class SessionPullsAnswer(Output, frozen=True, kw_only=True):
    """The pull requests of a session, open ones first."""

    session_id: str
    prs: list[PullSummary]


class PullComment(Output, frozen=True, kw_only=True):
    """A comment. `sessionId` wrote it when an agent did, through `ao`."""

    id: str
    author: str
    body: str
    thread_id: str = ""
    session_id: str = ""
    is_bot: bool = False
    url: str = ""
    created_at: Time | None = None


class PullThread(Output, frozen=True, kw_only=True):
    """A conversation on a line; without `line` on the whole file."""

    id: str
    path: str
    line: int = 0
    resolved: bool
    is_bot: bool = False
    comments: list[PullComment]


class PullRemark(PullVerdict, frozen=True, kw_only=True):
    """A submitted review with its words."""

    body: str = ""
    session_id: str = ""


class PullDetail(PullSummary, frozen=True, kw_only=True):
    """The same with all that was said about it."""

    threads: list[PullThread]
    comments: list[PullComment]
    remarks: list[PullRemark]


class PullAnswer(Output, frozen=True, kw_only=True):
    """One pull request."""

    pr: PullDetail


class PullRow(PullView, frozen=True, kw_only=True):
    """A pull request in a list."""

    project_id: str
    session_id: str = ""
    author: str = ""
    html_url: str = ""
    reasons: list[str]


class PullRowsAnswer(Output, frozen=True, kw_only=True):
    """Pull requests by project and number."""

    prs: list[PullRow]


class DiffAnswer(Output, frozen=True, kw_only=True):
    """A unified diff, cut to the size asked for."""

    diff: str
    truncated: bool


class ChecksAnswer(Output, frozen=True, kw_only=True):
    """The checks of the present head; `state` is what they say together."""

    head_sha: str
    state: str
    checks: list[PullCheck]
    observed_at: Time | None = None


class CheckLogAnswer(Output, frozen=True, kw_only=True):
    """The output of a check, as much of it as was kept."""

    name: str
    log: str


class DoneAnswer(Output, frozen=True, kw_only=True):
    """It was done."""

    ok: Flag
    pr_number: int


class CommentAnswer(Output, frozen=True, kw_only=True):
    """The comment as the forge has it."""

    ok: Flag
    comment: PullComment


class RemarkAnswer(Output, frozen=True, kw_only=True):
    """The review as the forge has it."""

    ok: Flag
    review: PullRemark


class ResolvedAnswer(Output, frozen=True, kw_only=True):
    """How many conversations were resolved."""

    ok: Flag
    resolved: int


class MergedAnswer(Output, frozen=True, kw_only=True):
    """The merge, and the commit it made."""

    ok: Flag
    pr_number: int
    method: str
    sha: str


class ClaimAnswer(Output, frozen=True, kw_only=True):
    """The session's pull requests, the claimed one first. `branchChanged` stays false: a claim moves no worktree."""

    ok: Flag
    session_id: str
    prs: list[PullView]
    branch_changed: bool
    taken_over_from: list[str]


class NudgeView(Output, frozen=True, kw_only=True):
    """Something the agent was told because of its pull request, or was not told, and why.

    `state` is that of the nudge, `messageState` that of its message; `round` counts on this head.
    """

    id: str
    pr_url: str
    cause: str
    head_sha: str
    round: int
    state: str
    message_id: str = ""
    message_state: str = ""
    held_reason: str = ""
    reason: str = ""
    possible_duplicate: bool = False
    created_at: Time
    updated_at: Time


class NudgesAnswer(Output, frozen=True, kw_only=True):
    """The newest nudges of a session, oldest first."""

    session_id: str
    nudges: list[NudgeView]


class MergePolicyAnswer(Output, frozen=True, kw_only=True):
    """What happens to the session once its pull requests are merged; `source` says who decided."""

    ok: Flag
    session_id: str
    terminate_on_pr_merge: bool
    source: Literal["session", "project"]


class WebhookAnswer(Output, frozen=True, kw_only=True):
    """Whether it concerned one of our repositories, which is then looked at now."""

    ok: Flag
    known: bool

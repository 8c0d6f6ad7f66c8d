"""What is accepted about pull requests: bodies and queries."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from ao.api.inputs import Input
from ao.model.pull import Verdict

DIFF_LIMIT: Final = 1 << 20
"""Bytes of a diff, unless asked otherwise."""
LEDGER_LIMIT: Final = 200
"""Nudges of a session, the newest, unless asked otherwise."""
MAX_COMMENTS: Final = 100

Length = Annotated[str, Meta(max_length=65_536)]


class PullsQuery(Input, frozen=True, kw_only=True):
    """Which pull requests."""

    project: str | None = None
    state: Literal["open", "all"] = "open"


class PullQuery(Input, frozen=True, kw_only=True):
    """Which one a number means, where several projects have it: a project, or the whole URL."""

    project_id: str | None = None
    pr_url: str | None = None


class LookQuery(PullQuery, frozen=True, kw_only=True):
    """`refresh` asks the forge now instead of showing what was last seen."""

    refresh: bool = False


class DiffQuery(PullQuery, frozen=True, kw_only=True):
    """At most how many bytes."""

    limit: Annotated[int, Meta(ge=1, le=8 << 20)] = DIFF_LIMIT


class CheckLogQuery(PullQuery, frozen=True, kw_only=True):
    """Which check."""

    name: str = ""


class NudgesQuery(Input, frozen=True, kw_only=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = LEDGER_LIMIT


class CreatePullInput(Input, frozen=True, kw_only=True):
    """A pull request to open. An agent's own project, session and branch are the defaults, the project's base branch is
    the target, an empty title the subject of the last commit."""

    project_id: str = ""
    session_id: str = ""
    source_branch: str = ""
    target_branch: str = ""
    title: str = ""
    body: Length = ""
    draft: bool = False


class CommentInput(Input, frozen=True, kw_only=True):
    """A comment on the whole, or an answer in a conversation."""

    required_names: ClassVar[tuple[str, ...]] = ("body",)
    body: Length = ""
    thread_id: str = ""


class LineInput(Input, frozen=True, kw_only=True):
    """A comment on a line; 0 is the whole file."""

    path: str
    line: Annotated[int, Meta(ge=0)] = 0
    body: Length


class ReviewInput(Input, frozen=True, kw_only=True):
    """A review to submit on a commit (default: the head)."""

    verdict: Verdict
    body: Length = ""
    comments: Annotated[tuple[LineInput, ...], Meta(max_length=MAX_COMMENTS)] = ()
    commit_sha: str = ""


class ResolveInput(Input, frozen=True, kw_only=True):
    """Conversations, by their own ids or those of comments in them; all open ones when absent."""

    comment_ids: Annotated[list[str], Meta(max_length=1_000)] | None = None


class MergeInput(Input, frozen=True, kw_only=True):
    """How to merge. With `expectedHeadSha` only while the head is that commit."""

    pr_url: str | None = None
    project_id: str | None = None
    expected_head_sha: str = ""
    method: str = ""


class ClaimInput(Input, frozen=True, kw_only=True):
    """A number or URL. Without `allowTakeover` one that another session works on is refused."""

    required_names: ClassVar[tuple[str, ...]] = ("pr",)
    pr: str = ""
    allow_takeover: bool = True


class MergePolicyInput(Input, frozen=True, kw_only=True):
    """Whether the session ends once its pull requests are merged; null: as its project says."""

    terminate_on_pr_merge: bool | None

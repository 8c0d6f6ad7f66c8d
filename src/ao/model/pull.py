"""A pull request as it was last observed: facts from a forge, in the words of the wire.

`state` draft|open|merged|closed, `ci` unknown|pending|passing|failing, `review`
none|approved|changes_requested|review_required, `mergeability` unknown|mergeable|conflicting|blocked|unstable, a
check's `status` unknown|queued|in_progress|passed|failed|skipped|cancelled. Times are milliseconds since the epoch.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

PullState = Literal["draft", "open", "merged", "closed"]
CiState = Literal["unknown", "pending", "passing", "failing"]
Decision = Literal["none", "approved", "changes_requested", "review_required"]
Mergeability = Literal["unknown", "mergeable", "conflicting", "blocked", "unstable"]
CheckStatus = Literal["unknown", "queued", "in_progress", "passed", "failed", "skipped", "cancelled"]
MergeMethod = Literal["merge", "squash", "rebase"]
Verdict = Literal["approved", "changes_requested", "commented"]

LOCAL: Final = "local"
GITHUB: Final = "github"
FAILED: Final = frozenset({"failed", "cancelled"})
"""Statuses of a check that stand in a pull request's way."""
REASONS: Final = (
    "conflicts", "behind_base", "draft", "ci_failing", "changes_requested", "review_required", "blocked_by_provider",
)  # fmt: skip
"""Why a pull request can't be merged, in the order in which they are told."""


class Repo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository on a forge. `path` is OWNER/NAME, or the project's id on the local forge; `root` is the checkout
    on our side (a path of the host), "" when there is none."""

    forge: str
    host: str = ""
    path: str
    root: str = ""

    @property
    def key(self) -> str:
        """What tells one repository from another; the case of names doesn't."""
        return f"{self.forge}:{self.host}/{self.path}".lower() if self.forge != LOCAL else f"{LOCAL}:{self.path}"


class PullRef(msgspec.Struct, frozen=True, kw_only=True):
    """One pull request of a repository. `node` is the forge's own opaque id of it, "" until known."""

    repo: Repo
    number: int
    node: str = ""


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote something on a forge.

    `association` is the forge's word for their relation to the repository, lower case: owner, member and collaborator
    may write to it. `session` is the session whose agent wrote it through `ao`, "" for a person; `is_viewer` says that
    it was the account whose token we use.
    """

    login: str = ""
    association: str = "none"
    is_bot: bool = False
    is_viewer: bool = False
    session: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one commit. `provider_id` fetches its log, "" when there is none to fetch."""

    name: str
    commit_sha: str
    status: CheckStatus = "unknown"
    conclusion: str = ""
    url: str = ""
    provider_id: str = ""
    log_tail: str = ""
    created_at: int = 0


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment. `thread_id` is "" for one on the whole pull request; `reply` for all but the first of a thread."""

    comment_id: str
    thread_id: str = ""
    author: Author = Author()
    body: str = ""
    path: str = ""
    line: int = 0
    url: str = ""
    reply: bool = False
    created_at: int = 0


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation on a line. `line` 0: the file as a whole, or unknown."""

    thread_id: str
    path: str = ""
    line: int = 0
    resolved: bool = False
    is_bot: bool = False
    """Whether all its comments are bots'."""
    comments: tuple[Comment, ...] = ()


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A submitted review: a verdict (or `dismissed`) on a commit, with a body."""

    review_id: str
    author: Author = Author()
    state: Literal["approved", "changes_requested", "commented", "dismissed"] = "commented"
    body: str = ""
    url: str = ""
    commit_sha: str = ""
    submitted_at: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a forge says of a pull request beside its checks and conversations. `head_repo` is the key of the repository
    its branch lives in, "" when that is gone. `reasons` are words of `REASONS`."""

    url: str
    number: int
    repo: str
    state: PullState = "open"
    ci: CiState = "unknown"
    review: Decision = "none"
    mergeability: Mergeability = "unknown"
    reasons: tuple[str, ...] = ()
    title: str = ""
    author: str = ""
    source_branch: str = ""
    target_branch: str = ""
    head_sha: str = ""
    base_sha: str = ""
    head_repo: str = ""
    merge_sha: str = ""
    """The commit that merging made."""
    node: str = ""
    html_url: str = ""
    additions: int = 0
    deletions: int = 0
    changed_files: int = 0
    created_at: int = 0
    changed_at: int = 0
    """When it last changed, by the forge's clock."""
    merged_at: int | None = None
    closed_at: int | None = None


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request as a forge showed it at one moment.

    A part that is None was not asked for, because the forge showed that it had not changed. `whole_threads` False:
    there are more threads than these. `stamp` is the forge's own mark of this state: whoever gives it back is told of
    the pull request again only when something has changed.
    """

    facts: Facts
    stamp: str = ""
    checks: tuple[Check, ...] | None = None
    threads: tuple[Thread, ...] | None = None
    whole_threads: bool = True
    comments: tuple[Comment, ...] | None = None
    reviews: tuple[Review, ...] | None = None


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `pr`; the fields are its columns in order. `reasons` is a JSON array."""

    url: str
    session_id: str
    project_id: str
    number: int
    forge: str
    host: str
    repo: str
    """OWNER/NAME, or the project's id on the local forge."""
    state: PullState = "open"
    ci: CiState = "unknown"
    review: Decision = "none"
    mergeability: Mergeability = "unknown"
    reasons: str = "[]"
    title: str = ""
    author: str = ""
    source_branch: str = ""
    target_branch: str = ""
    head_sha: str = ""
    base_sha: str = ""
    head_repo: str = ""
    merge_sha: str = ""
    node: str = ""
    html_url: str = ""
    additions: int = 0
    deletions: int = 0
    changed_files: int = 0
    provider_created_at: int = 0
    provider_changed_at: int = 0
    merged_at: int | None = None
    closed_at: int | None = None
    unresolved: int = 0
    """Unresolved threads that hold a comment of a person: the one count that status, summary and list share."""
    stamp: str = ""
    """The forge's mark of the state that these facts are of; stored with them, so what was not stored is told again."""
    revision: int = 0
    """Grows whenever a fact that a decision could rest on changed."""
    acked: int = 0
    """The revision that was last decided upon. Smaller than `revision`: a decision is due."""
    head_at: int = 0
    """When the present head was first seen."""
    observed_at: int = 0
    ci_observed_at: int = 0
    review_observed_at: int = 0
    created_at: int
    updated_at: int

    @property
    def is_open(self) -> bool:
        """Neither merged nor closed."""
        return self.state in ("open", "draft")

    @property
    def reason_list(self) -> list[str]:
        """Why it can't be merged, decoded."""
        return msgspec.json.decode(self.reasons, type=list[str])

    @property
    def ref(self) -> PullRef:
        """Where it is, without the checkout on our side."""
        return PullRef(repo=Repo(forge=self.forge, host=self.host, path=self.repo), number=self.number, node=self.node)

    @property
    def status_facts(self) -> PullFacts:
        """What a session's status rests on."""
        return PullFacts(
            url=self.url,
            number=self.number,
            state=self.state,
            ci=self.ci,
            review=self.review,
            mergeability=self.mergeability,
            unresolved_human_comments=self.unresolved > 0,
            source_branch=self.source_branch,
            target_branch=self.target_branch,
            updated_at=self.updated_at,
        )


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything stored of one pull request, read in one moment: what decisions and views work on."""

    pull: Pull
    checks: tuple[Check, ...] = ()
    """Of the present head only."""
    threads: tuple[Thread, ...] = ()
    comments: tuple[Comment, ...] = ()
    """Those outside threads, oldest first."""
    reviews: tuple[Review, ...] = ()

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """Those in the way, failed before cancelled, by name."""
        return tuple(
            sorted((c for c in self.checks if c.status in FAILED), key=lambda c: (c.status != "failed", c.name))
        )


class PullFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One pull request as a session's status needs it."""

    url: str
    number: int
    state: str = "open"
    ci: str = "unknown"
    review: str = "none"
    mergeability: str = "unknown"
    unresolved_human_comments: bool = False
    source_branch: str = ""
    target_branch: str = ""
    updated_at: int = 0

    @property
    def is_open(self) -> bool:
        """Neither merged nor closed."""
        return self.state in ("open", "draft")


def unresolved_threads(threads: tuple[Thread, ...]) -> int:
    """How many conversations wait for an answer: not resolved, and not among bots alone."""
    return sum(not thread.resolved and not thread.is_bot for thread in threads)

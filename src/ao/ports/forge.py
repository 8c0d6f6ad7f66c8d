"""The port to where pull requests live. Nothing above it assumes GitHub; nothing below it knows of sessions' rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ao.model.errors import AoError
from ao.model.local_pull import LocalCheck, LocalComment, LocalPull, LocalReview, LocalThread
from ao.model.pull import Check, Comment, Facts, MergeMethod, Observation, PullRef, Repo, Review, Verdict
from ao.model.review import LineComment


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Pull requests of a repository, open or not, that changed since a cursor; `cursor` is where to go on from.

    `unchanged`: the forge said that nothing has changed at all. `complete` False: older ones were left out.
    """

    pulls: tuple[Facts, ...] = ()
    cursor: str = ""
    unchanged: bool = False
    complete: bool = True


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request to look at, with the mark of the state that is known of it ("" for none)."""

    ref: PullRef
    stamp: str = ""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one look. With all fields at their default nothing had changed.

    `gone`: the forge says that there is no such pull request. `trouble`: this one could not be looked at; the others
    of the same call could.
    """

    ref: PullRef
    observation: Observation | None = None
    gone: bool = False
    trouble: AoError | None = None


class NewPull(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request to open. `session` wrote it, "" for a person."""

    source_branch: str
    target_branch: str
    title: str
    body: str = ""
    draft: bool = False
    session: str = ""


class ReviewPost(msgspec.Struct, frozen=True, kw_only=True):
    """A review to submit on a commit. `session`: the agent that wrote it, "" for a person."""

    verdict: Verdict
    body: str = ""
    comments: tuple[LineComment, ...] = ()
    commit_sha: str = ""
    session: str = ""


class MergeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that happens only while the head is `expected_head` ("" = whatever it is, where the forge allows)."""

    method: MergeMethod = "squash"
    expected_head: str = ""
    title: str = ""
    message: str = ""


class Forge(Protocol):
    """Where pull requests live.

    All calls may raise `SCM_UNAVAILABLE` (no credentials, no network, the forge fails) and `SCM_RATE_LIMITED` with
    `details.retryAfterS`; those about one pull request also `PR_NOT_FOUND`. Nothing is retried for longer than a call
    may reasonably take, and no call waits for a rate limit to pass.
    """

    name: str

    async def trouble(self, repo: Repo) -> AoError | None:
        """Why the repository's host can't be asked at all (no credentials), None when it can. Cached, and probed anew
        from time to time; never raises."""

    async def resume(self, repos: Sequence[Repo]) -> None:
        """After a start of the daemon, before the first look: end what a killed one left running for these
        repositories, and go on with what it had not finished."""

    async def listing(self, repo: Repo, cursor: str, *, since: int) -> Listing:
        """Pull requests that changed since `cursor`, newest first; with "" those that changed after `since`
        (milliseconds since the epoch) and all open ones. One request when nothing has changed."""

    async def observe(self, watched: Sequence[Watched]) -> list[Sighting]:
        """Look at pull requests, of any repositories, in as few requests as can be. One sighting each, in order; never
        raises for a part of them."""

    async def fetch(self, ref: PullRef) -> Observation:
        """Everything about one, whatever is known of it."""

    async def log(self, ref: PullRef, check: Check) -> str:
        """The output of a failed check, as much of it as is sensible to read (its beginning and its end)."""

    async def create(self, repo: Repo, new: NewPull) -> Observation:
        """Open a pull request. Raises `PR_EXISTS` (details.number) for one of the same branches that is open,
        `INVALID_BRANCH`, `NOTHING_TO_MERGE` when the branch has nothing that the target has not."""

    async def comment(self, ref: PullRef, body: str, *, thread_id: str = "", session: str = "") -> Comment:
        """Comment on the whole, or reply in a thread. Raises `THREAD_NOT_FOUND`."""

    async def review(self, ref: PullRef, post: ReviewPost) -> Review:
        """Submit a review with its line comments, all or nothing. Raises `INVALID_REVIEW` for a line that isn't part of
        the change, where the forge insists."""

    async def resolve(self, ref: PullRef, thread_id: str, *, resolved: bool = True) -> None:
        """Mark a conversation as resolved, or open again. Idempotent. Raises `THREAD_NOT_FOUND`."""

    async def merge(self, ref: PullRef, order: MergeOrder) -> str:
        """Merge; the commit that this made. Raises `PR_HEAD_CHANGED`, `PR_NOT_MERGEABLE` (details.reasons,
        details.files), `PR_NOT_OPEN`, and on the local forge `BASE_CHECKED_OUT_DIRTY`."""

    async def close(self, ref: PullRef) -> None:
        """Close without merging. Idempotent. Raises `PR_NOT_OPEN` for a merged one."""

    async def rerun(self, ref: PullRef) -> None:
        """Run the checks of its head again. Raises `CHECKS_NOT_CONFIGURED` when there is none that could be."""

    async def diff(self, ref: PullRef, *, limit: int) -> str:
        """Its change as a unified diff, cut to `limit` bytes."""

    def forget(self, repo: Repo) -> None:
        """Something happened there: what is cached about it is stale."""

    async def shut(self) -> None:
        """Let go of connections and end what runs for it; idempotent."""


class PullBook(Protocol):
    """The pages of the local forge: its rows, kept by the store. Reads see the last commit."""

    async def open_pull(self, new: LocalPull) -> LocalPull:
        """Insert with the project's next number. Raises `PR_EXISTS` for an open one of the same two branches."""

    def pull(self, project_id: str, number: int) -> LocalPull | None:
        """One, None when there is none."""

    def pulls(self, project_id: str, *, changed_after: int = 0) -> list[LocalPull]:
        """Those of a project that are open or changed after that time, newest first."""

    async def saw_head(self, pull_id: str, *, head_sha: str, base_sha: str, now: int) -> None:
        """Record where its branches are; writes only what differs."""

    async def settle(self, pull_id: str, state: str, *, merge_sha: str = "", now: int) -> bool:
        """Take an open one to merged or closed; whether it was open."""

    def threads(self, pull_id: str) -> list[LocalThread]:
        """Its conversations, oldest first."""

    def comments(self, pull_id: str) -> list[LocalComment]:
        """Its comments, oldest first."""

    def reviews(self, pull_id: str) -> list[LocalReview]:
        """Its reviews, oldest first."""

    async def add_comment(self, comment: LocalComment) -> None:
        """Add one. Raises LookupError when its pull request or thread isn't there."""

    async def add_review(
        self, review: LocalReview, threads: Sequence[LocalThread], comments: Sequence[LocalComment]
    ) -> None:
        """Add a review with the conversations it opens, in one transaction."""

    async def resolve(self, thread_id: str, *, resolved: bool, now: int) -> bool:
        """Set the flag; False when there is no such thread."""

    def checks(self, project_id: str, tree: str) -> list[LocalCheck]:
        """All checks ever run on a tree, by name."""

    def unfinished_checks(self) -> list[LocalCheck]:
        """Those queued or in progress, oldest first."""

    async def put_check(self, check: LocalCheck) -> None:
        """Insert or replace by id."""

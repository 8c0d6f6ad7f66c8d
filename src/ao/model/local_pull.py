"""The rows of the local forge: pull requests between branches of one repository, without a network.

The tables are the forge itself, as GitHub's own database is; what is observed of them goes to `pr` as for any forge.
Times are milliseconds since the epoch.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ao.model.pull import CheckStatus

LocalState = Literal["open", "merged", "closed"]


class LocalPull(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `local_pulls`; the fields are its columns in order. While it is open its head is where its branch is;
    `head_sha` is the one last seen, and the final one once it is merged or closed."""

    id: str
    """`<project>/<number>`."""
    project_id: str
    number: int = 0
    title: str
    body: str = ""
    source_branch: str
    target_branch: str
    author: str = ""
    """The login shown: the session's id, or the person's name."""
    author_session: str = ""
    draft: bool = False
    state: LocalState = "open"
    head_sha: str = ""
    base_sha: str = ""
    merge_sha: str = ""
    merged_at: int | None = None
    closed_at: int | None = None
    created_at: int
    updated_at: int


class LocalThread(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `local_threads`: a conversation on a line. `pull_id` as `LocalPull.id`."""

    id: str
    pull_id: str
    path: str
    line: int = 0
    commit_sha: str = ""
    resolved: bool = False
    created_at: int
    updated_at: int


class LocalComment(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `local_comments`. `thread_id` "" is a comment on the whole."""

    id: str
    pull_id: str
    thread_id: str = ""
    review_id: str = ""
    author: str = ""
    author_session: str = ""
    body: str
    created_at: int
    updated_at: int


class LocalReview(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `local_reviews`: a verdict on a commit. The newest of each author counts; a comment leaves it."""

    id: str
    pull_id: str
    author: str = ""
    author_session: str = ""
    state: Literal["approved", "changes_requested", "commented", "dismissed"]
    body: str = ""
    commit_sha: str = ""
    created_at: int
    updated_at: int


class LocalCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `local_checks`: one command on one tree. The same tree and command give the same row, whichever commit
    or pull request they came from."""

    id: str
    """`<project>/<tree>/<name>/<digest of the command>`."""
    project_id: str
    tree: str
    name: str
    status: CheckStatus = "queued"
    conclusion: str = ""
    """success, failure, timed_out or cancelled."""
    exit_code: int | None = None
    log: str = ""
    """The first and the last part of its output."""
    started_at: int | None = None
    ended_at: int | None = None
    created_at: int
    updated_at: int

"""A review run: one agent reading one commit of another's pull request."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class RunStatus(StrEnum):
    """running → complete (verdict recorded) → delivered (the worker was told); or failed, or cancelled."""

    RUNNING = "running"
    COMPLETE = "complete"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ReviewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `review_runs`; the fields are its columns in order. Times are milliseconds since the epoch."""

    id: str
    session_id: str
    """The worker whose pull request is read."""
    project_id: str
    reviewer_id: str = ""
    """The session that reads it, "" until it is seeded."""
    agent: str
    pull_url: str
    target_sha: str
    round: int = 1
    automatic: bool = False
    status: RunStatus = RunStatus.RUNNING
    verdict: str = ""
    """approved, changes_requested or ""."""
    body: str = ""
    comments: str = "[]"
    """JSON array of {path, line, body}."""
    forge_review_id: str = ""
    """What the forge calls the review that was posted there."""
    failure: str = ""
    lease_until: int
    """A run that hasn't been heard of by then has failed."""
    delivered_at: int | None = None
    created_at: int
    updated_at: int


class LineComment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment of a review on a line of a file (0: the whole file)."""

    path: str
    line: int = 0
    body: str

"""A notification: something a person should know, once, until it is read or no longer true."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class NotificationType(StrEnum):
    """What happened. The first four are the original's words."""

    NEEDS_INPUT = "needs_input"
    READY_TO_MERGE = "ready_to_merge"
    PR_MERGED = "pr_merged"
    PR_CLOSED_UNMERGED = "pr_closed_unmerged"
    CI_GAVE_UP = "ci_gave_up"
    REVIEW_GAVE_UP = "review_gave_up"
    CONFLICT_GAVE_UP = "conflict_gave_up"
    SESSION_LOST = "session_lost"
    BUDGET = "budget"
    TEST = "test"


LASTING: Final = frozenset({NotificationType.PR_MERGED, NotificationType.PR_CLOSED_UNMERGED, NotificationType.TEST})
"""Told once and for ever; the others end when they are no longer true."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `notifications`; the fields are its columns in order. Times are milliseconds since the epoch.

    At most one row that is unread or unresolved exists for a session, pull request, type and `signature`.
    """

    id: str
    """`ntf_` and 32 hex digits."""
    project_id: str
    session_id: str
    """"" for what concerns a project or the daemon as a whole."""
    pull_url: str = ""
    type: NotificationType
    signature: str = ""
    """Tells one occurrence from the next, where the same may happen again (a head commit, say)."""
    title: str
    body: str = ""
    read_at: int | None = None
    resolved_at: int | None = None
    created_at: int
    updated_at: int


class DeliveryState(StrEnum):
    """pending → sent, or failed after its last attempt. skipped: its channel's filter or the quiet hours dropped it."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `deliveries`: one notification on its way to one channel. `due_at`: not before this time."""

    id: str
    notification_id: str
    channel: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    failure: str = ""
    due_at: int
    created_at: int
    updated_at: int

"""A message to an agent: a row of the outbox, from queued to submitted."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class MessageState(StrEnum):
    """queued → sending (committed before the paste) → sent → submitted (the agent's hook said so).

    failed: it never reached the agent. unknown: the daemon died while sending; a user's message is then not repeated.
    """

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    SUBMITTED = "submitted"
    FAILED = "failed"
    UNKNOWN = "unknown"


class MessageSource(StrEnum):
    """Who wrote a message."""

    USER = "user"
    AGENT = "agent"
    NUDGE = "nudge"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `messages`; the fields are its columns in order. Times are milliseconds since the epoch."""

    id: str
    session_id: str
    num: int
    """Position in the session's outbox; delivery follows it."""
    source: MessageSource
    sender: str = ""
    text: str
    idempotency_key: str = ""
    state: MessageState = MessageState.QUEUED
    held_reason: str = ""
    attempts: int = 0
    failure: str = ""
    possible_duplicate: bool = False
    created_at: int
    updated_at: int

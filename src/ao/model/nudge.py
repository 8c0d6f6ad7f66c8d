"""A nudge: a message the daemon sends an agent because of a fact, and the ledger of those sent, held and given up."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ao.model.message import MessageState


class Cause(StrEnum):
    """The fact behind a nudge."""

    CI = "ci"
    REVIEW = "review"
    CONFLICT = "conflict"


class NudgeState(StrEnum):
    """queued: its message is in the outbox, whose state tells the rest. withdrawn: overtaken (a newer commit, the fact
    is gone) before it was written. undeliverable: there was no agent to tell. gave_up: the budget is used up; a person
    was told. cleared: no nudge, but the mark that the fact was gone; what was sent before doesn't count any more."""

    QUEUED = "queued"
    WITHDRAWN = "withdrawn"
    UNDELIVERABLE = "undeliverable"
    GAVE_UP = "gave_up"
    CLEARED = "cleared"


class Nudge(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `nudges`; the fields are its columns in order. Times are milliseconds since the epoch."""

    id: str
    session_id: str
    pull_url: str
    cause: Cause
    head_sha: str
    signature: str
    """The same signature says the same thing: it isn't sent twice."""
    round: int
    """The how-manieth of this cause on this head."""
    message_id: str = ""
    state: NudgeState = NudgeState.QUEUED
    reason: str = ""
    created_at: int
    updated_at: int


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A nudge with the fate of its message (None when it has none)."""

    nudge: Nudge
    message: MessageState | None = None
    held_reason: str = ""
    possible_duplicate: bool = False

    @property
    def counts(self) -> bool:
        """Whether the agent was told, will be, or may have been: only then need it not be told again."""
        return self.nudge.state is NudgeState.QUEUED and self.message not in (None, MessageState.FAILED)

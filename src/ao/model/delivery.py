"""When a message may be written to an agent's terminal. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from ao.model.message import MessageSource
from ao.model.session import Activity, Phase, Session

TYPING_MS: Final = 10_000
"""A person's half-typed line is left alone for this long after the last key."""


class Hold(msgspec.Struct, frozen=True):
    """Why a message waits. `retry_ms`: look again after this time; None: the next change of the session tells."""

    reason: str
    retry_ms: int | None = None


def hold(session: Session, source: MessageSource, *, typed_at: int | None, now: int) -> Hold | None:
    """What keeps a message from being delivered at `now`, or None. Times in milliseconds since the epoch."""
    if session.phase is not Phase.LIVE:
        return Hold(f"the session is {session.phase}")
    if session.activity is Activity.EXITED:
        return Hold("the agent has ended; restore the session")
    if session.activity is Activity.BLOCKED:
        return Hold("a permission dialog is open")
    if session.activity is Activity.WAITING_INPUT and source is MessageSource.NUDGE:
        return Hold("the agent waits for a person")
    if typed_at is not None and now - typed_at < TYPING_MS:
        return Hold("a person is typing in the terminal", TYPING_MS - (now - typed_at))
    return None

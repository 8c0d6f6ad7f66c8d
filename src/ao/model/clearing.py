"""When the fact behind a nudge is gone, so that the count of nudges begins anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ao.model.nudge import Cause, LedgerEntry, NudgeState
from ao.model.pull import Picture

_REMEMBERED = (NudgeState.QUEUED, NudgeState.GAVE_UP, NudgeState.UNDELIVERABLE)


def is_clear(picture: Picture, cause: Cause) -> bool:
    """Whether there is positive evidence that the fact is gone: an unknown state clears nothing."""
    pull = picture.pull
    if cause is Cause.CI:
        return pull.ci == "passing"
    if cause is Cause.REVIEW:
        settled = pull.review == "approved" or (pull.review == "none" and bool(picture.threads))
        return pull.unresolved == 0 and settled
    return pull.mergeability not in ("unknown", "conflicting")


def newly_clear(picture: Picture, ledger: Sequence[LedgerEntry]) -> tuple[Cause, ...]:
    """The causes that are clear now and were told of since they last were."""
    return tuple(cause for cause in Cause if is_clear(picture, cause) and _told(ledger, cause))


def clear_since(ledger: Sequence[LedgerEntry]) -> Mapping[Cause, int]:
    """When each cause was last seen clear, in milliseconds; absent when never."""
    return {entry.nudge.cause: entry.nudge.created_at for entry in ledger if entry.nudge.state is NudgeState.CLEARED}


def _told(ledger: Sequence[LedgerEntry], cause: Cause) -> bool:
    last = next((entry.nudge.state for entry in reversed(ledger) if entry.nudge.cause is cause), None)
    return last in _REMEMBERED

"""How soon a pull request is looked at again. Pure; all times in milliseconds.

Looking costs the forge's budget, so it follows what may happen: quickly while checks run or something has just
changed, slowly when nothing has for long. What a webhook, a hook or a command tells is looked at at once anyway.
"""

from __future__ import annotations

from typing import Final

from ao.model.pull import Pull

FAST: Final = 10_000
NORMAL: Final = 30_000
SLOW: Final = 120_000
RARE: Final = 300_000
JUST_NOW: Final = 2 * 60_000
RECENT: Final = 60 * 60_000
CHECKING: Final = 30 * 60_000
"""Checks that haven't come to an end after this time are not waited for at a run."""
TODAY: Final = 24 * 60 * 60_000
MANY: Final = 300
"""Three queries of at most two points every half minute: 720 points an hour of GitHub's 5,000."""
WITH_IT: Final = 0.5
"""Whatever falls due within this part of its own interval is taken along with what is due: one request serves both."""


def interval(pull: Pull, now: int) -> int:
    """The time to the next look at an open pull request."""
    quiet = now - max(pull.updated_at, pull.head_at)
    checking = pull.ci == "pending" and quiet < CHECKING
    if checking or quiet < JUST_NOW or (pull.mergeability == "unknown" and quiet < RECENT):
        return FAST
    if quiet < RECENT:
        return NORMAL
    return SLOW if quiet < TODAY else RARE


def stretched(interval_ms: int, watched: int) -> int:
    """An interval when so many pull requests are watched: beyond `MANY` the pace gives way, so that the cost for an
    hour stays what it is for that many."""
    return interval_ms * max(watched, MANY) // MANY


def pause(failures: int, *, retry_ms: int | None = None, spread: float = 0.0) -> int:
    """How long to leave a forge alone after so many failures in a row: doubling from 15 s to 15 min, never shorter than
    the forge demands (`retry_ms`). `spread` in [0, 1) adds up to a quarter, so that daemons don't return together."""
    grown = min(15_000 * 2 ** min(failures - 1, 6), 900_000)
    return int(max(grown, retry_ms or 0) * (1 + spread / 4))

"""How much GitHub lets us ask, and how long to be silent when it says stop. Pure; times are milliseconds.

Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api and its GraphQL counterpart.
REST (`core`) and GraphQL have budgets of their own: one used up must not stop the other. The end of an hour is
reckoned from the answer's own `Date`, so a clock of ours that is wrong doesn't matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

FIRST_PAUSE_MS: Final = 60_000
"""GitHub asks for at least a minute when it names no time."""
LONGEST_PAUSE_MS: Final = 900_000
HOUR_MS: Final = 3_600_000
RESERVE: Final = 100
"""Points that looking leaves for what a person or an agent asks to be done."""
_WORDS: Final = ("rate limit", "secondary limit", "abuse detection")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one budget. `remaining` -1: not known. Nothing may be asked before `until`."""

    limit: int = -1
    remaining: int = -1
    reset_at: int = 0
    until: int = 0
    strikes: int = 0


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of the budget. `limited`: it was refused for it. None: it doesn't say."""

    limited: bool = False
    limit: int | None = None
    remaining: int | None = None
    reset_in: int | None = None
    retry_after: int | None = None


def signs_of(status: int, headers: Mapping[str, str], text: str, *, now: int) -> Signs:
    """Read an answer. `text` is its message. Of a 403, GitHub means a limit when nothing remains, when it says when to
    return, or when it says so in words."""
    remaining = _number(headers.get("X-RateLimit-Remaining"))
    retry_after = _number(headers.get("Retry-After"))
    reset = _number(headers.get("X-RateLimit-Reset"))
    worded = any(word in text.lower() for word in _WORDS)
    return Signs(
        limited=status == 429 or (status in (200, 403) and (worded or (status == 403 and _is_spent(headers)))),
        limit=_number(headers.get("X-RateLimit-Limit")),
        remaining=remaining,
        reset_in=None if reset is None else min(HOUR_MS, max(0, reset * 1000 - told_at(headers, now=now))),
        retry_after=None if retry_after is None else min(HOUR_MS, retry_after * 1000),
    )


def after(pace: Pace, signs: Signs, *, now: int, spread: float) -> Pace:
    """The pace after an answer. `spread` in [0, 1) keeps daemons that share a token from returning together."""
    known = msgspec.structs.replace(
        pace,
        limit=pace.limit if signs.limit is None else signs.limit,
        remaining=pace.remaining if signs.remaining is None else signs.remaining,
        reset_at=pace.reset_at if signs.reset_in is None else now + signs.reset_in,
    )
    if signs.limited:
        pause = _pause(signs, pace.strikes, spread)
        return msgspec.structs.replace(known, until=max(pace.until, now + pause), strikes=pace.strikes + 1)
    if pace.until > now:  # an older request's answer; it doesn't end the pause
        return known
    spent = known.reset_at if signs.remaining == 0 else 0
    return msgspec.structs.replace(known, until=spent, strikes=0)


def wait(pace: Pace, *, now: int, reserve: bool) -> int:
    """How long nothing may be asked, 0 when something may. `reserve`: leave the reserve to others."""
    if pace.until > now:
        return pace.until - now
    return pace.reset_at - now if reserve and is_spent(pace, now=now) else 0


def is_spent(pace: Pace, *, now: int) -> bool:
    """Whether the budget is used up, but for the reserve. A pause alone doesn't mean that: GitHub may ask for one at
    any time (its secondary limits)."""
    kept = max(1, min(RESERVE, pace.limit // 50))
    return 0 <= pace.remaining < kept and pace.reset_at > now


def told_at(headers: Mapping[str, str], *, now: int) -> int:
    """GitHub's clock when it answered, ours (`now`) when it doesn't say."""
    try:
        return int(parsedate_to_datetime(headers["Date"]).timestamp() * 1000)
    except (KeyError, ValueError):
        return now


def _pause(signs: Signs, strikes: int, spread: float) -> int:
    if signs.retry_after is not None:
        return int(max(1000, signs.retry_after) * (1 + spread / 20))
    if signs.remaining == 0 and signs.reset_in is not None:
        return signs.reset_in + 1000
    return int(min(FIRST_PAUSE_MS * 2 ** min(strikes, 8), LONGEST_PAUSE_MS) * (1 + spread / 4))


def _is_spent(headers: Mapping[str, str]) -> bool:
    return headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in headers


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None

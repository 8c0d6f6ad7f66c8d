"""Hours of the day in which nobody wants to be disturbed, such as `22:00-07:00`. Pure; times are local."""

from __future__ import annotations

import re
from typing import Final

DAY: Final = 24 * 60
_SPAN: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def parse(spec: str) -> tuple[int, int]:
    """Beginning and end of a span, in minutes since midnight; the end is smaller when midnight lies between them.
    Raises ValueError that quotes `spec`."""
    found = _SPAN.fullmatch(spec.strip())
    if found is None:
        raise ValueError(f"{spec!r} is not a span of hours such as 22:00-07:00")
    hour, minute, end_hour, end_minute = (int(part) for part in found.groups())
    return hour * 60 + minute, end_hour * 60 + end_minute


def until(spec: str, minutes: int) -> int:
    """Seconds from `minutes` since midnight until the span ends; 0 outside of it. Its last minute is the one before its
    end, so a span that ends where it begins is empty. Raises ValueError for a malformed span."""
    start, end = parse(spec)
    length, passed = (end - start) % DAY, (minutes - start) % DAY
    return (length - passed) * 60 if passed < length else 0

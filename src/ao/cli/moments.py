"""Moments and ages: RFC 3339 to seconds and back, without `datetime`, which most commands would load for this alone."""

from __future__ import annotations

import time


def parse(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time with any offset and precision; None when it isn't one."""
    try:
        year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
        hour, minute = int(text[11:13]), int(text[14:16])
        rest = text[17:]
        mark = next(index for index, character in enumerate(rest) if character in "Zz+-")
        second, zone = float(rest[:mark]), rest[mark:]
        offset = 0
        if zone not in ("Z", "z"):
            offset = (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60) * (-1 if zone[0] == "-" else 1)
    except (ValueError, IndexError, StopIteration):
        return None
    return _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's days_from_civil)."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def age(text: str, now: float) -> str:
    """How long ago, in its largest unit: `12s`, `5m`, `3h`, `2d`; empty for an unreadable time."""
    then = parse(text)
    if then is None:
        return ""
    seconds = max(int(now - then), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def to_seconds(text: str) -> str:
    """The time cut to whole seconds, in UTC; unchanged when it is unreadable."""
    then = parse(text)
    return text if then is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(then // 1)))

"""Hours in which nobody is disturbed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.model.quiet_hours import DAY, parse, until


def at(clock: str) -> int:
    """Minutes since midnight."""
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


@pytest.mark.parametrize(
    ("spec", "clock", "hours"),
    [
        ("22:00-07:00", "21:59", 0),
        ("22:00-07:00", "22:00", 9),
        ("22:00-07:00", "23:30", 7.5),
        ("22:00-07:00", "00:00", 7),
        ("22:00-07:00", "06:00", 1),
        ("22:00-07:00", "07:00", 0),
        ("12:00-13:30", "12:30", 1),
        ("12:00-13:30", "11:59", 0),
        ("12:00-13:30", "13:30", 0),
        ("00:00-08:00", "00:00", 8),
        ("09:00-09:00", "09:00", 0),
    ],
)
def test_the_wait_ends_where_the_span_ends_also_over_midnight(spec: str, clock: str, hours: float) -> None:
    assert until(spec, at(clock)) == hours * 3_600


@pytest.mark.parametrize("spec", ["", "22-7", "22:00", "24:00-07:00", "22:60-07:00", "22:00–07:00", "22:00-07:00x"])
def test_a_malformed_span_is_refused_by_name(spec: str) -> None:
    with pytest.raises(ValueError, match="22:00-07:00") as refused:
        until(spec, 0)
    assert repr(spec) in str(refused.value)


@given(st.times(), st.times(), st.integers(0, DAY - 1))
def test_after_the_wait_it_is_never_quiet_any_more(start: object, end: object, minutes: int) -> None:
    spec = f"{start:%H:%M}-{end:%H:%M}"
    wait = until(spec, minutes)
    assert until(spec, (minutes + wait // 60) % DAY) == 0
    assert (minutes + wait // 60) % DAY == parse(spec)[1] or wait == 0

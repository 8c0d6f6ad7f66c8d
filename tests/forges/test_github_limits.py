"""How much GitHub lets us ask: what its answers say of that, and how long we are silent."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.forges.github.limits import HOUR_MS, LONGEST_PAUSE_MS, Pace, Signs, after, signs_of, wait

NOW = 1_800_000_000_000


def headers(**words: str) -> dict[str, str]:
    """Header names with underscores for hyphens."""
    return {name.replace("_", "-"): value for name, value in words.items()}


@pytest.mark.parametrize(
    ("status", "given_headers", "text", "limited"),
    [
        (200, {}, "", False),
        (403, {}, "Resource not accessible by personal access token", False),
        (403, headers(X_RateLimit_Remaining="17"), "Must have admin rights", False),
        (403, headers(X_RateLimit_Remaining="0"), "API says no", True),
        (403, headers(Retry_After="30"), "slow down", True),
        (403, {}, "You have exceeded a secondary rate limit", True),
        (403, {}, "You have triggered an abuse detection mechanism", True),
        (429, {}, "", True),
        (200, {}, "API rate limit exceeded for user ID 1.", True),
        (404, {}, "rate limit", False),
        (500, headers(Retry_After="30"), "", False),
    ],
)
def test_a_limit_is_told_from_a_refusal(status: int, given_headers: dict[str, str], text: str, limited: bool) -> None:
    assert signs_of(status, given_headers, text, now=NOW).limited is limited


def test_a_clock_of_ours_that_is_wrong_does_not_matter() -> None:
    theirs = NOW // 1000 - 86_400
    told = headers(Date=formatdate(theirs, usegmt=True), X_RateLimit_Reset=str(theirs + 90), X_RateLimit_Remaining="0")
    signs = signs_of(403, told, "", now=NOW)
    pace = after(Pace(), signs, now=NOW, spread=0.0)
    assert 90_000 <= wait(pace, now=NOW, reserve=False) <= 91_000


def test_retry_after_is_kept_to_and_others_are_not_met_on_the_way_back() -> None:
    signs = Signs(limited=True, retry_after=30_000)
    waits = {wait(after(Pace(), signs, now=NOW, spread=spread), now=NOW, reserve=False) for spread in (0.0, 0.5, 0.99)}
    assert min(waits) == 30_000
    assert len(waits) == 3
    assert max(waits) < 33_000


def test_a_secondary_limit_without_a_time_doubles_the_pause_until_something_succeeds() -> None:
    pace, now, waits = Pace(), NOW, []
    for _ in range(6):
        pace = after(pace, Signs(limited=True), now=now, spread=0.0)
        waits.append(wait(pace, now=now, reserve=False))
        now += waits[-1]
    assert waits == [60_000, 120_000, 240_000, 480_000, LONGEST_PAUSE_MS, LONGEST_PAUSE_MS]
    pace = after(pace, Signs(remaining=4000), now=now, spread=0.0)
    assert wait(after(pace, Signs(limited=True), now=now, spread=0.0), now=now, reserve=False) == 60_000


def test_the_answer_to_an_older_request_does_not_end_a_pause() -> None:
    paused = after(Pace(), Signs(limited=True, retry_after=30_000), now=NOW, spread=0.0)
    later = after(paused, Signs(remaining=4000, reset_in=HOUR_MS), now=NOW + 1, spread=0.0)
    assert wait(later, now=NOW + 1, reserve=False) == 29_999


def test_c7_a_budget_that_is_used_up_is_left_alone_until_it_is_renewed() -> None:
    spent = after(Pace(), Signs(remaining=0, reset_in=600_000), now=NOW, spread=0.0)
    assert wait(spent, now=NOW, reserve=False) == 600_000
    assert wait(spent, now=NOW + 600_000, reserve=False) == 0


def test_c7_looking_leaves_a_reserve_for_what_is_asked_to_be_done() -> None:
    pace = after(Pace(), Signs(limit=5000, remaining=99, reset_in=600_000), now=NOW, spread=0.0)
    assert wait(pace, now=NOW, reserve=True) == 600_000
    assert wait(pace, now=NOW, reserve=False) == 0
    assert wait(pace, now=NOW + 600_000, reserve=True) == 0


@given(
    st.integers(0, 600),
    st.dictionaries(
        st.sampled_from(["Date", "Retry-After", "X-RateLimit-Reset", "X-RateLimit-Remaining", "X-RateLimit-Limit"]),
        st.text(max_size=20) | st.integers(-(10**20), 10**20).map(str),
    ),
    st.floats(0, 0.999),
)
def test_no_header_makes_a_pause_that_never_ends(status: int, told: dict[str, str], spread: float) -> None:
    pace = after(Pace(), signs_of(status, told, "", now=NOW), now=NOW, spread=spread)
    assert 0 <= wait(pace, now=NOW, reserve=True) <= 1.1 * HOUR_MS

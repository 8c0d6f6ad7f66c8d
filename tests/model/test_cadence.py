"""The pace of looking: quick while something may happen, slow in quiet, and never a burden."""

from __future__ import annotations

from ao.model import cadence
from tests.model.pull_scene import pull

HOUR = 3_600_000


def test_checks_that_run_and_fresh_changes_are_followed_closely() -> None:
    assert cadence.interval(pull(ci="pending", head_at=0, updated_at=0), cadence.JUST_NOW + 1) == cadence.FAST
    assert cadence.interval(pull(ci="passing", mergeability="mergeable", head_at=0, updated_at=0), 1) == cadence.FAST


def test_quiet_makes_looking_rare_and_a_hanging_check_is_not_waited_for_at_a_run() -> None:
    quiet = pull(ci="passing", mergeability="mergeable", head_at=0, updated_at=0)
    paces = [cadence.interval(quiet, at) for at in (cadence.JUST_NOW + 1, HOUR + 1, 25 * HOUR)]
    assert paces == [cadence.NORMAL, cadence.SLOW, cadence.RARE]
    assert cadence.interval(pull(ci="pending", head_at=0, updated_at=0), 25 * HOUR) == cadence.RARE


def test_many_pull_requests_stretch_the_pace_so_that_an_hour_costs_the_same() -> None:
    assert cadence.stretched(cadence.NORMAL, 1) == cadence.NORMAL
    assert cadence.stretched(cadence.NORMAL, 2 * cadence.MANY) == 2 * cadence.NORMAL


def test_a_failing_forge_is_left_alone_for_longer_each_time_and_as_long_as_it_says() -> None:
    pauses = [cadence.pause(failures) for failures in range(1, 9)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 900_000
    assert cadence.pause(1, retry_ms=3_600_000) == 3_600_000
    assert cadence.pause(1, spread=0.999) <= 15_000 * 1.25

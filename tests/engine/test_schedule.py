"""A schedule that loses no wake-up."""

from __future__ import annotations

from ao.engine.schedule import Schedule


def test_what_is_woken_during_a_look_is_due_after_it() -> None:
    schedule = Schedule()
    schedule.begin("a")
    schedule.wake("a")
    schedule.done("a", 500)
    assert schedule.at("a") == 0
    schedule.begin("a")
    schedule.done("a", 500)
    assert schedule.at("a") == 500


def test_what_was_never_scheduled_is_due_and_a_wake_never_delays() -> None:
    schedule = Schedule()
    assert schedule.at("new") == 0
    schedule.begin("a")
    schedule.done("a", 100)
    schedule.wake("a", 300)
    assert schedule.at("a") == 100
    schedule.keep(["b"])
    assert schedule.at("a") == 0

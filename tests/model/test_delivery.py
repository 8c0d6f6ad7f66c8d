"""When a message may be written to a terminal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ao.model.delivery import TYPING_MS, hold
from ao.model.message import MessageSource
from ao.model.session import Activity, Kind, Phase, Session

NOW = 100_000
LIVE = Session(
    id="d-1",
    project_id="d",
    num=1,
    kind=Kind.WORKER,
    agent="demo",
    phase=Phase.LIVE,
    activity_at=0,
    created_at=0,
    updated_at=0,
)


@pytest.mark.parametrize("source", list(MessageSource))
def test_h7_nothing_is_written_into_a_permission_dialog(source: MessageSource) -> None:
    assert hold(replace(LIVE, activity=Activity.BLOCKED), source, typed_at=None, now=NOW) is not None


def test_a_persons_half_typed_line_is_left_alone_for_ten_seconds() -> None:
    held = hold(LIVE, MessageSource.USER, typed_at=NOW - 4_000, now=NOW)
    assert held is not None
    assert held.retry_ms == 6_000
    assert hold(LIVE, MessageSource.USER, typed_at=NOW - TYPING_MS, now=NOW) is None


def test_a_question_to_a_person_holds_nudges_but_not_the_persons_answer() -> None:
    waiting = replace(LIVE, activity=Activity.WAITING_INPUT)
    assert hold(waiting, MessageSource.NUDGE, typed_at=None, now=NOW) is not None
    assert hold(waiting, MessageSource.USER, typed_at=None, now=NOW) is None


def test_a_session_that_starts_or_whose_agent_has_ended_keeps_its_messages() -> None:
    assert hold(replace(LIVE, phase=Phase.WORKSPACE), MessageSource.USER, typed_at=None, now=NOW) is not None
    assert hold(replace(LIVE, activity=Activity.EXITED), MessageSource.USER, typed_at=None, now=NOW) is not None


def test_a_working_agent_may_be_written_to() -> None:
    assert hold(replace(LIVE, activity=Activity.ACTIVE), MessageSource.NUDGE, typed_at=None, now=NOW) is None

"""What a person should know of a session, at any moment."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ao.model.message import MessageState
from ao.model.notices import NoticeFacts, PullNow, wanted
from ao.model.notification import NotificationType
from ao.model.nudge import Cause, LedgerEntry, NudgeState
from ao.model.pull import Pull
from ao.model.session import Activity, Kind, Phase, Session
from tests.model.pull_scene import HEAD, SESSION, entry, pull

LIVE = Session(
    id=SESSION,
    project_id="demo",
    num=1,
    kind=Kind.WORKER,
    agent="demo",
    phase=Phase.LIVE,
    activity=Activity.ACTIVE,
    launches=2,
    activity_at=1_000,
    created_at=0,
    updated_at=0,
)


def kinds(
    session: Session = LIVE, *pulls: Pull, ledger: tuple[LedgerEntry, ...] = (), ready: bool = False
) -> list[NotificationType]:
    """The types of what is wanted."""
    return [one.type for one in wanted(facts(session, *pulls, ledger=ledger, ready=ready))]


def facts(session: Session, *pulls: Pull, ledger: tuple[LedgerEntry, ...] = (), ready: bool = False) -> NoticeFacts:
    return NoticeFacts(session=session, pulls=tuple(PullNow(pull=one, ready=ready) for one in pulls), ledger=ledger)


def session(**changes: Any) -> Session:
    return replace(LIVE, **changes)


def test_a_working_session_with_an_open_pull_request_is_no_news() -> None:
    assert kinds(LIVE, pull()) == []


@pytest.mark.parametrize("activity", [Activity.WAITING_INPUT, Activity.BLOCKED])
def test_a_session_that_waits_for_a_person_says_so_each_time_it_does(activity: Activity) -> None:
    (one,) = wanted(facts(session(activity=activity)))
    assert (one.type, one.title, one.signature) == (NotificationType.NEEDS_INPUT, "demo-1 needs input", "1000")
    (later,) = wanted(facts(session(activity=activity, activity_at=2_000)))
    assert later.signature != one.signature
    assert kinds(session(activity=activity, phase=Phase.ENDED)) == []


def test_a_session_is_called_by_its_display_name_made_harmless() -> None:
    (one,) = wanted(facts(session(activity=Activity.BLOCKED, display_name="parser\x1b[31m\n`x`")))
    assert one.title == "parser ’x’ needs input"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exit_code": 1}, "exit code 1"),
        ({"exit_code": 137, "activity_source": "hook:session-end"}, "exit code 137"),
        ({"exit_code": None, "activity_source": "hook:process-exited"}, "agent is gone"),
    ],
)
def test_a_session_whose_agent_went_is_lost(changes: dict[str, Any], said: str) -> None:
    (one,) = wanted(facts(session(activity=Activity.EXITED, **changes)))
    assert (one.type, one.signature) == (NotificationType.SESSION_LOST, "2")
    assert said in one.body
    assert "ao session restore demo-1" in one.body


@pytest.mark.parametrize(
    "changes",
    [
        {"exit_code": 0},
        {"exit_code": None, "activity_source": "hook:session-end"},
        {"exit_code": 1, "phase": Phase.ENDED},
        {"exit_code": 1, "phase": Phase.ENDING},
    ],
)
def test_a_session_whose_agent_was_done_or_that_was_ended_is_not_lost(changes: dict[str, Any]) -> None:
    assert kinds(session(activity=Activity.EXITED, **changes)) == []


def test_a_start_that_the_daemons_end_interrupted_is_lost() -> None:
    assert kinds(session(phase=Phase.ENDED, failure_code="INTERRUPTED")) == [NotificationType.SESSION_LOST]
    assert kinds(session(phase=Phase.ENDED, failure_code="AGENT_NOT_STARTED")) == []


def test_a_ready_pull_request_is_told_once_for_each_head() -> None:
    (one,) = wanted(facts(LIVE, pull(), ready=True))
    assert (one.type, one.title, one.signature) == (NotificationType.READY_TO_MERGE, "PR #3 is ready to merge", HEAD)
    assert (one.pull_url, one.body) == ("https://github.com/o/r/pull/3", "Add a parser (demo-1)")
    assert kinds(session(phase=Phase.ENDED), pull(), ready=True) == []


@pytest.mark.parametrize(
    ("state", "kind", "title"),
    [
        ("merged", NotificationType.PR_MERGED, "PR #3 was merged"),
        ("closed", NotificationType.PR_CLOSED_UNMERGED, "PR #3 was closed without merging"),
    ],
)
def test_an_end_is_told_also_of_a_session_that_has_ended(state: str, kind: NotificationType, title: str) -> None:
    (one,) = wanted(facts(session(phase=Phase.ENDED), pull(state=state), ready=True))
    assert (one.type, one.title, one.signature) == (kind, title, "")


@pytest.mark.parametrize("state", [NudgeState.GAVE_UP, NudgeState.UNDELIVERABLE])
@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (Cause.CI, NotificationType.CI_GAVE_UP),
        (Cause.REVIEW, NotificationType.REVIEW_GAVE_UP),
        (Cause.CONFLICT, NotificationType.CONFLICT_GAVE_UP),
    ],
)
def test_c3_what_no_agent_will_deal_with_is_told_to_a_person(
    state: NudgeState, cause: Cause, kind: NotificationType
) -> None:
    (one,) = wanted(facts(LIVE, pull(), ledger=(entry(cause, at=1), entry(cause, "new", state=state, at=2))))
    assert (one.type, one.pull_url) == (kind, pull().url)
    assert one.title.startswith("PR #3 needs you: ")
    assert kinds(LIVE, pull(state="draft"), ledger=(entry(cause, state=state),)) == [kind]


@pytest.mark.parametrize(
    "later",
    [
        entry(state=NudgeState.QUEUED, message=MessageState.QUEUED, at=3),
        entry(state=NudgeState.CLEARED, at=3),
    ],
)
def test_what_was_given_up_is_over_when_the_agent_is_told_after_all_or_the_fact_is_gone(later: LedgerEntry) -> None:
    gave_up = entry(state=NudgeState.GAVE_UP, at=1)
    assert kinds(LIVE, pull(), ledger=(gave_up, later)) == []
    assert kinds(LIVE, pull(), ledger=(gave_up, entry(state=NudgeState.WITHDRAWN, at=2))) == [
        NotificationType.CI_GAVE_UP
    ]


def test_what_was_given_up_is_over_with_the_next_commit_the_end_or_another_owner() -> None:
    ledger = (entry(state=NudgeState.GAVE_UP),)
    assert kinds(LIVE, pull(head_sha="c" * 40), ledger=ledger) == []
    assert kinds(LIVE, pull(state="merged"), ledger=ledger) == [NotificationType.PR_MERGED]
    assert kinds(session(id="demo-9"), pull(), ledger=ledger) == []
    assert kinds(LIVE, pull(url="https://github.com/o/r/pull/4"), ledger=ledger) == []


def test_the_same_trouble_on_a_later_commit_is_the_same_notification() -> None:
    first = wanted(facts(LIVE, pull(), ledger=(entry(Cause.REVIEW, "x", state=NudgeState.GAVE_UP),)))
    ledger = (entry(Cause.REVIEW, "x", state=NudgeState.GAVE_UP, head="c" * 40),)
    second = wanted(facts(LIVE, pull(head_sha="c" * 40), ledger=ledger))
    assert first == second


def test_a_session_that_is_being_started_is_not_yet_without_an_agent() -> None:
    ledger = (entry(state=NudgeState.UNDELIVERABLE),)
    assert kinds(session(phase=Phase.LAUNCHED), pull(), ledger=ledger) == []
    assert kinds(session(phase=Phase.ENDED), pull(), ledger=ledger) == [NotificationType.CI_GAVE_UP]

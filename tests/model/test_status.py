"""The derived status: the original's table, the order newer clients expect, and evidence for every word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ao.model.pull import PullFacts
from ao.model.session import Activity, Kind, Phase, Session
from ao.model.status import NO_SIGNAL_AFTER_MS, STATUSES, derive

NOW = 1_000_000_000
SESSION = Session(
    id="demo-1",
    project_id="demo",
    num=1,
    kind=Kind.WORKER,
    agent="claude-code",
    phase=Phase.LIVE,
    activity_at=NOW,
    launched_at=NOW,
    first_signal_at=NOW,
    created_at=NOW,
    updated_at=NOW,
)
PULL = PullFacts(url="https://example.test/p/1", number=1)


def word(session: Session = SESSION, *pulls: PullFacts, now: int = NOW, reports: bool = True) -> str:
    return derive(session, pulls, now=now, reports=reports).word


ENDED = replace(SESSION, phase=Phase.ENDED)


@pytest.mark.parametrize(
    ("expected", "session", "pulls"),
    [
        ("terminated", ENDED, ()),
        ("merged", ENDED, (replace(PULL, state="merged"),)),
        ("needs_input", replace(SESSION, activity=Activity.WAITING_INPUT), (replace(PULL, ci="failing"),)),
        ("needs_input", replace(SESSION, activity=Activity.BLOCKED), ()),
        ("ci_failed", SESSION, (replace(PULL, ci="failing"),)),
        ("draft", SESSION, (replace(PULL, state="draft"),)),
        ("changes_requested", SESSION, (replace(PULL, review="changes_requested"),)),
        ("changes_requested", SESSION, (replace(PULL, unresolved_human_comments=True),)),
        ("mergeable", SESSION, (replace(PULL, mergeability="mergeable"),)),
        ("approved", SESSION, (replace(PULL, review="approved"),)),
        ("review_pending", SESSION, (replace(PULL, review="review_required"),)),
        ("pr_open", SESSION, (PULL,)),
        ("working", replace(SESSION, activity=Activity.ACTIVE), ()),
        ("working", replace(SESSION, activity=Activity.ACTIVE), (replace(PULL, ci="failing"),)),
        ("exited", replace(SESSION, activity=Activity.EXITED), ()),
        ("idle", SESSION, ()),
        ("idle", SESSION, (replace(PULL, state="closed"),)),
        ("ci_failed", SESSION, (replace(PULL, state="draft", ci="failing"),)),
        ("mergeable", SESSION, (replace(PULL, review="approved", mergeability="mergeable"),)),
        ("merged", SESSION, (replace(PULL, state="merged"),)),
    ],
)
def test_status_follows_the_table(expected: str, session: Session, pulls: tuple[PullFacts, ...]) -> None:
    assert word(session, *pulls) == expected


def test_an_agent_at_work_on_red_checks_shows_both_axes() -> None:
    status = derive(replace(SESSION, activity=Activity.ACTIVE), (replace(PULL, ci="failing"),), now=NOW, reports=True)
    assert (status.word, status.scm) == ("working", "ci_failed")


def test_the_most_urgent_of_several_pulls_wins() -> None:
    assert word(SESSION, replace(PULL, mergeability="mergeable"), replace(PULL, number=2, ci="failing")) == "ci_failed"


def test_a_stacked_child_counts_only_for_what_its_author_must_do() -> None:
    parent = replace(PULL, source_branch="a", target_branch="main", mergeability="mergeable")
    child = replace(PULL, number=2, source_branch="b", target_branch="a", review="review_required")
    assert word(SESSION, parent, child) == "mergeable"
    assert word(SESSION, parent, replace(child, ci="failing")) == "ci_failed"
    assert word(SESSION, replace(parent, state="merged"), child) == "review_pending"


def test_pulls_that_target_each_other_still_have_a_status() -> None:
    one = replace(PULL, source_branch="a", target_branch="b")
    two = replace(PULL, number=2, source_branch="b", target_branch="a", review="approved")
    assert word(SESSION, one, two) == "pr_open"


def test_silence_is_told_only_after_ninety_seconds_and_only_of_agents_that_can_speak() -> None:
    silent = replace(SESSION, first_signal_at=None)
    late = NOW + NO_SIGNAL_AFTER_MS
    assert word(silent, now=late) == "idle"
    assert word(silent, now=late + 1) == "no_signal"
    assert word(silent, now=late + 1, reports=False) == "idle"
    assert derive(silent, (), now=NOW, reports=True).until == late + 1


@given(
    phase=st.sampled_from(list(Phase)),
    activity=st.sampled_from(list(Activity)),
    pulls=st.lists(
        st.builds(
            PullFacts,
            url=st.just("u"),
            number=st.integers(1, 9),
            state=st.sampled_from(["open", "draft", "merged", "closed"]),
            ci=st.sampled_from(["unknown", "pending", "passing", "failing"]),
            source_branch=st.sampled_from(["a", "b", ""]),
            target_branch=st.sampled_from(["a", "b", "main"]),
        ),
        max_size=4,
    ),
    now=st.integers(NOW - 10**6, NOW + 10**6),
)
def test_every_state_has_a_known_word_and_evidence(
    phase: Phase, activity: Activity, pulls: list[PullFacts], now: int
) -> None:
    status = derive(
        replace(SESSION, phase=phase, activity=activity, first_signal_at=None), pulls, now=now, reports=True
    )
    assert status.word in STATUSES
    assert status.evidence

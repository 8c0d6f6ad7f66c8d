"""What an agent is told of its pull request, and what not again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ao.model.message import MessageState
from ao.model.nudge import Cause
from ao.model.project import NudgeRule
from ao.model.pull import CiState, Picture
from ao.model.reactions import Plan, Rules, plan
from tests.model.pull_scene import (
    ANN,
    BOB,
    HEAD,
    REVIEWER,
    Desk,
    check,
    comment,
    pull,
    red,
    review,
    situation,
    thread,
)

NOTHING = Plan()
NEWER = "c" * 40
TALK = Picture(pull=pull(unresolved=1), threads=(thread("t1", comment("c1")),))
CONFLICT = Picture(pull=pull(mergeability="conflicting"))
TROUBLE = Picture(
    pull=pull(ci="failing", mergeability="conflicting", review="changes_requested", unresolved=1),
    checks=(check("unit"), check("lint", "cancelled"), check("docs", "passed")),
    threads=(thread("t1", comment("c1")),),
)


def pushed(picture: Picture, head: str = NEWER) -> Picture:
    """The same trouble on another commit."""
    checks = tuple(replace(one, commit_sha=head) for one in picture.checks)
    return replace(picture, pull=replace(picture.pull, head_sha=head), checks=checks)


def test_db64_one_cause_does_not_mask_another() -> None:
    assert [draft.cause for draft in plan(situation(TROUBLE), Rules()).send] == [Cause.CI, Cause.REVIEW, Cause.CONFLICT]


def test_c2_all_failing_checks_of_the_head_are_told_together() -> None:
    (draft,) = plan(situation(red(check("unit"), check("docs"), check("x", "cancelled"))), Rules()).send
    assert [(one.name, one.status) for one in draft.checks] == [
        ("docs", "failed"),
        ("unit", "failed"),
        ("x", "cancelled"),
    ]
    assert (draft.head_sha, draft.round) == (HEAD, 1)


def test_db64_cancelled_checks_are_told_when_they_are_all_there_is() -> None:
    (draft,) = plan(situation(red(check("unit", "cancelled"))), Rules()).send
    assert [one.status for one in draft.checks] == ["cancelled"]


@pytest.mark.parametrize("ci", ["unknown", "pending", "passing"])
def test_checks_are_told_of_only_once_all_have_ended_and_the_sum_is_failing(ci: CiState) -> None:
    assert plan(situation(Picture(pull=pull(ci=ci), checks=(check(),))), Rules()) == NOTHING


def test_failing_without_a_failed_check_says_nothing_yet() -> None:
    assert plan(situation(Picture(pull=pull(ci="failing"), checks=(check(status="passed"),))), Rules()) == NOTHING


@pytest.mark.parametrize("picture", [TROUBLE, TALK, CONFLICT, red()])
def test_c4_the_same_facts_are_told_once_however_often_they_are_decided_upon(picture: Picture) -> None:
    desk = Desk()
    assert desk.decide(picture).send
    assert desk.decide(picture) == NOTHING


def test_db64_a_log_that_comes_late_is_no_news() -> None:
    desk = Desk()
    desk.decide(red(check()))
    assert desk.decide(red(check(log_tail="E   boom", url="https://x", created_at=9))) == NOTHING


def test_db27_a_push_does_not_repeat_review_feedback() -> None:
    desk = Desk()
    desk.decide(TALK)
    assert desk.decide(pushed(TALK)) == NOTHING


def test_a_check_that_fails_later_is_told_with_all_others() -> None:
    desk = Desk()
    desk.decide(red(check("unit")))
    (draft,) = desk.decide(red(check("unit"), check("docs"))).send
    assert [one.name for one in draft.checks] == ["docs", "unit"]
    assert draft.round == 2


def test_fewer_failing_checks_are_no_news() -> None:
    desk = Desk()
    desk.decide(red(check("unit"), check("docs")))
    assert desk.decide(red(check("unit"))) == NOTHING


def test_a_failure_of_the_next_commit_is_told_in_a_first_round_again() -> None:
    desk = Desk()
    desk.decide(red())
    (draft,) = desk.decide(pushed(red())).send
    assert (draft.head_sha, draft.round) == (NEWER, 1)


def test_a_check_that_failed_passed_and_fails_again_is_told_again() -> None:
    desk = Desk()
    desk.decide(red())
    desk.clear(Cause.CI)
    (draft,) = desk.decide(red()).send
    assert draft.round == 2


def test_a_mark_of_the_clock_alone_says_what_was_before() -> None:
    desk = Desk()
    desk.decide(red())
    assert desk.decide(red(), clear_since={Cause.CI: 10}).send
    assert desk.decide(red(), clear_since={Cause.REVIEW: 10}) == NOTHING


def test_only_what_is_new_of_a_review_is_told() -> None:
    desk = Desk()
    desk.decide(TALK)
    more = replace(
        TALK,
        threads=(thread("t1", comment("c1"), comment("c2", BOB)), thread("t2", comment("c3"))),
        comments=(comment("c4"),),
        reviews=(review("r1"),),
    )
    (draft,) = desk.decide(more).send
    assert [one.comment_id for item in draft.threads for one in item.comments] == ["c2", "c3"]
    assert [one.comment_id for one in draft.comments] == ["c4"]
    assert [one.review_id for one in draft.reviews] == ["r1"]
    assert desk.decide(more) == NOTHING


def test_feedback_that_was_told_is_not_told_again_after_it_was_settled_and_opened_again() -> None:
    desk = Desk()
    desk.decide(TALK)
    desk.clear(Cause.REVIEW)
    assert desk.decide(TALK) == NOTHING


def test_db15b_a_conflict_is_told_again_after_it_was_resolved() -> None:
    desk = Desk()
    desk.decide(CONFLICT)
    assert desk.decide(CONFLICT) == NOTHING
    desk.clear(Cause.CONFLICT)
    assert desk.decide(CONFLICT).send


def test_db15b_a_conflict_with_another_commit_of_the_base_is_another_one() -> None:
    desk = Desk()
    desk.decide(CONFLICT)
    assert desk.decide(replace(CONFLICT, pull=replace(CONFLICT.pull, base_sha=NEWER))).send


def test_a_stacked_pull_request_is_not_told_of_a_conflict_with_its_own_parent() -> None:
    stacked = replace(CONFLICT, pull=replace(CONFLICT.pull, target_branch="ao/demo-1/first"))
    parent = pull(url="https://github.com/o/r/pull/2", source_branch="ao/demo-1/first")
    assert plan(situation(stacked, siblings=(parent,)), Rules()) == NOTHING
    assert plan(situation(stacked, siblings=(replace(parent, state="merged"),)), Rules()).send


@pytest.mark.parametrize("state", ["merged", "closed"])
def test_c6_a_finished_pull_request_is_terminal(state: str) -> None:
    desk = Desk()
    desk.decide(TROUBLE, hold=True)
    done = replace(TROUBLE, pull=replace(TROUBLE.pull, state=state))
    made = desk.decide(done)
    assert {reason for _, reason in made.withdraw} == {f"the pull request is {state}"}
    assert len(made.withdraw) == 3
    assert (made.send, made.give_up, made.undeliverable) == ((), (), ())
    assert desk.decide(done) == NOTHING


def test_c6_rounds_on_one_commit_end_and_a_person_is_told_once() -> None:
    desk = Desk(Rules(ci=NudgeRule(rounds=2)))
    for _ in range(2):
        assert desk.decide(red()).send
        desk.clear(Cause.CI)
    ((draft, reason),) = desk.decide(red()).give_up
    assert draft.round == 3
    assert reason == f"told 2 times about commit {HEAD[:12]}, at most 2 are allowed"
    assert desk.decide(red()) == NOTHING
    assert desk.decide(pushed(red())).send


def test_c6_rounds_over_all_commits_end_too() -> None:
    desk = Desk(Rules(ci=NudgeRule(total=3)))
    for digit in "123":
        assert desk.decide(pushed(red(), digit * 40)).send
    ((_, reason),) = desk.decide(pushed(red(), "4" * 40)).give_up
    assert reason == "told 3 times in a row, at most 3 are allowed"
    desk.clear(Cause.CI)
    assert desk.decide(pushed(red(), "5" * 40)).send


def test_c6_two_agents_that_review_and_fix_end_though_each_round_looks_settled() -> None:
    desk = Desk(Rules(review=NudgeRule(total=4)))
    sent = 0
    for number in range(10):
        said = Picture(
            pull=pull(head_sha=f"{number:040}"), threads=(thread(f"t{number}", comment(f"c{number}", REVIEWER)),)
        )
        sent += len(desk.decide(said).send)
        desk.clear(Cause.REVIEW)
    assert sent == 4


def test_people_may_review_as_often_as_they_settle() -> None:
    desk = Desk(Rules(review=NudgeRule(total=4)))
    for number in range(10):
        said = Picture(pull=pull(head_sha=f"{number:040}"), threads=(thread(f"t{number}", comment(f"c{number}", ANN)),))
        assert desk.decide(said).send
        desk.clear(Cause.REVIEW)


def test_a_larger_budget_takes_up_what_was_given_up() -> None:
    desk = Desk(Rules(ci=NudgeRule(rounds=1)))
    desk.decide(red())
    assert desk.decide(red(check("unit"), check("docs"))).give_up
    desk.rules = Rules(ci=NudgeRule(rounds=2))
    assert desk.decide(red(check("unit"), check("docs"))).send


def test_c3_a_message_that_never_arrived_is_sent_again_but_not_for_ever() -> None:
    desk = Desk()
    for number in range(1, 4):
        (draft,) = desk.decide(red()).send
        assert draft.round == number
        desk.fate(MessageState.FAILED)
    assert desk.decide(red()).give_up
    assert desk.decide(red()) == NOTHING


@pytest.mark.parametrize("fate", [state for state in MessageState if state is not MessageState.FAILED])
def test_a_message_that_may_have_arrived_is_not_sent_again(fate: MessageState) -> None:
    desk = Desk()
    desk.decide(red())
    desk.fate(fate)
    assert desk.decide(red()) == NOTHING


def test_c1_a_verdict_without_an_agent_is_kept_told_once_to_a_person_and_later_to_the_agent() -> None:
    desk = Desk()
    made = desk.decide(TROUBLE, reachable=False)
    assert [draft.cause for draft, _ in made.undeliverable] == list(Cause)
    assert made.send == ()
    assert desk.decide(TROUBLE, reachable=False) == NOTHING
    assert len(desk.decide(TROUBLE).send) == 3


def test_c3_what_waits_for_an_agent_that_is_gone_is_taken_back_and_a_person_is_told() -> None:
    desk = Desk()
    desk.decide(red(), hold=True)
    made = desk.decide(red(), reachable=False)
    assert [reason for _, reason in made.withdraw] == ["no agent runs in the session"]
    assert made.undeliverable
    assert desk.decide(red(), reachable=False) == NOTHING
    (draft,) = desk.decide(red()).send
    assert draft.round == 1


def test_a_message_that_waits_is_overtaken_by_a_newer_commit() -> None:
    desk = Desk()
    desk.decide(red(), hold=True)
    waits = Picture(pull=pull(head_sha=NEWER, ci="pending"))
    assert [reason for _, reason in desk.decide(waits).withdraw] == ["there is a newer commit"]


def test_a_message_that_waits_is_taken_back_when_its_fact_is_gone() -> None:
    desk = Desk()
    desk.decide(TROUBLE, hold=True)
    fine = Picture(
        pull=pull(ci="passing", mergeability="mergeable"), threads=(thread("t1", comment("c1"), resolved=True),)
    )
    assert [reason for _, reason in desk.decide(fine).withdraw] == ["it holds no more"] * 3


def test_a_message_that_waits_stays_while_nothing_is_known() -> None:
    desk = Desk()
    desk.decide(TROUBLE, hold=True)
    unknown = replace(TROUBLE, pull=replace(TROUBLE.pull, ci="unknown", mergeability="unknown"), checks=())
    assert desk.decide(unknown) == NOTHING


def test_what_waits_and_what_is_new_become_one_message() -> None:
    desk = Desk()
    desk.decide(TALK, hold=True)
    both = replace(TALK, threads=(*TALK.threads, thread("t2", comment("c2"))))
    made = desk.decide(both, hold=True)
    assert [reason for _, reason in made.withdraw] == ["told again together with what is new"]
    (draft,) = made.send
    assert [item.thread_id for item in draft.threads] == ["t1", "t2"]
    assert draft.round == 1
    assert desk.decide(both) == NOTHING


def test_a_message_about_a_check_that_runs_again_is_taken_back() -> None:
    desk = Desk()
    desk.decide(red(), hold=True)
    again = Picture(pull=pull(ci="pending"), checks=(check(status="in_progress", conclusion=""),))
    assert [reason for _, reason in desk.decide(again).withdraw] == ["it holds no more"]


def test_what_is_switched_off_is_neither_sent_nor_left_waiting() -> None:
    desk = Desk()
    desk.decide(TROUBLE, hold=True)
    off = NudgeRule(enabled=False)
    desk.rules = Rules(ci=off, review=off, conflict=off)
    made = desk.decide(TROUBLE)
    assert {reason for _, reason in made.withdraw} == {"nudges of this kind are switched off"}
    assert made.send == ()


def test_a_message_that_was_written_is_never_withdrawn() -> None:
    desk = Desk()
    desk.decide(TROUBLE)
    assert desk.decide(replace(TROUBLE, pull=replace(TROUBLE.pull, state="closed"))) == NOTHING


checks = st.builds(
    check,
    st.sampled_from(["unit", "lint", "docs"]),
    st.sampled_from(["unknown", "queued", "in_progress", "passed", "failed", "cancelled"]),
)
talks = st.builds(
    lambda thread_id, names, resolved: thread(
        thread_id, *(comment(f"{thread_id}.{n}") for n in names), resolved=resolved
    ),
    st.sampled_from(["t1", "t2"]),
    st.lists(st.integers(0, 3), max_size=3, unique=True).map(sorted),
    st.booleans(),
)


@st.composite
def pictures(draw: Any) -> Picture:
    return Picture(
        pull=pull(
            state=draw(st.sampled_from(["open", "open", "open", "draft", "merged", "closed"])),
            ci=draw(st.sampled_from(["unknown", "pending", "passing", "failing", "failing"])),
            mergeability=draw(st.sampled_from(["unknown", "mergeable", "conflicting", "conflicting"])),
            head_sha=draw(st.sampled_from([HEAD, NEWER])),
        ),
        checks=tuple(draw(st.lists(checks, max_size=3, unique_by=lambda one: one.name))),
        threads=tuple(draw(st.lists(talks, max_size=2, unique_by=lambda one: one.thread_id))),
        comments=tuple(draw(st.lists(st.sampled_from([comment("g1"), comment("g2")]), max_size=2, unique=True))),
    )


steps = st.tuples(pictures(), st.booleans(), st.booleans())


@given(st.lists(steps, max_size=8))
def test_c4_whatever_happens_a_decision_repeated_changes_nothing_and_nothing_is_told_twice(
    happenings: list[tuple[Picture, bool, bool]],
) -> None:
    desk = Desk()
    for picture, reachable, hold in happenings:
        made = desk.decide(picture, reachable=reachable, hold=hold)
        assert desk.decide(picture, reachable=reachable, hold=hold) == NOTHING
        assert not made.send or (reachable and picture.pull.is_open)
        standing = [one for one in desk.ledger if one.counts]
        for cause in (Cause.REVIEW, Cause.CONFLICT):
            ids = [name for one in standing if one.nudge.cause is cause for name in one.nudge.signature.split(",")]
            assert len(ids) == len(set(ids))
        for head in (HEAD, NEWER):
            assert sum(one.nudge.cause is Cause.CI and one.nudge.head_sha == head for one in standing) <= 3

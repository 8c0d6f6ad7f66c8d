"""Whether a pull request is ready, and what a summary says of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ao.model.pull import Picture, unresolved_threads
from ao.model.readiness import FailingCheck, Link, failing_checks, merge_refusal, ready, reasons, unresolved_by
from tests.model.pull_scene import BOB, BOT, HEAD, check, comment, pull, red, thread

READY = Picture(pull=pull(ci="passing", mergeability="mergeable"))
BOT_THREAD = thread("t1", comment("c1", BOT), is_bot=True)


def test_a_pull_request_that_only_waits_for_a_decision_is_ready() -> None:
    assert ready(READY)
    assert ready(replace(READY, pull=replace(READY.pull, review="approved")))
    assert ready(replace(READY, threads=(thread("t1", comment("c1"), resolved=True), BOT_THREAD)))


@pytest.mark.parametrize(
    "change",
    [
        *({"state": state} for state in ("draft", "merged", "closed")),
        *({"ci": ci} for ci in ("unknown", "pending", "failing")),
        *({"review": review} for review in ("changes_requested", "review_required")),
        *({"mergeability": word} for word in ("unknown", "conflicting", "blocked", "unstable")),
    ],
)
def test_anything_in_the_way_or_unknown_is_not_ready(change: dict[str, str]) -> None:
    assert not ready(replace(READY, pull=pull(**{"ci": "passing", "mergeability": "mergeable"} | change)))


def test_a_conversation_of_a_person_is_in_the_way() -> None:
    assert not ready(replace(READY, threads=(thread("t1", comment("c1")),)))


def test_failing_checks_are_those_of_the_head_while_it_is_open_and_red() -> None:
    checks = (
        check("unit", url="https://x"),
        check("lint", "cancelled", conclusion="cancelled"),
        check("docs", "passed"),
        check("old", commit_sha="f" * 40),
        check("upper", commit_sha=HEAD.upper()),
    )
    shown = failing_checks(red(*checks))
    assert [one.name for one in shown] == ["unit", "upper", "lint"]
    assert shown[0] == FailingCheck(name="unit", status="failed", conclusion="failure", url="https://x")
    assert failing_checks(red(*checks, state="merged")) == ()
    assert failing_checks(Picture(pull=pull(ci="pending"), checks=checks)) == ()


def test_db31_unresolved_counts_agree_everywhere_and_leave_bots_out() -> None:
    threads = (
        thread("t1", comment("c1", url="https://x/1"), comment("c2", BOB)),
        thread("t2", comment("c3", BOT), comment("c4", BOB), line=0),
        thread("t3", comment("c5", replace(BOB, login=" "))),
        thread("t4"),
        thread("t5", comment("c6", BOB), resolved=True),
        BOT_THREAD,
    )
    shown = unresolved_by(Picture(pull=pull(), threads=threads))
    assert [(one.reviewer, one.count) for one in shown] == [("ann", 1), ("bob", 1), ("unknown", 2)]
    assert shown[0].links == (Link(url="https://x/1", file="src/a.py", line=7),)
    assert sum(one.count for one in shown) == unresolved_threads(threads)
    assert unresolved_by(Picture(pull=pull(state="closed"), threads=threads)) == ()


@pytest.mark.parametrize(
    ("given", "shown"),
    [('["ci_failing","conflicts","nonsense"]', ["conflicts", "ci_failing"]), ("[]", ["blocked_by_provider"])],
)
def test_reasons_are_known_words_in_a_fixed_order(given: str, shown: list[str]) -> None:
    assert reasons(pull(mergeability="blocked", reasons=given)) == shown
    assert reasons(pull(mergeability="mergeable", reasons=given)) == []
    assert reasons(pull(mergeability="blocked", reasons=given, state="merged")) == []


def test_a_refusal_says_everything_that_is_in_the_way() -> None:
    blocked = pull(
        state="draft",
        ci="failing",
        review="changes_requested",
        mergeability="conflicting",
        reasons='["conflicts","draft","ci_failing"]',
    )
    assert merge_refusal(
        blocked, [check("unit"), check("docs", "passed")], [thread("t1", comment("c1")), BOT_THREAD]
    ) == [
        "it is a draft",
        "it conflicts with its base branch",
        "checks fail: unit",
        "a reviewer asks for changes",
        "1 unresolved conversation",
    ]
    assert merge_refusal(pull(state="merged"), [], []) == ["it is merged"]
    assert merge_refusal(pull(ci="pending"), [], []) == ["its checks have not ended"]
    assert merge_refusal(pull(ci="failing"), [], []) == ["its checks fail"]
    assert merge_refusal(READY.pull, [], []) == []


def test_a_local_pull_request_without_checks_is_ready_and_one_of_github_is_not_yet() -> None:
    bare = Picture(pull=pull(ci="unknown", mergeability="mergeable", forge="local"))
    assert ready(bare)
    assert not ready(replace(bare, pull=replace(bare.pull, forge="github")))

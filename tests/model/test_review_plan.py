"""What follows from review runs: who reads, when, what a verdict may be, and what becomes of a reviewer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ao.model import review_texts
from ao.model.errors import AoError
from ao.model.project import AutoReview, ProjectConfig, Reviewer
from ao.model.pull import Pull
from ao.model.review import LineComment, ReviewRun, RunStatus
from ao.model.review_plan import (
    LEASE_MS,
    LINGER_MS,
    Do,
    Submission,
    automatic,
    checked,
    choose_agent,
    covering,
    overtaken,
    posted_body,
    posted_verdict,
    state,
    step,
    submitted,
)
from ao.model.session import Activity, Kind, Phase, Session
from ao.model.text import TEXT_LIMIT

OLD, HEAD = "a" * 40, "b" * 40
NOW = 1_000_000_000
ABLE = ("claude-code", "demo")
NONCE = "0123456789abcdef"


def pull(**fields: Any) -> Pull:
    usual = {
        "url": "u", "session_id": "shop-1", "project_id": "shop", "number": 7, "forge": "local", "host": "",
        "repo": "shop", "head_sha": HEAD, "base_sha": OLD, "title": "Shelf", "source_branch": "work",
        "target_branch": "main", "created_at": 1, "updated_at": 1,
    }  # fmt: skip
    return Pull(**{**usual, **fields})


def run(**fields: Any) -> ReviewRun:
    usual = {
        "id": "rev_1", "session_id": "shop-1", "project_id": "shop", "agent": "demo", "pull_url": "u",
        "target_sha": HEAD, "lease_until": NOW + LEASE_MS, "created_at": 1, "updated_at": 1,
    }  # fmt: skip
    return ReviewRun(**{**usual, **fields})


def reviewer(**fields: Any) -> Session:
    usual = {
        "id": "shop-9", "project_id": "shop", "num": 9, "kind": Kind.REVIEWER, "agent": "demo", "phase": Phase.LIVE,
        "activity": Activity.ACTIVE, "activity_at": 1, "activity_source": "hook:user-prompt-submit", "created_at": 1,
        "updated_at": 1,
    }  # fmt: skip
    return Session(**{**usual, **fields})


APPROVED = run(status=RunStatus.DELIVERED, verdict="approved")
CHANGES = run(status=RunStatus.DELIVERED, verdict="changes_requested")


@pytest.mark.parametrize(
    ("fields", "runs", "wanted"),
    [
        ({}, [], "needs_review"),
        ({"state": "draft"}, [APPROVED], "ineligible"),
        ({"state": "merged"}, [], "ineligible"),
        ({"head_sha": ""}, [], "ineligible"),
        ({}, [run()], "running"),
        ({}, [run(status=RunStatus.FAILED)], "needs_review"),
        ({}, [run(status=RunStatus.CANCELLED)], "needs_review"),
        ({}, [APPROVED], "up_to_date"),
        ({}, [CHANGES], "changes_requested"),
        ({}, [APPROVED, CHANGES], "up_to_date"),
        ({}, [replace(APPROVED, target_sha=OLD)], "needs_review"),
        ({}, [run(target_sha=OLD)], "needs_review"),
    ],
)
def test_where_a_pull_request_stands_follows_from_the_runs_of_its_head(
    fields: dict[str, Any], runs: list[ReviewRun], wanted: str
) -> None:
    assert state(pull(**fields), runs) == wanted


def test_a_commit_that_is_read_or_judged_needs_no_other_review_unless_a_second_opinion_is_asked_for() -> None:
    assert covering(pull(), [run()], "claude-code") == run()
    assert covering(pull(), [CHANGES], "") == CHANGES
    assert covering(pull(), [CHANGES], "demo") is None
    assert covering(pull(), [APPROVED], "demo") == APPROVED
    assert covering(pull(), [APPROVED], "claude-code") is None
    assert covering(pull(), [replace(CHANGES, target_sha=OLD), run(status=RunStatus.FAILED)], "") is None


def test_c6_automatic_reviews_are_counted_over_all_heads_and_end_with_the_pull_request() -> None:
    rule = AutoReview(enabled=True, rounds=2)
    spent = [replace(CHANGES, target_sha=str(n) * 40, automatic=True) for n in (1, 2)]
    assert automatic(pull(), [], AutoReview()) == "no"
    assert automatic(pull(), [], rule) == "start"
    assert automatic(pull(), [run(status=RunStatus.FAILED)], rule) == "no"
    assert automatic(pull(), [replace(row, automatic=False) for row in spent], rule) == "start"
    assert automatic(pull(), spent, rule) == "gave_up"
    assert automatic(pull(state="merged"), [], rule) == "no"
    assert automatic(pull(state="draft"), [], rule) == "no"


def test_a_review_is_overtaken_by_a_commit_and_by_the_end_of_its_pull_request() -> None:
    assert overtaken(pull(), run()) == ""
    assert overtaken(pull(state="draft"), run()) == ""
    assert "superseded" in overtaken(pull(), run(target_sha=OLD))
    assert "merged" in overtaken(pull(state="merged"), run())
    assert "gone" in overtaken(None, run())


def test_who_reviews_is_the_one_asked_for_then_the_projects_then_the_workers_own_then_claude_code() -> None:
    named = ProjectConfig(reviewers=[Reviewer(harness="demo", model="m")])
    assert choose_agent("", named, worker="codex", able=ABLE) == ("demo", "m")
    assert choose_agent("claude-code", named, worker="codex", able=ABLE) == ("claude-code", "")
    assert choose_agent("demo", named, worker="codex", able=ABLE) == ("demo", "m")
    assert choose_agent("", ProjectConfig(), worker="demo", able=ABLE) == ("demo", "")
    assert choose_agent("", ProjectConfig(), worker="codex", able=ABLE) == ("claude-code", "")
    with pytest.raises(AoError) as caught:
        choose_agent("codex", named, worker="demo", able=ABLE)
    assert (caught.value.code, caught.value.details) == ("REVIEW_INVALID", {"agents": list(ABLE)})


def given_(**fields: Any) -> Submission:
    return Submission(**{"run_id": "rev_1", "verdict": "approved", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"verdict": "commented"},
        {"verdict": "changes_requested"},
        {"verdict": "changes_requested", "body": "\x00 \n"},
        {"body": "x" * (TEXT_LIMIT + 1)},
        {"comments": (LineComment(path="/etc/passwd", line=1, body="x"),)},
        {"comments": (LineComment(path="a", line=-1, body="x"),)},
        {"comments": (LineComment(path="a", line=1, body=" "),)},
        {"comments": (LineComment(path="a", line=1, body="x"),) * 101},
    ],
)
def test_a_submission_that_says_nothing_or_too_much_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(AoError) as caught:
        checked(given_(**fields))
    assert caught.value.code == "REVIEW_INVALID"


def test_a_submission_is_cleaned_of_control_characters() -> None:
    clean = checked(given_(body=" a\x1bb \n", comments=(LineComment(path="a", line=1, body="\x07x "),)))
    assert (clean.body, clean.comments[0].body) == ("ab", "x")
    assert checked(given_(verdict="changes_requested", comments=clean.comments)).body == ""


def test_a_verdict_is_recorded_once_and_its_repetition_changes_nothing() -> None:
    verdict = given_(body="Fine.", comments=(LineComment(path="a", line=1, body="x"),))
    done = submitted(run(), verdict, now=NOW)
    assert done is not None
    assert (done.status, done.verdict, done.body) == (RunStatus.COMPLETE, "approved", "Fine.")
    assert done.lease_until == NOW + LINGER_MS
    assert submitted(done, verdict, now=NOW + 5) is None
    posted = replace(done, status=RunStatus.DELIVERED, forge_review_id="r7")
    assert submitted(posted, verdict, now=NOW) is None
    assert submitted(posted, replace(verdict, forge_review_id="r7"), now=NOW) is None
    others = (
        replace(verdict, body="Other."), replace(verdict, verdict="changes_requested"), replace(verdict, comments=()),
        replace(verdict, forge_review_id="r8"),
    )  # fmt: skip
    for other in others:
        with pytest.raises(AoError, match="another verdict"):
            submitted(posted, other, now=NOW)
    for status in (RunStatus.FAILED, RunStatus.CANCELLED):
        with pytest.raises(AoError, match=str(status)):
            submitted(run(status=status), verdict, now=NOW)


IDLE = {"activity": Activity.IDLE, "activity_source": "hook:stop"}
STARTING = {"phase": Phase.LAUNCHED, "activity": Activity.IDLE, "activity_source": "spawn"}
EXITED = {"activity": Activity.EXITED, "exit_code": 1}
ENDED = {"phase": Phase.ENDED, "activity": Activity.EXITED}


@pytest.mark.parametrize(
    ("session", "late", "wanted"),
    [
        (reviewer(), False, Do.WAIT),
        (None, False, Do.WAIT),
        (reviewer(**STARTING), False, Do.WAIT),
        (reviewer(activity=Activity.BLOCKED), False, Do.WAIT),
        (reviewer(**IDLE), False, Do.REMIND),
        (reviewer(**{**IDLE, "activity_source": "spawn"}), False, Do.WAIT),
        (reviewer(**EXITED), False, Do.FAIL),
        (reviewer(**ENDED), False, Do.FAIL),
        (reviewer(phase=Phase.ENDING), False, Do.FAIL),
        (reviewer(), True, Do.FAIL),
        (reviewer(**IDLE), True, Do.FAIL),
        (None, True, Do.FAIL),
    ],
)
def test_what_becomes_of_a_reviewer_that_has_given_no_verdict(session: Session | None, late: bool, wanted: Do) -> None:
    now = NOW + LEASE_MS if late else NOW
    found = step(run(), session, now=now, heard_at=0)
    assert found.do is wanted
    assert bool(found.reason) is (wanted is Do.FAIL)


def test_a_sign_of_life_extends_the_lease_once_it_is_over() -> None:
    now = NOW + LEASE_MS
    found = step(run(), reviewer(), now=now, heard_at=now - 1000)
    assert (found.do, found.until) == (Do.EXTEND, now - 1000 + LEASE_MS)


@pytest.mark.parametrize(
    ("status", "session", "late", "wanted"),
    [
        (RunStatus.COMPLETE, reviewer(), False, Do.WAIT),
        (RunStatus.DELIVERED, reviewer(), False, Do.WAIT),
        (RunStatus.DELIVERED, reviewer(), True, Do.KILL),
        (RunStatus.COMPLETE, reviewer(**IDLE), False, Do.KILL),
        (RunStatus.DELIVERED, reviewer(**EXITED), False, Do.KILL),
        (RunStatus.FAILED, reviewer(), False, Do.KILL),
        (RunStatus.CANCELLED, reviewer(**STARTING), False, Do.KILL),
        (RunStatus.CANCELLED, reviewer(phase=Phase.ENDING), False, Do.KILL),
        (RunStatus.FAILED, reviewer(**ENDED), False, Do.NOTHING),
        (RunStatus.COMPLETE, None, True, Do.NOTHING),
    ],
)
def test_a_reviewer_goes_when_its_run_is_over_but_not_in_the_middle_of_its_turn(
    status: RunStatus, session: Session | None, late: bool, wanted: Do
) -> None:
    now = NOW + LEASE_MS if late else NOW
    assert step(run(status=status), session, now=now, heard_at=now).do is wanted


def test_a_forge_with_accounts_is_given_a_comment_that_says_the_verdict_in_words() -> None:
    assert posted_verdict("local", "approved") == "approved"
    assert posted_verdict("local", "changes_requested") == "changes_requested"
    assert posted_verdict("github", "changes_requested") == "commented"
    done = run(verdict="changes_requested", body="No.", comments='[{"path":"a","line":0,"body":"why"}]')
    assert posted_body(done, "local", inline=True) == "No.\n\n<!-- ao:review=rev_1 -->"
    assert "demo: changes requested" in posted_body(done, "github", inline=True)
    assert "- `a` why" in posted_body(done, "github", inline=False)


def test_the_task_names_commits_command_and_run() -> None:
    text = review_texts.task(pull(), run(), ao_bin="/opt/my ao/ao")
    assert f"`git diff {OLD}...{HEAD}`" in text
    assert "'/opt/my ao/ao' review submit --run rev_1 --verdict VERDICT --body-file - <<'END'" in text
    assert "review submit --run rev_1" in review_texts.reminder(pull(), run(), ao_bin="ao")


@given(title=st.text(), branch=st.text())
def test_a_hostile_title_stays_inside_its_quotes(title: str, branch: str) -> None:
    plain = review_texts.task(pull(title="", source_branch=""), run(), ao_bin="ao")
    text = review_texts.task(pull(title=title, source_branch=branch), run(), ao_bin="ao")
    assert text.count("\n") == plain.count("\n")
    assert (text.count('"'), text.count("`")) == (plain.count('"'), plain.count("`"))
    assert len(text) < 4_096


@given(body=st.text(max_size=500))
def test_a_verdict_that_is_told_directly_is_fenced(body: str) -> None:
    text = review_texts.verdict(pull(), run(verdict="changes_requested", body=body), nonce=NONCE)
    assert text.count(f"<<<untrusted review rev_1 {NONCE}") == 1
    assert text.count(f"{NONCE} untrusted review rev_1>>>") == 1

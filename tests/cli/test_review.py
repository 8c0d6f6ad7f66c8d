"""`ao review`: starting, listing, handing in and stopping, against a scripted daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest

PATH = "/sessions/shop-3/reviews"


def run(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A run as the daemon shows it."""
    return {
        "id": f"rev_{number}",
        "reviewId": f"rev_{number}",
        "sessionId": "shop-3",
        "harness": "claude-code",
        "prUrl": "ao://local/shop/pull/7",
        "targetSha": "0123456789abcdef",
        "status": "running",
        "verdict": "",
        "body": "",
        "githubReviewId": "",
        "createdAt": "2031-02-03T04:05:06.789Z",
        "reviewerId": "shop-9",
        **fields,
    }


def triggered(*runs: dict[str, Any], created: bool = True) -> tuple[int, dict[str, Any]]:
    answer = {"created": created, "reviewerHandleId": "shop-9", "review": runs[0], "reviews": [], "runs": list(runs)}
    return (201 if created else 200), answer


def listed(*runs: dict[str, Any], **fields: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"reviewerHandleId": "", "reviews": [], "runs": list(runs), **fields}


def test_run_starts_a_review_and_says_where(ao: Any, daemon: Any) -> None:
    daemon.script[f"POST {PATH}/trigger"] = triggered(run())
    ran = ao("review", "run", "shop-3", "--agent", "claude-code")
    assert (ran.code, ran.out) == (0, "rev_1: claude-code reads #7 at 0123456789ab in shop-9\n"), ran
    assert "ao review ls shop-3" in ran.err
    assert daemon.seen("POST")[0].json == {"harness": "claude-code"}


def test_run_shows_what_was_there_before(ao: Any, daemon: Any) -> None:
    done = run(status="delivered", verdict="changes_requested")
    daemon.script[f"POST {PATH}/trigger"] = triggered(done, created=False)
    ran = ao("review", "run", AO_SESSION_ID="shop-3")
    assert (ran.code, ran.out, ran.err) == (0, "rev_1: #7 at 0123456789ab: delivered, changes requested\n", "")
    assert daemon.seen("POST")[0].json == {}


def test_run_waits_for_the_verdict(ao: Any, daemon: Any) -> None:
    daemon.script[f"POST {PATH}/trigger"] = triggered(run())
    done = run(status="delivered", verdict="approved")
    daemon.script[f"GET {PATH}"] = [listed(run()), listed(done)]
    daemon.script["GET /events"] = (200, b'id: 4\nevent: review_updated\ndata: {"seq":4}\n\n')
    ran = ao("review", "run", "shop-3", "--wait")
    assert (ran.code, ran.out) == (0, "rev_1: #7 at 0123456789ab: delivered, approved\n"), ran


def test_a_review_that_failed_is_told_and_exit_code_1(ao: Any, daemon: Any) -> None:
    daemon.script[f"POST {PATH}/trigger"] = triggered(run(status="failed", failure="no\nlicence"))
    ran = ao("review", "run", "shop-3")
    assert (ran.code, ran.out) == (1, "rev_1: #7 at 0123456789ab: failed, no licence\n")


def test_ls_shows_pull_requests_and_runs(ao: Any, daemon: Any) -> None:
    state = {"prUrl": "u", "prNumber": 7, "title": "A\x1b[2Jshelf", "targetSha": "0", "status": "needs_review"}
    failed = run(2, status="failed", failure="its reviewer\nended")
    daemon.script[f"GET {PATH}"] = listed(run(), failed, reviews=[state])
    ran = ao("review", "ls", "shop-3")
    assert ran.code == 0, ran
    about, head, first, second = ran.out.splitlines()
    assert about == "#7 A [2Jshelf: needs review"
    assert head.split() == ["ID", "AGE", "PR", "COMMIT", "AGENT", "STATUS", "VERDICT", "REVIEWER"]
    assert first.split()[0] == "rev_1"
    assert first.split()[2:] == ["#7", "0123456789ab", "claude-code", "running", "-", "shop-9"]
    assert second.split()[5] == "failed"
    assert ran.err == "rev_2: its reviewer ended\n"
    assert ao("review", "ls", "shop-3", "--json").json["runs"][0]["id"] == "rev_1"


def test_ls_of_nothing_says_so(ao: Any, daemon: Any) -> None:
    daemon.script[f"GET {PATH}"] = listed()
    daemon.script["GET /sessions/shop-3"] = (200, {"session": {"id": "shop-3"}})
    assert ao("review", "ls", "shop-3").out == "(no reviews)\n"


def test_ls_of_a_session_that_is_not_there_says_that(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script[f"GET {PATH}"] = listed()
    daemon.script["GET /sessions/shop-3"] = refused(404, "SESSION_NOT_FOUND", "no session 'shop-3'")
    daemon.script["GET /sessions"] = (200, {"sessions": []})
    ran = ao("review", "ls", "shop-3")
    assert (ran.code, ran.out) == (1, "")
    assert "no session 'shop-3'" in ran.err


def test_submit_reads_its_body_from_stdin_and_takes_comments_on_lines(ao: Any, daemon: Any) -> None:
    recorded = run(status="complete", verdict="changes_requested")
    daemon.script["POST /sessions/shop-9/reviews/submit"] = (200, {"review": recorded, "reviews": [recorded]})
    words = (
        "--run",
        "rev_1",
        "--verdict",
        "changes-requested",
        "--body_file",
        "-",
        "--line",
        "src/a.py:7:It: is empty",
    )
    ran = ao("review", "submit", *words, stdin="Not yet.\n", AO_SESSION_ID="shop-9")
    assert (ran.code, ran.out) == (0, "recorded changes_requested review for shop-3\n"), ran
    assert daemon.seen("POST")[0].json == {
        "runId": "rev_1",
        "verdict": "changes_requested",
        "body": "Not yet.\n",
        "comments": [{"path": "src/a.py", "line": 7, "body": "It: is empty"}],
    }


def test_submit_takes_the_session_as_a_word_before_the_flag(ao: Any, daemon: Any) -> None:
    recorded = run(status="complete", verdict="approved")
    daemon.script[f"POST {PATH}/submit"] = (200, {"review": recorded, "reviews": [recorded]})
    common = ("--run", "rev_1", "--verdict", "approved", "--review_id", "77")
    assert ao("review", "submit", "shop-3", "--session", "shop-4", *common).code == 0
    ran = ao("review", "submit", "--session", "shop-3", "--body", "-", *common, "--json", stdin="fine")
    assert ran.json["review"]["id"] == "rev_1"
    first, second = (json.loads(request.raw) for request in daemon.seen("POST"))
    assert (first["githubReviewId"], first["body"], second["body"]) == ("77", "", "fine")


@pytest.mark.parametrize(
    "words",
    [
        ("shop-3", "--run", "r"),
        ("shop-3", "--verdict", "approved"),
        ("shop-3", "--run", " ", "--verdict", "approved"),
        ("shop-3", "--run", "r", "--verdict", "maybe"),
        ("shop-3", "--run", "r", "--verdict", "changes_requested"),
        ("shop-3", "--run", "r", "--verdict", "approved", "--line", "a.py"),
        ("shop-3", "--run", "r", "--verdict", "approved", "--body-file", "no/such/file"),
        ("shop-3", "--run", "r", "--verdict", "approved", "--body-file", "-", "--body", "x"),
        ("--run", "r", "--verdict", "approved"),
    ],
)
def test_submit_needs_all_it_says(ao: Any, daemon: Any, words: tuple[str, ...]) -> None:
    assert ao("review", "submit", *words).code == 2
    assert not daemon.requests


def test_cancel_tells_what_it_stopped(ao: Any, daemon: Any) -> None:
    stopped = run(status="cancelled")
    daemon.script[f"POST {PATH}/cancel"] = [(200, {"cancelled": [stopped]}), (200, {"cancelled": []})]
    assert ao("review", "cancel", "shop-3", "--run", "rev_1").out == "cancelled rev_1: #7 at 0123456789ab\n"
    assert ao("review", "cancel", "shop-3").out == "(no review is running)\n"
    assert [request.json for request in daemon.seen("POST")] == [{"runId": "rev_1"}, {}]


def test_a_refusal_is_told_with_its_code(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script[f"POST {PATH}/trigger"] = refused(422, "REVIEW_INVALID", "nothing to review", hint="open one")
    ran = ao("review", "run", "shop-3")
    assert (ran.code, ran.err) == (1, "nothing to review (REVIEW_INVALID)\n  hint: open one\n")

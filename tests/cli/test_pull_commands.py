"""What `ao pr` asks of the daemon and prints of its answers, against a scripted one."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.cli.pull_answers import HEAD, listed, shown

EVIL = "\x1b]0;owned\x07\x9b2J\u202eevil\nsecond line"


@pytest.fixture
def pulls(daemon: Any) -> Any:
    """A daemon that knows pull request 3 and does what it is asked."""
    done = {"ok": True, "prNumber": 3}
    script = {
        "GET /prs": {"prs": [listed(3), listed(12, sessionId="shop-3")]},
        "GET /prs/3": {"pr": shown()},
        "GET /prs/3/diff": {"diff": "+one\n+two\n", "truncated": True},
        "GET /prs/3/checks": {"headSha": HEAD, "state": "passing", "checks": []},
        "GET /prs/3/checks/log": {"name": "unit", "log": "error: no\n"},
        "POST /prs/3/checks/rerun": done,
        "POST /prs": {"pr": shown()},
        "POST /prs/3/comments": {"ok": True, "comment": {}},
        "POST /prs/3/reviews": {"ok": True, "review": {}},
        "POST /prs/3/resolve-comments": {"ok": True, "resolved": 2},
        "POST /prs/3/merge": {**done, "method": "squash", "sha": HEAD},
        "POST /prs/3/close": done,
    }
    daemon.script |= {key: (200, value) for key, value in script.items()}
    return daemon


def test_the_list_names_projects_where_none_was_named(ao: Any, pulls: Any) -> None:
    rows = ao("pr", "ls").out.splitlines()
    assert rows[0].split() == ["PR", "STATE", "CHECKS", "REVIEW", "MERGE", "SESSION", "BRANCH", "TITLE"]
    assert rows[1].split()[:6] == ["shop#3", "open", "failing", "none", "blocked", "-"]
    assert rows[2].split()[5] == "shop-3"
    assert ao("pr", "list", "-p", "shop", "--all").out.splitlines()[1].startswith("#3 ")
    ao("pr", "ls", AO_PROJECT_ID="shop")
    asked = [request.query for request in pulls.requests]
    assert asked == [{"state": "open"}, {"state": "all", "project": "shop"}, {"state": "open", "project": "shop"}]
    pulls.script["GET /prs"] = (200, {"prs": []})
    assert ao("pr", "ls").out == "(no open pull requests; --all shows all)\n"
    assert ao("pr", "ls", "--all").out == "(no pull requests)\n"


def test_one_is_shown_with_what_is_in_its_way_and_what_was_said(ao: Any, pulls: Any) -> None:
    assert ao("pr", "view", "#3").out.splitlines() == [
        "pull request: #3 A shelf",
        "url: ao://local/shop/pull/3",
        "state: open",
        "branches: topic into main",
        "head: 0123456789ab",
        "author: ann",
        "session: shop-3",
        "size: +2 -1 in 1 files",
        "checks: failing",
        "review: changes_requested",
        "merge: blocked",
        "nudges: 2 sent, 1 waiting, 0 given up",
        "in the way: checks fail: unit",
        "check unit: failed (timed_out)  https://ci/1",
        "review by bob: changes requested",
        "  No.",
        "thread t1 at a.py:7: open",
        "  bob",
        "    Why?",
        "    Really.",
        "comment by ann",
        "  Well.",
    ]
    assert ao("pr", "show", "3").out == ao("pr", "view", "3").out
    assert ao("pr", "view", "3", "--json").json == {"pr": shown()}
    pulls.script["GET /prs/3"] = (200, {"pr": shown(obstacles=[], ready=True)})
    assert "ready: merge it with `ao pr merge 3`\n" in ao("pr", "view", "3").out


@pytest.mark.parametrize(
    ("words", "query"),
    [
        (("3",), {}),
        (("3", "-p", "shop", "--refresh"), {"projectId": "shop", "refresh": "true"}),
        (("https://github.com/acme/shop/pull/3",), {"prUrl": "https://github.com/acme/shop/pull/3"}),
        (("ao://local/shop/pull/3/",), {"prUrl": "ao://local/shop/pull/3/"}),
    ],
)
def test_a_pull_request_is_named_by_number_or_url(
    ao: Any, pulls: Any, words: tuple[str, ...], query: dict[str, str]
) -> None:
    assert ao("pr", "view", *words).code == 0
    assert (pulls.requests[0].path, pulls.requests[0].query) == ("/api/v1/prs/3", query)


@pytest.mark.parametrize(
    ("words", "route", "body", "line"),
    [
        (("comment", "3", "So", "what"), "comments", {"body": "So what"}, "commented on #3"),
        (("comment", "3", "-", "--thread", "t1"), "comments", {"body": "piped", "threadId": "t1"}, "commented on #3"),
        (("reply", "3", "--thread", "t1", "--body", "Yes"), "comments", {"body": "Yes", "threadId": "t1"},
         "answered in thread t1 of #3"),
        (("review", "3", "--approve"), "reviews", {"verdict": "approved", "comments": []}, "reviewed #3: approved"),
        (("review", "3", "-r", "-F", "-", "-l", "a.py:7:Hm: no", "-l", "b.py::All"), "reviews",
         {"verdict": "changes_requested", "body": "piped", "comments": [
             {"path": "a.py", "line": 7, "body": "Hm: no"}, {"path": "b.py", "line": 0, "body": "All"}]},
         "reviewed #3: changes requested"),
        (("resolve", "3", "--all"), "resolve-comments", {}, "resolved 2 threads of #3"),
        (("resolve", "3", "--thread", "t1", "--thread", "t2"), "resolve-comments", {"commentIds": ["t1", "t2"]},
         "resolved 2 threads of #3"),
        (("merge", "3"), "merge", {}, "merged pull request #3 (squash) as 0123456789ab"),
        (("merge", "3", "-m", "rebase", "--expected-head", HEAD), "merge",
         {"method": "rebase", "expectedHeadSha": HEAD}, "merged pull request #3 (squash) as 0123456789ab"),
        (("close", "3"), "close", {}, "closed pull request #3 without merging it"),
    ],
)  # fmt: skip
def test_each_action_sends_its_body_and_tells_in_a_line(
    ao: Any, pulls: Any, words: tuple[str, ...], route: str, body: dict[str, Any], line: str
) -> None:
    ran = ao("pr", *words, "-p", "shop", stdin="piped")
    assert (ran.code, ran.out) == (0, f"{line}\n"), ran
    assert (pulls.requests[0].path, pulls.requests[0].json) == (f"/api/v1/prs/3/{route}", body)
    assert pulls.requests[0].query == {"projectId": "shop"}
    assert ao("pr", *words, "--json", stdin="piped").json["ok"] is True


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("review 3", "say what it is"),
        ("review 3 --approve --comment", "say what it is"),
        ("review 3 --comment", "needs words"),
        ("review 3 --comment --line a.py", "--line takes PATH:LINE:TEXT"),
        ("resolve 3", "name the threads"),
        ("resolve 3 --all --thread t1", "name the threads"),
        ("reply 3 Yes", "--thread ID is required"),
        ("comment 3 Yes --body No", "give the text once"),
        ("merge 3 --method octopus", "--method must be one of squash, merge, rebase"),
        ("view", "missing PR"),
    ],
)
def test_misuse_is_told_before_anything_is_sent(ao: Any, pulls: Any, words: str, told: str) -> None:
    ran = ao("pr", *words.split())
    assert (ran.code, told in ran.err) == (2, True), ran
    assert not pulls.requests


def test_create_inside_a_session_names_the_session_and_nothing_else(ao: Any, pulls: Any) -> None:
    ran = ao("pr", "create", "-t", "A shelf", AO_SESSION_ID="shop-3", AO_TOKEN="t", AO_PROJECT_ID="shop")
    assert ran.out.splitlines() == [
        "opened pull request #3: A shelf",
        "  topic into main",
        "  ao://local/shop/pull/3",
        "see it with: ao pr view 3",
    ]
    assert pulls.requests[0].json == {"sessionId": "shop-3", "title": "A shelf"}
    ao("pr", "create", "-p", "shop", "-H", "fix/x", "-B", "next", "-F", "-", "--draft", stdin="Look.\n")
    assert pulls.requests[1].json == {
        "projectId": "shop",
        "sourceBranch": "fix/x",
        "targetBranch": "next",
        "body": "Look.\n",
        "draft": True,
    }


def test_create_outside_a_session_takes_the_branch_that_is_checked_out_here(ao: Any, pulls: Any) -> None:
    ao("pr", "create", "-p", "shop")
    subprocess.run(["git", "init", "-q", "-b", "fix/here", str(ao.home)], check=True)
    ao("pr", "create", "-p", "shop")
    assert [request.json.get("sourceBranch") for request in pulls.requests] == [None, "fix/here"]


def test_checks_can_be_watched_until_they_have_ended(ao: Any, pulls: Any) -> None:
    check = {"name": "unit", "conclusion": "", "createdAt": "2031-02-03T04:05:06.789Z"}
    states = [("pending", "queued"), ("failing", "in_progress"), ("failing", "failed")]
    pulls.script["GET /prs/3/checks"] = [
        (200, {"headSha": HEAD, "state": state, "checks": [{**check, "status": status}]}) for state, status in states
    ]
    ran = ao("pr", "checks", "3", "--rerun", "--watch")
    assert (ran.code, ran.out) == (1, "unit: failed  2031-02-03T04:05:06Z\n")
    assert "the checks of 0123456789ab fail (CHECKS_FAILING)" in ran.err
    assert [request.path.rpartition("/")[2] for request in pulls.requests] == ["rerun", "checks", "checks", "checks"]


def test_output_of_a_check_and_a_diff_are_printed_line_by_line(ao: Any, pulls: Any) -> None:
    assert ao("pr", "checks", "3").out == "(no checks)\n"
    assert ao("pr", "checks", "3", "--log", "unit").out == "error: no\n"
    assert pulls.requests[1].query == {"name": "unit"}
    ran = ao("pr", "diff", "3")
    assert (ran.out, ran.err) == ("+one\n+two\n", "the diff goes on; this is its beginning\n")


def test_s5_hostile_words_cannot_drive_the_terminal_from_any_command(
    ao: Any, pulls: Any, session: Any, on_terminal: Any
) -> None:
    said = {"id": EVIL, "author": EVIL, "body": EVIL, "reviewerId": EVIL, "state": EVIL, "commitSha": HEAD}
    check = {"name": EVIL, "status": "passed", "conclusion": EVIL, "url": EVIL}
    thread = {"id": EVIL, "path": EVIL, "line": 1, "resolved": False, "comments": [said]}
    evil: dict[str, Any] = {
        **dict.fromkeys(("title", "sourceBranch", "targetBranch", "author", "htmlUrl", "mergeSha"), EVIL),
        "obstacles": [EVIL],
        "checks": [check],
        "threads": [thread],
        "comments": [said],
        "remarks": [said],
    }
    row = listed(3, title=EVIL, sourceBranch=EVIL)
    nudge = {"prUrl": f"x/{EVIL}", "cause": "ci", "headSha": HEAD, "round": 1, "state": "gave_up", "reason": EVIL,
             "createdAt": "2031-02-03T04:05:06.789Z"}  # fmt: skip
    pulls.script |= {
        "GET /prs": (200, {"prs": [row]}),
        "GET /prs/3": (200, {"pr": shown(**evil)}),
        "POST /prs": (200, {"pr": shown(**evil)}),
        "GET /prs/3/diff": (200, {"diff": EVIL, "truncated": False}),
        "GET /prs/3/checks": (200, {"headSha": EVIL, "state": "passing", "checks": [check]}),
        "GET /prs/3/checks/log": (200, {"name": EVIL, "log": EVIL}),
        "GET /sessions/shop-3": (200, {"session": session("shop-3", prs=[{**row, "url": EVIL}])}),
        "GET /sessions/shop-3/nudges": (200, {"nudges": [nudge]}),
        "POST /sessions/shop-3/pr/claim": (200, {"sessionId": "shop-3", "prs": [{**row, "url": EVIL}]}),
    }
    commands = ("pr ls", "pr view 3", "pr create -p shop", "pr diff 3", "pr checks 3", "pr checks 3 --log unit",
                "session get shop-3", "session nudges shop-3", "session claim-pr shop-3 3")  # fmt: skip
    for words in commands:
        text, code = on_terminal(ao, *words.split(), NO_COLOR="1")
        assert code == 0, (words, text)
        assert not set(text) & set("\x1b\x07\x9b\u202e"), words


def test_numbers_of_pull_requests_are_completed(ao: Any, pulls: Any) -> None:
    assert ao("__complete", "pr", "view", "").out.splitlines() == ["3", "12"]
    assert ao("__complete", "spawn", "--claim-pr", "1").out == "12\n"


def test_a_finished_pull_request_has_no_word_about_merging(ao: Any, daemon: Any) -> None:
    daemon.script["GET /prs"] = (200, {"prs": [listed(3, state="merged", mergeability="unknown")]})
    assert "unknown" not in ao("pr", "ls", "--all").out

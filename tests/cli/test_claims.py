"""Sessions and their pull requests on the command line: claims, nudges, the merge policy, `ao spawn --claim-pr`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.pull_answers import HEAD, listed, shown


def test_a_session_shows_its_pull_requests(ao: Any, daemon: Any, session: Any) -> None:
    pull = listed(3, reviewComments=True)
    daemon.script["GET /sessions/shop-3"] = (200, {"session": session("shop-3", prs=[pull])})
    assert (
        "pull request: #3 open, checks failing, review none, unanswered comments, merge blocked "
        "(ao://local/shop/pull/3)\n"
    ) in ao("session", "get", "shop-3").out


def test_a_claim_says_what_was_taken_from_whom(ao: Any, daemon: Any) -> None:
    answer = {
        "ok": True,
        "sessionId": "shop-3",
        "prs": [listed(3)],
        "branchChanged": False,
        "takenOverFrom": ["shop-1"],
    }
    daemon.script["POST /sessions/shop-3/pr/claim"] = (200, answer)
    assert ao("session", "claim-pr", "shop-3", " #3 ", "--no-takeover").out.splitlines() == [
        "session shop-3 claimed PR #3",
        "  pr: ao://local/shop/pull/3",
        "  checkout: the worktree stays on its branch; the agent was told of topic",
        "  taking over from shop-1",
    ]
    assert daemon.requests[0].json == {"pr": "#3", "allowTakeover": False}
    assert ao("session", "claim-pr", "shop-3", "3", "--json").json == answer
    assert ao("session", "claim-pr", "shop-3", " ").code == 2


def test_the_ledger_tells_what_was_sent_held_and_given_up(ao: Any, daemon: Any) -> None:
    told = {"prUrl": "ao://local/shop/pull/3", "headSha": HEAD, "createdAt": "2031-02-03T04:05:06.789Z"}
    ledger = [
        {**told, "cause": "ci", "round": 1, "state": "queued", "messageState": "submitted", "possibleDuplicate": True},
        {**told, "cause": "review", "round": 1, "state": "queued", "messageState": "queued", "heldReason": "blocked"},
        {**told, "cause": "ci", "round": 4, "state": "gave_up", "reason": "told 3 times"},
    ]
    daemon.script["GET /sessions/shop-3/nudges"] = (200, {"sessionId": "shop-3", "nudges": ledger})
    lines = ao("session", "nudges", "shop-3").out.splitlines()
    assert lines[1].startswith("ci      #3  01234567  1      submitted (possible duplicate)")
    assert lines[2].split()[-1] == "blocked"
    assert lines[3].endswith("told 3 times")
    daemon.script["GET /sessions/shop-3/nudges"] = (200, {"sessionId": "shop-3", "nudges": []})
    assert ao("session", "nudges", "shop-3").out.startswith("(no nudges")


@pytest.mark.parametrize(
    ("word", "sent", "line"),
    [
        ("end", True, "session shop-3 ends when its pull requests are merged (set by the session)"),
        ("keep", False, "session shop-3 stays when its pull requests are merged (set by the session)"),
        ("default", None, "session shop-3 ends when its pull requests are merged (set by the project)"),
    ],
)
def test_the_merge_policy_is_one_of_three_words(ao: Any, daemon: Any, word: str, sent: bool | None, line: str) -> None:
    source = "project" if sent is None else "session"
    answer = {"ok": True, "sessionId": "shop-3", "terminateOnPrMerge": sent is not False, "source": source}
    daemon.script["PATCH /sessions/shop-3/merge-policy"] = (200, answer)
    assert ao("session", "merge-policy", "shop-3", word).out == f"{line}\n"
    assert daemon.requests[0].json == {"terminateOnPrMerge": sent}
    assert "POLICY is one of end, keep, default" in ao("session", "merge-policy", "shop-3", "maybe").err


def spawning(daemon: Any, session: Any) -> None:
    """A daemon that spawns shop-4 and knows pull request 3."""
    daemon.script["GET /prs/3"] = (200, {"pr": shown()})
    daemon.script["POST /sessions"] = (201, {"session": session("shop-4")})


def test_a_spawn_for_a_pull_request_claims_it_once_the_agent_runs(ao: Any, daemon: Any, session: Any) -> None:
    spawning(daemon, session)
    answer = {"ok": True, "sessionId": "shop-4", "prs": [listed(3)], "branchChanged": False, "takenOverFrom": []}
    daemon.script["POST /sessions/shop-4/pr/claim"] = (200, answer)
    ran = ao("spawn", "-p", "shop", "--claim-pr", "3", "--no-takeover", "--no-wait", "go on")
    assert ran.code == 0
    assert "session shop-4 claimed PR #3" in ran.out.splitlines()
    assert daemon.requests[0].query == {"projectId": "shop", "refresh": "true"}
    assert daemon.requests[-1].json == {"pr": "3", "allowTakeover": False}
    assert ao("spawn", "-p", "shop", "--claim-pr", "3", "--json", "x").json["claim"] == answer


@pytest.mark.parametrize("state", ["draft", "merged", "closed"])
def test_bug4_nothing_is_started_for_a_pull_request_that_cannot_be_claimed(
    ao: Any, daemon: Any, session: Any, state: str
) -> None:
    spawning(daemon, session)
    daemon.script["GET /prs/3"] = (200, {"pr": shown(state=state)})
    ran = ao("spawn", "-p", "shop", "--claim-pr", "3", "x")
    assert (ran.code, ran.err) == (
        1,
        f"pull request 3 is {state}; only an open one can be claimed (PR_NOT_OPEN)\n",
    )
    assert not daemon.seen("POST")


@pytest.mark.parametrize(
    ("undone", "told"),
    [
        ((200, {"killed": True}), "rolled back session shop-4"),
        (
            (200, {"killed": True, "preserved": {"path": "/w/shop-4", "reason": "1 untracked file"}}),
            "rolled back session shop-4, but its work stays at /w/shop-4 (1 untracked file)",
        ),
        (
            (500, {"message": "tmux is gone"}),
            "session shop-4 is still there, it could not be rolled back: tmux is gone",
        ),
    ],
)
def test_bug4_a_claim_that_fails_tells_why_and_what_became_of_the_session(
    ao: Any, daemon: Any, session: Any, refused: Any, undone: Any, told: str
) -> None:
    spawning(daemon, session)
    taken = refused(409, "PR_CLAIMED_BY_ACTIVE_SESSION", "it is shop-1's", hint="leave out --no-takeover")
    daemon.script["POST /sessions/shop-4/pr/claim"] = taken
    daemon.script["POST /sessions/shop-4/rollback"] = undone
    ran = ao("spawn", "-p", "shop", "--claim-pr", "3", "--no-takeover", "x")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"cannot claim pull request 3: it is shop-1's; {told} (PR_CLAIMED_BY_ACTIVE_SESSION)\n"
        "  hint: leave out --no-takeover\n"
    )


def test_no_takeover_without_a_claim_is_misuse(ao: Any, daemon: Any) -> None:
    ran = ao("spawn", "-p", "shop", "--no-takeover", "x")
    assert (ran.code, ran.err) == (2, "--no-takeover needs --claim-pr PR\n")
    assert not daemon.requests

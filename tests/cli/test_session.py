"""Commands about one session, and the ways to end some."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import Any

import pytest


def test_get_shows_what_there_is_line_by_line(ao: Any, daemon: Any, session: Any) -> None:
    shown = session(
        "shop-3",
        displayName="Login",
        issueId="77",
        workspacePath="/w/shop-3",
        base={"ref": "refs/heads/main", "sha": "0123456789abcdef"},
        warnings=["the base is 3 days old"],
        evidence=[{"fact": "activity", "value": "idle", "source": "hook", "at": "2031-02-03T04:05:06.789Z"}],
    )
    daemon.script["GET /sessions/shop-3"] = (200, {"session": shown})
    assert ao("session", "get", " shop-3 ").out.splitlines() == [
        "id: shop-3",
        "project: shop",
        "name: Login",
        "role: worker",
        "status: idle",
        "phase: live",
        "activity: idle",
        "harness: codex",
        "issue: 77",
        "branch: ao/shop-3/root",
        "base: refs/heads/main 0123456789ab",
        "workspace: /w/shop-3",
        "terminated: no",
        "created: 2031-02-03T04:00:00Z",
        "updated: 2031-02-03T04:05:06Z",
        "warning: the base is 3 days old",
        "evidence: activity = idle (from hook, 2031-02-03T04:05:06Z)",
    ]
    assert ao("session", "get", "shop-3", "--json").json == {"session": shown}


@pytest.mark.parametrize("word", ["get", "kill", "restore", "rollback", "messages", "output"])
def test_guard_refuses_a_session_of_another_project(ao: Any, daemon: Any, session: Any, word: str) -> None:
    daemon.script["GET /sessions/shop-3"] = (200, {"session": session("shop-3")})
    ran = ao("session", word, "shop-3", "-p", "web")
    assert (ran.code, ran.err) == (2, "session shop-3 not in project web\n")
    assert len(daemon.requests) == 1


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"freed": True}, ["session shop-3 killed"]),
        (
            {"freed": True, "branch": {"name": "ao/shop-3/root", "kept": True}},
            ["session shop-3 killed", "  branch kept: ao/shop-3/root"],
        ),
        (
            {"preserved": {"path": "/w/shop-3", "reason": "untracked files"}},
            ["session shop-3 killed (workspace preserved)", "  preserved: /w/shop-3 (untracked files)"],
        ),
    ],
)
def test_kill_says_what_was_freed_and_what_stays(
    ao: Any, daemon: Any, session: Any, answer: dict[str, Any], lines: list[str]
) -> None:
    body = {"ok": True, "sessionId": "shop-3", **answer}
    daemon.script["POST /sessions/shop-3/kill"] = (200, body)
    daemon.script["GET /sessions/shop-3"] = (200, {"session": session("shop-3")})
    assert ao("session", "kill", "shop-3", "-p", "shop").out.splitlines() == lines
    assert ao("session", "kill", "shop-3", "--json").json == body


def test_kill_passes_force_and_wait_on(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/shop-3/kill"] = (200, {"ok": True, "sessionId": "shop-3"})
    assert ao("session", "kill", "shop-3", "--force", "--no-wait").out == "session shop-3 killed\n"
    assert daemon.requests[0].query == {"force": "true", "wait": "agent"}


def test_restore_says_how(ao: Any, daemon: Any, session: Any) -> None:
    answer = {"ok": True, "sessionId": "shop-3", "session": session("shop-3"), "restoreMode": "native"}
    daemon.script["POST /sessions/shop-3/restore"] = (200, answer)
    assert ao("session", "restore", "shop-3").out.splitlines() == [
        "session shop-3 restored",
        "  project: shop",
        "  mode: native (the agent continues its own conversation)",
    ]
    assert ao("session", "restore", "shop-3", "--json").json == answer


def test_rename_trims_and_quotes(ao: Any, daemon: Any) -> None:
    daemon.script["PATCH /sessions/shop-3"] = (200, {"ok": True, "sessionId": "shop-3", "displayName": 'a "b"'})
    assert ao("session", "rename", "shop-3", '  a "b" ').out == 'session shop-3 renamed to "a \\"b\\""\n'
    assert daemon.requests[0].json == {"displayName": 'a "b"'}


@pytest.mark.parametrize(("answer", "word"), [({"deleted": True}, "deleted"), ({"killed": True}, "killed")])
def test_rollback_says_whether_the_session_vanished(ao: Any, daemon: Any, answer: dict[str, Any], word: str) -> None:
    daemon.script["POST /sessions/shop-3/rollback"] = (200, {"ok": True, "sessionId": "shop-3", **answer})
    assert ao("session", "rollback", "shop-3").out == f"session shop-3 {word}\n"


def test_h9_messages_are_listed_with_their_fate(ao: Any, daemon: Any) -> None:
    base = {"sessionId": "shop-3", "source": "user", "createdAt": "2031-02-03T04:05:06.789Z", "attempts": 1}
    messages = [
        {"id": 1, "text": "first\nline", "state": "submitted", **base},
        {"id": 2, "text": "second", "state": "queued", "heldReason": "blocked", **base},
        {"id": 3, "text": "third", "state": "failed", "failure": "agent exited", **base},
    ]
    daemon.script["GET /sessions/shop-3/messages"] = (200, {"messages": messages})
    assert ao("session", "messages", "shop-3").out.splitlines() == [
        "ID  FROM  STATE                 CREATED               TEXT",
        "1   user  submitted             2031-02-03T04:05:06Z  first line",
        "2   user  queued: blocked       2031-02-03T04:05:06Z  second",
        "3   user  failed: agent exited  2031-02-03T04:05:06Z  third",
    ]
    daemon.script["GET /sessions/shop-3/messages"] = (200, {"messages": []})
    assert ao("session", "messages", "shop-3").out == "(no messages)\n"


def test_output_prints_the_screen_without_control_characters(ao: Any, daemon: Any) -> None:
    answer = {"sessionId": "shop-3", "output": "one\t1\n\x1b[31mtwo\n\n"}
    daemon.script["GET /sessions/shop-3/output"] = (200, answer)
    assert ao("session", "output", "shop-3", "-n", "5").out == "one\t1\n [31mtwo\n"
    assert daemon.requests[0].query == {"lines": "5"}
    assert ao("session", "output", "shop-3", "--json").json == answer


PLAN = {"ok": True, "cleaned": ["shop-1", "shop-2"], "skipped": [{"sessionId": "shop-3", "reason": "untracked files"}]}


def _cleanup(request: Any) -> tuple[int, Any]:
    return 200, {**PLAN, **({"dryRun": True} if request.query.get("dryRun") else {})}


def test_cleanup_with_yes_tells_plan_and_outcome(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/cleanup"] = _cleanup
    ran = ao("session", "cleanup", "-p", "shop", "--yes")
    assert ran.out.splitlines() == [
        "Checking ended sessions of shop...",
        "",
        "  Would skip shop-3 (untracked files)",
        "  Would clean shop-1",
        "  Would clean shop-2",
        "  Cleaned: shop-1",
        "  Cleaned: shop-2",
        "  Skipped: shop-3 (untracked files)",
        "",
        "Cleanup complete. 2 sessions cleaned, 1 skipped.",
    ]
    assert [request.query for request in daemon.requests] == [
        {"project": "shop", "dryRun": "true"},
        {"project": "shop"},
    ]


def test_dry_run_cleans_nothing(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/cleanup"] = _cleanup
    assert ao("session", "cleanup", "--dry-run").code == 0
    assert ao("session", "cleanup", "-n", "--json").json["dryRun"] is True
    assert all(request.query == {"dryRun": "true"} for request in daemon.requests)


def test_nothing_to_clean_asks_nothing(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/cleanup"] = (200, {"ok": True, "cleaned": [], "skipped": []})
    ran = ao("session", "cleanup")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "  no sessions to clean")


@pytest.mark.parametrize("words", [("session", "cleanup"), ("session", "cleanup", "--json"), ("project", "rm", "shop")])
def test_without_a_terminal_or_yes_nothing_is_done(ao: Any, daemon: Any, words: tuple[str, ...]) -> None:
    daemon.script["POST /sessions/cleanup"] = _cleanup
    ran = ao(*words, stdin="yes\n")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert all(request.query.get("dryRun") for request in daemon.requests)


def answering(ao: Any, answer: str, *words: str) -> tuple[int, str, str]:
    """Run a command whose stdin is a terminal on which someone types `answer`."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        ao.command(*words), env=ao.env, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(follower)
        os.write(leader, answer.encode())
        out, err = process.communicate(timeout=20)
    os.close(leader)
    return process.returncode, out, err


def test_question_is_asked_on_stderr_and_yes_is_taken(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/cleanup"] = _cleanup
    code, out, err = answering(ao, "YES\n", "session", "cleanup")
    assert (code, err) == (0, "Clean 2 sessions? Type yes: ")
    assert "Cleanup complete" in out


@pytest.mark.parametrize("answer", ["no\n", "y\n", "\n", chr(4)])
def test_anything_else_aborts(ao: Any, daemon: Any, answer: str) -> None:
    daemon.script["POST /sessions/cleanup"] = _cleanup
    code, _, err = answering(ao, answer, "session", "cleanup")
    assert code == 1
    assert err.endswith("aborted\n")
    assert len(daemon.requests) == 1


def test_project_is_removed_when_its_id_is_typed(ao: Any, daemon: Any) -> None:
    daemon.script["GET /projects/shop"] = (200, {"status": "ok", "project": {"id": "shop"}})
    daemon.script["DELETE /projects/shop"] = (200, {"projectId": "shop", "removedStorageDir": False})
    assert answering(ao, "web\n", "project", "rm", "shop")[0] == 1
    assert not daemon.seen("DELETE")
    assert answering(ao, "shop\n", "project", "rm", "shop")[:2] == (0, "removed project shop\n")

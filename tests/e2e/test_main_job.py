"""The main job end to end over HTTP with the built-in agent: spawn, watch, talk, kill, restore; and the user's bugs."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import ApiError, Home


def spawn(home: Home, prompt: str = "", **more: str) -> dict[str, Any]:
    body = {"projectId": "demo", "harness": "demo", "prompt": prompt, **more}
    answer: dict[str, Any] = home.call("POST", "/api/v1/sessions", body)["session"]
    return answer


def refused(home: Home, status: int, code: str, method: str, path: str, body: Any = None) -> Mapping[str, Any]:
    with pytest.raises(ApiError) as caught:
        home.call(method, path, body)
    assert (caught.value.status, caught.value.code) == (status, code)
    return caught.value.body


def at_rest(session: Mapping[str, Any]) -> bool:
    return bool(session["activity"]["state"] == "idle" and session["status"] == "idle" and session["phase"] == "live")


def worked(home: Home, session: str) -> dict[str, Any]:
    """The session once its agent has committed and rests."""
    return home.wait(
        session,
        lambda seen: at_rest(seen) and bool(home.git(home.repository, "rev-list", f"main..{seen['branch']}")),
    )


def test_three_agents_side_by_side_commit_each_in_its_own_worktree(home: Home) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda name: spawn(home, f"write {name}"), ["one", "two", "three"]))
    assert len({session["workspacePath"] for session in made}) == 3
    for session in made:
        seen = worked(home, session["id"])
        assert seen["branch"] == f"ao/{session['id']}/root"
        assert home.git(home.repository, "rev-list", "--count", f"main..{seen['branch']}") == "1"
    assert home.git(home.repository, "status", "--porcelain") == ""


def test_a_message_reaches_the_agent_and_is_confirmed_by_its_hook(home: Home) -> None:
    session = spawn(home, "begin")
    worked(home, session["id"])
    sent = home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "write more"})
    assert sent["state"] == "queued"
    home.wait(
        session["id"],
        lambda seen: (
            at_rest(seen) and home.git(home.repository, "rev-list", "--count", f"main..{seen['branch']}") == "2"
        ),
    )
    messages = home.call("GET", f"/api/v1/sessions/{session['id']}/messages")["messages"]
    assert [message["state"] for message in messages] == ["submitted"]


def test_h9_a_repeated_idempotency_key_is_one_message(home: Home) -> None:
    session = spawn(home, "begin")
    body = {"message": "once", "idempotencyKey": "k1"}
    first = home.call("POST", f"/api/v1/sessions/{session['id']}/send", body)
    again = home.call("POST", f"/api/v1/sessions/{session['id']}/send", body)
    assert first["messageId"] == again["messageId"]


def test_kill_keeps_the_branch_of_committed_work_and_restore_continues_the_conversation(home: Home) -> None:
    session = spawn(home, "begin")
    before = worked(home, session["id"])
    killed = home.call("POST", f"/api/v1/sessions/{session['id']}/kill")
    assert killed["freed"] is True
    assert not Path(before["workspacePath"]).exists()
    assert home.git(home.repository, "rev-list", "--count", f"main..{before['branch']}") == "1"
    restored = home.call("POST", f"/api/v1/sessions/{session['id']}/restore")
    assert restored["restoreMode"] == "native"
    assert restored["session"]["nativeId"] == before["nativeId"]
    assert Path(before["workspacePath"]).exists()
    home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "write more"})
    home.wait(
        session["id"],
        lambda seen: home.git(home.repository, "rev-list", "--count", f"main..{seen['branch']}") == "2",
    )


def test_a_killed_session_without_commits_can_be_restored_where_it_began(home: Home) -> None:
    session = spawn(home)
    assert home.call("POST", f"/api/v1/sessions/{session['id']}/kill")["freed"] is True
    refused(home, 409, "SESSION_NOT_RESUMABLE", "POST", f"/api/v1/sessions/{session['id']}/restore")


def test_w1_uncommitted_work_survives_kill_cleanup_and_restore(home: Home) -> None:
    session = spawn(home, "begin")
    worked(home, session["id"])
    note = Path(session["workspacePath"]) / "note.txt"
    note.write_text("mine\n")
    killed = home.call("POST", f"/api/v1/sessions/{session['id']}/kill")
    assert "freed" not in killed
    assert killed["preserved"]["path"] == session["workspacePath"]
    assert "note.txt" in killed["preserved"]["reason"]
    cleaned = home.call("POST", "/api/v1/sessions/cleanup")
    assert cleaned["cleaned"] == []
    assert [item["sessionId"] for item in cleaned["skipped"]] == [session["id"]]
    home.call("POST", f"/api/v1/sessions/{session['id']}/restore")
    assert note.read_text() == "mine\n"
    forced = home.call("POST", f"/api/v1/sessions/{session['id']}/kill?force=true")
    assert forced["freed"] is True
    assert home.git(home.repository, "show", f"{forced['snapshot']}:note.txt") == "mine"


def test_w11_the_end_of_an_agent_removes_nothing_and_is_told(home: Home) -> None:
    session = spawn(home, "[[demo: exit 3]]")
    seen = home.wait(session["id"], lambda now: now["status"] == "exited")
    assert seen["exitCode"] == 3
    assert seen["phase"] == "live"
    assert Path(session["workspacePath"]).exists()
    refused(home, 409, "AGENT_EXITED", "POST", f"/api/v1/sessions/{session['id']}/send", {"message": "hello"})


def test_w12_a_missing_worktree_never_sends_the_agent_elsewhere(home: Home) -> None:
    session = spawn(home, "begin")
    worked(home, session["id"])
    home.call("POST", f"/api/v1/sessions/{session['id']}/kill")
    home.git(home.repository, "update-ref", "-d", f"refs/heads/{session['branch']}")
    head = home.git(home.repository, "rev-parse", "HEAD")
    restored = home.call("POST", f"/api/v1/sessions/{session['id']}/restore")
    assert restored["session"]["workspacePath"] == session["workspacePath"]
    assert home.git(home.repository, "rev-parse", "HEAD") == head


def test_bug1_an_unknown_project_is_404_and_leaves_no_row(home: Home) -> None:
    refused(home, 404, "PROJECT_NOT_FOUND", "POST", "/api/v1/sessions", {"projectId": "nope", "harness": "demo"})
    refused(home, 404, "PROJECT_NOT_FOUND", "POST", "/api/v1/orchestrators", {"projectId": "nope"})
    assert home.sessions() == []


def test_bug2_a_half_made_session_answers_kill_and_restore_alike(home: Home) -> None:
    (home.repository / ".git" / "hooks").mkdir(exist_ok=True)
    home.call("PUT", "/api/v1/projects/demo/config", {"config": {"postCreate": ["echo broken; exit 7"]}})
    made = home.call("POST", "/api/v1/sessions?wait=seeded", {"projectId": "demo", "harness": "demo"})["session"]
    seen = home.wait(made["id"], lambda now: now["phase"] == "ended")
    assert seen["failure"]["code"] == "POST_CREATE_FAILED"
    for command in ("kill", "restore"):
        refused(home, 409, "SESSION_INCOMPLETE_HANDLE", "POST", f"/api/v1/sessions/{made['id']}/{command}")


def test_bug3_branches_that_cannot_be_used_are_named(home: Home) -> None:
    body = {"projectId": "demo", "harness": "demo"}
    elsewhere = refused(
        home, 409, "BRANCH_CHECKED_OUT_ELSEWHERE", "POST", "/api/v1/sessions", {**body, "branch": "main"}
    )
    assert str(home.repository) in str(elsewhere)
    refused(home, 400, "INVALID_BRANCH", "POST", "/api/v1/sessions", {**body, "branch": "a..b"})
    home.call("PUT", "/api/v1/projects/demo/config", {"config": {"defaultBranch": "nowhere"}})
    refused(home, 400, "BRANCH_NOT_FETCHED", "POST", "/api/v1/sessions", body)
    assert home.sessions() == []


def test_bug3_a_tag_resolves_to_its_commit_on_the_sessions_own_branch(home: Home) -> None:
    first = home.git(home.repository, "rev-parse", "HEAD")
    home.git(home.repository, "tag", "-a", "v1", "-m", "one")
    (home.repository / "later.txt").write_text("later\n")
    home.git(home.repository, "add", ".")
    home.git(home.repository, "commit", "-q", "-m", "later")
    session = spawn(home, branch="v1")
    assert session["branch"] == f"ao/{session['id']}/root"
    assert home.git(Path(session["workspacePath"]), "rev-parse", "HEAD") == first
    assert session["base"]["sha"] == first


def test_bug4_rollback_of_a_live_session_tears_it_down_and_keeps_its_history(home: Home) -> None:
    session = spawn(home)
    answer = home.call("POST", f"/api/v1/sessions/{session['id']}/rollback")
    assert answer["killed"] is True
    assert home.session(session["id"])["phase"] == "ended"
    assert not Path(session["workspacePath"]).exists()
    refused(home, 404, "SESSION_NOT_FOUND", "POST", "/api/v1/sessions/demo-99/rollback")


def test_bug6_a_missing_agent_binary_is_told_and_leaves_nothing(home: Home) -> None:
    for agent in ("claude-code", "codex"):
        home.call("PUT", "/api/v1/projects/demo/config", {"config": {"env": {"PATH": "/usr/bin:/bin"}}})
        body = refused(
            home, 400, "AGENT_BINARY_NOT_FOUND", "POST", "/api/v1/sessions", {"projectId": "demo", "harness": agent}
        )
        assert body["hint"]
    assert home.sessions() == []
    assert home.git(home.repository, "branch", "--list", "ao/*") == ""


def test_bug7_the_disabled_observer_is_logged_exactly_once(home: Home) -> None:
    home.stop()
    log = (home.path / "daemon.log").read_text()
    assert log.count("scm observer disabled: provider credentials unavailable") == 1
    home.start()


def test_an_orchestrator_is_one_per_project_and_racing_calls_get_the_same(home: Home) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: home.call("POST", "/api/v1/orchestrators", {"projectId": "demo"}), range(4)))
    assert len({answer["orchestrator"]["id"] for answer in answers}) == 1
    replaced = home.call("POST", "/api/v1/orchestrators", {"projectId": "demo", "clean": True})["orchestrator"]
    assert replaced["id"] != answers[0]["orchestrator"]["id"]
    old = home.wait(answers[0]["orchestrator"]["id"], lambda seen: seen["phase"] == "ended")
    assert old["isTerminated"]


def test_a_replacement_that_fails_leaves_the_old_orchestrator_at_work(home: Home) -> None:
    first = home.call("POST", "/api/v1/orchestrators", {"projectId": "demo"})["orchestrator"]["id"]
    home.call("PATCH", "/api/v1/projects/demo/config", {"config": {"postCreate": ["exit 1"]}})
    refused(home, 400, "POST_CREATE_FAILED", "POST", "/api/v1/orchestrators", {"projectId": "demo", "clean": True})
    assert home.session(first)["phase"] == "live"
    assert [row["id"] for row in home.sessions()] == [first]


def test_h7_a_message_is_held_while_a_dialog_is_open_and_delivered_after_it(home: Home) -> None:
    session = spawn(home, "[[demo: ask]] write a poem")
    home.wait(session["id"], lambda seen: seen["activity"]["state"] == "blocked")
    sent = home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "write more"})
    held = home.call("GET", f"/api/v1/sessions/{session['id']}/messages")["messages"]
    assert held[0]["id"] == sent["messageId"]
    assert held[0]["state"] == "queued"
    attach = home.call("GET", f"/api/v1/sessions/{session['id']}/attach")["argv"]
    socket = attach[attach.index("-S") + 1]
    handle = home.session(session["id"])["terminalHandleId"]
    subprocess.run(["tmux", "-S", socket, "send-keys", "-t", f"={handle}:", "y", "Enter"], check=True)
    home.wait(
        session["id"],
        lambda seen: home.git(home.repository, "rev-list", "--count", f"main..{seen['branch']}") == "2",
    )


def test_p3_p4_kill_ends_every_descendant_and_nothing_else(home: Home) -> None:
    decoy = subprocess.Popen(["sleep", "60"], start_new_session=True)
    session = spawn(home)
    terminal = Path(session["workspacePath"])
    script = terminal / "bg.sh"
    script.write_text("trap '' HUP TERM\nsleep 60\n")
    attach = home.call("GET", f"/api/v1/sessions/{session['id']}/attach")["argv"]
    socket = attach[attach.index("-S") + 1]
    child = {**home.environ, "AO_SESSION_ID": session["id"], "AO_DATA_DIR": str(home.data)}
    stray = subprocess.Popen(["sh", str(script)], env=child, start_new_session=True)
    try:
        home.call("POST", f"/api/v1/sessions/{session['id']}/kill?force=true")
        assert stray.wait(10) != 0
        assert home.processes() == []
        assert decoy.poll() is None
        assert socket
    finally:
        decoy.kill()
        decoy.wait()


def test_d6_fifty_parallel_spawns_are_fifty_rows(home: Home) -> None:
    body = {"projectId": "demo", "harness": "demo"}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: home.call("POST", "/api/v1/sessions?wait=seeded", body)["session"], range(50)))
    assert len({session["id"] for session in made}) == 50
    assert len(home.sessions()) == 50
    for session in made:
        seen = home.wait(session["id"], lambda now: now["phase"] in ("live", "ended"))
        assert seen["phase"] == "live", seen


def test_p8_sessions_outlive_the_daemon_and_are_adopted(home: Home) -> None:
    session = spawn(home, "begin")
    worked(home, session["id"])
    pids = home.processes()
    home.stop()
    assert set(pids) <= set(home.processes())
    home.start()
    assert home.session(session["id"])["phase"] == "live"
    home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "write more"})
    home.wait(
        session["id"],
        lambda seen: home.git(home.repository, "rev-list", "--count", f"main..{seen['branch']}") == "2",
    )


def test_d1_a_second_daemon_on_the_same_data_is_refused_before_it_opens_the_store(home: Home) -> None:
    other = dict(home.environ, AO_RUN_FILE=str(home.path / "other.json"))
    done = subprocess.run(
        [os.path.join(os.path.dirname(__import__("sys").executable), "ao"), "daemon"],
        env=other,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "DAEMON_ALREADY_RUNNING" in done.stderr
    assert home.sessions() == []


def test_s8_the_agents_environment_is_an_allow_list(home: Home) -> None:
    home.stop()
    home.start(AWS_SECRET_ACCESS_KEY="canary-1", GITHUB_TOKEN="canary-2")
    session = spawn(home)
    pid = home.processes()
    assert pid
    for number in pid:
        assert b"canary" not in Path(f"/proc/{number}/environ").read_bytes()
    log = (home.path / "daemon.log").read_text()
    assert "canary" not in log
    assert session["phase"] == "live"


def test_kill_during_a_spawn_cancels_it_and_tears_down(home: Home) -> None:
    home.call("PUT", "/api/v1/projects/demo/config", {"config": {"postCreate": ["sleep 30"]}})
    made = home.call("POST", "/api/v1/sessions?wait=seeded", {"projectId": "demo", "harness": "demo"})["session"]
    home.wait(made["id"], lambda seen: seen["phase"] == "workspace")
    answer = home.call("POST", f"/api/v1/sessions/{made['id']}/kill")
    assert answer["ok"] is True
    assert home.session(made["id"])["phase"] == "ended"
    assert home.git(home.repository, "branch", "--list", "ao/*") == ""


def test_a_restart_of_the_daemon_keeps_a_queued_message(home: Home) -> None:
    session = spawn(home, "[[demo: ask]] write a poem")
    home.wait(session["id"], lambda seen: seen["activity"]["state"] == "blocked")
    sent = home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "write more"})
    home.stop()
    home.start()
    held = home.call("GET", f"/api/v1/sessions/{session['id']}/messages")["messages"]
    assert [(row["id"], row["state"]) for row in held] == [(sent["messageId"], "queued")]


def test_the_daemon_stops_cleanly_with_a_stream_open(home: Home) -> None:
    connection, headers = home.connect()
    try:
        connection.request("GET", "/api/v1/events?after=latest", headers=headers)
        stream = connection.getresponse()
        assert home.stop() == 0
        assert stream.read() in (b"", b": alive\n\n")
    finally:
        connection.close()
    assert not (home.path / "running.json").exists()
    home.start()


def test_a_spawn_that_outlasts_its_request_goes_on_and_is_named(home: Home) -> None:
    home.stop()
    home.start(AO_REQUEST_TIMEOUT="300ms")
    home.call("PUT", "/api/v1/projects/demo/config", {"config": {"postCreate": ["sleep 1"]}})
    body = refused(home, 504, "REQUEST_TIMEOUT", "POST", "/api/v1/sessions", {"projectId": "demo", "harness": "demo"})
    seen = home.wait(body["details"]["sessionId"], lambda now: now["phase"] in ("live", "ended"))
    assert seen["phase"] == "live"

"""`ao spawn`, `ao orchestrator start`, `ao send` and `ao attach`."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest


def _accepts(daemon: Any, seeded: dict[str, Any], *later: dict[str, Any], **more: Any) -> None:
    daemon.script["POST /sessions"] = (201, {"session": seeded, "promptBytes": 3, "systemPromptBytes": 0, **more})
    daemon.script[f"GET /sessions/{seeded['id']}"] = [(200, {"session": session}) for session in later]


def test_spawn_follows_the_phases_and_says_how_to_attach(ao: Any, daemon: Any, session: Any) -> None:
    phases = [session("shop-3", phase=phase) for phase in ("seeded", "workspace", "launched", "live")]
    _accepts(daemon, phases[0], *phases[1:])
    ran = ao("spawn", "--project", "shop", "--prompt", "fix it")
    assert ran.code == 0
    assert ran.out == "spawned session shop-3 (idle)\nattach with: ao attach shop-3\n"
    assert ran.err.splitlines() == [
        "shop-3: accepted",
        "shop-3: making the worktree",
        "shop-3: starting the agent",
    ]
    assert daemon.requests[0].query == {"wait": "seeded"}
    assert daemon.requests[0].json == {"projectId": "shop", "prompt": "fix it"}
    assert len(daemon.requests[0].headers["idempotency-key"]) == 32
    assert [request.query["phaseNot"] for request in daemon.requests[1:]] == ["seeded", "workspace", "launched"]


def test_every_flag_of_spawn_reaches_its_field(ao: Any, daemon: Any, session: Any) -> None:
    _accepts(daemon, session("shop-3"))
    flags = ("--harness", "aider", "--agent", "codex", "--branch", "fix/x", "--issue", "7", "--rules", "be kind",
             "--name", " Login ", "--kind", "orchestrator", "--model", "m", "--permissions", "auto")  # fmt: skip
    assert ao("spawn", "-p", "shop", *flags, "fix", "the", "test").code == 0
    assert daemon.requests[0].json == {
        "projectId": "shop",
        "harness": "codex",
        "branch": "fix/x",
        "issueId": "7",
        "agentRules": "be kind",
        "displayName": "Login",
        "kind": "orchestrator",
        "model": "m",
        "permissions": "auto",
        "prompt": "fix the test",
    }


@pytest.mark.parametrize("words", [("-",), ("--prompt", "-"), ("--prompt-file", "-"), ("--prompt-file", "task.md")])
def test_prompt_may_come_from_stdin_or_a_file(ao: Any, daemon: Any, session: Any, words: tuple[str, ...]) -> None:
    _accepts(daemon, session("shop-3"))
    (ao.home / "task.md").write_text("long\ntask é")
    assert ao("spawn", "-p", "shop", *words, stdin="long\ntask é").code == 0
    assert daemon.requests[0].json["prompt"] == "long\ntask é"


def test_json_prints_the_live_session_and_nothing_else(ao: Any, daemon: Any, session: Any) -> None:
    _accepts(daemon, session("shop-3", phase="seeded"), session("shop-3"))
    ran = ao("spawn", "-p", "shop", "--json")
    assert ran.json == {"session": session("shop-3"), "promptBytes": 3, "systemPromptBytes": 0}
    assert ran.err == ""


def test_no_wait_returns_once_accepted(ao: Any, daemon: Any, session: Any) -> None:
    _accepts(daemon, session("shop-3", phase="seeded"))
    assert ao("spawn", "-p", "shop", "--no-wait").out.startswith("spawned session shop-3")
    assert len(daemon.requests) == 1


def test_spawn_that_fails_later_ends_with_its_failure(ao: Any, daemon: Any, session: Any) -> None:
    failure = {"code": "WORKSPACE_FAILED", "message": "disk\x1b full", "hint": "make room"}
    _accepts(daemon, session("shop-3", phase="seeded"), session("shop-3", phase="ended", failure=failure))
    ran = ao("spawn", "-p", "shop")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.endswith("disk full (WORKSPACE_FAILED)\n  hint: make room\n")


def test_warnings_go_to_stderr(ao: Any, daemon: Any, session: Any) -> None:
    _accepts(daemon, session("shop-3", warnings=["the base is 9 days old"]))
    ran = ao("spawn", "-p", "shop")
    assert ran.err == "warning: the base is 9 days old\n"
    assert "warning" not in ran.out


def test_interrupted_spawn_says_that_it_goes_on(ao: Any, daemon: Any, session: Any) -> None:
    _accepts(daemon, session("shop-3", phase="seeded"))

    def hang(_: Any) -> tuple[int, Any]:
        process.send_signal(signal.SIGINT)
        process.wait()
        return 200, {}

    daemon.script["GET /sessions/shop-3"] = hang
    with subprocess.Popen(
        ao.command("spawn", "-p", "shop"), env=ao.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.read().endswith("undo it with: ao session rollback shop-3\n")
    assert process.returncode == 130


def test_project_is_the_flag_then_the_variable_then_the_directory(
    ao: Any, daemon: Any, session: Any, tmp_path: Path
) -> None:
    _accepts(daemon, session("shop-3"))
    inner = tmp_path / "repo" / "sub" / "deeper"
    inner.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "repo")
    outer = {"id": "outer", "path": str(tmp_path / "link")}
    daemon.script["GET /projects"] = (
        200,
        {"projects": [outer, {"id": "inner", "path": str(tmp_path / "repo" / "sub")}]},
    )
    ao.cwd = inner
    ao("spawn", "-p", "flag", AO_PROJECT_ID="variable")
    ao("spawn", AO_PROJECT_ID="variable")
    ao("spawn")
    ao.cwd = tmp_path / "repo"
    ao("spawn")
    assert [request.json["projectId"] for request in daemon.seen("POST")] == ["flag", "variable", "inner", "outer"]


def test_directory_in_a_sessions_worktree_names_its_project(ao: Any, daemon: Any, session: Any, home: Path) -> None:
    _accepts(daemon, session("shop-3"))
    ao.cwd = home / "data" / "worktrees" / "shop" / "shop-2" / "src"
    ao.cwd.mkdir(parents=True)
    ao("spawn")
    assert daemon.requests[0].json["projectId"] == "shop"


def test_spawn_outside_any_project_says_which_there_are(ao: Any, daemon: Any) -> None:
    daemon.script["GET /projects"] = (
        200,
        {"projects": [{"id": "web-10", "path": "/w"}, {"id": "web-2", "path": "/x"}]},
    )
    ran = ao("spawn")
    assert ran.code == 2
    assert "there are: web-2, web-10" in ran.err
    daemon.script["GET /projects"] = (200, {"projects": []})
    assert "ao project add" in ao("spawn").err


def test_orchestrator_start_follows_a_new_one(ao: Any, daemon: Any, session: Any) -> None:
    seeded = session("shop-1", kind="orchestrator", phase="seeded")
    daemon.script["POST /orchestrators"] = (
        201,
        {"orchestrator": {"id": "shop-1", "projectId": "shop"}, "session": seeded},
    )
    daemon.script["GET /sessions/shop-1"] = (200, {"session": {**seeded, "phase": "live"}})
    ran = ao("orchestrator", "start", "-p", "shop", "--clean", "--agent", "codex", "begin")
    assert ran.out == "started orchestrator session shop-1 (idle)\nattach with: ao attach shop-1\n"
    assert daemon.requests[0].json == {"projectId": "shop", "clean": True, "harness": "codex", "prompt": "begin"}


def test_orchestrator_start_shows_the_running_one(ao: Any, daemon: Any, session: Any) -> None:
    running = session("shop-1", kind="orchestrator")
    daemon.script["POST /orchestrators"] = (
        200,
        {"orchestrator": {"id": "shop-1", "projectId": "shop"}, "session": running},
    )
    ran = ao("orchestrator", "start", "-p", "shop")
    assert ran.out.startswith("orchestrator already runs: session shop-1 (idle)\n")
    assert daemon.requests[0].json == {"projectId": "shop"}


SENT = {"ok": True, "sessionId": "shop-3", "message": "go on", "messageId": 12, "state": "queued"}


@pytest.mark.parametrize(
    "words",
    [("shop-3", "go", "on"), ("--session", "shop-3", "--message", "go on"), ("-s", "shop-3", "go", "on"),
     ("shop-3", "-"), ("shop-3", "--file", "-"), ("shop-3", "-m", "-")],
)  # fmt: skip
def test_send_takes_its_message_in_any_of_these_ways(ao: Any, daemon: Any, words: tuple[str, ...]) -> None:
    daemon.script["POST /sessions/shop-3/send"] = (200, SENT)
    ran = ao("send", *words, stdin="go on")
    assert (ran.code, ran.out) == (0, "message 12 to shop-3: queued\n")
    body = daemon.requests[0].json
    assert body["message"] == "go on"
    assert len(body["idempotencyKey"]) == 32


def test_h9_send_tells_a_held_message_from_a_lost_one(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/shop-3/send"] = (200, {**SENT, "heldReason": "the agent waits for a decision"})
    assert ao("send", "shop-3", "x").out == "message 12 to shop-3: queued, held: the agent waits for a decision\n"
    assert ao("send", "shop-3", "x", "--json").json["state"] == "queued"


def test_message_from_inside_a_session_is_marked(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/shop-3/send"] = (200, SENT)
    ao("send", "shop-3", "hello", AO_SESSION_ID="shop-1")
    assert daemon.requests[0].json["message"] == "[from shop-1] hello"


def test_blank_message_is_refused_before_the_session(ao: Any) -> None:
    assert ao("send", "--session", "shop-1", "--message", " \n").err.startswith("usage: the message must not be blank")
    assert ao("send", "--message", "").err.startswith("usage: the message must not be blank")


def test_attach_becomes_the_command_the_daemon_names(ao: Any, daemon: Any) -> None:
    answer = {"sessionId": "shop-3", "argv": ["sh", "-c", "echo typed $TMUX."], "readOnlyArgv": ["echo", "watched"]}
    daemon.script["GET /sessions/shop-3/attach"] = (200, answer)
    leader, follower = pty.openpty()
    shown = []
    for words in ((), ("--read-only",)):
        env = {**ao.env, "TMUX": "nested", "TERM": "xterm"}
        command = ao.command("attach", "shop-3", *words)
        subprocess.run(command, env=env, stdin=follower, stdout=follower, stderr=follower, check=True)
        shown.append(os.read(leader, 1000).decode().strip())
    os.close(leader)
    os.close(follower)
    assert shown == ["typed .", "watched"]


def test_attach_without_a_terminal_says_so(ao: Any, daemon: Any) -> None:
    answer = {"sessionId": "shop-3", "argv": ["true"], "readOnlyArgv": ["true"]}
    daemon.script["GET /sessions/shop-3/attach"] = (200, answer)
    ran = ao("attach", "shop-3")
    assert ran.code == 1
    assert "attach needs a terminal (NOT_A_TERMINAL)" in ran.err
    assert ao("attach", "shop-3", "--json").json == answer


def test_a_hint_that_quotes_a_script_cannot_command_the_terminal(ao: Any, daemon: Any, refused: Any) -> None:
    hint = "its last output was:\n\x1b[2J\x1b]0;title\x07\tdone"
    daemon.script["POST /sessions"] = refused(500, "POST_CREATE_FAILED", "failed", hint=hint)
    ran = ao("spawn", "-p", "shop", "x")
    assert ran.code == 1
    assert ran.err.splitlines()[1:] == ["  hint: its last output was:", " [2J ]0;title \tdone"]

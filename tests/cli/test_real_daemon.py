"""The command against the real daemon: a newcomer's first session, from start to stop."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "shop"
    path.mkdir()
    (path / "README.md").write_text("a shop\n")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run([*GIT, *words], cwd=path, check=True)
    return path


@pytest.fixture
def real(ao: Any, repository: Path) -> Iterator[Any]:
    """The command with a real daemon on a free port; both it and its terminals are gone afterwards."""
    ao.env["AO_PORT"] = "0"
    ao.cwd = repository
    started = ao("start")
    assert started.code == 0, started
    sockets: set[str] = set()
    ao.sockets = sockets
    yield ao
    for session in ao("ls", "--all", "--json").json["data"]:
        ao("session", "kill", session["id"], "--force")
    assert ao("stop", "--force").code == 0
    for path in sockets:
        subprocess.run(["tmux", "-S", path, "kill-server"], check=False, capture_output=True)


def _await_stop(ao: Any, session_id: str) -> dict[str, Any]:
    """The session once the stream of changes has told that its agent finished a turn."""
    with subprocess.Popen(
        ao.command("status", "--watch", "--json"), env=ao.env, stdout=subprocess.PIPE, text=True
    ) as board:
        assert board.stdout is not None
        for line in board.stdout:
            found: dict[str, Any] = json.loads(line)
            stopped = any(fact["source"] == "hook:stop" for fact in found["evidence"])
            if found["id"] == session_id and found["status"] == "idle" and stopped:
                board.terminate()
                return found
    pytest.fail(f"{session_id} never finished")


def test_first_session_of_a_newcomer(real: Any, repository: Path) -> None:
    ao = real
    assert ao("status").out.startswith("AO daemon: ready\n")
    assert ao("project", "add", ".").out == f"registered project shop at {repository}\n"
    assert ao("project", "ls", "--json").json["projects"][0]["id"] == "shop"

    spawned = ao("spawn", "--agent", "demo", "write a note")
    assert spawned.code == 0, spawned
    assert spawned.out.splitlines()[1] == "attach with: ao attach shop-1"
    assert spawned.err.splitlines()[0] == "shop-1: accepted"
    argv = ao("attach", "shop-1", "--json").json["argv"]
    ao.sockets.add(argv[argv.index("-S") + 1])
    assert _await_stop(ao, "shop-1")["harness"] == "demo"
    assert "[idle]  worker" in ao("ls").out
    log = subprocess.run(
        ["git", "log", "--format=%s", "ao/shop-1/root"], cwd=repository, capture_output=True, check=True
    )
    assert b"write a note" in log.stdout

    sent = ao("send", "shop-1", "another note", "--json").json
    assert sent["messageId"] in ao("session", "messages", "shop-1").out
    assert "write a note" in ao("session", "output", "shop-1").out
    types = {json.loads(line)["type"] for line in ao("events", "--json").out.splitlines()}
    assert {"project_added", "session_created", "session_updated"} <= types

    assert "session shop-1 killed" in ao("session", "kill", "shop-1").out
    assert ao("ls").out.endswith("1 terminated session hidden. Use --include-terminated to show.\n")
    assert "  mode: native" in ao("session", "restore", "shop-1").out
    assert ao("session", "get", "shop-11").err.startswith("no session 'shop-11' (SESSION_NOT_FOUND)\n")


def test_fields_that_the_command_reads_are_the_daemons(real: Any, repository: Path) -> None:
    ao = real
    ao("project", "add", "--path", str(repository))
    ao("project", "set-config", "shop", "--worker-agent", "demo", "--env", "A=1")
    assert ao("project", "config", "shop").json == {"worker": {"agent": "demo"}, "env": {"A": "1"}}
    spawned = ao("spawn", "--json", "--name", "Notes", "--issue", "7", "x")
    assert spawned.code == 0, spawned
    answer = spawned.json
    assert {"session", "promptBytes", "systemPromptBytes"} <= answer.keys()
    argv = ao("attach", "shop-1", "--json").json["argv"]
    ao.sockets.add(argv[argv.index("-S") + 1])
    session = answer["session"]
    read = {"id", "projectId", "kind", "harness", "issueId", "displayName", "activity", "isTerminated", "createdAt",
            "updatedAt", "status", "phase", "branch", "workspacePath", "base", "evidence"}  # fmt: skip
    assert read <= session.keys()
    assert (session["phase"], session["displayName"], session["issueId"]) == ("live", "Notes", "7")
    agents = ao("agent", "ls", "--json").json
    assert agents.keys() >= {"supported", "installed", "authorized"}
    assert {"id", "label", "authStatus"} <= agents["supported"][0].keys()
    status = ao("status", "--json").json
    assert status["state"] == "ready"
    assert status["dataDir"] == ao.env["AO_DATA_DIR"]
    schema = ao("project", "schema").json
    assert "ProjectConfig" in json.dumps(schema)
    doctor = {check["name"]: check["level"] for check in ao("doctor", "--json").json["checks"]}
    assert (doctor["daemon"], doctor["demo"], doctor["permissions"]) == ("PASS", "PASS", "PASS")


def test_hooks_of_an_unknown_session_do_no_harm(real: Any) -> None:
    ran = real("hooks", "demo", "stop", stdin="{}", AO_SESSION_ID="shop-9", AO_TOKEN="wrong")
    assert (ran.code, ran.out) == (0, "")
    assert "(UNAUTHORIZED)" in ran.err


def test_second_daemon_on_the_same_data_is_refused_and_start_says_why_d1(real: Any, tmp_path: Path) -> None:
    ran = real("start", AO_RUN_FILE=str(tmp_path / "other" / "running.json"))
    assert ran.code == 1
    assert "DAEMON_START_FAILED" in ran.err
    assert "already running" in ran.err
    assert real("status", "--json").json["state"] == "ready"

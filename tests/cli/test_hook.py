"""`ao hooks AGENT EVENT`: silent outside a session, never failing, never slow, never on stdout."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ao.cli import hook

ROUTE = "POST /sessions/shop-1/activity"
IN_SESSION = {"AO_SESSION_ID": "shop-1", "AO_TOKEN": "session-token"}


def test_h3_hook_outside_a_session_does_nothing(ao: Any, daemon: Any) -> None:
    ran = ao("hooks", "claude-code", "stop", stdin="{}")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert not daemon.requests


@pytest.mark.parametrize("session_id", ["", "  ", "a/b", "../x", "a..b", "-x", "a b"])
def test_h3_hook_without_a_valid_session_does_not_read_stdin(ao: Any, session_id: str) -> None:
    reading, writing = os.pipe()
    try:
        # Nobody ever writes: a hook that read its stdin would wait for its end.
        done = subprocess.run(
            ao.command("hooks", "codex", "stop"),
            env=ao.env | {"AO_SESSION_ID": session_id},
            stdin=reading,
            capture_output=True,
            timeout=10,
            check=False,
        )
        os.write(writing, b"kept")
        assert os.read(reading, 10) == b"kept"
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_hook_posts_event_payload_sequence_and_boot(ao: Any, daemon: Any) -> None:
    daemon.script[ROUTE] = (200, {"ok": True, "sessionId": "shop-1", "state": "idle"})
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    ran = ao("hooks", "claude-code", "stop", stdin='{"session_id": "n-1", "more": [1, "é"]}', **IN_SESSION)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    [request] = daemon.requests
    body = request.json
    assert before < body.pop("seq") < after
    assert body == {
        "agent": "claude-code",
        "event": "stop",
        "bootId": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "payload": {"session_id": "n-1", "more": [1, "é"]},
    }
    assert request.headers["authorization"] == "Bearer session-token"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("payload", ["", "not json", "[1]", '"x"', "null", "[" * 50_000, "\x00"])
def test_malformed_payload_is_sent_as_none(ao: Any, daemon: Any, payload: str) -> None:
    daemon.script[ROUTE] = (200, {"ok": True})
    assert ao("hooks", "codex", "stop", stdin=payload, **IN_SESSION).code == 0
    assert daemon.requests[0].json["payload"] == {}


def test_lenient_payload_is_sent_as_strict_json(ao: Any, daemon: Any) -> None:
    daemon.script[ROUTE] = (200, {"ok": True})
    ao("hooks", "codex", "stop", stdin='{"a": "one\ntwo", "b": NaN}', **IN_SESSION)
    assert json.loads(daemon.requests[0].raw, parse_constant=pytest.fail)["payload"] == {"a": "one\ntwo", "b": None}


def test_large_payload_shrinks_to_its_known_fields(ao: Any, daemon: Any) -> None:
    daemon.script[ROUTE] = (200, {"ok": True})
    known = {"session_id": "n-1", "tool_name": "Bash", "tool_use_id": "t-1", "reason": None}
    payload = json.dumps({**known, "last_assistant_message": "m" * 9000, "tool_response": "x" * 3_000_000})
    ran = ao("hooks", "claude-code", "post-tool-use", stdin=payload, **IN_SESSION)
    assert (ran.code, ran.err) == (0, "")
    assert daemon.requests[0].json["payload"] == {**known, "last_assistant_message": "m" * 4096}


def test_payload_of_exactly_the_limit_is_sent_whole() -> None:
    room = hook.PAYLOAD_LIMIT - len('{"x":""}')
    assert hook.shrink(json.dumps({"x": "a" * room}).encode()) == '{"x":"' + "a" * room + '"}'
    assert hook.shrink(json.dumps({"x": "a" * (room + 1)}).encode()) == "{}"


def test_port_is_read_from_the_run_file_at_each_call(ao: Any, daemon: Any) -> None:
    daemon.script[ROUTE] = (200, {"ok": True})
    port, daemon.port = daemon.port, 1
    daemon.announce()
    assert "call daemon" in ao("hooks", "codex", "stop", **IN_SESSION).err
    daemon.port = port
    daemon.announce()
    assert ao("hooks", "codex", "stop", **IN_SESSION).err == ""
    assert len(daemon.requests) == 1


def test_failure_is_one_line_on_stderr_and_in_the_log(ao: Any, home: Path) -> None:
    (home / "data").mkdir()
    ran = ao("hooks", "codex", "stop", **IN_SESSION)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "ao hooks codex stop: daemon is not running\n"
    log = home / "data" / "hooks.log"
    stamp, rest = log.read_text().split(" ", 1)
    assert rest == "session=shop-1 ao hooks codex stop: daemon is not running\n"
    assert stamp.endswith("Z")
    assert len(stamp) == 20
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    ao("hooks", "codex", "stop", **IN_SESSION)
    assert len(log.read_text().splitlines()) == 2


def test_refusal_is_told_with_its_code(ao: Any, daemon: Any, refused: Any) -> None:
    daemon.script[ROUTE] = refused(404, "SESSION_NOT_FOUND", "no session shop-1")
    ran = ao("hooks", "codex", "stop", **IN_SESSION)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "ao hooks codex stop: no session shop-1 (SESSION_NOT_FOUND)\n"


def test_log_is_started_over_past_a_mebibyte(ao: Any, home: Path) -> None:
    log = home / "data" / "hooks.log"
    log.parent.mkdir()
    log.write_text("x" * (hook.LOG_LIMIT + 1))
    ao("hooks", "codex", "stop", **IN_SESSION)
    assert log.stat().st_size < 200


def test_log_never_follows_a_link(ao: Any, home: Path) -> None:
    target = home / "precious"
    target.write_text("kept")
    (home / "data").mkdir()
    (home / "data" / "hooks.log").symlink_to(target)
    assert ao("hooks", "codex", "stop", **IN_SESSION).code == 0
    assert target.read_text() == "kept"


@pytest.mark.parametrize("words", [(), ("codex",), ("codex", "stop", "more"), ("--help",), ("codex", "--bogus", "x")])
def test_wrong_words_exit_0_too(ao: Any, daemon: Any, words: tuple[str, ...]) -> None:
    ran = ao("hooks", *words, **IN_SESSION)
    assert (ran.code, ran.out) == (0, "")
    assert "needs AGENT and EVENT" in ran.err
    assert not daemon.requests


def test_control_characters_of_the_words_stay_out_of_the_log(ao: Any, home: Path) -> None:
    (home / "data").mkdir()
    ran = ao("hooks", "co\x1b[31mdex", "st\nop", **IN_SESSION)
    assert ran.err.count("\n") == 1
    assert "\x1b" not in ran.err
    assert len((home / "data" / "hooks.log").read_text().splitlines()) == 1


def test_h9_late_daemon_holds_an_agent_up_for_a_second_at_most(ao: Any, daemon: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        daemon.port = deaf.getsockname()[1]
        daemon.announce()
        start = time.monotonic()
        ran = ao("hooks", "codex", "stop", **IN_SESSION)
        taken = time.monotonic() - start
    assert (ran.code, ran.out) == (0, "")
    assert "in time" in ran.err
    # The budget is counted from the process's start; a loaded machine may take a while to get there.
    assert taken < hook.BUDGET_S + 3


def test_stdin_that_never_ends_is_given_up(ao: Any, daemon: Any) -> None:
    daemon.script[ROUTE] = (200, {"ok": True})
    reading, writing = os.pipe()
    try:
        os.write(writing, b'{"a":')
        done = subprocess.run(
            ao.command("hooks", "codex", "stop"), env=ao.env | IN_SESSION, stdin=reading, timeout=10, check=False
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 0
    assert daemon.requests[0].json["payload"] == {}


def test_closed_stdin_still_reports_the_event(ao: Any, daemon: Any) -> None:
    daemon.script[ROUTE] = (200, {"ok": True})
    words = " ".join(ao.command("hooks", "codex", "stop"))
    done = subprocess.run(["sh", "-c", f"{words} <&-"], env=ao.env | IN_SESSION, timeout=10, check=False)
    assert done.returncode == 0
    assert daemon.requests[0].json["event"] == "stop"


def test_session_of_a_project_with_a_dot_reports(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/my.app-3/activity"] = (200, {"ok": True})
    assert ao("hooks", "codex", "stop", AO_SESSION_ID=" my.app-3 ").err == ""
    [request] = daemon.requests
    assert "authorization" not in request.headers


def test_without_a_home_it_still_exits_0(ao: Any) -> None:
    ran = ao("hooks", "codex", "stop", AO_RUN_FILE="", AO_DATA_DIR="", HOME="relative", **IN_SESSION)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("ao hooks codex stop: ")

"""`ao status` in all its states, and its live board."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest


def _state(ao: Any) -> tuple[str, str]:
    ran = ao("status", "--json")
    assert ran.code == 0
    return ran.json["state"], ran.json.get("error", "")


def test_ready_daemon_is_told_line_by_line(ao: Any, daemon: Any, home: Path) -> None:
    ran = ao("status")
    lines = ran.out.splitlines()
    assert lines[:4] == [
        "AO daemon: ready",
        f"  pid: {os.getpid()}",
        f"  port: {daemon.port}",
        "  started: 2031-02-03T03:59:58Z",
    ]
    assert lines[4] == "  uptime: 0s"
    assert lines[5:] == [
        f"  run file: {home}/running.json",
        f"  data dir: {home}/data",
        "  healthz: ok",
        "  readyz: ready",
    ]


def test_json_status_has_the_documented_keys(ao: Any, daemon: Any, home: Path) -> None:
    daemon.announce(started_at="2020-01-01T00:00:00.123Z")
    status = ao("status", "--json").json
    assert re.fullmatch(r"\d+h\d+m\d+s", status.pop("uptime"))
    assert status == {
        "state": "ready",
        "pid": os.getpid(),
        "port": daemon.port,
        "startedAt": "2020-01-01T00:00:00.123Z",
        "version": "9.8.7",
        "runFile": f"{home}/running.json",
        "dataDir": f"{home}/data",
        "health": "ok",
        "ready": "ready",
    }


def test_no_run_file_means_stopped(ao: Any, home: Path) -> None:
    ran = ao("status", "--json")
    assert ran.json == {"state": "stopped", "runFile": f"{home}/running.json", "dataDir": f"{home}/data"}
    assert ran.out == json.dumps(ran.json, indent=2) + "\n"


def test_malformed_run_file_is_stale(ao: Any, home: Path) -> None:
    (home / "running.json").write_text("{")
    assert _state(ao) == ("stale", "the run file is malformed")


def test_dead_process_is_stale(ao: Any, daemon: Any) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    daemon.announce(pid=ended.pid)
    assert _state(ao) == ("stale", f"process {ended.pid} is gone")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"service": "other"}, "another service"),
        ({"pid": 1}, "answered by process 1"),
        ({"dataDir": "/elsewhere"}, "serves /elsewhere"),
    ],
)
def test_p9_foreign_daemon_is_stale_not_ours(ao: Any, daemon: Any, change: dict[str, Any], error: str) -> None:
    daemon.script["GET /!/healthz"] = (200, daemon.script["GET /!/healthz"][1] | change)
    state, told = _state(ao)
    assert state == "stale"
    assert error in told


@pytest.mark.parametrize("answer", [(500, {}), (200, b"nonsense"), (200, []), (200, {"status": "bad"})])
def test_daemon_whose_health_is_wrong_is_not_ready(ao: Any, daemon: Any, answer: tuple[int, Any]) -> None:
    if isinstance(answer[1], dict) and answer[0] == 200:
        answer = (200, daemon.script["GET /!/healthz"][1] | answer[1])
    daemon.script["GET /!/healthz"] = answer
    state, told = _state(ao)
    assert state == "unhealthy"
    assert told


def test_silent_port_is_unhealthy(ao: Any, daemon: Any) -> None:
    daemon.port = 1
    daemon.announce()
    assert _state(ao)[0] == "unhealthy"


@pytest.mark.parametrize("answer", [(503, {"message": "migrating", "code": "X"}), (200, {"status": "starting"})])
def test_unready_daemon_is_not_ready(ao: Any, daemon: Any, answer: tuple[int, Any]) -> None:
    daemon.script["GET /!/readyz"] = answer
    assert _state(ao)[0] == "not_ready"


def test_unreadable_run_file_is_an_error(ao: Any, home: Path) -> None:
    (home / "running.json").mkdir()
    ran = ao("status")
    assert ran.code == 1
    assert "RUN_FILE_UNREADABLE" in ran.err


def _frames(*events: tuple[int, str]) -> bytes:
    parts = [f'id: {seq}\nevent: {name}\ndata: {{"seq":{seq},"type":"{name}"}}\n\n' for seq, name in events]
    return ("retry: 1000\n\n: beat\n\n" + "".join(parts)).encode()


def test_watch_prints_what_changed_and_ends_with_the_daemon(ao: Any, daemon: Any, session: Any) -> None:
    daemon.script["GET /events"] = (200, _frames((1, "session_updated")))
    daemon.script["GET /sessions"] = [
        (200, {"sessions": [session("shop-10"), session("shop-2", status="working", displayName="Login\x1b[2J")]}),
        (200, {"sessions": []}),
    ]
    ran = ao("status", "--watch")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "shop-2  [working]  codex  ao/shop-2/root  Login [2J",
        "shop-10  [idle]  codex  ao/shop-10/root",
    ]
    assert "DAEMON_STOPPED" in ran.err
    assert daemon.requests[0].query == {"after": "latest"}


def test_watch_as_json_prints_one_object_a_line(ao: Any, daemon: Any, session: Any) -> None:
    daemon.script["GET /events"] = (200, _frames())
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1"), session("shop-2")]})
    ran = ao("status", "-w", "--json", "-p", "shop")
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["shop-1", "shop-2"]
    assert daemon.requests[0].query == {"after": "latest", "project": "shop"}


def test_board_on_a_terminal_that_tells_no_height_shows_the_sessions(
    ao: Any, daemon: Any, session: Any, on_terminal: Any
) -> None:
    daemon.script["GET /events"] = (200, _frames())
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-1"), session("shop-2")]})
    shown, _ = on_terminal(ao, "status", "--watch", size=(0, 0), NO_COLOR="1")
    assert "shop-1 " in shown
    assert "more" not in shown


def test_board_on_a_terminal_is_redrawn_and_cut_to_its_height(
    ao: Any, daemon: Any, session: Any, on_terminal: Any
) -> None:
    sessions = [session(f"shop-{number}", displayName="x" * 200) for number in range(1, 41)]
    daemon.script["GET /events"] = (200, _frames())
    daemon.script["GET /sessions"] = (200, {"sessions": sessions})
    shown, code = on_terminal(ao, "status", "--watch", NO_COLOR="1")
    lines = [line.removesuffix("\x1b[K").strip("\r") for line in shown.split("\n")]
    assert code == 1
    assert lines[0].split() == ["ID", "AGE", "STATUS", "AGENT", "BRANCH", "ABOUT"]
    assert "... and 21 more" in lines
    assert "40 idle  (Ctrl-C to leave)" in lines
    assert max(len(line) for line in lines[:20]) <= 80

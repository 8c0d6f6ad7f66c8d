"""`ao doctor`: what it finds on machines of every kind."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from ao.doctor import parse_version


@pytest.fixture
def tools(tmp_path: Path, ao: Any) -> Any:
    """A PATH with scripted programs only; calling it adds one that prints a line."""
    folder = tmp_path / "tools"
    folder.mkdir()
    ao.env |= {"PATH": str(folder)}

    def add(name: str, line: str, code: int = 0) -> None:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{line}'\nexit {code}\n")
        program.chmod(0o755)

    add("git", "git version 2.39.5")
    add("tmux", "tmux 3.3a")
    return add


def checks(ao: Any, **env: str) -> tuple[int, dict[str, tuple[str, str]]]:
    ran = ao("doctor", "--json", **env)
    found = {check["name"]: (check["level"], check["message"]) for check in ran.json["checks"]}
    assert ran.json["failures"] == sum(level == "FAIL" for level, _ in found.values())
    assert ran.json["ok"] == (ran.json["failures"] == 0)
    return ran.code, found


def test_sound_machine_passes_and_the_store_is_never_made(ao: Any, tools: Any, home: Path) -> None:
    code, found = checks(ao)
    assert code == 0
    passing = {name for name, (level, _) in found.items() if level == "PASS"}
    assert {
        "config",
        "data-dir",
        "data-dir-write",
        "permissions",
        "hooks-log",
        "daemon",
        "git",
        "tmux",
        "demo",
    } <= passing
    assert found["sqlite"][0] == "WARN"
    assert found["claude-code"][0] == found["codex"][0] == "WARN"
    assert os.listdir(home / "data") == []
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700


def test_text_report_has_a_section_a_paragraph(ao: Any, tools: Any) -> None:
    ran = ao("doctor")
    assert [line for line in ran.out.splitlines() if line.endswith(":")] == ["Core:", "Tools:", "Agents:", "GitHub:"]
    assert "\n\nTools:\nPASS git: " in ran.out


@pytest.mark.parametrize(
    ("name", "line", "code", "level"),
    [
        ("git", "git version 2.30.9", 0, "FAIL"),
        ("tmux", "tmux 3.1c", 0, "FAIL"),
        ("tmux", "tmux 3.2", 0, "PASS"),
        ("tmux", "tmux master", 0, "WARN"),
        ("git", "git version 2.45.1", 1, "FAIL"),
    ],
)
def test_tools_must_be_recent_enough(ao: Any, tools: Any, name: str, line: str, code: int, level: str) -> None:
    tools(name, line, code)
    exit_code, found = checks(ao)
    assert found[name][0] == level
    assert exit_code == (level == "FAIL")


def test_missing_tools_fail_with_what_to_install(ao: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = ao("doctor", PATH=str(tmp_path / "empty"))
    assert ran.code == 1
    assert "FAIL tmux: not found; install tmux 3.2 or newer" in ran.out
    assert ran.err == "doctor found 2 failing checks\n"


def test_w10_data_under_a_temporary_directory_is_warned_of(ao: Any, tools: Any, tmp_path: Path) -> None:
    _, found = checks(ao, TMPDIR=str(tmp_path))
    assert found["data-dir-place"][0] == "WARN"
    assert str(tmp_path) in found["data-dir-place"][1]


def test_files_that_others_can_read_fail(ao: Any, tools: Any, home: Path) -> None:
    (home / "data").mkdir(mode=0o700)
    token = home / "data" / "token"
    token.write_text("secret")
    token.chmod(0o644)
    code, found = checks(ao)
    assert code == 1
    assert found["permissions"] == ("FAIL", f"{token} has mode 0644; run: chmod 600 {token}")


def test_recent_failed_callbacks_are_warned_of(ao: Any, tools: Any, home: Path) -> None:
    (home / "data").mkdir(mode=0o700)
    fresh = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    (home / "data" / "hooks.log").write_text(f"2020-01-01T00:00:00Z session=a-1 old\n{fresh} session=a-1 broken\n")
    _, found = checks(ao)
    level, message = found["hooks-log"]
    assert (level, message.startswith("1 failed callbacks"), message.endswith("broken")) == ("WARN", True, True)


def test_unusable_configuration_ends_the_report(ao: Any, tools: Any, home: Path) -> None:
    code, found = checks(ao, AO_PORT="x")
    assert code == 1
    assert list(found) == ["config"]
    assert "AO_PORT" in found["config"][1]


def test_running_daemon_is_asked_for_the_agents(ao: Any, tools: Any, daemon: Any) -> None:
    known = {
        "id": "codex",
        "label": "Codex",
        "authStatus": "unauthorized",
        "binary": "/x/codex",
        "hint": "run codex login",
    }
    answer = {"supported": [known, {"id": "aider", "label": "Aider"}], "installed": [known], "authorized": []}
    daemon.script["POST /agents/refresh"] = (200, answer)
    _, found = checks(ao)
    assert found["daemon"] == ("PASS", f"ready, pid {os.getpid()}")
    assert found["codex"] == ("WARN", "/x/codex, not signed in; run codex login")
    assert found["aider"] == ("WARN", "not found by the daemon")


@pytest.mark.parametrize(("text", "level"), [("{", "WARN"), (json.dumps({"pid": 1, "port": 1}), "FAIL")])
def test_troubled_daemon_is_told(ao: Any, tools: Any, home: Path, text: str, level: str) -> None:
    (home / "running.json").write_text(text)
    assert checks(ao)[1]["daemon"][0] == level


def test_versions_are_compared_by_number() -> None:
    assert parse_version("git version 2.39.5 (Apple Git-154)") == (2, 39)
    assert parse_version("tmux 3.10a") == (3, 10)
    assert parse_version("tmux next-3.6") == (3, 6)
    assert parse_version("tmux master") is None

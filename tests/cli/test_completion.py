"""Completion: what `ao __complete` answers, and that the shells' scripts ask it."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ao.cli import table


def complete(ao: Any, *words: str) -> list[str]:
    ran = ao("__complete", *words)
    assert (ran.code, ran.err) == (0, "")
    lines: list[str] = ran.out.splitlines()
    return lines


def test_commands_complete_without_a_daemon(ao: Any) -> None:
    everything = complete(ao, "")
    assert {"spawn", "session", "project", "--help"} <= set(everything)
    assert not {"daemon", "hooks", "__complete"} & set(everything)
    assert complete(ao, "sp") == ["spawn"]
    assert complete(ao, "session", "re") == ["restore", "rename"]
    assert complete(ao, "help", "sta") == ["start", "status"]
    assert complete(ao, "bogus", "") == []


def test_flags_and_fixed_values_complete_from_the_grammar(ao: Any) -> None:
    assert complete(ao, "ls", "--i") == ["--include-terminated"]
    assert complete(ao, "spawn", "--kind", "") == ["worker", "orchestrator"]
    assert complete(ao, "spawn", "--kind=o") == ["--kind=orchestrator"]
    assert complete(ao, "completion", "") == ["bash", "zsh", "fish", "powershell"]


def complete_ids(ao: Any, *words: str) -> list[str]:
    """As `complete`, asked again while the daemon's answer was too late for the budget (a loaded machine)."""
    found: list[str] = []
    for _ in range(20):
        found = found or complete(ao, *words)
    return found


def test_ids_complete_from_the_daemon(ao: Any, daemon: Any, session: Any) -> None:
    daemon.script["GET /sessions"] = (200, {"sessions": [session("shop-10"), session("shop-2")]})
    daemon.script["GET /projects"] = (200, {"projects": [{"id": "shop"}]})
    daemon.script["GET /agents"] = (200, {"supported": [{"id": "codex"}, {"id": "demo"}]})
    assert complete_ids(ao, "attach", "") == ["shop-2", "shop-10"]
    assert complete_ids(ao, "session", "kill", "-p", "shop", "shop-1") == ["shop-10"]
    assert complete_ids(ao, "send", "--session", "") == ["shop-2", "shop-10"]
    assert complete_ids(ao, "ls", "-p", "") == ["shop"]
    assert complete_ids(ao, "spawn", "--agent", "c") == ["codex"]
    assert complete(ao, "session", "rename", "shop-2", "") == []


@pytest.mark.parametrize(
    ("words", "active"),
    [(("attach",), "true"), (("send", "-s"), "true"), (("session", "restore"), "false"), (("session", "get"), None)],
)
def test_only_sessions_that_the_command_can_act_on_complete(
    ao: Any, daemon: Any, words: tuple[str, ...], active: str | None
) -> None:
    complete(ao, *words, "")
    assert daemon.requests[0].query.get("active") == active


def test_ids_are_given_up_after_the_budget(ao: Any, daemon: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        daemon.port = deaf.getsockname()[1]
        daemon.announce()
        start = time.monotonic()
        assert complete(ao, "attach", "") == []
        assert time.monotonic() - start > 0.25


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_script_asks_the_command(ao: Any, shell: str) -> None:
    ran = ao("completion", shell)
    assert ran.code == 0
    assert "ao __complete" in ran.out


def test_bash_completes_by_the_script(ao: Any, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "ao"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(ao.command())} "$@"\n')
    program.chmod(0o755)
    script = ao("completion", "bash").out + (
        "\nCOMP_WORDS=(ao session re); COMP_CWORD=2; _ao; printf '%s\\n' \"${COMPREPLY[@]}\""
        "\nCOMP_WORDS=(ao spawn --kind ''); COMP_CWORD=3; _ao; printf '%s\\n' \"${COMPREPLY[@]}\""
        "\nCOMP_WORDS=(ao spawn --kind = wo); COMP_CWORD=4; _ao; printf '=%s\\n' \"${COMPREPLY[@]}\""
        "\nCOMP_WORDS=(ao spawn --kind =); COMP_CWORD=3; _ao; printf '=%s\\n' \"${COMPREPLY[@]}\""
        "\nCOMP_WORDS=(ao spawn --kind = worker --perm); COMP_CWORD=5; _ao; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    bash = shutil.which("bash")
    assert bash
    path = f"{program.parent}:/usr/bin:/bin"
    done = subprocess.run(
        [bash, "--norc", "-c", script], env=ao.env | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        *("restore", "rename", "worker", "orchestrator"),
        *("=worker", "=worker", "=orchestrator", "--permissions"),
    ]
    assert done.stderr == ""


def test_every_leaf_of_the_table_completes_its_flags(ao: Any) -> None:
    hidden = ("__complete", "daemon", "hooks")
    for words in (entry.path.split(" ") for entry in table.ENTRIES if entry.path not in hidden):
        assert "--help" in complete(ao, *words, "--")

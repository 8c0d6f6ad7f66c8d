"""The command is quick because it loads almost nothing; what it may load is guarded here."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

HEAVY = {
    "aiohttp", "argparse", "asyncio", "collections", "dataclasses", "difflib", "email", "enum", "functools", "http",
    "importlib.metadata", "inspect", "json", "logging", "msgspec", "pathlib", "re", "selectors", "socket", "ssl",
    "subprocess", "typing", "typing_extensions", "urllib",
}  # fmt: skip


def _loaded(ao: Any, *words: str, **env: str) -> set[str]:
    command = ao.command(*words)
    command[1:1] = ["-X", "importtime"]
    bare = subprocess.run(
        [command[0], "-I", "-X", "importtime", "-c", "pass"], capture_output=True, text=True, check=True
    )
    done = subprocess.run(
        command, capture_output=True, text=True, env=ao.env | env, stdin=subprocess.DEVNULL, check=True
    )
    # runpy is `python -m`'s, not the installed command's.
    runner = {"runpy", "importlib.util", "importlib", "importlib.machinery", "importlib._abc", "contextlib", "warnings"}
    return _modules(done.stderr) - _modules(bare.stderr) - runner - _modules_of_runner(command[0])


def _modules_of_runner(python: str) -> set[str]:
    done = subprocess.run([python, "-I", "-X", "importtime", "-m", "this"], capture_output=True, text=True, check=True)
    return _modules(done.stderr)


def _modules(report: str) -> set[str]:
    return {line.rpartition("|")[2].strip() for line in report.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("session", "--help")])
def test_version_and_help_load_only_the_command_table(ao: Any, words: tuple[str, ...]) -> None:
    loaded = _loaded(ao, *words)
    assert {name for name in loaded if not name.startswith("ao")} <= {"__future__", "gc"}


def test_session_ls_loads_nothing_heavy(ao: Any, daemon: Any) -> None:
    daemon.script["GET /sessions"] = (200, "shop:\n  shop-1  (1s)  [idle]  worker\n")
    loaded = _loaded(ao, "session", "ls")
    assert "ao.cli.listing" in loaded
    assert not loaded & HEAVY


def test_status_loads_nothing_heavy(ao: Any, daemon: Any) -> None:
    loaded = _loaded(ao, "status")
    assert "ao.cli.status" in loaded
    assert not loaded & HEAVY


def test_hooks_load_neither_the_grammar_nor_anything_heavy(ao: Any, daemon: Any) -> None:
    daemon.script["POST /sessions/shop-1/activity"] = (200, {"ok": True, "sessionId": "shop-1"})
    loaded = _loaded(ao, "hooks", "codex", "stop", AO_SESSION_ID="shop-1")
    assert daemon.seen("POST")
    assert not loaded & (HEAVY | {"ao.cli.grammar", "ao.cli.table", "ao.cli.dispatch", "ao.cli.client"})

"""A daemon as the original's clients meet it: `AO_COMPAT=1`, real git and tmux, a stand-in for an agent's program."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.recording import Player, exchanges
from tests.e2e.home import Home

# Ours gives no number to a spawn that was refused, so ids run behind the recorded ones (`demo-0` is nobody's); `amp`
# stands in the recording for an agent whose program is missing, as `codex` is here.
RENAMED = {
    "HEAD": {"amp": "codex", "demo-1": "demo-0", "demo-2": "demo-1", "demo-3": "demo-2"},
    "P153": {"amp": "codex", "demo-5": "demo-2"},
}
_AGENTS = {"claude", "codex"}
_PROGRAM = """#!/bin/sh
case "$*" in --version) echo "9.9.9 (stand-in)"; exit 0;; esac
exec cat
"""

Played = dict[str, tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """By name: the recorded answer in our words, and ours. The whole recording is played once."""
    state: str = request.param
    folder = Path(tempfile.mkdtemp(prefix="c"))
    home = _home(folder / "h")
    home.start()
    try:
        port = json.loads((home.path / "running.json").read_text())["port"]
        player = Player(port, str(home.path), RENAMED[state])
        yield {item["name"]: (player.expected(item), player.play(item)) for item in _in_order(state)}
    finally:
        home.close()
        left = home.processes()
        shutil.rmtree(folder)
    assert left == []


def _in_order(state: str) -> list[dict[str, Any]]:
    """The stream is read last: it is complete then, and ends with the project's removal."""
    found = exchanges(state)
    assert found[-1]["name"] == "event stream from the start"
    return found


def _home(path: Path) -> Home:
    programs = path / "bin"
    home = Home(path, AO_COMPAT="1", AO_AGENT="claude-code", PATH=f"{programs}:{_system_path(path.parent)}")
    programs.mkdir()
    (programs / "claude").write_text(_PROGRAM)
    (programs / "claude").chmod(0o755)
    for name in ("demo", "Other Repo"):
        home.make_repository(name)
    return home


def _system_path(folder: Path) -> str:
    """A PATH with this machine's programs but no agent that it may have."""
    programs = folder / "system"
    programs.mkdir(parents=True)
    for directory in ("/usr/local/bin", "/usr/bin", "/bin"):
        for name in os.listdir(directory):
            if name not in _AGENTS and not os.path.lexists(programs / name):
                os.symlink(os.path.join(directory, name), programs / name)
    return str(programs)

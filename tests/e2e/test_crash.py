"""`kill -9` of the daemon between every two effects of its lifecycle commands.

After the restart no row is half-way, no worktree, branch, terminal or process is without its row, and what an agent
or a person wrote is still there.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import ApiError, Home

MOST = 60
"""More effects than any command has; a run that isn't killed ends the sweep."""


class Sweep:
    """One crash: arm, command, death, restart, look."""

    def __init__(self, path: Path, at: int, when: str) -> None:
        self.home = Home(path, CRASH_ARM=str(path / "arm"), CRASH_AT=str(at), CRASH_WHEN=when)
        self.home.make_repository()
        self.home.start(module="tests.e2e.crashing")
        self.home.call("POST", "/api/v1/projects", {"path": str(self.home.repository), "projectId": "demo"})

    def strike(self, method: str, path: str, body: Any = None) -> bool:
        """Run a command with the fuse armed; whether the daemon died of it."""
        (self.home.path / "arm").touch()
        with contextlib.suppress(ConnectionError, ApiError):
            self.home.call(method, path, body)
        died = self.home.await_death(1.0)
        (self.home.path / "arm").unlink()
        if not died:
            self.home.stop()
        return died

    def settle(self) -> list[dict[str, Any]]:
        """Restart and look: every row settled, nothing on the machine without its row."""
        self.home.start()
        rows = self.home.sessions()
        live = {row["id"] for row in rows if row["phase"] == "live"}
        assert {row["phase"] for row in rows} <= {"live", "ended"}
        kept = {row["id"] for row in rows if row["phase"] == "ended" and "preserved" in row}
        assert worktrees(self.home) == live | kept
        assert registered(self.home) == live | kept
        assert terminals(self.home) == live
        owners = {owner(pid) for pid in self.home.processes()}
        assert owners <= live
        for row in rows:
            if row["id"] not in live | kept:
                assert not own_branch_is_bare(self.home, row)
        return rows

    def close(self) -> None:
        self.home.close()
        assert tmux_processes(self.home) == []
        shutil.rmtree(self.home.path)


def worktrees(home: Home) -> set[str]:
    folder = home.data / "worktrees" / "demo"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def registered(home: Home) -> set[str]:
    listing = home.git(home.repository, "worktree", "list", "--porcelain").splitlines()
    paths = [Path(line.removeprefix("worktree ")) for line in listing if line.startswith("worktree ")]
    return {path.name for path in paths if path != home.repository.resolve()}


def terminals(home: Home) -> set[str]:
    socket = home.tmux_socket()
    if socket is None:
        return set()
    done = subprocess.run(
        ["tmux", "-S", socket, "list-sessions", "-F", "#{session_name}"], capture_output=True, text=True, check=False
    )
    return {name for name in done.stdout.split() if name.startswith("demo-")}


def tmux_processes(home: Home) -> list[str]:
    """Servers and clients of this home's tmux that still run, whatever becomes of their socket."""
    found = [command_line(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [line for line in found if line.startswith("tmux ") and str(home.data) in line]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def owner(pid: int) -> str:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(item[len(b"AO_SESSION_ID=") :].decode() for item in variables if item.startswith(b"AO_SESSION_ID="))


def own_branch_is_bare(home: Home, row: dict[str, Any]) -> bool:
    """Whether a branch without own commits was left behind."""
    name = f"ao/{row['id']}/root"
    heads = home.git(home.repository, "for-each-ref", "--format=%(refname:short)", "refs/heads/ao")
    return name in heads.split() and home.git(home.repository, "rev-list", "--count", f"main..{name}") == "0"


def spawn_body(prompt: str = "[[demo: no-commit]] write a poem") -> dict[str, str]:
    return {"projectId": "demo", "harness": "demo", "prompt": prompt}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.timeout(600)
def test_a_spawn_killed_between_any_two_effects_leaves_nothing_half_way(scratch: Path, when: str) -> None:
    for at in range(1, MOST):
        sweep = Sweep(scratch / str(at), at, when)
        try:
            died = sweep.strike("POST", "/api/v1/sessions", spawn_body("hello"))
            rows = sweep.settle()
            assert len(rows) <= 1
            failures = {row["failure"]["code"] for row in rows if row["phase"] == "ended"}
            assert failures <= {"INTERRUPTED"}
        finally:
            sweep.close()
        if not died:
            assert at > 8
            return
    raise AssertionError("the sweep never ended")


@pytest.mark.parametrize("command", ["kill", "rollback"])
@pytest.mark.timeout(600)
def test_an_end_killed_between_any_two_effects_loses_no_file(scratch: Path, command: str) -> None:
    for at in range(1, MOST):
        sweep = Sweep(scratch / str(at), at, "before")
        try:
            session = sweep.home.call("POST", "/api/v1/sessions", spawn_body("hello"))["session"]
            note = Path(session["workspacePath"]) / "note.txt"
            note.write_text("not to be lost\n")
            died = sweep.strike("POST", f"/api/v1/sessions/{session['id']}/{command}")
            sweep.settle()
            assert note.read_text() == "not to be lost\n"
        finally:
            sweep.close()
        if not died:
            assert at > 3
            return
    raise AssertionError("the sweep never ended")


@pytest.mark.timeout(600)
def test_a_restore_killed_between_any_two_effects_loses_no_file(scratch: Path) -> None:
    for at in range(1, MOST):
        sweep = Sweep(scratch / str(at), at, "before")
        try:
            session = sweep.home.call("POST", "/api/v1/sessions", spawn_body("hello"))["session"]
            note = Path(session["workspacePath"]) / "note.txt"
            note.write_text("not to be lost\n")
            sweep.home.call("POST", f"/api/v1/sessions/{session['id']}/kill")
            died = sweep.strike("POST", f"/api/v1/sessions/{session['id']}/restore")
            sweep.settle()
            assert note.read_text() == "not to be lost\n"
        finally:
            sweep.close()
        if not died:
            assert at > 5
            return
    raise AssertionError("the sweep never ended")


@pytest.mark.parametrize("commands", [[], ["exit 7"]], ids=["succeeds", "fails"])
@pytest.mark.timeout(600)
def test_a_replacement_killed_between_any_two_effects_leaves_exactly_one_orchestrator(
    scratch: Path, commands: list[str]
) -> None:
    body = {"projectId": "demo", "harness": "demo"}
    for at in range(1, MOST):
        sweep = Sweep(scratch / str(at), at, "before")
        try:
            old = sweep.home.call("POST", "/api/v1/orchestrators", body)["session"]
            note = Path(old["workspacePath"]) / "note.txt"
            note.write_text("not to be lost\n")
            sweep.home.call("PUT", "/api/v1/projects/demo/config", {"config": {"postCreate": commands}})
            died = sweep.strike("POST", "/api/v1/orchestrators", {**body, "clean": True})
            rows = sweep.settle()
            living = [row["id"] for row in rows if row["phase"] == "live"]
            assert len(living) == 1
            assert living == [old["id"]] or not commands
            assert note.read_text() == "not to be lost\n"
            again = sweep.home.call("POST", "/api/v1/orchestrators", body)["session"]
            assert again["phase"] == "live"
            assert [again["id"]] == living
        finally:
            sweep.close()
        if not died:
            assert at > 8
            return
    raise AssertionError("the sweep never ended")

"""Machines as they are: a full disk, folders and tools that are missing or go away, odd paths, two homes."""

from __future__ import annotations

import concurrent.futures
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import BIN, ApiError, Home


@pytest.fixture
def homes(scratch: Path) -> Iterator[Any]:
    """Makes homes with a daemon and a project each, and ends them."""
    made: list[Home] = []

    def make(name: str, **variables: str) -> Home:
        home = Home(scratch / name, **variables)
        home.make_repository()
        home.start()
        made.append(home)
        home.call("POST", "/api/v1/projects", {"path": str(home.repository), "projectId": "demo"})
        return home

    yield make
    for home in made:
        home.close()
        assert home.processes() == []


def spawn(home: Home, prompt: str = "") -> dict[str, Any]:
    body = {"projectId": "demo", "harness": "demo", "prompt": prompt}
    session: dict[str, Any] = home.call("POST", "/api/v1/sessions", body)["session"]
    return session


def committed(home: Home, session: dict[str, Any]) -> None:
    home.wait(
        session["id"], lambda seen: bool(home.git(home.repository, "rev-list", f"main..{seen['branch']}").split())
    )


def daemon_that_fails(home: Home, **variables: str) -> str:
    """What a daemon says that can't start."""
    done = subprocess.run(
        [sys.executable, "-m", "ao.daemon"],
        env={**home.environ, **variables},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_d1_a_second_daemon_never_takes_the_run_file_of_a_living_one(home: Home) -> None:
    run_file = home.path / "running.json"
    before = run_file.read_bytes()
    said = daemon_that_fails(home, AO_DATA_DIR=str(home.path / "other"))
    assert "DAEMON_ALREADY_RUNNING" in said
    assert str(home.daemon.pid) in said
    assert str(run_file) in said
    assert run_file.read_bytes() == before
    assert not (home.path / "other" / "ao.db").exists()
    assert home.sessions() == []


def test_d1_the_run_file_of_a_daemon_that_was_killed_is_taken_over(home: Home) -> None:
    home.daemon.kill()
    assert home.await_death()
    assert (home.path / "running.json").exists()
    home.start()
    assert home.sessions() == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_may_not_be_written_is_told_and_named(scratch: Path) -> None:
    home = Home(scratch / "h")
    home.path.chmod(0o500)
    try:
        assert str(home.data) in daemon_that_fails(home)
    finally:
        home.path.chmod(0o700)


def test_a_data_folder_that_can_not_be_made_is_told_and_named(scratch: Path) -> None:
    home = Home(scratch / "h")
    home.data.write_text("a file where the folder should be\n")
    said = daemon_that_fails(home)
    assert "CONFIG_INVALID" in said
    assert str(home.data) in said


def test_a_full_disk_refuses_with_a_code_and_loses_nothing(home: Home) -> None:
    session = spawn(home, "begin")
    committed(home, session)
    pid = home.daemon.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # No file may grow beyond this: what a full disk is to a writer.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(ApiError) as caught:
            spawn(home)
        assert (caught.value.status, caught.value.code) == (503, "STORE_UNAVAILABLE")
        with pytest.raises(ApiError) as caught:
            home.call("PATCH", f"/api/v1/sessions/{session['id']}", {"displayName": "new"})
        assert caught.value.code == "STORE_UNAVAILABLE"
        assert home.session(session["id"])["phase"] == "live"
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    spawn(home)
    home.stop()
    home.start()
    assert [row["phase"] for row in home.sessions()] == ["live", "live"]


def without(scratch: Path, tool: str) -> str:
    """A PATH on which everything but `tool` is found."""
    folder = scratch / f"no-{tool}"
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(":")):
        for program in Path(place).iterdir() if os.access(place, os.R_OK | os.X_OK) else []:
            link = folder / program.name
            link.unlink(missing_ok=True)
            if program.name != tool:
                link.symlink_to(program)
    return f"{BIN}:{folder}"


@pytest.mark.parametrize("tool", ["tmux", "git"])
def test_a_missing_tool_is_named_and_nothing_is_left(homes: Any, scratch: Path, tool: str) -> None:
    home = homes("h")
    session = spawn(home, "begin")
    committed(home, session)
    home.stop()
    home.start(PATH=without(scratch, tool))
    with pytest.raises(ApiError) as caught:
        spawn(home)
    assert (caught.value.status, caught.value.code) == (400, "RUNTIME_PREREQUISITE_MISSING")
    assert tool in caught.value.body["message"]
    assert tool in caught.value.body["hint"]
    assert [row["phase"] for row in home.sessions()] == ["live"]
    home.stop()
    home.start()
    assert home.call("POST", f"/api/v1/sessions/{session['id']}/kill")["freed"] is True


def test_a_repository_deleted_under_a_living_session_loses_no_file(home: Home) -> None:
    session = spawn(home, "begin")
    committed(home, session)
    note = Path(session["workspacePath"]) / "note.txt"
    note.write_text("mine\n")
    shutil.rmtree(home.repository)
    with pytest.raises(ApiError) as caught:
        spawn(home)
    assert (caught.value.status, caught.value.code) == (400, "PROJECT_NOT_RESOLVABLE")
    killed = home.call("POST", f"/api/v1/sessions/{session['id']}/kill?force=true")
    assert str(home.repository) in killed["preserved"]["reason"]
    assert note.read_text() == "mine\n"
    assert home.processes() == []
    with pytest.raises(ApiError) as caught:
        home.call("POST", f"/api/v1/sessions/{session['id']}/restore")
    assert caught.value.code == "PROJECT_NOT_RESOLVABLE"
    assert home.session(session["id"])["phase"] == "ended"
    assert home.call("DELETE", "/api/v1/projects/demo")["killed"] == []


def test_a_worktree_deleted_under_a_living_agent_can_be_killed_and_restored(home: Home) -> None:
    session = spawn(home, "begin")
    committed(home, session)
    shutil.rmtree(session["workspacePath"])
    assert home.call("POST", f"/api/v1/sessions/{session['id']}/kill")["freed"] is True
    restored = home.call("POST", f"/api/v1/sessions/{session['id']}/restore")["session"]
    assert restored["phase"] == "live"
    assert home.git(Path(session["workspacePath"]), "branch", "--show-current") == session["branch"]


@pytest.mark.parametrize(
    "name", ["with spaces & quo'te", "ünï-日本 🚀", "long-" * 24], ids=["spaces", "unicode", "long"]
)
def test_any_path_can_be_a_home(homes: Any, name: str) -> None:
    home = homes(name)
    session = spawn(home, "begin")
    committed(home, session)
    home.call("POST", f"/api/v1/sessions/{session['id']}/send", {"message": "write more"})
    home.wait(
        session["id"],
        lambda seen: home.git(home.repository, "rev-list", "--count", f"main..{seen['branch']}") == "2",
    )
    attach = home.call("GET", f"/api/v1/sessions/{session['id']}/attach")["argv"]
    assert len(os.fsencode(attach[attach.index("-S") + 1])) <= 100
    home.stop()
    home.start()
    assert home.call("POST", f"/api/v1/sessions/{session['id']}/kill")["freed"] is True
    assert home.call("POST", f"/api/v1/sessions/{session['id']}/restore")["restoreMode"] == "native"


def test_a_home_too_long_for_any_socket_path_uses_one_of_its_own_in_tmp(homes: Any, scratch: Path) -> None:
    home = homes("long-" * 24, XDG_RUNTIME_DIR="")
    session = spawn(home)
    attach = home.call("GET", f"/api/v1/sessions/{session['id']}/attach")["argv"]
    socket = Path(attach[attach.index("-S") + 1])
    assert socket.parts[1] == "tmp"
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    home.call("POST", f"/api/v1/sessions/{session['id']}/kill")
    home.stop()
    assert not socket.exists()
    home.start()


def test_p3_two_homes_side_by_side_never_touch_each_other(homes: Any) -> None:
    left, right = homes("left"), homes("right")
    ours, theirs = spawn(left, "begin"), spawn(right, "begin")
    assert ours["id"] == theirs["id"]
    committed(right, theirs)
    left.call("POST", f"/api/v1/sessions/{ours['id']}/kill?force=true")
    assert left.processes() == []
    assert right.session(theirs["id"])["phase"] == "live"
    assert right.processes()
    left.stop()
    right.call("POST", f"/api/v1/sessions/{theirs['id']}/send", {"message": "write more"})
    right.wait(
        theirs["id"],
        lambda seen: right.git(right.repository, "rev-list", "--count", f"main..{seen['branch']}") == "2",
    )
    left.start()


def test_a_stop_in_the_middle_of_spawns_leaves_no_process_but_the_living_sessions(home: Home) -> None:
    home.call("PUT", "/api/v1/projects/demo/config", {"config": {"postCreate": ["sleep 30"]}})
    body = {"projectId": "demo", "harness": "demo"}
    slow = home.call("POST", "/api/v1/sessions?wait=seeded", body)["session"]
    home.wait(slow["id"], lambda seen: seen["phase"] == "workspace")
    home.call("PUT", "/api/v1/projects/demo/config", {"config": {}})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pending = [pool.submit(home.call, "POST", "/api/v1/sessions?wait=seeded", body) for _ in range(6)]
        concurrent.futures.wait(pending)
        assert home.stop() == 0
    home.start()
    rows = home.sessions()
    assert {row["phase"] for row in rows} <= {"live", "ended"}
    live = {row["id"] for row in rows if row["phase"] == "live"}
    owners = {owner(pid) for pid in home.processes()}
    assert owners <= live
    assert home.session(slow["id"])["failure"]["code"] == "INTERRUPTED"


def owner(pid: int) -> str:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(item[len(b"AO_SESSION_ID=") :].decode() for item in variables if item.startswith(b"AO_SESSION_ID="))


def counts(pid: int) -> tuple[int, int, int]:
    """Descriptors, threads and children of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")), len(children)


@pytest.mark.timeout(300)
def test_p10_two_hundred_sessions_leave_no_descriptor_thread_or_process(home: Home) -> None:
    pid = home.daemon.pid

    def one(_: int) -> None:
        session = spawn(home)
        home.call("POST", f"/api/v1/sessions/{session['id']}/kill")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(20)))
        early = counts(pid)
        list(pool.map(one, range(180)))
    late = counts(pid)
    assert late[0] <= early[0] + 2
    assert late[1] <= max(early[1], 40)
    assert late[2] <= early[2]
    assert home.processes() == []
    assert list((home.data / "run").iterdir()) == []
    assert home.git(home.repository, "branch", "--list", "ao/*") == ""

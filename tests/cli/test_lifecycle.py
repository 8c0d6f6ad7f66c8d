"""`ao start` and `ao stop` against a real process that plays the daemon."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Stands in for `ao.daemon` by PYTHONPATH, which the command itself, run with -I, doesn't see. Stdlib only.
PLAYER = """
import json, os, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

home = os.environ["PLAYER_HOME"]
way = os.environ.get("PLAYER", "serve")
with open(home + "/pids", "a") as file:
    file.write(f"{os.getpid()}\\n")
with open(home + "/started.json", "w") as file:
    json.dump({"env": dict(os.environ), "cwd": os.getcwd(), "path": sys.path, "sid": os.getsid(0)}, file)
print("player begins", flush=True)
if way == "die":
    print("no such thing", file=sys.stderr)
    sys.exit(3)
if way == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
data = os.environ["AO_DATA_DIR"]
os.makedirs(data, exist_ok=True)
held = open(data + "/lock", "w")
identity = {"service": "agent-orchestrator-daemon", "pid": os.getpid(), "dataDir": data}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = {"/healthz": "ok", "/readyz": "starting" if way == "unready" else "ready"}[self.path]
        self.answer(200, {"status": status, **identity})
    def do_POST(self):
        with open(home + "/shutdowns", "a") as file:
            file.write((self.headers.get("Authorization") or "") + "\\n")
        if way == "scoped" and self.headers.get("Authorization") != "Bearer user-token":
            known = self.headers.get("Authorization") == "Bearer session-token"
            code = "FORBIDDEN" if known else "UNAUTHORIZED"
            self.answer(403 if known else 401, {"error": "x", "code": code, "message": "not yours", "hint": "ask"})
            return
        if way == "refuse":
            self.answer(401, {"error": "unauthorized", "code": "UNAUTHORIZED", "message": "wrong token"})
            return
        self.answer(202, {"status": "shutting_down", **identity})
        if way in ("serve", "scoped"):
            threading.Thread(target=server.shutdown).start()
    def answer(self, status, fields):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(fields).encode())
    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
run_file = os.environ["AO_RUN_FILE"]
if way != "hidden":
    with open(run_file + ".new", "w") as file:
        json.dump({"pid": os.getpid(), "port": server.server_address[1], "startedAt": "2031-02-03T04:05:06.789Z"}, file)
    os.replace(run_file + ".new", run_file)
if way == "mute":
    signal.pause()
server.serve_forever(poll_interval=0.01)
"""


def _await_end(pid: int, within_s: float = 10) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], within_s)[0])
    finally:
        os.close(process)


class Player:
    """The installation's stand-in daemon: how it shall behave, and what it did."""

    def __init__(self, ao: Any, home: Path, packages: Path) -> None:
        self.ao = ao
        self.home = home
        ao.env |= {"PYTHONPATH": str(packages), "PLAYER_HOME": str(home)}

    def plays(self, way: str) -> None:
        """Choose the behaviour of those started from now on."""
        self.ao.env["PLAYER"] = way

    @property
    def pids(self) -> list[int]:
        """Every process started so far."""
        path = self.home / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    @property
    def shutdowns(self) -> list[str]:
        """The Authorization headers of the shutdown requests."""
        path = self.home / "shutdowns"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def player(ao: Any, home: Path, tmp_path: Path) -> Iterator[Player]:
    package = tmp_path / "packages" / "ao"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "daemon.py").write_text(PLAYER)
    found = Player(ao, home, package.parent)
    yield found
    for pid in found.pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        _await_end(pid)


def test_start_waits_until_the_daemon_is_ready(ao: Any, player: Player, home: Path) -> None:
    ran = ao("start")
    run = json.loads((home / "running.json").read_text())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"AO daemon ready (pid {run['pid']}, port {run['port']})\n"
    assert player.pids == [run["pid"]]


def test_start_of_a_running_daemon_changes_nothing(ao: Any, player: Player) -> None:
    ao("start")
    again = ao("start", "--json")
    assert again.json["state"] == "ready"
    assert again.json["pid"] == player.pids[0]
    assert len(player.pids) == 1


def test_started_daemon_is_detached_and_logs_to_a_private_file(ao: Any, player: Player, home: Path) -> None:
    ao("start")
    started = json.loads((home / "started.json").read_text())
    assert started["sid"] == player.pids[0]
    assert started["cwd"] == str(home)
    log = home / "daemon.log"
    assert log.read_text() == "player begins\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_daemon_started_inside_a_session_inherits_nothing_of_it(ao: Any, player: Player, home: Path) -> None:
    inside = dict.fromkeys(
        ("AO_SESSION_ID", "AO_PROJECT_ID", "AO_ISSUE_ID", "AO_TOKEN", "AO_BIN", "TMUX", "TMUX_PANE"), "x"
    )
    assert ao("start", KEPT="y", **inside).code == 0
    env = json.loads((home / "started.json").read_text())["env"]
    assert env["KEPT"] == "y"
    assert not inside.keys() & env.keys()


def test_relative_paths_reach_the_daemon_as_absolute_ones(ao: Any, player: Player, home: Path) -> None:
    assert ao("start", AO_RUN_FILE="running.json", AO_DATA_DIR="data").code == 0
    env = json.loads((home / "started.json").read_text())["env"]
    assert env["AO_RUN_FILE"] == str(home / "running.json")
    assert env["AO_DATA_DIR"] == str(home / "data")


def test_modules_of_the_current_directory_are_not_imported(ao: Any, player: Player, home: Path) -> None:
    (home / "http.py").write_text("raise SystemExit('shadowed')")
    assert ao("start").code == 0
    assert "" not in json.loads((home / "started.json").read_text())["path"]


def test_daemon_that_dies_at_start_is_reported_with_its_last_words(ao: Any, player: Player, home: Path) -> None:
    (home / "daemon.log").write_text("of an earlier run\n")
    player.plays("die")
    ran = ao("start")
    assert ran.code == 1
    assert "daemon exited with code 3 during start (DAEMON_START_FAILED)" in ran.err
    assert "no such thing" in ran.err
    assert "earlier run" not in ran.err


def test_daemon_that_does_not_get_ready_is_reported_and_left_running(ao: Any, player: Player) -> None:
    player.plays("unready")
    ran = ao("start", "--timeout", "300ms")
    assert ran.code == 1
    assert "DAEMON_START_TIMEOUT" in ran.err
    assert "not_ready" in ran.err
    assert not _await_end(player.pids[0], 0)
    assert "process exists but did not become ready" in ao("start", "--timeout", "100ms").err


def test_stale_run_file_is_replaced(ao: Any, player: Player, home: Path) -> None:
    (home / "running.json").write_text("{")
    assert ao("start").code == 0
    assert ao("status", "--json").json["state"] == "ready"


def test_unwritable_log_is_an_error(ao: Any, player: Player, home: Path) -> None:
    (home / "daemon.log").mkdir()
    ran = ao("start")
    assert ran.code == 1
    assert "LOG_UNWRITABLE" in ran.err
    assert not player.pids


def test_stop_ends_the_daemon_and_waits_for_its_end(ao: Any, player: Player, home: Path) -> None:
    ao("start")
    (home / "data" / "token").write_text("user-token\n")
    ran = ao("stop")
    assert (ran.code, ran.out) == (0, "AO daemon stopped\n")
    assert _await_end(player.pids[0], 0)
    assert not (home / "running.json").exists()
    assert player.shutdowns == ["Bearer user-token"]


@pytest.mark.parametrize("words", [("stop",), ("stop", "--force", "--timeout", "100ms")])
def test_an_agent_that_stops_the_daemon_is_refused_by_its_token(
    ao: Any, player: Player, home: Path, words: tuple[str, ...]
) -> None:
    player.plays("scoped")
    ao("start")
    (home / "data" / "token").write_text("user-token\n")
    ran = ao(*words, AO_SESSION_ID="shop-1", AO_TOKEN="session-token")
    assert (ran.code, ran.err) == (1, "not yours (FORBIDDEN)\n  hint: ask\n")
    assert player.shutdowns == ["Bearer session-token"]
    assert not _await_end(player.pids[0], 0)


def test_a_session_of_another_daemon_stops_this_one_as_the_user(ao: Any, player: Player, home: Path) -> None:
    player.plays("scoped")
    ao("start")
    (home / "data" / "token").write_text("user-token\n")
    ran = ao("stop", AO_SESSION_ID="else-1", AO_TOKEN="foreign")
    assert (ran.code, ran.out) == (0, "AO daemon stopped\n")
    assert player.shutdowns == ["Bearer foreign", "Bearer user-token"]


def test_start_replaces_a_daemon_that_dies_while_it_is_waited_for(ao: Any, player: Player, home: Path) -> None:
    dying = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(30)
            port = listener.getsockname()[1]
            (home / "running.json").write_text(json.dumps({"pid": dying.pid, "port": port, "startedAt": ""}))
            starting = subprocess.Popen(
                ao.command("start"), env=ao.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(3):  # one look of `ao start`, one under its lock, the first while it waits
                listener.accept()[0].close()
        dying.kill()
        dying.wait()
        out, err = starting.communicate(timeout=30)
        assert (starting.returncode, err) == (0, "")
        assert out.startswith(f"AO daemon ready (pid {player.pids[0]}, ")
    finally:
        dying.kill()
        dying.wait()


def test_stop_of_a_stopped_daemon_succeeds(ao: Any, home: Path) -> None:
    ran = ao("stop", "--json")
    assert ran.code == 0
    assert ran.json == {"state": "stopped", "runFile": f"{home}/running.json", "dataDir": f"{home}/data"}


def test_stop_discards_a_stale_run_file(ao: Any, home: Path) -> None:
    (home / "running.json").write_text("not json")
    assert ao("stop").code == 0
    assert not (home / "running.json").exists()


def test_p9_stop_spares_the_daemon_of_another_installation(ao: Any, player: Player, home: Path) -> None:
    ao("start")
    other = str(home / "other")
    for words in (("stop",), ("stop", "--force"), ("start",)):
        ran = ao(*words, AO_DATA_DIR=other)
        assert ran.code == 1
        assert "DAEMON_FOREIGN" in ran.err
    assert not player.shutdowns
    assert not _await_end(player.pids[0], 0)
    assert ao("status", "--json").json["state"] == "ready"


def test_p9_stop_never_signals_a_process_it_cannot_verify(ao: Any, home: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        (home / "data").mkdir()
        (home / "running.json").write_text(json.dumps({"pid": bystander.pid, "port": 1, "startedAt": ""}))
        for words in (("stop",), ("stop", "--force", "--timeout", "100ms")):
            ran = ao(*words)
            assert ran.code == 1
            assert "DAEMON_UNVERIFIED" in ran.err
        assert bystander.poll() is None
        assert (home / "running.json").exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_refused_shutdown_is_told(ao: Any, player: Player) -> None:
    player.plays("refuse")
    ao("start")
    ran = ao("stop")
    assert (ran.code, ran.err) == (1, "wrong token (UNAUTHORIZED)\n")


def test_daemon_that_ignores_the_shutdown_is_named_and_forced_on_demand(ao: Any, player: Player) -> None:
    player.plays("stubborn")
    ao("start")
    ran = ao("stop", "--timeout", "200ms")
    assert ran.code == 1
    assert f"process {player.pids[0]} did not exit within" in ran.err
    assert "--force" in ran.err
    os.kill(player.pids[0], 0)


def test_force_ends_a_daemon_by_signals(ao: Any, player: Player, home: Path) -> None:
    player.plays("deaf")
    ao("start")
    assert ao("stop", "--force", "--timeout", "100ms").code == 0
    assert _await_end(player.pids[0], 0)
    assert not (home / "running.json").exists()


def test_force_ends_a_daemon_that_answers_nothing(ao: Any, player: Player, home: Path) -> None:
    player.plays("mute")
    assert ao("start", "--timeout", "50ms").code == 1
    _await_file(home / "running.json")
    ran = ao("stop", "--force", "--timeout", "100ms")
    assert (ran.code, ran.out) == (0, "AO daemon stopped\n")
    assert _await_end(player.pids[0], 0)


def test_two_starts_at_once_agree_on_one_daemon(ao: Any, player: Player, home: Path, tmp_path: Path) -> None:
    # The loser's process dies because the winner holds the data directory; both commands report the winner.
    package = tmp_path / "packages" / "ao" / "daemon.py"
    lock = textwrap.dedent(
        """
        import fcntl, os, sys
        os.makedirs(os.environ["AO_DATA_DIR"], exist_ok=True)
        gate = open(os.environ["AO_DATA_DIR"] + "/gate", "w")
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("already running")
        """
    )
    package.write_text(lock + PLAYER)
    racers = [
        subprocess.Popen(ao.command("start"), env=ao.env, cwd=home, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [racer.communicate(timeout=30)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert told[0] == told[1]
    assert str(player.pids[0]) in told[0]


def _await_file(path: Path) -> None:
    # The player was started by a command that has already given up; nothing but the file tells that it got there.
    for _ in range(500):
        if path.exists():
            return
        select.select([], [], [], 0.01)
    pytest.fail(f"{path} did not appear")

"""A scratch home: a repository, a daemon of its own, and whatever runs in them; gone afterwards, on every way out."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from demo.pantry import CHECKS, FILES, PROJECT, Task

CALL_TIMEOUT_S = 30
SPAWN_TIMEOUT_S = 60.0
# A terminal server that was told to end may take a moment.
GRACE_S = 3.0
LAST_LINES = 12


class DemoError(Exception):
    """Something a person should read, without a traceback."""


class LeftoverError(DemoError):
    """Something was still running or lying about after everything had been told to stop."""


@contextlib.contextmanager
def scratch() -> Iterator[Home]:
    """A new home, which is gone afterwards with everything that ran in it. Raises `LeftoverError`."""
    # /tmp and not $TMPDIR: terminal sockets need a short path, and TMPDIR is often long.
    home = Home(Path(tempfile.mkdtemp(prefix="ao-demo-", dir="/tmp")).resolve())
    try:
        yield home
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        home.end()


class Home:
    """The scratch home and what runs in it. Everything is done through the `ao` command, as a person would type it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repository = path / PROJECT
        self.ao = Path(sys.executable).parent / "ao"
        self.environment = _environment(path)
        self.running: list[subprocess.Popen[str]] = []
        self.tasks: dict[str, str] = {}
        """Sessions and the names of their tasks."""
        self.begin = ""
        """The commit that all work starts from."""

    def prepare(self) -> None:
        """A repository, a daemon, and the one registered with the other."""
        self._make_repository()
        print(f"a small repository: {self.repository}", flush=True)
        self.show("start")
        self.show("project", "add", "--path", str(self.repository), "--id", PROJECT)
        self.show("project", "set-config", PROJECT, "--set", f"checks={CHECKS}")

    def spawn(self, tasks: Sequence[Task]) -> None:
        """Start all spawns at once, so that the agents work side by side."""
        for task in tasks:
            words = ("spawn", "--project", PROJECT, "--agent", "demo", "--name", task.name, "--prompt")
            # What the agent is to write goes with its task; it would only be noise here.
            say_command(*words, f"{task.words}{' …' if task.script else ''}")
            self.running.append(self.start(*words, task.prompt))
        for process, task in zip(tuple(self.running), tasks, strict=True):
            out, err = process.communicate(timeout=SPAWN_TIMEOUT_S)
            if process.returncode:
                raise DemoError(f"spawn failed: {err.strip() or out.strip()}")
            session = next((word for word in out.split() if word.startswith(f"{PROJECT}-")), None)
            if session is None:
                raise DemoError(f"spawn named no session: {out.strip()}")
            self.tasks[session] = task.name
            self.running.remove(process)
        self.tasks = dict(sorted(self.tasks.items(), key=lambda item: int(item[0].rpartition("-")[2])))

    def listen(self) -> int:
        """Follow the daemon's events; where they can be read."""
        process = self.start("events", "--follow", "--json")
        self.running.append(process)
        if process.stdout is None:
            raise DemoError("the events can't be read")
        return process.stdout.fileno()

    def sessions(self) -> list[dict[str, Any]]:
        """All sessions, ended ones too."""
        listed: list[dict[str, Any]] = self.read("session", "ls", "--include-terminated")["data"]
        return listed

    def read(self, *arguments: str) -> Any:
        """What a command answers as JSON."""
        return json.loads(self.call(*arguments, "--json"))

    def show(self, *arguments: str) -> None:
        """Run a command, showing it and its answer."""
        say_command(*arguments)
        print(self.call(*arguments), end="", flush=True)

    def call(self, *arguments: str) -> str:
        """Run a command to its end; its output. Raises `DemoError` with what it said when it fails."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=CALL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise DemoError(f"ao {' '.join(arguments)} took longer than {CALL_TIMEOUT_S} s") from None
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise DemoError(f"ao {' '.join(arguments)}: {err.strip() or out.strip()}")
        return out

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [str(self.ao), *arguments],
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def git(self, *arguments: str) -> str:
        """What git says in the repository. Raises `DemoError`."""
        command = ["git", "-C", str(self.repository), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def last_words(self, session: str = "") -> str:
        """The end of the daemon's log, and of a session's terminal, for somebody who wants to know what went wrong."""
        parts = [("the daemon's log", ("logs", "--lines", str(LAST_LINES)))]
        if session:
            parts.insert(0, (f"the terminal of {session}", ("session", "output", session)))
        told = []
        for title, command in parts:
            try:
                lines = self.call(*command).rstrip().splitlines()[-LAST_LINES:]
            except DemoError as error:
                lines = [str(error)]
            told += [f"--- {title}", *lines]
        return "\n".join(told)

    def end(self) -> None:
        """Stop the sessions and the daemon, then remove the scratch home. Raises `LeftoverError`, after removing it,
        when something had outlived that."""
        for process in self.running:
            process.kill()
            process.communicate()
        with contextlib.suppress(DemoError):
            for session in self.sessions():
                if not session.get("isTerminated"):
                    self.call("session", "kill", session["id"])
        with contextlib.suppress(DemoError):
            self.call("stop")
        self._end_terminal_servers()
        left = _end_all(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        if left or self.path.exists():
            raise LeftoverError(f"left behind: {', '.join(left) or self.path}")
        print("stopped and removed: nothing is left", flush=True)

    def _end_terminal_servers(self) -> None:
        """An empty terminal server outlives the daemon, ready for the next session; in a scratch home there is none."""
        for server in (self.path / "ao" / "data" / "tmux").glob("[0-9]*"):
            if server.is_socket():
                command = ["tmux", "-S", str(server), "kill-server"]
                subprocess.run(command, env=self.environment, capture_output=True, check=False)

    def _make_repository(self) -> None:
        for name, text in FILES.items():
            file = self.repository / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "Demo")
        self.git("config", "user.email", "demo@localhost")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "A shelf that counts")
        self.begin = self.git("rev-parse", "HEAD").strip()


def say_command(*arguments: str) -> None:
    """Show a command as one would type it."""
    words = [f"'{word}'" if not word or set(word) & set(' "[{…') else word for word in arguments]
    print(f"$ ao {' '.join(words)}", flush=True)


def _environment(home: Path) -> dict[str, str]:
    """The person's environment without anything that leads out of the scratch home."""
    led_out = ("AO_", "GIT_", "TMUX", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(led_out)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AO_RUN_FILE": str(home / "ao" / "running.json"),
        "AO_DATA_DIR": str(home / "ao" / "data"),
        "AO_PORT": str(port),
        "AO_DEMO_PACE": "1",
        "NO_COLOR": "1",
    }


def _end_all(home: Path) -> list[str]:
    """End what still runs in the scratch home after a moment; returns the command lines of what had to be ended."""
    deadline = time.monotonic() + GRACE_S
    for pid in _running_in(home):
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            select.select([process], [], [], max(0.0, deadline - time.monotonic()))
            os.close(process)
    ended = []
    for pid, command in _running_in(home).items():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            ended.append(f"{command} ({pid})")
    return ended


def _running_in(home: Path) -> dict[int, str]:
    """Processes that name the scratch home in their environment, arguments or working directory: pid to command."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            texts = (command, (entry / "environ").read_bytes(), os.fsencode(os.readlink(entry / "cwd")))
            if int(entry.name) != os.getpid() and any(os.fsencode(home) in text for text in texts):
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found

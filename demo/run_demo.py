"""The main job in a minute: one daemon, one small repository, three agents side by side.

Everything happens through the `ao` command, as a person would type it, in a scratch home of its own. On every way out
(done, error, Ctrl-C, SIGTERM) the sessions and the daemon are stopped and the scratch home is removed. Exits 0 only
when all three agents have committed.
"""

from __future__ import annotations

import argparse
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
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

PROJECT = "pantry"
# What each session is called, and its task.
TASKS = (
    ("count items", "Add a function that counts how many of an item are on the shelf, with a test."),
    ("write a README", "Write a README that explains how to use the shelf."),
    ("refuse missing items", "Refuse to take an item that is not on the shelf, with a clear error and a test."),
)
PATIENCE_S = 120.0
LOOK_EVERY_S = 0.3
# A terminal server that was told to end may take a moment.
GRACE_S = 3.0

SHELF = '''"""A shelf of things, each with how many there are."""

from __future__ import annotations


class Shelf:
    """Keeps counts by name."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    def put(self, name: str, count: int = 1) -> None:
        self.items[name] = self.items.get(name, 0) + count

    def take(self, name: str) -> None:
        self.items[name] -= 1
'''
TEST_SHELF = """import unittest

from pantry.shelf import Shelf


class ShelfTest(unittest.TestCase):
    def test_what_was_put_is_there(self) -> None:
        shelf = Shelf()
        shelf.put("jam", 2)
        shelf.take("jam")
        self.assertEqual(shelf.items, {"jam": 1})


if __name__ == "__main__":
    unittest.main()
"""


class DemoError(Exception):
    """Something a person should read, without a traceback."""


class LeftoverError(DemoError):
    """Something was still running or lying about after everything had been told to stop."""


class Row(NamedTuple):
    """One line of the live table."""

    session: str
    status: str
    commits: str
    task: str


def main() -> int:
    """Run the demo; 0 when all three agents have committed, 1 when not, 130 or 143 when interrupted."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--stay", action="store_true", help="keep everything until Enter is pressed")
    stay = options.parse_args().stay
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with scratch() as demo:
            return _run(demo, stay=stay)
    except LeftoverError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _run(demo: Demo, *, stay: bool) -> int:
    try:
        demo.run(stay=stay)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


def _terminated(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


@contextlib.contextmanager
def scratch() -> Iterator[Demo]:
    """A demo in a new home, which is gone afterwards with everything that ran in it."""
    # /tmp and not $TMPDIR: terminal sockets need a short path, and TMPDIR is often long.
    home = Path(tempfile.mkdtemp(prefix="ao-demo-", dir="/tmp")).resolve()
    demo = Demo(home)
    try:
        yield demo
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.end()


class Demo:
    """The scratch home and what runs in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.repository = home / PROJECT
        self.ao = Path(sys.executable).parent / "ao"
        self.environment = _environment(home)
        self.spawning: list[subprocess.Popen[str]] = []
        self.tasks: dict[str, str] = {}

    def run(self, *, stay: bool) -> None:
        """The main job, step by step. Raises `DemoError` for whatever went wrong."""
        self.prepare()
        self._say("three agents on three tasks, each in its own worktree and terminal")
        self.spawn(TASKS)
        self._watch()
        self._explain()
        if stay:
            names = ("AO_RUN_FILE", "AO_DATA_DIR")
            print("\nin another terminal:")
            print("  export " + " ".join(f"{name}={self.environment[name]}" for name in names))
            print(f"  {self.ao} attach {next(iter(self.tasks))}")
            with contextlib.suppress(EOFError):
                input("\nPress Enter to stop the sessions and the daemon and remove all of it. ")

    def prepare(self) -> None:
        """A repository, a daemon, and the one registered with the other."""
        self._make_repository()
        self._say(f"a small repository: {self.repository}")
        self._show("start")
        self._show("project", "add", "--path", str(self.repository), "--id", PROJECT)

    def end(self) -> None:
        """Stop the sessions and the daemon, then remove the scratch home. Raises `LeftoverError`, after removing it,
        when something had outlived that."""
        for process in self.spawning:
            process.kill()
            process.communicate()
        with contextlib.suppress(DemoError, subprocess.TimeoutExpired):
            for session in self._sessions():
                self._call("session", "kill", session["id"])
        with contextlib.suppress(DemoError, subprocess.TimeoutExpired):
            self._call("stop")
        self._end_terminal_servers()
        left = _end_all(self.home)
        shutil.rmtree(self.home, ignore_errors=True)
        if left or self.home.exists():
            raise LeftoverError(f"left behind: {', '.join(left) or self.home}")
        print("stopped and removed: nothing is left", flush=True)

    def _end_terminal_servers(self) -> None:
        """An empty terminal server outlives the daemon, ready for the next session; in a scratch home there is none."""
        for server in (self.home / "ao" / "data" / "tmux").glob("[0-9]*"):
            if server.is_socket():
                command = ["tmux", "-S", str(server), "kill-server"]
                subprocess.run(command, env=self.environment, capture_output=True, check=False)

    def _make_repository(self) -> None:
        package = self.repository / PROJECT
        package.mkdir(parents=True)
        (package / "__init__.py").write_text('"""What is in the pantry."""\n')
        (package / "shelf.py").write_text(SHELF)
        (self.repository / "test_shelf.py").write_text(TEST_SHELF)
        (self.repository / ".gitignore").write_text("__pycache__/\n")
        self._git("init", "--quiet", "--initial-branch", "main")
        self._git("config", "user.name", "Demo")
        self._git("config", "user.email", "demo@localhost")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", "A shelf that counts")

    def spawn(self, tasks: tuple[tuple[str, str], ...]) -> None:
        """Start all spawns at once, so that the agents work side by side."""
        for name, prompt in tasks:
            self._say(f'$ ao spawn --project {PROJECT} --agent demo --name "{name}" --prompt "{prompt}"')
            words = ("--project", PROJECT, "--agent", "demo", "--name", name, "--prompt", prompt)
            self.spawning.append(self._start("spawn", *words))
        for process, (name, _) in zip(self.spawning, tasks, strict=True):
            out, err = process.communicate(timeout=PATIENCE_S)
            if process.returncode:
                raise DemoError(f"spawn failed: {err.strip() or out.strip()}")
            session = next((word for word in out.split() if word.startswith(f"{PROJECT}-")), None)
            if session is None:
                raise DemoError(f"spawn named no session: {out.strip()}")
            self.tasks[session] = name
        self.spawning.clear()
        self.tasks = dict(sorted(self.tasks.items(), key=lambda item: int(item[0].rpartition("-")[2])))

    def _watch(self) -> None:
        """Show the table until every session has committed and rests."""
        table = Table()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            rows = self._rows()
            table.show(rows)
            if all(row.commits and row.status in ("idle", "exited", "needs_input") for row in rows):
                return
            if time.monotonic() > deadline:
                waiting = ", ".join(row.session for row in rows if not row.commits) or "none: they never came to rest"
                raise DemoError(f"not done after {PATIENCE_S:.0f} s; without a commit: {waiting}")
            time.sleep(LOOK_EVERY_S)

    def _rows(self) -> list[Row]:
        status = {session["id"]: session.get("status", "") for session in self._sessions()}
        return [
            Row(session, status.get(session, "gone"), "; ".join(self._commits(session)), task)
            for session, task in self.tasks.items()
        ]

    def _commits(self, session: str) -> list[str]:
        return self._git("log", "--format=%h %s", f"main..ao/{session}/root", "--").splitlines()

    def _explain(self) -> None:
        print("\nwhat they committed")
        for session in self.tasks:
            branch = f"ao/{session}/root"
            print(f"  {branch}")
            for line in self._git("log", "--stat=72", "--format=%h %s", f"main..{branch}", "--").splitlines():
                if line:
                    print(f"    {line}")
        first = next(iter(self.tasks))
        print(
            "\nwhile sessions run you can\n"
            f"  ao attach {first}            be in the agent's own terminal (Ctrl-b d leaves it running)\n"
            f'  ao send {first} "and …"      give it more to do\n'
            "  ao status --watch             see all of them\n"
            f"  ao session kill {first}      end one; its commits stay on its branch\n"
            "next: docs/quickstart.md, with your own repository and agents",
            flush=True,
        )

    def _sessions(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self._call("session", "ls", "--all", "--json"))["data"]
        return listed

    def _show(self, *arguments: str) -> None:
        self._say(f"$ ao {' '.join(arguments)}")
        print(self._call(*arguments), end="", flush=True)

    def _call(self, *arguments: str) -> str:
        process = self._start(*arguments)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        if process.returncode:
            raise DemoError(f"ao {' '.join(arguments)}: {err.strip() or out.strip()}")
        return out

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.ao), *arguments],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.repository), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _say(self, text: str) -> None:
        print(text, flush=True)


class Table:
    """The live table: redrawn in place on a terminal, elsewhere only the lines that changed."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.shown: list[Row] = []
        self.started = time.monotonic()

    def show(self, rows: list[Row]) -> None:
        """Bring the table up to date."""
        if rows == self.shown:
            return
        if self.live:
            self._redraw(rows)
        else:
            self._print_changes(rows)
        sys.stdout.flush()
        self.shown = rows

    def _redraw(self, rows: list[Row]) -> None:
        width = shutil.get_terminal_size().columns
        if self.shown:
            sys.stdout.write(f"\x1b[{len(self.shown) + 1}A\x1b[J")
        for line in ["  SESSION     STATUS        COMMITS", *map(self._line, rows)]:
            sys.stdout.write(f"{line[: width - 1]}\n")

    def _print_changes(self, rows: list[Row]) -> None:
        before = {row.session: row for row in self.shown}
        for row in rows:
            if before.get(row.session) != row:
                print(f"{time.monotonic() - self.started:5.1f} s{self._line(row)}")

    def _line(self, row: Row) -> str:
        return f"  {row.session:<11} {row.status:<13} {row.commits or f'({row.task})'}"


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


if __name__ == "__main__":
    raise SystemExit(main())

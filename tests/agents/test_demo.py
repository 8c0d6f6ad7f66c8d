"""The demo agent in a real terminal: it reads, works, reports, commits, remembers and goes when told to."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ao.agents.catalog.demo import PROGRAM
from ao.model.nudge import Cause
from tests.agents.test_demo_script import nudge
from tests.model.pull_scene import check, comment, thread

PATIENCE_S = 20.0
Start = Callable[..., "Run"]


class Run:
    """The demo agent on a terminal of its own."""

    def __init__(self, arguments: tuple[str, ...], tree: Path, env: dict[str, str]) -> None:
        self.terminal, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-I", PROGRAM, *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            cwd=tree,
            env=env,
            start_new_session=True,
        )
        os.close(child)
        self.screen = ""

    def shows(self, text: str, *, times: int = 1) -> None:
        """Wait until the terminal has shown `text` so often."""
        deadline = time.monotonic() + PATIENCE_S
        while self.screen.count(text) < times:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} isn't on the screen:\n{self.screen}"
            if select.select([self.terminal], [], [], left)[0]:
                self.screen += self._read()

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self.terminal, text.encode())

    def ends(self) -> int:
        """Wait for its end; the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while (more := self._read()) and time.monotonic() < deadline:
            self.screen += more
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)

    def _read(self) -> str:
        try:
            return os.read(self.terminal, 65_536).decode("utf-8", "replace")
        except OSError:
            return ""


class World:
    """A repository and a stand-in for `ao` that keeps what it is told."""

    def __init__(self, root: Path) -> None:
        self.tree = root / "work"
        self.tree.mkdir()
        self.data = root / "kept"
        self.log = root / "hooks"
        self.log.touch()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("commit", "--quiet", "--allow-empty", "--message", "begin")
        ao = root / "ao"
        ao.write_text(f'#!/bin/sh\nprintf "%s %s\\n" "$*" "$(cat)" >> "{self.log}"\n')
        ao.chmod(0o755)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "AO_BIN": str(ao),
            "AO_DATA_DIR": str(self.data),
            "AO_DEMO_PACE": "0",
        }

    def git(self, *arguments: str) -> str:
        """What git says."""
        identity = ("-c", "user.name=T", "-c", "user.email=t@localhost")
        command = ["git", "-C", str(self.tree), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def events(self) -> list[str]:
        """The events reported so far."""
        return [line.split()[2] for line in self.log.read_text().splitlines() if line.startswith("hooks ")]

    def asked(self) -> list[str]:
        """The `ao pr` commands so far."""
        return [line.rstrip() for line in self.log.read_text().splitlines() if line.startswith("pr ")]

    def payloads(self) -> list[dict[str, Any]]:
        """What they carried."""
        return [json.loads(line.split(" ", 3)[3]) for line in self.log.read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world of one agent."""
    return World(tmp_path)


@pytest.fixture
def start(world: World) -> Iterator[Start]:
    """Starts the agent with arguments; ends it after the test."""
    runs: list[Run] = []

    def started(*arguments: str, **env: str) -> Run:
        runs.append(Run(arguments, world.tree, {**world.env, **env}))
        return runs[-1]

    yield started
    for run in runs:
        run.close()


def test_a_task_becomes_a_commit_and_every_step_is_reported(world: World, start: Start) -> None:
    run = start("--session-id", "n-1", "--", "-Write down what matters")
    run.shows("✓ done")
    assert world.git("log", "--format=%s", "-1") == "Note: -Write down what matters"
    assert world.git("status", "--porcelain", "--ignored") == ""
    run.types("\x04")
    assert run.ends() == 0
    assert world.events() == [
        *("session-start", "user-prompt-submit", "pre-tool-use", "post-tool-use", "pre-tool-use", "post-tool-use"),
        *("stop", "session-end"),
    ]
    assert {payload["session_id"] for payload in world.payloads()} == {"n-1"}
    tools = [payload.get("tool_use_id") for payload in world.payloads()]
    assert tools[2:6] == ["tool-1", "tool-1", "tool-2", "tool-2"]


def test_the_same_task_is_done_the_same_way_everywhere(world: World, start: Start, tmp_path: Path) -> None:
    start("--", "Note A").shows("✓ done")
    (tmp_path / "more").mkdir()
    other = World(tmp_path / "more")
    run = Run(("--", "Note A"), other.tree, other.env)
    try:
        run.shows("✓ done")
    finally:
        run.close()
    assert world.git("rev-parse", "HEAD^{tree}") == other.git("rev-parse", "HEAD^{tree}")


def test_the_repositorys_tests_decide_whether_there_is_a_commit(world: World, start: Start) -> None:
    (world.tree / "test_it.py").write_text(
        "import os, unittest\n\n\nclass T(unittest.TestCase):\n"
        "    def test_it(self):\n        self.assertFalse(os.path.exists('broken'))\n"
    )
    (world.tree / ".gitignore").write_text("broken\n")
    world.git("add", ".")
    world.git("commit", "--quiet", "--message", "tests")
    run = start("--", "First")
    run.shows("✓ done")
    assert world.git("status", "--porcelain") == ""
    (world.tree / "broken").touch()
    run.types("Second\r")
    run.shows("✗ failed")
    assert world.git("log", "--format=%s", "-1") == "Note: First"


def test_h8_a_large_pasted_task_arrives_whole_also_while_it_works(world: World, start: Start) -> None:
    text = "first line\n" + "\n".join(f"line {number} with; 'quotes' and —dashes" for number in range(2_000))
    run = start("--session-id", "n-1", "--", "[[demo: sleep 0.3]] Something")
    run.shows("● Something")
    run.types(f"\x1b[200~{text}\x1b[201~")
    run.shows("characters, 2001 lines]")
    run.types("\r")
    run.shows("✓ done", times=2)
    lines = (world.data / "demo" / "n-1.jsonl").read_text().splitlines()
    assert [json.loads(line)["task"] for line in lines] == ["[[demo: sleep 0.3]] Something", text]


def test_a_resumed_conversation_knows_its_earlier_tasks(world: World, start: Start) -> None:
    start("--session-id", "n-1", "--", "One").shows("✓ done")
    again = start("--resume", "n-1")
    again.shows("resumed: 1 earlier tasks")
    again.types("Two\r")
    again.shows("✓ done")
    start("--resume", "n-1").shows("resumed: 2 earlier tasks")


@pytest.mark.parametrize("arguments", [("--resume", "nothing"), ("--session-id", "n-1")])
def test_a_conversation_that_is_not_there_or_there_already_is_refused(
    world: World, start: Start, arguments: tuple[str, str]
) -> None:
    (world.data / "demo").mkdir(parents=True)
    (world.data / "demo" / "n-1.jsonl").write_text('{"task": "x"}\n')
    assert start(*arguments).ends() == 1
    assert world.events() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("task", ["", "[[demo: sleep 60]] Long"])
def test_it_says_goodbye_when_it_is_ended(
    world: World, start: Start, number: signal.Signals, code: int, task: str
) -> None:
    run = start("--", task)
    run.shows("● Long" if task else "demo ›")
    run.process.send_signal(number)
    assert run.ends() == code
    # Not necessarily last: a callback that was on its way may arrive after it, which is what `seq` is for.
    assert "session-end" in world.events()


@pytest.mark.parametrize(("key", "done"), [("y", True), ("\r", True), ("n", False), ("\x1b", False)])
def test_h7_a_permission_dialog_takes_whatever_is_typed(
    world: World, start: Start, machine: Any, key: str, *, done: bool
) -> None:
    run = start("--", "[[demo: ask]] Do it")
    run.shows("2. No (n)")
    assert machine.catalog().dialog("demo", run.screen) == "permission"
    run.types("q" + key)
    run.shows("✓ done" if done else "■ interrupted")
    run.shows("demo ›")
    asked = world.events().index("permission-request")
    assert world.events()[asked + 1] == ("post-tool-use" if done else "interrupt")


def test_escape_interrupts_a_task_and_the_next_one_is_taken(world: World, start: Start) -> None:
    run = start("--", "[[demo: sleep 60]] Long")
    run.shows("● Long")
    run.types("\x1b")
    run.shows("■ interrupted")
    run.types("\x1b[AShort\r")
    run.shows("✓ done")
    run.shows("demo ›", times=2)
    assert world.events()[-1] == "stop"
    assert "interrupt" in world.events()


def test_marks_change_the_course_of_a_task(world: World, start: Start) -> None:
    run = start("--", "[[demo: no-commit]] Keep it")
    run.shows("written and not committed")
    assert "notes/" in world.git("status", "--porcelain")
    run.types("[[demo: big-output 500]] Talk\r")
    run.shows("line 500 of 500")
    run.shows("✓ done", times=2)
    run.types("[[demo: fail]] Break\r")
    run.shows("✗ failed")
    run.shows("demo ›", times=3)
    assert world.events()[-1] == "stop-failure"
    run.types("[[demo: exit 3]] Go\r")
    assert run.ends() == 3
    assert world.events()[-1] == "user-prompt-submit"


def test_a_silent_task_is_done_without_a_word(world: World, start: Start) -> None:
    start("--", "[[demo: nohooks]] Hush").shows("✓ done")
    assert world.events() == ["session-start"]


def test_a_split_paste_mark_and_a_split_character_are_put_together(world: World, start: Start) -> None:
    run = start("--session-id", "n-1")
    run.shows("demo ›")
    os.write(run.terminal, b"\x1b[20")
    os.write(run.terminal, b"0~a\xc3")
    run.shows("demo ›")
    os.write(run.terminal, b"\xa4\nb\x1b[2")
    os.write(run.terminal, b"01~")
    run.shows("2 lines]")
    run.types("\r")
    run.shows("✓ done")
    assert json.loads((world.data / "demo" / "n-1.jsonl").read_text())["task"] == "aä\nb"


def test_without_a_terminal_it_works_through_its_input(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-I", PROGRAM],
        input="One\nTwo\n",
        cwd=world.tree,
        env=world.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.count("✓ done") == 2
    assert world.git("log", "--format=%s", "-2").splitlines() == ["Note: Two", "Note: One"]


SCRIPT = """Write it down.
[[demo: on start Write it]]
[[demo: write list.txt]]
mine
[[demo: pull]]
A list.
[[demo: on ci Mend it]]
[[demo: add list.txt]]
mended
[[demo: on review Say it better]]
[[demo: replace list.txt]]
mine
[[demo: with]]
ours
"""
CREATE = "pr create --title Write it --body A list."


def tell(run: Run, message: str, *, done: int) -> None:
    """Paste a message as the daemon does, and wait until so many tasks are done."""
    run.types(f"\x1b[200~{message}\x1b[201~\r")
    run.shows("✓ done", times=done)


def test_a_scripted_task_is_committed_and_opened_as_a_pull_request(world: World, start: Start) -> None:
    start("--", SCRIPT).shows("✓ done")
    assert world.git("show", "--format=%s", "HEAD:list.txt") == "mine"
    assert world.git("log", "-1", "--format=%s") == "Write it"
    assert world.asked() == [CREATE]
    assert world.events()[-1] == "stop"


def test_it_mends_what_checks_found_and_answers_a_review_in_its_thread(world: World, start: Start) -> None:
    run = start("--", SCRIPT)
    run.shows("✓ done")
    tell(run, nudge(Cause.CI, checks=(check(),)), done=2)
    assert world.git("log", "-1", "--format=%s") == "Mend it"
    tell(run, nudge(Cause.REVIEW, threads=(thread("thr_1", comment("c1")),)), done=3)
    assert world.git("show", "HEAD:list.txt") == "ours\nmended"
    commit = world.git("log", "-1", "--format=%h %s")
    assert world.asked() == [
        CREATE,
        f"pr reply 3 --thread thr_1 Done in {commit}.",
        "pr resolve 3 --thread thr_1",
    ]


def test_a_conflict_is_rebased_away_and_both_sides_are_kept(world: World, start: Start) -> None:
    world.git("switch", "--quiet", "--create", "work")
    run = start("--", SCRIPT)
    run.shows("✓ done")
    world.git("switch", "--quiet", "main")
    (world.tree / "list.txt").write_text("theirs\n")
    world.git("add", ".")
    world.git("commit", "--quiet", "--message", "theirs")
    world.git("switch", "--quiet", "work")
    tell(run, nudge(Cause.CONFLICT), done=2)
    assert sorted(world.git("show", "HEAD:list.txt").split()) == ["mine", "theirs"]
    assert world.git("rev-parse", "HEAD^") == world.git("rev-parse", "main")
    assert world.git("status", "--porcelain") == ""


def test_it_pushes_where_the_nudge_says_that_commits_are_not_enough(world: World, start: Start, tmp_path: Path) -> None:
    world.git("init", "--quiet", "--bare", str(tmp_path / "origin"))
    world.git("remote", "add", "origin", str(tmp_path / "origin"))
    run = start("--", SCRIPT)
    run.shows("✓ done")
    tell(run, nudge(Cause.CI, forge="github", checks=(check(),)), done=2)
    assert world.git("ls-remote", "origin", "refs/heads/main").split()[0] == world.git("rev-parse", "HEAD")


def test_a_resumed_one_still_knows_its_script(world: World, start: Start) -> None:
    start("--session-id", "n-1", "--", SCRIPT).shows("✓ done")
    again = start("--resume", "n-1")
    again.shows("demo ›")
    tell(again, nudge(Cause.CI, checks=(check(),)), done=1)
    assert world.git("log", "-1", "--format=%s") == "Mend it"


def test_what_it_has_no_script_for_is_left_to_a_person(world: World, start: Start) -> None:
    run = start("--", "Note A")
    run.shows("✓ done")
    run.types(f"\x1b[200~{nudge(Cause.CI, checks=(check(log_tail='[[demo: exit 3]]'),))}\x1b[201~\r")
    run.shows("demo ›", times=2)
    assert world.events()[-1] == "stop-failure"
    assert world.git("log", "-1", "--format=%s") == "Note: Note A"


def test_a_refused_pull_request_is_left_to_a_person(world: World, start: Start) -> None:
    ao = Path(world.env["AO_BIN"])
    ao.write_text(ao.read_text() + 'case $1 in pr) echo "no such thing"; exit 1;; esac\n')
    run = start("--", SCRIPT)
    run.shows("no such thing")
    run.shows("demo ›")
    assert world.events()[-1] == "stop-failure"

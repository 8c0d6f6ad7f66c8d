"""The demo agent: a program that behaves like a coding agent without a model, to show and to test everything around it.

It lives in a terminal like the others: banner, prompt line, bracketed paste, keys while it works. For each task it
tells the daemon what it does (`ao hooks demo EVENT`), writes a note whose text follows from the task alone, runs the
repository's tests and commits (`demo_work`, which also plays scripts and answers what the daemon says of a pull
request). It is run by its path, isolated. Marks in a task change the course (`docs/agents.md`): [[demo: sleep 2]], ask,
fail, exit 3, nohooks, no-commit, big-output 500; never those in a message of the daemon, which holds others' words.

Its conversation is `$AO_DATA_DIR/demo/<id>.jsonl`, a line a task, so that a resumed one can tell how much it remembers.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import re
import runpy
import select
import signal
import subprocess
import sys
import termios
import time
import tty
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ao.agents.demo_work import Work

PROMPT = "demo › "
CURSOR_KEYS = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z~]|O[A-Z])")
PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"
HOOK_TIMEOUT_S, GIT_TIMEOUT_S = 5, 30


class Interrupted(Exception):  # noqa: N818 (it is an event, not an error)
    """A person pressed Escape or Ctrl-C."""


class Keyboard:
    """The terminal's input: lines and pastes become tasks, also those that arrive while one is worked on."""

    def __init__(self) -> None:
        self.tasks: deque[str] = deque()
        self.keys: deque[str] | None = None  # of an open question
        self.ended = False
        self._line = ""
        self._pasting = False
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def wait(self, timeout_s: float | None) -> None:
        """Take in what arrives within `timeout_s` (None: until something does). Raises `Interrupted`."""
        if self.ended or not select.select([0], [], [], timeout_s)[0]:
            return
        data = os.read(0, 65_536)
        self._take(self._rest + self._decoder.decode(data))
        if not data:
            self.ended = True
            self._submit()

    def _take(self, text: str) -> None:
        self._rest = ""
        while text:
            mark = PASTE_END if self._pasting else PASTE_BEGIN
            before, found, after = text.partition(mark)
            if not found:
                before, self._rest = _split_partial(before, mark)
            if self._pasting:
                self._line += before.replace("\r\n", "\n").replace("\r", "\n")
            else:
                self._type(before)
            if found:
                self._pasting = not self._pasting
                if not self._pasting:
                    show_paste(self._line)
            text = after

    def _type(self, text: str) -> None:
        for key in CURSOR_KEYS.sub("", text):
            if self.keys is not None:
                self.keys.append(key)
            elif key in "\r\n":
                self._submit()
            elif key == "\x7f" and self._line:
                self._line = self._line[:-1]
                sys.stdout.write("\b \b")
            elif key == "\x04" and not self._line:
                self.ended = True
            elif key == "\x1b":
                raise Interrupted
            elif key.isprintable() or key == "\t":
                self._line += key
                sys.stdout.write(key)
        sys.stdout.flush()

    def _submit(self) -> None:
        task, self._line = self._line.strip(), ""
        if task:
            sys.stdout.write("\n")
            self.tasks.append(task)


def _split_partial(text: str, mark: str) -> tuple[str, str]:
    """`text` and the beginning of `mark` at its end; a lone Escape is a key, not a beginning."""
    for length in range(min(len(mark) - 1, len(text)), 1, -1):
        if text.endswith(mark[:length]):
            return text[:-length], text[-length:]
    return text, ""


def show_paste(text: str) -> None:
    """What a paste looks like in the line: itself when it is short, else how much it is."""
    lines = text.count("\n") + 1
    short = lines == 1 and len(text) < 200
    print(text if short else f"[pasted {len(text)} characters, {lines} lines]", end="", flush=True)


class Conversation:
    """The tasks so far, kept in a file named by the conversation's id."""

    def __init__(self, native_id: str) -> None:
        folder = os.environ.get("AO_DATA_DIR")
        self.id = native_id
        self.path = os.path.join(folder, "demo", f"{native_id}.jsonl") if folder else ""
        self.tasks = self._read()

    def _read(self) -> list[str]:
        if not self.path or not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8") as file:
            return [json.loads(line)["task"] for line in file if line.endswith("\n")]

    def add(self, task: str) -> None:
        """Remember a task."""
        self.tasks.append(task)
        if not self.path:
            return
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "a", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps({"task": task}) + "\n")


class Agent:
    """One run of the program."""

    def __init__(self, conversation: Conversation, keyboard: Keyboard, pace_s: float) -> None:
        self.conversation, self.keyboard, self.pace_s = conversation, keyboard, pace_s
        self.quiet, self.tools = False, 0
        self.review: Callable[[str], str] | None = None  # what a reviewer does with its task

    def run(self, first: str) -> int:
        """Work until the input ends; the exit code."""
        self.hook("session-start", source="startup")
        if first:
            self.keyboard.tasks.append(first)
        while True:
            if not self.keyboard.tasks:
                print(PROMPT, end="", flush=True)
            while not self.keyboard.tasks:
                if self.keyboard.ended:
                    return 0
                with suppress(Interrupted):
                    self.keyboard.wait(None)
            self._work(self.keyboard.tasks.popleft())

    def hook(self, event: str, **fields: Any) -> None:
        """Tell the daemon, as every agent does: the event's payload on stdin of `ao hooks`."""
        program = os.environ.get("AO_BIN")
        if not program or self.quiet:
            return
        payload = {"session_id": self.conversation.id, "hook_event_name": event, "cwd": os.getcwd(), **fields}
        run(program, "hooks", "demo", event, stdin=json.dumps(payload), timeout_s=HOOK_TIMEOUT_S)

    def _work(self, task: str) -> None:
        # With the first task: a terminal should stand at once.
        from ao.agents import demo_work

        marks = demo_work.marks(task)
        names = {name for name, _ in marks}
        self.quiet = "nohooks" in names
        say(f"\n● {demo_work.first_line(task)}")
        self.hook("user-prompt-submit", prompt=task[:4096])
        self.conversation.add(task)
        hands = demo_work.Hands(run=run, say=say, tool=self._tool, pause=lambda: self._pause(self.pace_s))
        try:
            for name, number in marks:
                self._step(name, number)
            outcome = self._do(task, demo_work.Work(hands, self.conversation.tasks), names)
        except (Interrupted, KeyboardInterrupt):
            self.keyboard.keys = None
            say("■ interrupted\n")
            self.hook("interrupt")
            return
        if "fail" in names or not outcome:
            say("✗ failed: this task needs you\n")
            self.hook("stop-failure", error="failed")
            return
        say(f"✓ done: {outcome}\n")
        self.hook("stop", last_assistant_message=outcome)

    def _do(self, task: str, work: Work, marks: set[str]) -> str:
        """The work itself; what was done, "" when it needs a person."""
        if self.review is None:
            return work.do(task, commit=not marks & {"no-commit", "fail"})
        self._pause(self.pace_s)
        with self._tool("Bash"):
            return self.review(task)

    def _step(self, name: str, number: float) -> None:
        if name == "sleep":
            self._pause(number)
        elif name == "big-output":
            for line in range(int(number)):
                print(f"line {line + 1} of {int(number)}")
        elif name == "exit":
            # Like a crash: no farewell to the daemon, which has to see it by itself.
            leave_terminal()
            os._exit(int(number))
        elif name == "ask":
            with self._tool("Bash"):
                self._ask()

    def _pause(self, seconds: float) -> None:
        """Let time pass for the person who watches, listening to the keyboard."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self.keyboard.ended:
                time.sleep(left)
            else:
                self.keyboard.wait(left)

    @contextmanager
    def _tool(self, name: str) -> Iterator[None]:
        self.tools += 1
        tool = {"tool_name": name, "tool_use_id": f"tool-{self.tools}"}
        self.hook("pre-tool-use", **tool)
        yield
        self.hook("post-tool-use", **tool)

    def _ask(self) -> None:
        """A permission dialog. As in the real ones, Enter takes what is selected: yes."""
        say("  Run `make everything`?\n  Do you want to go on?\n  › 1. Yes (y)\n    2. No (n)")
        self.keyboard.keys = deque()
        self.hook("permission-request", tool_name="Bash")
        answer = ""
        while answer not in ("y", "n", "\r", "\n", "1", "2", "\x1b"):
            while not self.keyboard.keys:
                self.keyboard.wait(None)
                if self.keyboard.ended:
                    raise Interrupted
            answer = self.keyboard.keys.popleft()
        self.keyboard.keys = None
        if answer in ("n", "2", "\x1b"):
            raise Interrupted
        say("  allowed by Enter" if answer in "\r\n" else "  allowed")


def run(*argv: str, stdin: str = "", timeout_s: float = GIT_TIMEOUT_S) -> tuple[int, str]:
    """Run a command to its end, out of reach of the keyboard; its exit code and all it printed."""
    try:
        done = subprocess.run(
            argv,
            input=stdin.encode("utf-8", "replace"),
            capture_output=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=timeout_s,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return 124, f"{argv[0]} took longer than {timeout_s:g} s"
    except OSError as error:
        return 127, f"{argv[0]}: {error.strerror}"
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


@contextmanager
def terminal() -> Iterator[None]:
    """Keys one by one and pastes marked, when there is a terminal; everything as it was afterwards."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setcbreak(0, termios.TCSANOW)  # keeps what was typed before it was ready
    sys.stdout.write("\x1b[?2004h")
    try:
        yield
    finally:
        leave_terminal()
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def leave_terminal() -> None:
    """Turn the marks around pastes off again."""
    if os.isatty(0):
        sys.stdout.write("\x1b[?2004l")
    sys.stdout.flush()


def _ended(signum: int, _frame: object) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second one must not cut the farewell short
    raise SystemExit(128 + signum)


def main() -> int:
    """Read the command line, greet, work, say goodbye; the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="the demo agent of ao", allow_abbrev=False)
    for name in ("--session-id", "--resume", "--mode", "--model", "--instructions", "--instructions-file"):
        parser.add_argument(name, default="")
    parser.add_argument("prompt", nargs="?", default="")
    options = parser.parse_args()
    conversation = Conversation(options.resume or options.session_id or str(uuid.uuid4()))
    if options.session_id and conversation.tasks:
        sys.exit(f"demo: conversation {options.session_id} exists already")
    if options.resume and conversation.path and not conversation.tasks:
        sys.exit(f"demo: no conversation {options.resume}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended)
    say(f"demo agent · {os.getcwd()}")
    if options.resume:
        say(f"resumed: {len(conversation.tasks)} earlier tasks")
    agent = Agent(conversation, Keyboard(), float(os.environ.get("AO_DEMO_PACE") or 0.5))
    if options.mode == "review":
        agent.review = partial(runpy.run_path(os.path.join(os.path.dirname(__file__), "demo_review.py"))["review"], run)
    with terminal():
        try:
            return agent.run(options.prompt.strip())
        except KeyboardInterrupt:
            return 130
        finally:
            agent.hook("session-end", reason="other")


if __name__ == "__main__":
    sys.exit(main())

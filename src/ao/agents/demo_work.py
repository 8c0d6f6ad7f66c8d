"""What the demo agent does for a task: a note or a scripted change, tested and committed, a pull request, and an answer
to what the daemon says of it. Loaded with the first task; how commands run and where they are shown, its caller says.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from ao.agents.demo_script import (
    NUDGE,
    Nudge,
    Script,
    ScriptError,
    Step,
    both_sides,
    read_nudge,
    read_script,
    without_script,
)

MARK: Final = re.compile(r"\[\[demo:\s*([a-z-]+)\s*([0-9.]*)\s*\]\]")
"""A mark that changes the course of a task, without text of its own."""
TEST_TIMEOUT_S: Final = 120
_COMMIT_LINE: Final = ("log", "-1", "--format=%h %s")


@dataclass(frozen=True, kw_only=True)
class Hands:
    """How the agent acts: `run` gives a command's exit code and output, `tool` reports the use of a tool."""

    run: Callable[..., tuple[int, str]]
    say: Callable[[str], None]
    tool: Callable[[str], AbstractContextManager[None]]
    pause: Callable[[], None]


class CannotError(Exception):
    """Something the agent leaves to a person, in words."""


class Work:
    """Works on tasks. `tasks` are those so far, the present one last."""

    def __init__(self, hands: Hands, tasks: Sequence[str]) -> None:
        self._hands = hands
        self._tasks = tasks
        self._identity: tuple[str, ...] | None = None

    def do(self, task: str, *, commit: bool) -> str:
        """Do a task; what was done, "" when it needs a person."""
        try:
            nudge = read_nudge(task)
            if nudge is not None:
                return self._answer(nudge)
            script = read_script(task)
            return self._scripted(task, script) if script else self._note(task, commit=commit)
        except (CannotError, ScriptError) as error:
            self._hands.say(f"  {error}")
            return ""

    def _note(self, task: str, *, commit: bool) -> str:
        self._hands.pause()
        with self._hands.tool("Edit"):
            path = write_note(task, self._tasks.count(task))
            self._hands.say(f"  wrote {path}")
        self._test()
        return self._commit(f"Note: {first_line(task)}", [path]) if commit else f"{path} is written and not committed"

    def _scripted(self, task: str, script: Script) -> str:
        step = script.steps["start"]
        subject = step.subject or first_line(task)
        done = self._make(step, subject)
        if script.pull is not None:
            with self._hands.tool("Bash"):
                self._ao("create", "--title", subject, *(("--body", script.pull) if script.pull else ()))
        return done

    def _answer(self, nudge: Nudge) -> str:
        """React to what the daemon says of a pull request; what was done."""
        if nudge.cause == "cancelled":
            with self._hands.tool("Bash"):
                self._ao("checks", nudge.number, "--rerun")
            return f"checks of #{nudge.number} run again"
        if nudge.cause == "conflict":
            done = self._rebase(nudge)
        else:
            step = self._kept_for(nudge.cause)
            done = self._make(step, step.subject or f"Answer what was said of #{nudge.number}")
        if nudge.pushes:
            self._git("push", "--quiet", "--force-with-lease", "origin", "HEAD")
        if nudge.cause == "review":
            self._reply(nudge, f"Done in {done}.")
        return done

    def _kept_for(self, cause: str) -> Step:
        """What the newest script keeps for this."""
        scripts = (read_script(task) for task in reversed(self._tasks))
        script = next((script for script in scripts if script is not None), None)
        if script is None or cause not in script.steps:
            raise CannotError("nothing is scripted for this, and there is no model to find an answer")
        return script.steps[cause]

    def _reply(self, nudge: Nudge, text: str) -> None:
        with self._hands.tool("Bash"):
            for thread in nudge.threads:
                self._ao("reply", nudge.number, "--thread", thread, text)
                self._ao("resolve", nudge.number, "--thread", thread)
            if not nudge.threads:
                self._ao("comment", nudge.number, text)

    def _make(self, step: Step, subject: str) -> str:
        """Edit, test and commit."""
        self._hands.pause()
        with self._hands.tool("Edit"):
            paths = list(dict.fromkeys(edit.path for edit in step.edits))
            for edit in step.edits:
                write(edit.path, edit.applied(read(edit.path)))
            self._hands.say(f"  wrote {', '.join(paths)}")
        self._test()
        return self._commit(subject, paths)

    def _rebase(self, nudge: Nudge) -> str:
        """Put the branch onto its base; where both changed the same lines, those of both are kept."""
        self._hands.pause()
        with self._hands.tool("Bash"):
            base = f"origin/{nudge.base}" if nudge.pushes else nudge.base
            if nudge.pushes:
                self._git("fetch", "--quiet", "origin")
            self._shown("git", "rebase", base)
            code, output = self._try_git("rebase", base)
            while code and self._keep_both_sides():
                code, output = self._try_git("-c", "core.editor=true", "rebase", "--continue")
            if code:
                self._try_git("rebase", "--abort")
                raise CannotError(f"git: {output.strip()}")
        self._test()
        return self._git(*_COMMIT_LINE)

    def _keep_both_sides(self) -> bool:
        """Settle the files in conflict; whether there were any, without which a rebase can't go on."""
        unmerged = [name for name in self._git("diff", "--name-only", "--diff-filter=U", "-z").split("\0") if name]
        for path in unmerged:
            write(path, both_sides(read(path)))
            self._hands.say(f"  kept both sides of {path}")
        if unmerged:
            self._git("add", "--", *unmerged)
        return bool(unmerged)

    def _test(self) -> None:
        self._hands.pause()
        command = test_command()
        if command:
            with self._hands.tool("Bash"):
                self._shown(*command)
                code, output = self._hands.run(*command, timeout_s=TEST_TIMEOUT_S)
                self._hands.say("\n".join(f"    {line}" for line in output.splitlines()[-5:]))
            if code:
                raise CannotError("the tests fail")
        self._hands.pause()

    def _commit(self, subject: str, paths: list[str]) -> str:
        """Commit these files alone; the commit's short id and subject."""
        with self._hands.tool("Bash"):
            self._git("add", "--", *paths)
            self._git("commit", "--quiet", "--message", subject, "--", *paths)
            return self._git(*_COMMIT_LINE)

    def _git(self, *arguments: str) -> str:
        code, output = self._try_git(*arguments)
        if code:
            raise CannotError(f"git: {output.strip()}")
        return output.strip()

    def _try_git(self, *arguments: str) -> tuple[int, str]:
        if self._identity is None:
            known = self._hands.run("git", "var", "GIT_AUTHOR_IDENT")[0] == 0
            self._identity = () if known else ("-c", "user.name=Demo agent", "-c", "user.email=demo@localhost")
        return self._hands.run("git", *self._identity, *arguments)

    def _ao(self, *arguments: str) -> None:
        """`ao pr …`, as the daemon tells every agent to call it."""
        self._shown("ao", "pr", *arguments)
        code, output = self._hands.run(os.environ.get("AO_BIN") or "ao", "pr", *arguments)
        self._hands.say("\n".join(f"    {line}" for line in output.splitlines()[-5:]))
        if code:
            raise CannotError(f"ao pr {arguments[0]} was refused")

    def _shown(self, *command: str) -> None:
        self._hands.say(f"  $ {' '.join(command)}")


def marks(task: str) -> list[tuple[str, float]]:
    """The marks that change a task's course, with their numbers. A message of the daemon has none of its own."""
    found = [] if task.startswith(NUDGE) else MARK.findall(task)
    return [(name, float(number or 0)) for name, number in found]


def write_note(task: str, times: int) -> str:
    """Write the note of a task; its path. The same task gives the same note, with one more line each time."""
    words = re.findall(r"[a-z0-9]+", MARK.sub("", task).lower())[:6]
    digest = hashlib.sha256(task.encode("utf-8", "replace")).hexdigest()[:6]
    path = os.path.join("notes", "-".join([*words, digest])[:80] + ".md")
    passes = "".join(f"- pass {number + 1} over this task\n" for number in range(times))
    write(path, f"# {first_line(task)}\n\nWritten by the demo agent, which has no model, only notes.\n\n{passes}")
    return path


def test_command() -> list[str]:
    """How this repository's tests are run, empty when it has none that are recognised."""
    if any(name.startswith("test_") and name.endswith(".py") for name in os.listdir(".")):
        return [sys.executable, "-B", "-m", "unittest"]
    makefile = read("Makefile") if os.path.isfile("Makefile") else ""
    return ["make", "test"] if re.search(r"^test\s*:", makefile, re.MULTILINE) else []


def first_line(task: str) -> str:
    """A task in at most 60 characters."""
    lines = without_script(MARK.sub("", task)).splitlines()
    line = next((text for text in lines if text.strip()), "an empty task").strip()
    return line if len(line) <= 60 else line[:59].rstrip() + "…"


def read(path: str) -> str:
    """A file's text, "" when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path: str, text: str) -> None:
    """Write a file, with the folders it needs."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)

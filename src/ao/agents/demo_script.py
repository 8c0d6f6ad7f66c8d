"""What a scripted task and a nudge say to the demo agent, which has no model to understand them with. Pure.

A script is part of its task: marks, each followed by the text that it is about, up to the next mark.

    [[demo: write PATH]]         the file holds the text
    [[demo: add PATH]]           the text stands at the end of the file
    [[demo: replace PATH]]       the text, which is in the file once, ...
    [[demo: with]]               ... gives way to this one
    [[demo: on start SUBJECT]]   what follows is committed under that subject
    [[demo: on ci SUBJECT]]      what follows is done only when checks fail, and committed under that subject
    [[demo: on review SUBJECT]]  the same when a review asks for it
    [[demo: pull]]               a pull request is opened after the first commit; the text describes it

Done again, an edit changes nothing.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

NUDGE: Final = "[ao] "
_MARK: Final = re.compile(r"^\[\[demo: (write|add|replace|with|on|pull)(?: +([^\]\n]+?))? *\]\]\n?", re.MULTILINE)
# The words of `ao.model.nudge_texts`; whatever somebody else wrote stands in quotes or between marks there.
_HEADING: Final = re.compile(
    r"\[ao\] (Checks fail|Checks were cancelled|There is review feedback|The branch conflicts with its base): "
    r"your pull request #(\d+) \"[^\"\n]*\" \('[^'\n]*' into '([^'\n]*)'\)"
)
_FENCED: Final = re.compile(r"^<<<untrusted ([^\n]*) (\w+)\n.*?^\2 untrusted \1>>>$", re.MULTILINE | re.DOTALL)
_THREAD: Final = re.compile(r"^- '[^'\n]*' on '[^'\n]*' \(thread ([^\s()]+)\):", re.MULTILINE)

Cause = Literal["ci", "cancelled", "review", "conflict"]
_CAUSES: Final[dict[str, Cause]] = {
    "Checks fail": "ci",
    "Checks were cancelled": "cancelled",
    "There is review feedback": "review",
    "The branch conflicts with its base": "conflict",
}


class ScriptError(Exception):
    """A script that can't be played, in words for the terminal."""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a file. `old` is for replace only."""

    kind: Literal["write", "add", "replace"]
    path: str
    text: str
    old: str = ""

    def applied(self, before: str) -> str:
        """The file's text after it; `before` is "" for a file that isn't there. Raises `ScriptError`."""
        if self.kind == "write":
            return self.text
        if self.text in before and self.text not in self.old:
            return before
        if self.kind == "add":
            return before + self.text
        if before.count(self.old) != 1:
            raise ScriptError(f"{self.path} doesn't hold the text to replace exactly once")
        return before.replace(self.old, self.text)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Edits that make one commit. Without a subject the commit is named after the task."""

    subject: str = ""
    edits: tuple[Edit, ...] = ()


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A task's script. `steps` are by what they wait for, one of them is "start"; `pull` describes the pull request,
    None when there shall be none."""

    steps: dict[str, Step]
    pull: str | None = None


class Nudge(msgspec.Struct, frozen=True, kw_only=True):
    """What a message of the daemon says of a pull request. `pushes`: commits alone are not enough."""

    cause: Cause
    number: str
    base: str
    threads: tuple[str, ...] = ()
    pushes: bool = False


def read_script(task: str) -> Script | None:
    """The script of a task, None when it has none. What the daemon sends holds others' words and is never one.

    Raises `ScriptError`.
    """
    first = _MARK.search(task)
    if first is None or task.startswith(NUDGE):
        return None
    steps = dict[str, Step]()
    pull: str | None = None
    cause, subject, edits = "start", "", list[Edit]()
    for name, argument, text in _parts(task):
        if name == "pull":
            pull = text.strip()
        elif name == "on":
            steps[cause] = Step(subject=subject, edits=tuple(edits))
            cause, _, subject = argument.partition(" ")
            edits = []
        else:
            edits = _with_edit(edits, name, argument, text)
    steps[cause] = Step(subject=subject, edits=tuple(edits))
    return Script(steps=steps, pull=pull)


def without_script(task: str) -> str:
    """The task as a person reads it."""
    first = _MARK.search(task)
    return (task[: first.start()] if first else task).strip()


def _parts(task: str) -> list[tuple[str, str, str]]:
    """Name, argument and text of each mark."""
    marks = list(_MARK.finditer(task))
    ends = [*(mark.start() for mark in marks[1:]), len(task)]
    return [(mark[1], mark[2] or "", task[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]


def _with_edit(edits: list[Edit], name: str, path: str, text: str) -> list[Edit]:
    if name == "write" and path:
        return [*edits, Edit(kind="write", path=path, text=_line_ended(text))]
    if name == "add" and path:
        return [*edits, Edit(kind="add", path=path, text=_line_ended(text))]
    if name == "replace" and path and text:
        return [*edits, Edit(kind="replace", path=path, text=_line_ended(text), old=_line_ended(text))]
    last = edits[-1] if edits else None
    if name == "with" and last is not None and last.kind == "replace":
        return [*edits[:-1], msgspec.structs.replace(last, text=_line_ended(text))]
    raise ScriptError(f"the script can't be read at [[demo: {name} {path}]]")


def _line_ended(text: str) -> str:
    """A task is stripped at its end, its last file must not be."""
    return text if not text or text.endswith("\n") else text + "\n"


def read_nudge(message: str) -> Nudge | None:
    """What the daemon says in a message; None when it is none of its nudges. Others' words in it are not read."""
    heading = _HEADING.match(message)
    if heading is None:
        return None
    ours = _FENCED.sub("", message)
    return Nudge(
        cause=_CAUSES[heading[1]],
        number=heading[2],
        base=heading[3],
        threads=tuple(dict.fromkeys(_THREAD.findall(ours))),
        pushes="commit and push it" in ours or "Then push." in ours,
    )


def both_sides(text: str) -> str:
    """A file in conflict with what both sides wrote, one after the other (markers: git-merge, "How conflicts are
    presented")."""
    kept: list[str] = []
    inside = original = False
    for line in text.splitlines(keepends=True):
        if line.startswith("<<<<<<< "):
            inside = True
        elif inside and line.startswith("||||||| "):
            original = True
        elif inside and line.rstrip("\r\n") == "=======":
            original = False
        elif inside and line.startswith(">>>>>>> "):
            inside = False
        elif not original:
            kept.append(line)
    return "".join(kept)

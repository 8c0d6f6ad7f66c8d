"""What the model says: scripts of steps, one step a model turn, and which of them a prompt asks for.

A prompt names a script, `… [[script:commit]]`, or carries one, `… [[steps:[{"shell": "make"}, {"text": "Made."}]]]`.
The last marker wins, because programs merge unanswered prompts into one. A prompt without a marker plays `commit`.
After the last step the turn always ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec


class WriteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file for the program's own file-writing tool; a relative path is meant from its working directory."""

    path: str
    content: str


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of one of the program's tools, verbatim."""

    name: str
    arguments: Mapping[str, Any]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model turn: text, or text and one tool call. Without a tool call the program's turn ends."""

    text: str = ""
    shell: str = ""
    """A command for the program's own shell tool."""
    write: WriteFile | None = None
    tool: ToolCall | None = None
    hold: str = ""
    """Answer only once the test released this gate."""
    hold_between: str = ""
    """Stream the first chunk at once and the rest when this gate is released."""
    error: int = 0
    """An HTTP status to fail with."""
    error_times: int | None = None
    """How many requests of this step fail before it succeeds; None = every one."""
    cut: bool = False
    """Drop the connection in the middle of the stream."""


SCRIPTS: Mapping[str, tuple[Step, ...]] = {
    "commit": (
        Step(
            shell="printf 'written by the agent\\n' > made.txt && git add made.txt"
            " && git commit -q -m 'feat: made.txt' && git log --oneline -1"
        ),
        Step(text="Done. made.txt is committed."),
    ),
    "write": (
        Step(write=WriteFile(path="hello.txt", content="hello\nfrom the write tool\n")),
        Step(shell="git add hello.txt && git commit -q -m 'feat: hello.txt' && git log --oneline -1"),
        Step(text="Done. hello.txt is committed."),
    ),
    "text": (Step(text="Nothing to do."),),
}

_MARKER = re.compile(r"\[\[(?:script:(?P<name>[\w.-]+)\]\]|steps:(?P<steps>\[.*\])\]\])", re.DOTALL)
_AFTER_THE_END = Step(text="Done.")


def steps_for(prompt: str) -> tuple[Step, ...]:
    """The script that `prompt` asks for. A marker that names or holds none is answered by a step that fails with 400,
    so that the mistake shows in the agent's terminal."""
    marker = _MARKER.match(prompt, max(prompt.rfind("[[script:"), prompt.rfind("[[steps:"), 0))
    if marker is None:
        return SCRIPTS["commit"]
    if marker["name"]:
        return SCRIPTS.get(marker["name"], (Step(error=400, text=f"no script named {marker['name']!r}"),))
    try:
        return tuple(msgspec.json.decode(marker["steps"], type=list[Step])) or (_AFTER_THE_END,)
    except msgspec.DecodeError as error:
        return (Step(error=400, text=f"the steps in the prompt can't be read: {error}"),)


def step_for(prompt: str, results: int) -> Step:
    """The step to play after `results` tool results."""
    steps = steps_for(prompt)
    return steps[results] if results < len(steps) else _AFTER_THE_END

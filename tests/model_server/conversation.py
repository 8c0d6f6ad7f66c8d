"""What a request says, apart from its wire: the human's prompts, the tool results, the tools on offer."""

from __future__ import annotations

import json
import os.path
import re
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from tests.model_server.script import Step, ToolCall

SHELL_TOOLS = ("Bash", "exec_command", "shell_command", "shell")
WRITE_TOOLS = ("Write", "write_file")
CHUNK = 24
"""Characters in one streamed delta."""

_ADDED = re.compile(
    r"<(system-reminder|environment_context|user_instructions|permissions[ _]instructions)>.*?</\1>", re.DOTALL
)


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One request, read."""

    system: str
    prompts: tuple[str, ...]
    """What the human said, oldest first, without what the program added on its own."""
    results: int
    """Tool results since the last prompt."""
    tools: Mapping[str, Mapping[str, Any]]
    """Tool name → JSON Schema of its arguments."""
    aside: str = ""
    """The answer, when this is a side request (a title, a summary) that no script is meant for."""

    @property
    def prompt(self) -> str:
        """The last thing the human said."""
        return self.prompts[-1] if self.prompts else ""

    @property
    def directory(self) -> str:
        """The program's working directory, if it told the model, else ""."""
        found = re.search(r"(?:<cwd>|[Ww]orking directory: *)(/[^\s<\"\\]+)", self.system)
        return found[1] if found else ""


def human(text: str) -> str:
    """`text` without what the program put around it; "" when nothing of a human remains."""
    left = _ADDED.sub("", text).strip()
    return "" if left.startswith("# AGENTS.md") else left


def tool_call(step: Step, conversation: Conversation) -> ToolCall | None:
    """`step` as a call of a tool that the program offers; None when the step only speaks."""
    if step.tool:
        return step.tool
    shell, tools = step.shell, conversation.tools
    if step.write:
        path = os.path.join(conversation.directory, step.write.path)
        if name := next((name for name in WRITE_TOOLS if name in tools), ""):
            return ToolCall(name=name, arguments={"file_path": path, "content": step.write.content})
        shell = f"printf %s {shlex.quote(step.write.content)} > {shlex.quote(path)}"
    if not shell:
        return None
    name = next((name for name in SHELL_TOOLS if name in tools), "")
    if not name:
        raise LookupError(f"no shell tool among {sorted(tools)}")
    properties = tools[name].get("properties", {})
    arguments = {"cmd" if "cmd" in properties else "command": shell}
    if "description" in properties:
        arguments["description"] = "scripted step"
    return ToolCall(name=name, arguments=arguments)


def answer_in_shape(schema: Mapping[str, Any]) -> str:
    """The smallest JSON text that fits a structured-output schema: for titles and the like."""
    return json.dumps(_fill(schema))


def _fill(schema: Mapping[str, Any]) -> object:
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {name: _fill(part) for name, part in schema["properties"].items()}
    return {"array": [], "boolean": False, "integer": 0, "number": 0}.get(schema.get("type", ""), "A title")


def chunks(text: str) -> list[str]:
    """`text` as it is streamed."""
    return [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]

"""From a description and a context to a command: pure, one template for launch and resume.

An empty value removes its whole element, `--` included. Values are inserted once and never read as templates again.
A resume repeats permissions, model, instructions and hooks, never the prompt. Texts that don't fit into an argument
travel otherwise: a prompt through the terminal or a file, instructions through a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ao.agents import hooks
from ao.agents.quoting import ARGUMENT_LIMIT, at_least, clean, fits, shorten, toml_string
from ao.agents.spec import PLACEHOLDER, AgentSpec, Part, Permission, parts
from ao.model.session import PERMISSIONS, Kind
from ao.ports.agents import AgentContext, AgentLaunch

PROMPT_FILE: Final = "prompt.md"
SYSTEM_FILE: Final = "instructions.md"
_POINTER: Final = "Your task is in the file {path}. Read all of it, then do it."
_REST: Final = "\n\n(These instructions go on: read all of the file {path} before you begin.)"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The installed program: absolute path and version ("" = unknown)."""

    path: str
    version: str = ""


class _Texts(msgspec.Struct, frozen=True, kw_only=True):
    """How prompt and instructions travel in this launch."""

    prompt: str = ""
    paste: str = ""
    system: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


class _Template(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a placeholder may stand for."""

    spec: AgentSpec
    context: AgentContext
    values: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]

    def fill(self, args: tuple[str, ...]) -> tuple[str, ...]:
        """The arguments with their values; none at all when one of the values is empty."""
        if len(args) == 1 and args[0].strip("{}") in self.lists and args[0].startswith("{"):
            return self.lists[args[0].strip("{}")]
        filled: list[str] = []
        for text in args:
            value = self.text(text)
            if value is None:
                return ()
            filled.append(value)
        return tuple(filled)

    def text(self, text: str) -> str | None:
        """One text with its values, None when one of them is empty."""
        pieces: list[str] = []
        end = 0
        for match in PLACEHOLDER.finditer(text):
            value = hooks.command(self.spec, self.context, match[2]) if match[2] else self.values[match[1]]
            if not value:
                return None
            pieces += [text[end : match.start()], toml_string(value) if match[3] else value]
            end = match.end()
        return "".join([*pieces, text[end:]])


def render(spec: AgentSpec, context: AgentContext, program: Program, *, resume: bool) -> AgentLaunch:
    """The command that starts the agent, or (`resume`) continues the conversation `context.native_id`."""
    mode = context.permissions if context.permissions in PERMISSIONS else "default"
    permission = _permission(spec, context, mode)
    texts = _texts(spec, context, resume=resume)
    registered, files = hooks.registration(spec, context, permission, program.version)
    lists = {"system": texts.system, "hooks": registered, "trust": _trust(spec, context), "permissions": ()}
    template = _Template(spec=spec, context=context, values=_values(context, texts.prompt), lists=lists)
    template = msgspec.structs.replace(template, lists={**lists, "permissions": template.fill(permission.args)})
    argv = [program.path]
    for part in _parts(spec, program.version, resume=resume):
        argv += template.fill(part.args)
    warnings = [permission.warning] if permission.warning else []
    if mode != "default" and mode not in spec.permissions and not _reviews(spec, context):
        warnings.append(f"{spec.name} has no permission mode {mode!r}; it was started with its own default")
    return AgentLaunch(
        argv=tuple(argv),
        env=dict(_environment(template, permission)),
        files=(*files, *texts.files),
        paste=texts.paste,
        ready=spec.prompt.ready,
        warnings=(*warnings, *texts.warnings),
    )


def _reviews(spec: AgentSpec, context: AgentContext) -> bool:
    return spec.reviewer is not None and context.kind is Kind.REVIEWER


def _permission(spec: AgentSpec, context: AgentContext, mode: str) -> Permission:
    """What the agent may do: a reviewer what reviewers may, whatever mode was asked for."""
    if spec.reviewer is not None and context.kind is Kind.REVIEWER:
        return Permission(args=spec.reviewer.args, env=spec.reviewer.env)
    return spec.permissions.get(mode, Permission())


def _parts(spec: AgentSpec, version: str, *, resume: bool) -> Iterator[Part]:
    now = "resume" if resume else "launch"
    return (part for part in parts(spec) if part.on in ("both", now) and at_least(version, part.since))


def _values(context: AgentContext, prompt: str) -> dict[str, str]:
    values = {
        "prompt": prompt,
        "model": context.model.strip(),
        "native_id": context.native_id.strip(),
        "session_id": context.session_id,
        "project_id": context.project_id,
        "workspace": context.workspace_path,
        "repo": context.repo_path,
        "folder": context.folder,
        "ao": context.ao_bin,
        "system": "",
        "system_file": "",
    }
    return {name: clean(value) for name, value in values.items()}


def _environment(template: _Template, permission: Permission) -> Iterator[tuple[str, str]]:
    for name, text in template.spec.env.items():
        value = template.text(text)
        if value is not None and name not in template.context.env:
            yield name, value
    for name, text in permission.env.items():
        value = template.text(text)
        if value is not None:
            yield name, value


def _texts(spec: AgentSpec, context: AgentContext, *, resume: bool) -> _Texts:
    prompt = "" if resume or not context.prompt.strip() else clean(context.prompt)
    system = clean(context.system_prompt)
    if not system.strip():
        return _with_prompt(spec, context, _Texts(), prompt)
    if spec.system.in_prompt or not (spec.system.text or spec.system.file):
        # An agent without a place for instructions gets them with its task, not as a task of their own.
        return _with_prompt(spec, context, _Texts(), f"{system}\n\n{prompt}" if prompt else "")
    return _with_prompt(spec, context, _with_system(spec, context, system), prompt)


def _with_system(spec: AgentSpec, context: AgentContext, system: str) -> _Texts:
    path = os.path.join(context.folder, SYSTEM_FILE)
    whole = _Template(spec=spec, context=context, values={"system": system, "system_file": path}, lists={})
    args = whole.fill(spec.system.text)
    if args and all(map(fits, args)):
        return _Texts(system=args)
    file = ((path, system),)
    if spec.system.file:
        return _Texts(system=whole.fill(spec.system.file), files=file)
    # Quoting can double a text, so half the room is kept for it; the rest is read from the file.
    short = shorten(system, ARGUMENT_LIMIT // 2) + _REST.format(path=path)
    cut = msgspec.structs.replace(whole, values={"system": short, "system_file": path})
    return _Texts(system=cut.fill(spec.system.text), files=file)


def _with_prompt(spec: AgentSpec, context: AgentContext, texts: _Texts, prompt: str) -> _Texts:
    if not prompt:
        return texts
    if spec.prompt.paste or (spec.prompt.ready and not fits(prompt)):
        return msgspec.structs.replace(texts, paste=prompt)
    if fits(prompt):
        return msgspec.structs.replace(texts, prompt=prompt)
    path = os.path.join(context.folder, PROMPT_FILE)
    pointer = _POINTER.format(path=path)
    return msgspec.structs.replace(texts, prompt=pointer, files=(*texts.files, (path, prompt)))


def _trust(spec: AgentSpec, context: AgentContext) -> tuple[str, ...]:
    """Codex's trust of the worktree: one inline table, because a dotted key would be split at each dot of the path."""
    if spec.trust != "codex-args" or not context.workspace_path:
        return ()
    keys = dict.fromkeys((context.workspace_path, os.path.realpath(context.workspace_path)))
    entries = ",".join(f'{toml_string(key)}={{trust_level="trusted"}}' for key in keys)
    return ("-c", f"projects={{{entries}}}")

"""How an agent is told to call back, for one launch and outside the worktree.

Claude Code reads a settings file of ours beside the user's own; Codex takes `-c` pairs. Every callback is a command
with the absolute path of `ao`, because agents run hooks in shells whose PATH is not ours. Only events that the
installed release knows are written: an unknown key once made an agent drop the user's whole settings file.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, Final

from ao.agents.quoting import at_least, toml_string
from ao.agents.spec import AgentSpec, HookEvent, Permission
from ao.ports.agents import AgentContext

SETTINGS_NAME: Final = "settings.json"
_HTTP_TIMEOUT_S: Final = 2


def command(spec: AgentSpec, context: AgentContext, event: str) -> str:
    """The shell command that reports `event`; it never fails, prints nothing and takes at most a second."""
    return f"{shlex.quote(context.ao_bin)} hooks {spec.id} {event}"


def registration(
    spec: AgentSpec, context: AgentContext, permission: Permission, version: str
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The arguments that register the callbacks, and the files they name."""
    if spec.hooks.channel == "settings-file":
        path = f"{context.folder}/{SETTINGS_NAME}"
        return (spec.hooks.flag, path), ((path, settings(spec, context, permission, version)),)
    if spec.hooks.channel == "config-args":
        return tuple(_config_args(spec, context, version)), ()
    return (), ()


def settings(spec: AgentSpec, context: AgentContext, permission: Permission, version: str) -> str:
    """Claude Code's settings of this launch: our hooks and what the permission mode needs, nothing else."""
    hooks = {item.native: [{"hooks": [_handler(spec, context, item, version)]}] for item in _known(spec, version)}
    return json.dumps({**permission.settings, "hooks": hooks}, indent=2, ensure_ascii=False) + "\n"


def _known(spec: AgentSpec, version: str) -> Iterator[HookEvent]:
    return (item for item in spec.hooks.events if at_least(version, item.since))


def _handler(spec: AgentSpec, context: AgentContext, item: HookEvent, version: str) -> dict[str, Any]:
    if item.http and context.api_url and at_least(version, spec.hooks.http_since):
        return {
            "type": "http",
            "url": f"{context.api_url}/api/v1/sessions/{context.session_id}/hooks/{spec.id}/{item.event}",
            "headers": {"Authorization": "Bearer $AO_TOKEN"},
            "allowedEnvVars": ["AO_TOKEN"],
            "timeout": _HTTP_TIMEOUT_S,
        }
    return {"type": "command", "command": command(spec, context, item.event), "timeout": spec.hooks.timeout_s}


def _config_args(spec: AgentSpec, context: AgentContext, version: str) -> Iterator[str]:
    for item in _known(spec, version):
        quoted = toml_string(command(spec, context, item.event))
        yield spec.hooks.flag
        yield f'hooks.{item.native}=[{{hooks=[{{type="command",command={quoted},timeout={spec.hooks.timeout_s}}}]}}]'

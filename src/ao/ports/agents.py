"""The port to coding agents: what the engine asks of them, and the values of question and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from ao.model.session import Kind
from ao.model.signal import Signal


class AgentContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent's command line is rendered from. `folder` is the launch's private folder for side files."""

    session_id: str
    project_id: str
    kind: Kind
    workspace_path: str
    repo_path: str
    folder: str
    prompt: str = ""
    system_prompt: str = ""
    model: str = ""
    permissions: str = "default"
    native_id: str = ""
    ao_bin: str = "ao"
    """Absolute path of the `ao` program, for hook commands."""
    api_url: str = ""
    """http://127.0.0.1:PORT of this daemon, for agents that call back over http."""
    env: Mapping[str, str] = {}
    """The environment the agent will run in: decides where its binary and its home are."""


class AgentLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered command. `files` (absolute path, content) are written 0600 before it starts. `paste` is the prompt
    when it must be delivered through the terminal after `ready` (a text on the screen) has appeared."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    files: tuple[tuple[str, str], ...] = ()
    paste: str = ""
    ready: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class AgentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine must know of an agent. `confirms` = its hooks report that a prompt was submitted."""

    id: str
    label: str
    reports: bool
    confirms: bool
    pins_native_id: bool
    """Whether a native conversation id can be chosen at launch."""
    reviews: bool = False
    """Whether it can review: read everything, change nothing, and never wait for a permission."""


class AgentReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a survey found: `auth` is authorized, unauthorized or unknown."""

    id: str
    label: str
    installed: bool
    auth: str
    binary: str = ""
    version: str = ""
    hint: str = ""


class Agents(Protocol):
    """The coding agents this daemon knows, as data."""

    def ids(self) -> tuple[str, ...]:
        """Known agent ids, in listing order."""

    def get(self, agent: str) -> AgentInfo:
        """Raises `UNKNOWN_HARNESS` with a suggestion."""

    async def binary(self, agent: str, env: Mapping[str, str]) -> str:
        """Absolute path of its program. No process runs when the cache, checked by stat, is warm. Raises
        `AGENT_BINARY_NOT_FOUND` with the places searched and how to install it."""

    async def launch(self, agent: str, context: AgentContext) -> AgentLaunch:
        """The command of a fresh start."""

    async def resume(self, agent: str, context: AgentContext) -> AgentLaunch | None:
        """The command that continues the native conversation `context.native_id`; None when it can't be."""

    async def prepare(self, agent: str, context: AgentContext) -> None:
        """Settle trust and first-run dialogs for the session's workspace. Idempotent, undone by `release`."""

    async def release(self, agent: str, context: AgentContext) -> None:
        """Undo `prepare`, as far as this session did it. Idempotent."""

    def signal(self, agent: str, event: str, payload: Mapping[str, object], *, seq: int, boot_id: str) -> Signal | None:
        """What a hook callback means; None when it says nothing about the session (a sub-agent's, say)."""

    def dialog(self, agent: str, screen: str) -> str:
        """The name of a blocking dialog visible in `screen`, "" when none is recognised."""

    async def survey(self, *, refresh: bool) -> list[AgentReport]:
        """Installed and signed in? Probes only when `refresh` or never done before."""

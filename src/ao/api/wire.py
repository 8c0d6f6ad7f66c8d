"""What is answered: failures, control, projects and agents; sessions are in `session_wire`.

The original's names stay; here is the only place where they meet ours. Required fields have no default; the others are
left out while they are empty. Times are RFC 3339 UTC with milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ao.model.project import ProjectConfig

TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
Time = Annotated[str, Meta(pattern=TIME_PATTERN, description="RFC 3339 UTC with milliseconds")]
Flag = Literal[True]


class Output(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An answer."""


class APIError(Output, frozen=True, kw_only=True):
    """The one shape of every failure. `code` is for programs, `message` and `hint` are for people."""

    error: str
    code: str
    message: str
    request_id: str = ""
    details: dict[str, Any] = {}
    hint: str = ""


class ShutdownError(APIError, frozen=True, kw_only=True):
    """What `/shutdown` answers: the envelope, and what the original's clients read."""

    status: str
    service: str


class Health(Output, frozen=True, kw_only=True):
    """Who answers on this port."""

    status: Literal["ok", "ready"]
    service: str
    pid: int
    executable_path: str
    working_directory: str
    version: str
    data_dir: str


class Readiness(Health, frozen=True, kw_only=True):
    """The same, with what this daemon can do beyond the original's interface."""

    capabilities: list[str]


class ShuttingDown(Output, frozen=True, kw_only=True):
    """The daemon will stop."""

    status: Literal["shutting_down"]
    service: str
    pid: int


class ProjectSummary(Output, frozen=True, kw_only=True):
    """A registered repository, in lists."""

    id: str
    name: str
    path: str
    kind: str
    session_prefix: str


class ProjectsAnswer(Output, frozen=True, kw_only=True):
    """Projects by id."""

    projects: list[ProjectSummary]


class Project(Output, frozen=True, kw_only=True):
    """A registered repository. `config` is absent until one was set."""

    id: str
    name: str
    kind: str
    path: str
    repo: str
    default_branch: str
    config: ProjectConfig | None = None


class ProjectAnswer(Output, frozen=True, kw_only=True):
    """One project."""

    project: Project


class ProjectGetAnswer(Output, frozen=True, kw_only=True):
    """One project and whether it can be used."""

    status: Literal["ok"]
    project: Project


class PreservedSession(Output, frozen=True, kw_only=True):
    """Work of an ended session that stays on disk."""

    session_id: str
    path: str
    reason: str


class RemoveProjectAnswer(Output, frozen=True, kw_only=True):
    """The project is no longer registered; its sessions were ended, its repository was not touched."""

    project_id: str
    removed_storage_dir: bool
    killed: list[str]
    preserved: list[PreservedSession]


class AgentView(Output, frozen=True, kw_only=True):
    """A coding agent on this machine."""

    id: str
    label: str
    auth_status: str
    binary: str = ""
    version: str = ""
    hint: str = ""


class AgentsAnswer(Output, frozen=True, kw_only=True):
    """Known agents; those installed; those installed and signed in."""

    supported: list[AgentView]
    installed: list[AgentView]
    authorized: list[AgentView]

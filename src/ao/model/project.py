"""A project: a registered git repository, and the one schema of its configuration."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ao.model.errors import AoError
from ao.model.session import Kind

Permissions = Literal["default", "accept-edits", "auto", "bypass-permissions"]
FetchPolicy = Literal["never", "auto", "always"]
_ENV_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """Strict on the way in, sparse on the way out."""


class AgentConfig(_Wire, frozen=True, kw_only=True):
    """How an agent is started."""

    model: str | None = None
    permissions: Permissions | None = None


class RoleConfig(_Wire, frozen=True, kw_only=True):
    """Overrides for one kind of session."""

    agent: str | None = None
    agent_config: AgentConfig = AgentConfig()


class ProjectConfig(_Wire, frozen=True, kw_only=True):
    """A project's configuration. All keys are optional; role values win over base values field by field."""

    default_branch: Annotated[str | None, Meta(description="base of new branches; default: detected")] = None
    session_prefix: str | None = None
    env: Annotated[dict[str, str], Meta(description="environment of the project's agents; AO_* always win")] = {}
    symlinks: Annotated[list[str], Meta(description="repository paths linked into each worktree")] = []
    post_create: Annotated[list[str], Meta(description="shell commands run in each new worktree")] = []
    post_create_timeout: Annotated[int, Meta(ge=1, le=3600, description="seconds for all of them")] = 300
    fetch: Annotated[FetchPolicy | None, Meta(description="auto: fetch an old base; default: the daemon's")] = None
    agent_config: AgentConfig = AgentConfig()
    worker: RoleConfig = RoleConfig()
    orchestrator: RoleConfig = RoleConfig()
    agent_rules: Annotated[str | None, Meta(description="standing instructions for workers")] = None
    agent_rules_file: Annotated[str | None, Meta(description="repository path of such instructions")] = None
    orchestrator_rules: str | None = None

    def role(self, kind: Kind) -> RoleConfig:
        """The overrides for sessions of `kind`."""
        return self.orchestrator if kind is Kind.ORCHESTRATOR else self.worker


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `projects`; the fields are its columns in order. `config` is JSON text or "". Times in milliseconds."""

    id: str
    path: str
    name: str = ""
    repo: str = ""
    """URL of remote `origin`, without credentials; "" when there is none."""
    default_branch: str = "main"
    kind: str = "single_repo"
    config: str = ""
    next_num: int = 1
    """Number of the next session; only grows."""
    registered_at: int
    archived_at: int | None = None
    updated_at: int

    @property
    def settings(self) -> ProjectConfig:
        """The decoded configuration; the empty one when none was set."""
        return msgspec.json.decode(self.config, type=ProjectConfig) if self.config else ProjectConfig()

    @property
    def base_branch(self) -> str:
        """The branch new work starts from."""
        return self.settings.default_branch or self.default_branch


def check_config(config: ProjectConfig, *, agents: frozenset[str]) -> ProjectConfig:
    """Return `config`, or raise `INVALID_PROJECT_CONFIG` that names the field. `agents` are the known agent ids."""
    for field, problem in _problems(config, agents):
        raise AoError(
            "INVALID_PROJECT_CONFIG",
            f"{field}: {problem}",
            hint="`ao project schema` prints the schema",
            details={"field": field},
        )
    return config


def _problems(config: ProjectConfig, agents: frozenset[str]) -> list[tuple[str, str]]:
    found = [("env", f"{key!r} is not a variable name") for key in config.env if not _ENV_KEY.fullmatch(key)]
    found += [("env", f"{key!r} holds a NUL") for key, value in config.env.items() if "\0" in value]
    found += [("symlinks", f"{path!r} leaves the repository") for path in config.symlinks if not is_inside(path)]
    prefix = config.session_prefix
    if prefix is not None and (prefix in (".", "..") or "/" in prefix or "\\" in prefix):
        found.append(("sessionPrefix", f"{prefix!r} must not be '.', '..' or contain a slash"))
    if config.agent_rules_file is not None and not is_inside(config.agent_rules_file):
        found.append(("agentRulesFile", f"{config.agent_rules_file!r} leaves the repository"))
    for name, role in (("worker", config.worker), ("orchestrator", config.orchestrator)):
        if role.agent is not None and role.agent not in agents:
            found.append((f"{name}.agent", f"unknown agent {role.agent!r}; known: {', '.join(sorted(agents))}"))
    return found


def is_inside(path: str) -> bool:
    """Whether a repository-relative path stays inside: not empty, not absolute, no '..' segment, no NUL."""
    return bool(path) and not path.startswith(("/", "~")) and ".." not in path.split("/") and "\0" not in path


class ConfigPatch(_Wire, frozen=True, kw_only=True):
    """Top-level keys to set; a key that is absent stays, null removes it."""

    default_branch: str | None | UnsetType = UNSET
    session_prefix: str | None | UnsetType = UNSET
    env: dict[str, str] | None | UnsetType = UNSET
    symlinks: list[str] | None | UnsetType = UNSET
    post_create: list[str] | None | UnsetType = UNSET
    post_create_timeout: Annotated[int, Meta(ge=1, le=3600)] | None | UnsetType = UNSET
    fetch: FetchPolicy | None | UnsetType = UNSET
    agent_config: AgentConfig | None | UnsetType = UNSET
    worker: RoleConfig | None | UnsetType = UNSET
    orchestrator: RoleConfig | None | UnsetType = UNSET
    agent_rules: str | None | UnsetType = UNSET
    agent_rules_file: str | None | UnsetType = UNSET
    orchestrator_rules: str | None | UnsetType = UNSET


def patched(config: ProjectConfig, patch: ConfigPatch) -> ProjectConfig:
    """`config` with the keys of `patch` set or removed."""
    blank = ProjectConfig()
    changes = {
        name: getattr(blank, name) if value is None else value
        for name, value in msgspec.structs.asdict(patch).items()
        if value is not UNSET
    }
    return msgspec.structs.replace(config, **changes)

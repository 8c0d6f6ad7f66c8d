"""A project: a registered git repository, and the one schema of its configuration."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ao.model.errors import AoError
from ao.model.pull import MergeMethod
from ao.model.session import Kind

Permissions = Literal["default", "accept-edits", "auto", "bypass-permissions"]
FetchPolicy = Literal["never", "auto", "always"]
ForgeChoice = Literal["auto", "local", "github"]
_ENV_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CHECK_NAME: Final = re.compile(r"[^/\x00-\x1f\x7f-\x9f]{1,100}")


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


class CheckConfig(_Wire, frozen=True, kw_only=True):
    """A check of the local forge: a shell command run on the head commit of each pull request."""

    name: str
    run: Annotated[str, Meta(description="shell command; exit code 0 passes")]
    timeout: Annotated[int, Meta(ge=1, le=7200, description="seconds")] = 600


class NudgeRule(_Wire, frozen=True, kw_only=True):
    """When and how an agent is told of one kind of trouble with its pull request."""

    enabled: bool = True
    rounds: Annotated[int, Meta(ge=1, le=100, description="at most so often on one commit")] = 3
    total: Annotated[int, Meta(ge=1, le=1000, description="at most so often in a row, over all commits")] = 10
    text: Annotated[str, Meta(description="instructions in place of the built-in ones", max_length=4000)] | None = None


class NudgeRules(_Wire, frozen=True, kw_only=True):
    """One rule for each cause."""

    ci: NudgeRule = NudgeRule()
    review: NudgeRule = NudgeRule()
    conflict: NudgeRule = NudgeRule()


class Reviewer(_Wire, frozen=True, kw_only=True):
    """An agent that reviews pull requests."""

    harness: str
    model: str | None = None


class AutoReview(_Wire, frozen=True, kw_only=True):
    """Reviews without being asked, when a pull request is opened or gets a new commit."""

    enabled: bool = False
    rounds: Annotated[int, Meta(ge=1, le=20, description="at most so many automatic reviews of one pull request")] = 2


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
    forge: Annotated[
        ForgeChoice, Meta(description="where pull requests live; auto: GitHub when origin is there, else local")
    ] = "auto"
    checks: Annotated[list[CheckConfig], Meta(description="checks of the local forge")] = []
    nudges: NudgeRules = NudgeRules()
    trusted_authors: Annotated[
        list[str], Meta(description="logins whose comments reach the agent though they can't write to the repository")
    ] = []
    trust_everyone: Annotated[bool, Meta(description="comments of anybody reach the agent")] = False
    merge_method: Annotated[MergeMethod | None, Meta(description="default: squash")] = None
    terminate_on_pr_merge: Annotated[
        bool, Meta(description="end a session when its pull requests are merged and its worktree is clean")
    ] = True
    reviewers: Annotated[list[Reviewer], Meta(description="who reviews; the first one unless asked otherwise")] = []
    auto_review: AutoReview = AutoReview()

    def role(self, kind: Kind) -> RoleConfig:
        """The overrides for sessions of `kind`."""
        if kind is Kind.REVIEWER:
            return RoleConfig()
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
    return found + _loop_problems(config, agents)


def _loop_problems(config: ProjectConfig, agents: frozenset[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    names = [check.name for check in config.checks]
    for index, check in enumerate(config.checks):
        if not _CHECK_NAME.fullmatch(check.name):
            found.append((f"checks.{index}.name", f"{check.name!r} must be 1 to 100 printable characters, no slash"))
        elif names.index(check.name) != index:
            found.append((f"checks.{index}.name", f"{check.name!r} is there twice"))
        if not check.run.strip() or "\0" in check.run:
            found.append((f"checks.{index}.run", "is no command"))
    for index, reviewer in enumerate(config.reviewers):
        if reviewer.harness not in agents:
            found.append((f"reviewers.{index}.harness", f"unknown agent {reviewer.harness!r}"))
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
    forge: ForgeChoice | None | UnsetType = UNSET
    checks: list[CheckConfig] | None | UnsetType = UNSET
    nudges: NudgeRules | None | UnsetType = UNSET
    trusted_authors: list[str] | None | UnsetType = UNSET
    trust_everyone: bool | None | UnsetType = UNSET
    merge_method: MergeMethod | None | UnsetType = UNSET
    terminate_on_pr_merge: bool | None | UnsetType = UNSET
    reviewers: list[Reviewer] | None | UnsetType = UNSET
    auto_review: AutoReview | None | UnsetType = UNSET


def patched(config: ProjectConfig, patch: ConfigPatch) -> ProjectConfig:
    """`config` with the keys of `patch` set or removed."""
    blank = ProjectConfig()
    changes = {
        name: getattr(blank, name) if value is None else value
        for name, value in msgspec.structs.asdict(patch).items()
        if value is not UNSET
    }
    return msgspec.structs.replace(config, **changes)

"""What is accepted: bodies and queries.

Unknown fields of a body are refused, unknown parameters of a query ignored; an empty parameter and a null field count
as absent. The original's names stay (`harness`, `agentRules`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from ao.model.project import ConfigPatch, ProjectConfig

MAX_PAGE: Final = 1000
MAX_LINES: Final = 10_000


class Input(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request's body or query. A field that is absent or null has its default."""

    required_names: ClassVar[tuple[str, ...]] = ()
    """Wire names that a client must send; their absence has a code of its own, so they decode to ""."""


class NoBody(Input, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """For routes without a body: nothing, or any JSON object, which is ignored."""


class NoQuery(Input, frozen=True, kw_only=True):
    """For routes without a query."""


class SpawnInput(Input, frozen=True, kw_only=True):
    """A new session. Without `harness`: the project's role, `config.toml`, `AO_AGENT`, `claude-code`."""

    required_names: ClassVar[tuple[str, ...]] = ("projectId",)
    project_id: str = ""
    issue_id: str = ""
    kind: str = ""
    harness: str = ""
    branch: str = ""
    prompt: str = ""
    agent_rules: str = ""
    display_name: str = ""
    model: str = ""
    permissions: str = ""


class RenameInput(Input, frozen=True, kw_only=True):
    """A new name to show."""

    required_names: ClassVar[tuple[str, ...]] = ("displayName",)
    display_name: str = ""


class SendInput(Input, frozen=True, kw_only=True):
    """A message to an agent. The same `idempotencyKey` queues it once."""

    required_names: ClassVar[tuple[str, ...]] = ("message",)
    message: str = ""
    idempotency_key: str = ""


class ActivityInput(Input, frozen=True, kw_only=True):
    """What an agent does: a `state`, or an `event` of its hooks with the hook's own `payload`.

    `seq` is CLOCK_MONOTONIC in nanoseconds when the hook began, comparable within one `bootId`.
    """

    state: str = ""
    event: str = ""
    agent: str = ""
    payload: dict[str, Any] = {}
    seq: Annotated[int, Meta(ge=0, le=2**62)] = 0
    boot_id: Annotated[str, Meta(max_length=64)] = ""


class HookInput(Input, frozen=True, kw_only=True):
    """Any JSON object: an agent's own callback."""

    fields: dict[str, Any] = {}


class OrchestratorInput(Input, frozen=True, kw_only=True):
    """The orchestrator of a project; `clean` replaces the active one."""

    required_names: ClassVar[tuple[str, ...]] = ("projectId",)
    project_id: str = ""
    clean: bool = False
    harness: str = ""
    model: str = ""
    permissions: str = ""
    prompt: str = ""


class AddProjectInput(Input, frozen=True, kw_only=True):
    """A repository to register, by its top folder."""

    required_names: ClassVar[tuple[str, ...]] = ("path",)
    path: str = ""
    project_id: str = ""
    name: str = ""
    config: ProjectConfig | None = None
    as_workspace: Annotated[bool, Meta(description="only false is supported")] = False


class ConfigInput(Input, frozen=True, kw_only=True):
    """A whole configuration."""

    config: ProjectConfig = ProjectConfig()


class ConfigPatchInput(Input, frozen=True, kw_only=True):
    """Top-level keys to set; null removes one."""

    config: ConfigPatch = ConfigPatch()


class ListQuery(Input, frozen=True, kw_only=True):
    """Which sessions. `active` false means only ended ones; `cursor` comes from the previous answer.

    `text` are the lines that `ao ls` prints into a pipe.
    """

    project: str | None = None
    active: bool | None = None
    orchestrator_only: bool = False
    fresh: bool = False
    kind: Literal["worker", "orchestrator"] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] | None = None
    cursor: str | None = None
    format: Literal["json", "text"] = "json"


class SpawnQuery(Input, frozen=True, kw_only=True):
    """`seeded` answers as soon as the session is recorded, `live` when its agent runs."""

    wait: Literal["seeded", "live"] = "live"


class PhaseQuery(Input, frozen=True, kw_only=True):
    """Wait, at most 20 s, until the session's phase isn't `phaseNot`."""

    phase_not: Literal["seeded", "workspace", "launched", "live", "ending", "ended"] | None = None


class KillQuery(Input, frozen=True, kw_only=True):
    """`agent` answers when the agent is gone. `force` removes unsaved work after keeping a snapshot of it."""

    wait: Literal["agent", "done"] = "done"
    force: bool = False


class CleanupQuery(Input, frozen=True, kw_only=True):
    """Only one project's sessions; also unsaved work, kept as a snapshot; only say what would happen."""

    project: str | None = None
    force: bool = False
    dry_run: bool = False


class OutputQuery(Input, frozen=True, kw_only=True):
    """How many lines of the terminal."""

    lines: Annotated[int, Meta(ge=1, le=MAX_LINES)] = 200


class EventsQuery(Input, frozen=True, kw_only=True):
    """`after`: a sequence number or `latest`. `project` and `session` leave other events out."""

    after: str | None = None
    project: str | None = None
    session: str | None = None

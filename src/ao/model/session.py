"""A session: one agent on one task. Facts only; what is shown is derived in `status`."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from ao.model import ids
from ao.model.text import first_line


class Kind(StrEnum):
    """What a session is for."""

    WORKER = "worker"
    ORCHESTRATOR = "orchestrator"
    REVIEWER = "reviewer"


class Phase(StrEnum):
    """The effect that may have begun. The row says so before the effect starts, so a crash can be finished or undone.

    seeded: nothing. workspace: branch or worktree may exist. launched: launch file or terminal may exist. live: the
    agent's process has been seen. ending: teardown may have begun. ended: torn down or preserved.
    """

    SEEDED = "seeded"
    WORKSPACE = "workspace"
    LAUNCHED = "launched"
    LIVE = "live"
    ENDING = "ending"
    ENDED = "ended"


class Activity(StrEnum):
    """What the agent does, as last reported."""

    ACTIVE = "active"
    IDLE = "idle"
    WAITING_INPUT = "waiting_input"
    BLOCKED = "blocked"
    EXITED = "exited"


class WorkspaceState(StrEnum):
    """What is known to be on disk for a session."""

    NONE = "none"
    PRESENT = "present"
    REMOVED = "removed"
    PRESERVED = "preserved"


PERMISSIONS: Final = ("default", "accept-edits", "auto", "bypass-permissions")
SUMMARY_LIMIT: Final = 120
STARTING: Final = frozenset({Phase.SEEDED, Phase.WORKSPACE, Phase.LAUNCHED})
TERMINATED: Final = frozenset({Phase.ENDING, Phase.ENDED})


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `sessions`; the fields are its columns in order. Times are milliseconds since the epoch, UTC."""

    id: str
    project_id: str
    num: int
    kind: Kind
    agent: str
    issue_id: str = ""
    display_name: str = ""
    prompt: str = ""
    rules: str = ""
    model: str = ""
    permissions: str = "default"
    repo_path: str = ""
    workspace_path: str = ""
    workspace_state: WorkspaceState = WorkspaceState.NONE
    branch: str = ""
    branch_created: bool = False
    """Whether this session made its branch, and so may delete it."""
    base_ref: str = ""
    base_sha: str = ""
    base_at: int | None = None
    """Commit time of the base; its age is shown so that a stale base is seen."""
    warnings: str = "[]"
    """JSON array of strings."""
    server: int = 0
    """Number of the tmux server that holds the terminal."""
    launches: int = 0
    """How often phase `launched` was entered; names the launch folder and the session's token."""
    native_id: str = ""
    """The agent program's own id of the conversation."""
    phase: Phase = Phase.SEEDED
    activity: Activity = Activity.IDLE
    activity_at: int
    """When the current activity was entered."""
    activity_source: str = "spawn"
    first_signal_at: int | None = None
    hook_boot: str = ""
    hook_seq: int = 0
    agent_pid: int | None = None
    agent_started: str = ""
    """Start time of the agent's process: with the pid, its identity."""
    exit_code: int | None = None
    failure_code: str = ""
    failure_message: str = ""
    failure_hint: str = ""
    preserved_path: str = ""
    preserved_reason: str = ""
    replaces: str = ""
    """The orchestrator that this one takes the place of."""
    launched_at: int | None = None
    ended_at: int | None = None
    created_at: int
    updated_at: int
    terminate_on_pr_merge: bool | None = None
    """Whether it ends when its pull requests are merged; None: as its project says."""
    start_commit: str = ""
    """The commit its branch was asked to begin at; "" for the project's base."""

    @property
    def handle(self) -> str:
        """The tmux session name."""
        return ids.handle_for(self.id)

    @property
    def is_terminated(self) -> bool:
        """Whether teardown has begun or is done."""
        return self.phase in TERMINATED

    @property
    def is_half_made(self) -> bool:
        """Ended without ever having been launched: nothing to kill or restore."""
        return self.phase is Phase.ENDED and self.launches == 0

    @property
    def summary(self) -> str:
        """What it is about, in a line: the beginning of its prompt."""
        return first_line(self.prompt, limit=SUMMARY_LIMIT)

    @property
    def warning_list(self) -> list[str]:
        """The warnings, decoded."""
        return msgspec.json.decode(self.warnings, type=list[str])


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """What a resolved spawn request asks the store to seed; the store assigns number and id."""

    project_id: str
    kind: Kind
    agent: str
    repo_path: str
    issue_id: str = ""
    display_name: str = ""
    prompt: str = ""
    rules: str = ""
    model: str = ""
    permissions: str = "default"
    branch: str = ""
    native_id: str = ""
    replaces: str = ""
    start_commit: str = ""


def with_warnings(session: Session, warnings: list[str]) -> Session:
    """`session` with `warnings` appended, each kept once."""
    merged = list(dict.fromkeys([*session.warning_list, *warnings]))
    return msgspec.structs.replace(session, warnings=msgspec.json.encode(merged).decode())

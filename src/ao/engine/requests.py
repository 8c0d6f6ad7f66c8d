"""What callers ask of the engine and what it answers. "" means "not given"."""

from __future__ import annotations

from typing import Literal

import msgspec

from ao.model.pull import Pull
from ao.model.session import Kind, Session
from ao.model.status import Status

Wait = Literal["live", "seeded"]
Until = Literal["gone", "done"]


class SpawnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A new session. `agent` "" is resolved: project role, configuration, environment, default."""

    project_id: str
    kind: Kind = Kind.WORKER
    agent: str = ""
    branch: str = ""
    prompt: str = ""
    rules: str = ""
    issue_id: str = ""
    display_name: str = ""
    model: str = ""
    permissions: str = ""
    idempotency_key: str = ""
    commit: str = ""
    """Begin at this commit instead of the project's base."""


class OrchestratorRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The project's orchestrator; `clean` replaces the active one."""

    project_id: str
    clean: bool = False
    agent: str = ""
    model: str = ""
    permissions: str = ""
    prompt: str = ""


class KillResult(msgspec.Struct, frozen=True, kw_only=True):
    """`freed`: the worktree is gone. Otherwise `preserved_path` says what stays and why (both "" when there was none,
    or when the answer came before the clean-up was done)."""

    freed: bool
    preserved_path: str = ""
    preserved_reason: str = ""
    branch: str = ""
    branch_kept: bool = False
    snapshot: str = ""
    """The ref that holds what a forced removal took away."""


class RollbackResult(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of `deleted` (a seed row vanished) and `killed`."""

    deleted: bool = False
    killed: bool = False
    preserved_path: str = ""
    preserved_reason: str = ""


class CleanupResult(msgspec.Struct, frozen=True, kw_only=True):
    """Ids whose worktree is gone now (or would go), (id, reason) of those that stay, and (id, ref) of the snapshots
    that forced removals left."""

    cleaned: list[str]
    skipped: list[tuple[str, str]]
    snapshots: list[tuple[str, str]]


class RemoveResult(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions ended by a project's removal, and (id, path, reason) of work that stays on disk."""

    killed: list[str]
    preserved: list[tuple[str, str, str]]


class SessionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A session as read models need it."""

    session: Session
    status: Status
    base_age_s: int | None
    has_terminal: bool
    pulls: tuple[Pull, ...] = ()
    terminates_on_merge: bool = False

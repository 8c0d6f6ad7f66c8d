"""What every use case of the engine works with: collaborators, settings, clock and the group that owns tasks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from ao.model import ids
from ao.model.errors import AoError
from ao.model.session import Session
from ao.ports import Checkout, Host, ProcessId, Runtime, Terminal, Workspaces
from ao.ports.agents import Agents
from ao.ports.trees import Trees
from ao.store import sessions
from ao.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Values fixed for the daemon's life. `environ` is the daemon's own environment."""

    data_dir: str
    environ: Mapping[str, str]
    ao_bin: str
    default_agent: str
    default_model: str = ""
    default_permissions: str = "default"
    fetch: str = "auto"
    kill_grace_s: float = 2.0
    compat: bool = False
    run_file: str = ""
    webhook_secret: str = ""

    @property
    def worktrees(self) -> str:
        """The managed root of all worktrees."""
        return os.path.join(self.data_dir, "worktrees")

    def worktree(self, project_id: str, session_id: str) -> str:
        """The worktree of a session."""
        return os.path.join(self.worktrees, project_id, session_id)

    def run_folder(self, session_id: str) -> str:
        """The private folder of a session's launches."""
        return os.path.join(self.data_dir, "run", session_id)

    def launch_folder(self, session_id: str, launches: int) -> str:
        """The private folder of one launch."""
        return os.path.join(self.run_folder(session_id), str(launches))


@dataclass(frozen=True, kw_only=True)
class World:
    """Collaborators of the engine. `start` runs a coroutine as a task of the daemon's group."""

    db: Database
    host: Host
    workspaces: Workspaces
    runtime: Runtime
    agents: Agents
    trees: Trees
    settings: Settings
    now: Callable[[], int]
    start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
    token_for: Callable[[str, int], str]
    api_url: Callable[[], str]

    def session(self, session_id: str) -> Session:
        """The row. Raises `SESSION_NOT_FOUND`."""
        found = sessions.get(self.db.read, session_id) if ids.is_id(session_id) else None
        if found is None:
            raise AoError(
                "SESSION_NOT_FOUND", f"no session {session_id!r}", hint="`ao session ls --include-terminated` lists all"
            )
        return found

    async def change(self, session_id: str, fn: Callable[[Session], Session | None]) -> Session:
        """Apply a pure function to the row in one transaction; the row after it. Raises `SESSION_NOT_FOUND`."""
        now = self.now()
        changed = await self.db.write(lambda conn: sessions.change(conn, session_id, fn, now=now))
        return changed if changed is not None else self.session(session_id)


def terminal_of(session: Session) -> Terminal:
    """The session's terminal."""
    return Terminal(session.server, session.handle)


def process_of(session: Session) -> ProcessId | None:
    """The agent's process as it was last seen."""
    return ProcessId(session.agent_pid, session.agent_started) if session.agent_pid is not None else None


def checkout_of(session: Session) -> Checkout:
    """The session's worktree, as its row describes it."""
    return Checkout(
        session_id=session.id,
        repo_path=session.repo_path,
        path=session.workspace_path,
        branch=session.branch,
        branch_created=session.branch_created,
        base_sha=session.base_sha,
    )

"""The orchestrator of a project: at most one active, by the database's own index.

Replacing it validates first, then swaps in one transaction (old → ending, new → seeded). The old one is torn down once
the new one lives; if the new one fails first, the old one is live again as if nothing had been asked.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from ao.engine.locks import SessionLocks
from ao.engine.preflight import Prepared, known_project, prepare, unknown_project
from ao.engine.requests import OrchestratorRequest, SpawnRequest, Wait
from ao.engine.sessions import Sessions
from ao.engine.teardown import Teardown
from ao.engine.world import World
from ao.log import note_session
from ao.model.errors import AoError
from ao.model.session import Kind, Phase, Session
from ao.store import sessions
from ao.store.database import Connection

log = logging.getLogger("ao.engine.orchestrators")


class Orchestrators:
    """Ensures and replaces orchestrators."""

    def __init__(self, world: World, locks: SessionLocks, sessions_: Sessions, teardown: Teardown) -> None:
        self._world = world
        self._locks = locks
        self._sessions = sessions_
        self._teardown = teardown

    def get(self, session_id: str) -> Session:
        """An orchestrator's row. Raises `SESSION_NOT_FOUND`, also for a worker."""
        session = self._world.session(session_id)
        if session.kind is not Kind.ORCHESTRATOR:
            raise AoError(
                "SESSION_NOT_FOUND", f"{session_id!r} is not an orchestrator", hint="`ao orchestrator ls` lists them"
            )
        return session

    async def ensure(self, request: OrchestratorRequest, *, wait: Wait) -> tuple[Session, bool]:
        """The project's orchestrator and whether it is new. Racing calls get the same one.

        Raises the errors of a spawn.
        """
        project = known_project(self._world, request.project_id)
        active = sessions.active_orchestrator(self._world.db.read, project.id)
        if active is not None and not request.clean:
            return active, False
        prepared = await prepare(
            self._world,
            SpawnRequest(
                project_id=project.id,
                kind=Kind.ORCHESTRATOR,
                agent=request.agent,
                model=request.model,
                permissions=request.permissions,
                prompt=request.prompt,
            ),
        )
        session, created = await self._seed(prepared, active)
        note_session(session.id)
        if not created:
            return session, False
        if active is None:
            return await self._sessions.bring_up(session, prepared, wait=wait), True
        task = self._world.start(self._replace(active.id, session, prepared))
        if wait == "seeded":
            return session, True
        return await asyncio.shield(task), True

    async def _seed(self, prepared: Prepared, old: Session | None) -> tuple[Session, bool]:
        now = self._world.now()

        def swap(conn: Connection) -> tuple[Session, bool]:
            active = sessions.active_orchestrator(conn, prepared.new.project_id)
            if active is not None and (old is None or active.id != old.id):
                return active, False
            if active is not None:
                sessions.change(conn, active.id, lambda row: replace(row, phase=Phase.ENDING), now=now)
            new = replace(prepared.new, replaces=active.id if active is not None else "")
            return sessions.seed(conn, new, now=now, at_least=prepared.at_least), True

        try:
            return await self._world.db.write(swap)
        except LookupError:
            raise unknown_project(prepared.new.project_id) from None
        except sessions.OrchestratorExists as exists:
            return exists.session, False

    async def _replace(self, old_id: str, new: Session, prepared: Prepared) -> Session:
        async with self._locks.preempt(old_id):
            try:
                session = await self._sessions.bring_up(new, prepared, wait="live")
            except BaseException:
                await self.undo_replacement(old_id)
                raise
            old = self._world.session(old_id)
            if old.phase is Phase.ENDING:
                await self._teardown.run(old)
            return session

    async def undo_replacement(self, old_id: str) -> None:
        """The new one failed: the old one, untouched so far, is live again; one that never lived is torn down."""
        old = self._world.session(old_id)
        if old.phase is not Phase.ENDING:
            return
        if old.agent_pid is None:
            await self._teardown.run(old)
            return
        await self._world.change(old_id, lambda row: replace(row, phase=Phase.LIVE))
        log.warning("orchestrator kept, its replacement failed", extra={"session": old_id})

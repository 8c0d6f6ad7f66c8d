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
from ao.engine.watching import Watches
from ao.engine.world import World, process_of
from ao.log import note_session
from ao.model.errors import AoError
from ao.model.session import Kind, Phase, Session
from ao.store import sessions
from ao.store.database import Connection

log = logging.getLogger("ao.engine.orchestrators")


class Orchestrators:
    """Ensures and replaces orchestrators."""

    def __init__(
        self, world: World, locks: SessionLocks, sessions_: Sessions, *, teardown: Teardown, watches: Watches
    ) -> None:
        self._world = world
        self._watches = watches
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
            return await self._sessions.outcome(active.id, wait=wait), False
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
            return await self._sessions.outcome(session.id, wait=wait), False
        if not session.replaces:
            return await self._sessions.bring_up(session, prepared, wait=wait), True
        task = self._world.start(self._replace(session, prepared, keep_row=wait == "seeded"))
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

    async def _replace(self, new: Session, prepared: Prepared, *, keep_row: bool) -> Session:
        async with self._locks.preempt(new.replaces):
            try:
                session = await self._sessions.climb(new, prepared, keep_row=keep_row)
            except AoError as error:
                await self._give_back(new)
                if error.code != "SPAWN_CANCELLED":
                    await self._sessions.forget(await self._teardown.run(new))
                raise
            if session.is_terminated:
                await self._give_back(new)
            else:
                await self._end_replaced(session)
            return session

    async def _give_back(self, new: Session) -> None:
        """After a failed or cancelled replacement, once whoever cancelled it has ended it. Until then its row stays:
        it tells a boot in between that the old one isn't to go."""
        async with self._locks.hold(new.id):
            await self.undo_replacement(new.replaces)

    async def _end_replaced(self, new: Session) -> None:
        """The new one lives whatever comes of this: what can't be ended now stays `ending`, for kill or the next
        boot."""
        old_id = new.replaces
        old = self._world.session(old_id)
        await self._world.change(new.id, lambda row: replace(row, replaces=""))
        if old.phase is not Phase.ENDING:
            return
        try:
            await self._teardown.run(old)
        except AoError as error:
            log.warning("replaced orchestrator not ended", extra={"session": old_id, "cause": error.message})

    async def undo_replacement(self, old_id: str) -> None:
        """The new one failed: the old one, untouched so far, is live again; one that never lived, or whose place
        another has taken, is torn down."""
        old = self._world.session(old_id)
        if old.phase is not Phase.ENDING:
            return
        process = process_of(old)
        now = self._world.now()

        def give_back(conn: Connection) -> None:
            new = sessions.replacement_of(conn, old_id)
            if new is not None:
                sessions.change(conn, new.id, lambda row: replace(row, replaces=""), now=now)
            sessions.change(conn, old_id, lambda row: replace(row, phase=Phase.LIVE), now=now)

        try:
            if process is not None:
                await self._world.db.write(give_back)
        except sessions.OrchestratorExists:
            process = None
        if process is None:
            await self._teardown.run(old)
            return
        # Its end, had it come meanwhile, would have been no news of an ending session.
        self._watches.watch(old, process)
        log.warning("orchestrator kept, its replacement failed", extra={"session": old_id})

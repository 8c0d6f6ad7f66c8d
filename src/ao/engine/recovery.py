"""Boot: make the rows and the world agree before anything is served.

The row's phase names the effect that may have begun, so a crash is finished or undone without searching: what was
starting and has no living agent ends as `INTERRUPTED`, what was ending is ended, what lives is watched again.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from ao.engine.launching import Failure
from ao.engine.lifecycle import Lifecycle
from ao.engine.locks import SessionLocks
from ao.engine.orchestrators import Orchestrators
from ao.engine.teardown import Teardown
from ao.engine.watching import Watches
from ao.engine.world import World, process_of
from ao.model.session import STARTING, Activity, Phase, Session
from ao.model.signal import Signal
from ao.ports import ProcessId
from ao.store import sessions

INTERRUPTED = Failure(
    code="INTERRUPTED",
    message="the daemon ended while this session was starting",
    hint="spawn it again, or restore it when it had been launched before",
)

log = logging.getLogger("ao.engine.recovery")


class Recovery:
    """Runs once, before the API answers."""

    def __init__(
        self,
        world: World,
        locks: SessionLocks,
        watches: Watches,
        *,
        teardown: Teardown,
        lifecycle: Lifecycle,
        orchestrators: Orchestrators,
    ) -> None:
        self._world = world
        self._locks = locks
        self._watches = watches
        self._teardown = teardown
        self._lifecycle = lifecycle
        self._orchestrators = orchestrators

    async def run(self) -> None:
        """Settle every unfinished session. One that can't be settled is logged and left as it is for the next boot."""
        pending = sessions.unfinished(self._world.db.read)
        started = [row for row in pending if row.phase in STARTING]
        for row in [*started, *(row for row in pending if row.phase not in STARTING)]:
            try:
                async with self._locks.hold(row.id):
                    await self._settle(self._world.session(row.id))
            except Exception:
                log.exception("session could not be settled at start", extra={"session": row.id})

    async def _settle(self, row: Session) -> None:
        if row.phase in STARTING:
            await self._settle_started(row)
        elif row.phase is Phase.ENDING:
            await self._settle_ending(row)
        elif row.phase is Phase.LIVE:
            await self._adopt(row, process_of(row))

    async def _settle_ending(self, row: Session) -> None:
        """Finish it, unless it was ending for the sake of an orchestrator that then failed."""
        rival = sessions.replacement_of(self._world.db.read, row.id)
        if rival is not None and rival.is_terminated:
            await self._orchestrators.undo_replacement(row.id)
        else:
            await self._teardown.run(row)

    async def _settle_started(self, row: Session) -> None:
        process = await self._launched_agent(row) if row.phase is Phase.LAUNCHED else None
        if process is not None:
            await self._world.change(
                row.id,
                lambda now: replace(now, phase=Phase.LIVE, agent_pid=process.pid, agent_started=process.started),
            )
            await self._adopt(self._world.session(row.id), process)
            return
        await self._teardown.run(row, failure=INTERRUPTED)
        if row.replaces:
            await self._orchestrators.undo_replacement(row.replaces)

    async def _launched_agent(self, row: Session) -> ProcessId | None:
        folder = self._world.settings.launch_folder(row.id, row.launches)
        if self._world.host.stamp([folder]) == (None,):
            return None
        process = await self._world.runtime.agent(folder, timeout_s=0.0)
        return process if process is not None and self._world.host.identify(process.pid) == process else None

    async def _adopt(self, row: Session, process: ProcessId | None) -> None:
        if process is not None and self._world.host.identify(process.pid) == process:
            self._watches.watch(row, process)
            return
        if row.activity is Activity.EXITED:
            return
        code = await self._world.runtime.exit_code(self._world.settings.launch_folder(row.id, row.launches))
        await self._lifecycle.apply(row.id, Signal(event="process-exited", state=Activity.EXITED, exit_code=code))

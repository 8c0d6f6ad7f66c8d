"""The one way down: ends whatever a session's phase says may exist, keeps what anyone wrote, and says what it did.

Total and idempotent: it starts from any phase, repeats safely after a crash, and serves kill, rollback, cleanup, failed
spawns and boot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from ao.engine.launching import Failure, Launcher
from ao.engine.watching import Watches
from ao.engine.world import World, checkout_of, process_of, terminal_of
from ao.model.errors import AoError
from ao.model.message import Message, MessageState
from ao.model.project import Project
from ao.model.session import Activity, Phase, Session, WorkspaceState
from ao.ports import Removal
from ao.store import messages, projects
from ao.store.database import Connection

UNDELIVERED: Final = "the session ended before it could be delivered"

log = logging.getLogger("ao.engine.teardown")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a teardown left: the row after it, and what became of the worktree."""

    session: Session
    removal: Removal


class Teardown:
    """Ends sessions. The caller holds the session's lock."""

    def __init__(self, world: World, watches: Watches, launcher: Launcher) -> None:
        self._world = world
        self._watches = watches
        self._launcher = launcher

    async def run(
        self,
        session: Session,
        *,
        force: bool = False,
        failure: Failure | None = None,
        agent_gone: Callable[[], None] | None = None,
    ) -> Outcome:
        """Tear down and return what stays. `agent_gone` is called as soon as the agent's processes are.

        Raises `RUNTIME_FAILED` when a process can't be ended; the row then stays `ending` and boot tries again.
        """
        # Asked of the writer: a cancelled spawn or restore may have a write under way that this one must see.
        session = await self._world.change(session.id, _begin_end)
        if session.phase is Phase.ENDED:
            return Outcome(session=session, removal=await self._look_again(session))
        self._watches.forget(session.id)
        if session.workspace_path:
            await self._end_processes(session, agent_gone)
        removal = await self._remove_workspace(session, force=force)
        await self._world.host.remove_tree(self._world.settings.run_folder(session.id))
        now = self._world.now()
        ended = await self._world.change(session.id, lambda row: _ended(row, removal, failure, now))
        await self._fail_messages(session.id)
        copy = {"snapshot": removal.snapshot} if removal.snapshot else {}
        log.info("session ended", extra={"session": session.id, "kept": removal.preserved_reason or "nothing"} | copy)
        return Outcome(session=ended, removal=removal)

    async def _end_processes(self, session: Session, agent_gone: Callable[[], None] | None) -> None:
        """Agent first, with time for its exit hooks; then the terminal; then whatever the shell left.

        Before a launch that is a git or a post-create command whose daemon was killed.
        """
        world = self._world
        marks = {"AO_SESSION_ID": session.id, "AO_DATA_DIR": world.settings.data_dir}
        left = await world.host.kill(process_of(session), marks, grace_s=world.settings.kill_grace_s)
        if not left and agent_gone is not None:
            agent_gone()
        if session.launches:
            await world.runtime.close(terminal_of(session))
        if not left:
            left = await world.host.kill(None, marks, grace_s=0.0)
        if left:
            raise AoError(
                "RUNTIME_FAILED",
                f"{len(left)} process(es) of session {session.id!r} could not be ended",
                hint="see details.pids; end them by hand and kill the session again",
                details={"pids": [process.pid for process in left]},
            )
        if not session.launches:
            return
        project = projects.get(world.db.read, session.project_id, archived=True)
        await world.agents.release(session.agent, self._launcher.context(session, project or _unknown(session)))

    async def _remove_workspace(self, session: Session, *, force: bool) -> Removal:
        if not session.workspace_path:
            return Removal(removed=True)
        return await self._world.workspaces.remove(checkout_of(session), force=force)

    async def _look_again(self, session: Session) -> Removal:
        """What is left of a session whose worktree went with an earlier teardown."""
        if not session.workspace_path:
            return Removal(removed=True)
        state = await self._world.workspaces.examine(checkout_of(session))
        return Removal(removed=True, branch_kept=state.own_commits > 0 or not session.branch_created)

    async def _fail_messages(self, session_id: str) -> None:
        now = self._world.now()

        def fail(row: Message) -> Message:
            return replace(row, state=MessageState.FAILED, failure=UNDELIVERED, held_reason="")

        def fail_all(conn: Connection) -> None:
            for message in messages.due(conn, session_id):
                messages.change(conn, message.id, fail, now=now)

        if messages.due(self._world.db.read, session_id):
            await self._world.db.write(fail_all)


def _begin_end(row: Session) -> Session:
    gone = row.phase is Phase.ENDED and row.workspace_state in (WorkspaceState.NONE, WorkspaceState.REMOVED)
    return row if gone else replace(row, phase=Phase.ENDING)


def _ended(row: Session, removal: Removal, failure: Failure | None, now: int) -> Session:
    state = row.workspace_state
    if row.workspace_path:
        state = WorkspaceState.PRESERVED if removal.preserved_reason else WorkspaceState.REMOVED
    ended = replace(
        row,
        phase=Phase.ENDED,
        activity=Activity.EXITED,
        activity_at=row.activity_at if row.activity is Activity.EXITED else now,
        activity_source=row.activity_source if row.activity is Activity.EXITED else "teardown",
        agent_pid=None,
        agent_started="",
        workspace_state=state,
        preserved_path=row.workspace_path if removal.preserved_reason else "",
        preserved_reason=removal.preserved_reason,
        ended_at=row.ended_at or now,
    )
    if failure is None:
        return ended
    return replace(ended, failure_code=failure.code, failure_message=failure.message, failure_hint=failure.hint)


def _unknown(session: Session) -> Project:
    """Stands in for a project row that is gone: teardown needs none of its settings."""
    return Project(
        id=session.project_id, path=session.repo_path, registered_at=session.created_at, updated_at=session.created_at
    )

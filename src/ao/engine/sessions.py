"""The lifecycle commands of a session, as the API and the CLI know them.

A command belongs to the daemon: it runs as a task of the daemon's group and goes on when its caller leaves. It holds
the session's lock; kill and rollback cancel a spawn or restore that holds it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from ao.engine.basing import Bases
from ao.engine.launching import Launcher, cancelled, failure_of, failure_row
from ao.engine.locks import SessionLocks
from ao.engine.preflight import Prepared, checked_name, prepare, unknown_project
from ao.engine.requests import CleanupResult, KillResult, RollbackResult, SpawnRequest, Until, Wait
from ao.engine.restoring import Restorer
from ao.engine.teardown import Outcome, Teardown
from ao.engine.world import World, checkout_of, terminal_of
from ao.log import first_time, note_session
from ao.model.errors import AoError
from ao.model.session import Phase, Session, WorkspaceState
from ao.ports import Removal
from ao.store import sessions
from ao.store.database import Connection

T = TypeVar("T")
log = logging.getLogger("ao.engine.sessions")


class Sessions:
    """Use cases on single sessions."""

    def __init__(self, world: World, locks: SessionLocks, launcher: Launcher, teardown: Teardown) -> None:
        self._world = world
        self._locks = locks
        self._launcher = launcher
        self._teardown = teardown
        self._bases = Bases(world)
        self._restorer = Restorer(world, launcher)
        self._climbing: dict[str, asyncio.Task[Session]] = {}

    async def spawn(self, request: SpawnRequest, *, wait: Wait) -> Session:
        """Start a session. `seeded` answers as soon as its row is durable; `live` when the agent has been seen, or
        with the typed error, and then no row remains unless the attempt left something worth keeping. A request that
        repeats an idempotency key gets the session, and the outcome, of the first.

        Raises the errors of `preflight.prepare`; with `live` also those of the launch.
        """
        known = _repeated(self._world.db.read, request)
        if known is None:
            prepared = await prepare(self._world, request)
            session, is_new = await self._seed(prepared, request)
            note_session(session.id)
            if is_new:
                return await self.bring_up(session, prepared, wait=wait)
            known = session
        note_session(known.id)
        return await self.outcome(known.id, wait=wait)

    async def bring_up(self, session: Session, prepared: Prepared, *, wait: Wait) -> Session:
        """Take a seeded session to live in a task of the daemon."""
        task = self.climb(session, prepared, keep_row=wait == "seeded")
        if wait == "seeded":
            return session
        return await _result(task)

    def climb(self, session: Session, prepared: Prepared, *, keep_row: bool) -> asyncio.Task[Session]:
        """The task that takes a seeded session to live. With `keep_row` its result may be a session that failed, else
        it raises what stopped it and a row with nothing behind it goes."""
        task = self._world.start(self._bring_up(session, prepared, keep_row=keep_row))
        self._climbing[session.id] = task
        task.add_done_callback(lambda _: self._climbing.pop(session.id, None))
        return task

    async def outcome(self, session_id: str, *, wait: Wait) -> Session:
        """A session that another caller brings up: as it is, or with `live` as that caller sees it in the end."""
        task = self._climbing.get(session_id)
        if wait == "live" and task is not None:
            return await _result(task)
        return self._world.session(session_id)

    async def kill(self, session_id: str, *, force: bool = False, until: Until = "done") -> KillResult:
        """End a session; work that would be lost stays. Repeats what is left when it had ended before.

        Raises `SESSION_NOT_FOUND`, `SESSION_INCOMPLETE_HANDLE` (half-made), `RUNTIME_FAILED`.
        """
        refuse_half_made(self._world.session(session_id), "kill")
        gone = asyncio.Event()
        task = self._world.start(self._kill(session_id, force=force, agent_gone=gone.set))
        if until == "gone" and await _first(gone, task):
            task.add_done_callback(_tell_failure)
            return KillResult(freed=False)
        outcome = await _result(task)
        return kill_result(outcome)

    async def rollback(self, session_id: str) -> RollbackResult:
        """Undo a spawn: a seed vanishes, anything later is torn down and keeps its history."""
        self._world.session(session_id)
        return await _result(self._world.start(self._rollback(session_id)))

    async def restore(self, session_id: str) -> tuple[Session, str]:
        """Bring an ended session back in its own worktree. Returns it and how: native, saved_prompt or fresh.

        Raises `SESSION_NOT_FOUND`, `SESSION_BUSY`, `SESSION_INCOMPLETE_HANDLE`, `SESSION_NOT_RESTORABLE`,
        `SESSION_NOT_RESUMABLE` and the errors of a launch; after an error the session is ended and its work intact.
        """
        session = self._world.session(session_id)
        refuse_half_made(session, "restore")
        self._locks.check_free(session_id)
        return await _result(self._world.start(self._restore(session_id)))

    async def cleanup(self, project: str | None, *, force: bool = False, dry_run: bool = False) -> CleanupResult:
        """Remove what ended sessions left on disk. Busy sessions and work worth keeping are skipped with a reason."""
        result = CleanupResult(cleaned=[], skipped=[], snapshots=[])
        for session in sessions.terminated(self._world.db.read, project=project):
            if session.workspace_state not in (WorkspaceState.PRESENT, WorkspaceState.PRESERVED):
                continue
            if self._locks.busy(session.id):
                result.skipped.append((session.id, "another command is working on it"))
                continue
            try:
                removal = await self._clean(session.id, force=force, dry_run=dry_run)
            except AoError as error:
                removal = Removal(removed=False, preserved_reason=error.message)
            if removal.preserved_reason:
                result.skipped.append((session.id, removal.preserved_reason))
                continue
            result.cleaned.append(session.id)
            if removal.snapshot:
                result.snapshots.append((session.id, removal.snapshot))
        return result

    async def rename(self, session_id: str, name: str) -> Session:
        """Set the display name; never waits for a lifecycle command."""
        shown = checked_name(name)
        self._world.session(session_id)
        return await self._world.change(session_id, lambda row: replace(row, display_name=shown))

    def get(self, session_id: str) -> Session:
        """The row. Raises `SESSION_NOT_FOUND`."""
        return self._world.session(session_id)

    def attach(self, session_id: str) -> tuple[list[str], list[str]]:
        """Commands that open the session's terminal: to use it, and to watch it. Raises `SESSION_TERMINATED`."""
        session = self._world.session(session_id)
        if session.phase not in (Phase.LAUNCHED, Phase.LIVE):
            state = "has ended" if session.is_terminated else "has no terminal yet"
            raise AoError(
                "SESSION_TERMINATED", f"session {session_id!r} {state}", hint=f"`ao session restore {session_id}`"
            )
        terminal = terminal_of(session)
        runtime = self._world.runtime
        return runtime.attach_argv(terminal, read_only=False), runtime.attach_argv(terminal, read_only=True)

    async def output(self, session_id: str, lines: int) -> str:
        """The last `lines` lines of the session's terminal; "" when there is none."""
        session = self._world.session(session_id)
        if not session.launches or session.phase is Phase.ENDED:
            return ""
        return await self._world.runtime.capture(terminal_of(session), lines=lines)

    async def _seed(self, prepared: Prepared, request: SpawnRequest) -> tuple[Session, bool]:
        """The new row; with False that of a request with the same key, which came first."""
        now = self._world.now()
        key = request.idempotency_key

        def seed(conn: Connection) -> tuple[Session, bool]:
            # Once more where nothing can come between, for two requests that race.
            if (known := _repeated(conn, request)) is not None:
                return known, False
            row = sessions.seed(conn, prepared.new, now=now, at_least=prepared.at_least)
            if key:
                sessions.remember_idempotent(conn, key, fingerprint_of(request), row.id, now)
            return row, True

        try:
            return await self._world.db.write(seed)
        except LookupError:
            raise unknown_project(request.project_id) from None
        except sessions.OrchestratorExists as exists:
            raise AoError(
                "ORCHESTRATOR_EXISTS",
                f"project {request.project_id!r} has an active orchestrator, {exists.session.id!r}",
                hint=f"`ao attach {exists.session.id}` opens it; `ao orchestrator start --clean` replaces it",
                details={"sessionId": exists.session.id},
            ) from exists

    async def _bring_up(self, session: Session, prepared: Prepared, *, keep_row: bool) -> Session:
        try:
            async with self._locks.hold(session.id, cancellable=True):
                return await self._climb(session, prepared, keep_row=keep_row)
        except asyncio.CancelledError:
            current = sessions.get(self._world.db.read, session.id)
            raise cancelled(current or session) from None

    async def _climb(self, session: Session, prepared: Prepared, *, keep_row: bool) -> Session:
        try:
            plan = await self._bases.replan(session, prepared)
            opened = await self._launcher.open_workspace(session, prepared.project, plan)
            return await self._launcher.launch(opened, prepared.project, resume=False)
        except Exception as error:
            await self._give_up(session.id, failure_of(error), keep_row=keep_row)
            if not isinstance(error, AoError) and first_time(error):
                log.exception("spawn failed", extra={"session": session.id})
            if keep_row:
                return self._world.session(session.id)
            raise

    async def _give_up(self, session_id: str, error: AoError, *, keep_row: bool) -> None:
        row = self._world.session(session_id)
        if row.is_terminated:
            return
        log.warning("spawn given up", extra={"session": session_id, "code": error.code, "cause": error.message})
        try:
            outcome = await self._teardown.run(row, failure=failure_row(error))
        except AoError as trouble:
            log.warning("spawn not torn down", extra={"session": session_id, "cause": trouble.message})
            raise
        if not keep_row and not row.replaces:
            await self.forget(outcome)

    async def forget(self, outcome: Outcome) -> None:
        """Drop the row of a spawn that failed and left nothing of its own."""
        left = outcome.removal.branch_kept and outcome.session.branch_created
        if outcome.removal.removed and not left:
            await self._world.db.write(lambda conn: sessions.forget_failed(conn, outcome.session.id))

    async def _kill(self, session_id: str, *, force: bool, agent_gone: Callable[[], None]) -> Outcome:
        async with self._locks.preempt(session_id):
            return await self._teardown.run(self._world.session(session_id), force=force, agent_gone=agent_gone)

    async def _rollback(self, session_id: str) -> RollbackResult:
        async with self._locks.preempt(session_id):
            session = self._world.session(session_id)
            if session.phase is Phase.SEEDED:
                deleted = await self._world.db.write(lambda conn: sessions.delete_seed(conn, session_id))
                if deleted:
                    return RollbackResult(deleted=True)
                session = self._world.session(session_id)
            refuse_half_made(session, "rollback")
            outcome = await self._teardown.run(session)
            return RollbackResult(
                killed=True,
                preserved_path=outcome.session.preserved_path,
                preserved_reason=outcome.session.preserved_reason,
            )

    async def _restore(self, session_id: str) -> tuple[Session, str]:
        try:
            # Whoever came between the request and this task goes first: a kill must not be undone by waiting for it.
            self._locks.check_free(session_id)
            async with self._locks.hold(session_id, cancellable=True):
                return await self._come_back(session_id)
        except asyncio.CancelledError:
            raise cancelled(self._world.session(session_id)) from None

    async def _come_back(self, session_id: str) -> tuple[Session, str]:
        session = self._world.session(session_id)
        ready = await self._restorer.check(session)
        try:
            return await self._restorer.restore(session, ready)
        except Exception as error:
            if not isinstance(error, AoError) and first_time(error):
                log.exception("restore failed", extra={"session": session_id})
            await self._restore_failed(session_id, failure_of(error))
            raise

    async def _restore_failed(self, session_id: str, error: AoError) -> None:
        row = self._world.session(session_id)
        if not row.is_terminated:
            await self._teardown.run(row, failure=failure_row(error))

    async def _clean(self, session_id: str, *, force: bool, dry_run: bool) -> Removal:
        async with self._locks.hold(session_id):
            session = self._world.session(session_id)
            if not session.is_terminated:
                return Removal(removed=False, preserved_reason="it was restored meanwhile")
            if dry_run:
                state = await self._world.workspaces.examine(checkout_of(session))
                return Removal(removed=False, preserved_reason="" if force else state.problem)
            return (await self._teardown.run(session, force=force)).removal


def refuse_half_made(session: Session, verb: str) -> None:
    """Raises `SESSION_INCOMPLETE_HANDLE` for a session that ended before it was ever launched."""
    if session.is_half_made:
        raise AoError(
            "SESSION_INCOMPLETE_HANDLE",
            f"session {session.id!r} ended before its agent was launched; there is nothing to {verb}",
            hint="spawn a new session with the same prompt",
            details={"failure": session.failure_code} if session.failure_code else None,
        )


def kill_result(outcome: Outcome) -> KillResult:
    """What the caller of kill is told."""
    session = outcome.session
    return KillResult(
        freed=outcome.removal.removed,
        preserved_path=session.preserved_path,
        preserved_reason=session.preserved_reason,
        branch=session.branch if session.workspace_path else "",
        branch_kept=outcome.removal.branch_kept or bool(outcome.removal.preserved_reason),
        snapshot=outcome.removal.snapshot,
    )


def fingerprint_of(request: SpawnRequest) -> str:
    """What makes two spawn requests the same one."""
    return hashlib.sha256(msgspec.json.encode(request)).hexdigest()


def _repeated(conn: Connection, request: SpawnRequest) -> Session | None:
    """The session that an earlier request with the same key made. Raises `IDEMPOTENCY_KEY_REUSED`."""
    found = sessions.find_idempotent(conn, request.idempotency_key) if request.idempotency_key else None
    if found is None:
        return None
    fingerprint, session = found
    if fingerprint != fingerprint_of(request) or session is None:
        raise AoError(
            "IDEMPOTENCY_KEY_REUSED",
            "this Idempotency-Key belongs to another request" if session else "the session of this key is gone",
            hint="use a new key for a new request",
        )
    return session


async def _first(event: asyncio.Event, task: asyncio.Task[Any]) -> bool:
    """Whether `event` is set before `task` has ended."""
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return not task.done()


def _tell_failure(task: asyncio.Task[Outcome]) -> None:
    """The caller of a kill was answered already: the log says what became of the rest."""
    if not task.cancelled() and isinstance(error := task.exception(), AoError):
        log.warning("kill not finished", extra={"code": error.code, "cause": error.message})


async def _result(task: asyncio.Task[T]) -> T:
    """The outcome of a daemon's task; a caller that leaves doesn't end it."""
    return await asyncio.shield(task)

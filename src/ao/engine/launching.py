"""From a seeded (or ended) row to a living agent: workspace → launched → live, the row saying so before each effect."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from ao.engine.environment import base_environment, session_environment
from ao.engine.provision import provision
from ao.engine.watching import RECORDED_S, Watches
from ao.engine.world import World, checkout_of, terminal_of
from ao.model import prompts
from ao.model.errors import AoError
from ao.model.message import Message, MessageSource
from ao.model.project import Project
from ao.model.session import Activity, Phase, Session, WorkspaceState, with_warnings
from ao.ports import BranchPlan, Launch, ProcessId
from ao.ports.agents import AgentContext, AgentLaunch
from ao.store import messages, sessions
from ao.store.database import Connection

START_TIMEOUT_S: Final = 20.0
"""How long a terminal may take to bring the agent's process up."""
SETTLE_S: Final = 0.2
"""A program that ends within this time never really started."""
KEPT_LINES: Final = 10
KEPT_CHARACTERS: Final = 1_000
RESUME_SETTLE_S: Final = 5.0
"""A resumed conversation that is refused ends within this time; the first hook shortens the wait."""


class Launcher:
    """The steps that spawn and restore share. The caller holds the session's lock."""

    def __init__(self, world: World, watches: Watches) -> None:
        self._world = world
        self._watches = watches

    async def open_workspace(self, session: Session, project: Project, plan: BranchPlan) -> Session:
        """Make the worktree of a seeded session. Raises the errors of `Workspaces.create` and of provisioning."""
        path = self._world.settings.worktree(session.project_id, session.id)

        def enter(row: Session) -> Session | None:
            if row.phase is not Phase.SEEDED:
                raise cancelled(row)
            planned = replace(
                row,
                phase=Phase.WORKSPACE,
                workspace_path=path,
                workspace_state=WorkspaceState.PRESENT,
                branch=plan.branch,
                branch_created=plan.create,
                base_ref=plan.base_ref,
                base_sha=plan.base_sha,
                base_at=plan.base_at,
            )
            return with_warnings(planned, list(plan.warnings))

        session = await self._world.change(session.id, enter)
        try:
            await self._world.workspaces.create(plan, checkout_of(session))
        except AoError as error:
            if error.code == "BRANCH_CHECKED_OUT_ELSEWHERE":  # another session was quicker: the branch is its own
                await self._world.change(session.id, lambda row: replace(row, branch_created=False))
            raise
        return await provision(self._world, session, project)

    async def launch(self, session: Session, project: Project, *, resume: bool) -> Session:
        """Start the agent in its worktree and see it alive.

        Raises `AGENT_NOT_STARTED` when it ends at once, `AGENT_BINARY_NOT_FOUND`, `RUNTIME_FAILED`, and
        `SESSION_NOT_RESUMABLE` when `resume` is asked of an agent that can't.
        """
        world = self._world
        now = world.now()
        session = await world.change(session.id, lambda row: _launched(row, now))
        command, context = await self.render(session, project, resume=resume)
        await world.agents.prepare(session.agent, context)
        for path, content in command.files:
            # A launch doesn't outlive a crash of the machine, so its files need not either.
            await world.host.write_private(path, content.encode(), durable=False)
        await world.runtime.start(
            Launch(
                terminal=terminal_of(session),
                folder=context.folder,
                cwd=session.workspace_path,
                argv=command.argv,
                env={**context.env, **command.env, "AO_TOKEN": world.token_for(session.id, session.launches)},
                label=session.id,
            )
        )
        return await self._see_alive(session, context.folder, command, resume=resume)

    def unwatch(self, session_id: str) -> None:
        """What becomes of the agent so far is no news any more."""
        self._watches.forget(session_id)

    async def render(self, session: Session, project: Project, *, resume: bool) -> tuple[AgentLaunch, AgentContext]:
        """The command of this launch and the context it was made from."""
        context = self.context(session, project)
        if not resume:
            return await self._world.agents.launch(session.agent, context), context
        command = await self._world.agents.resume(session.agent, context) if session.native_id else None
        if command is None:
            raise AoError("SESSION_NOT_RESUMABLE", f"{session.agent} can't continue the conversation of {session.id}")
        return command, context

    def context(self, session: Session, project: Project) -> AgentContext:
        """What the agent's command line is rendered from."""
        settings = self._world.settings
        env = session_environment(
            session,
            base=base_environment(settings.environ, ao_bin=settings.ao_bin),
            project=project.settings.env,
            settings=settings,
        )
        return AgentContext(
            session_id=session.id,
            project_id=session.project_id,
            kind=session.kind,
            workspace_path=session.workspace_path,
            repo_path=session.repo_path,
            folder=settings.launch_folder(session.id, session.launches),
            prompt=session.prompt,
            system_prompt=instructions(self._world, session),
            model=session.model,
            permissions=session.permissions,
            native_id=session.native_id,
            ao_bin=settings.ao_bin,
            api_url=self._world.api_url(),
            env=env,
        )

    async def _see_alive(self, session: Session, folder: str, command: AgentLaunch, *, resume: bool) -> Session:
        world = self._world
        process = await world.runtime.agent(folder, timeout_s=START_TIMEOUT_S)
        if process is None:
            raise AoError(
                "AGENT_NOT_STARTED",
                f"{session.agent} of {session.id} didn't start within {START_TIMEOUT_S:.0f} s",
                hint="`ao doctor` checks the machine; `ao logs` has the daemon's view",
            )

        def enliven(row: Session) -> Session:
            if row.phase is not Phase.LAUNCHED:
                raise cancelled(row)
            live = replace(row, phase=Phase.LIVE, agent_pid=process.pid, agent_started=process.started)
            return with_warnings(live, list(command.warnings))

        self._watches.launched(session.id, command.ready)
        await world.db.write(lambda conn: self._enliven(conn, session, enliven, command.paste))
        await self._settle(session, process, folder, resume=resume)
        self._watches.watch(session, process)
        return world.session(session.id)

    def _enliven(self, conn: Connection, session: Session, change: Callable[[Session], Session], prompt: str) -> None:
        """The agent was seen. A prompt that can't travel on its command line goes to its outbox in the same step: there
        it survives a crash, waits for the agent's screen and never answers a dialog."""
        now = self._world.now()
        sessions.change(conn, session.id, change, now=now)
        if prompt:
            message = Message(
                id=f"msg_{uuid.uuid4().hex}",
                session_id=session.id,
                num=0,
                source=MessageSource.USER,
                text=prompt,
                created_at=now,
                updated_at=now,
            )
            messages.add(conn, message)

    async def _settle(self, session: Session, process: ProcessId, folder: str, *, resume: bool) -> None:
        """Return once the agent may be believed to run; raise `AGENT_NOT_STARTED` with its last words if it ended."""
        known = self._world.session(session.id).first_signal_at is not None
        patience_s = 0.0 if known else RESUME_SETTLE_S if resume else SETTLE_S
        gone = asyncio.ensure_future(self._world.host.exited(process))
        heard = asyncio.ensure_future(self._watches.first_signal(session.id))
        try:
            await asyncio.wait({gone, heard}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            ended = gone.done()
        finally:
            gone.cancel()
            heard.cancel()
            await asyncio.gather(gone, heard, return_exceptions=True)
        if not ended:
            return
        code = await self._world.runtime.exit_code(folder, timeout_s=RECORDED_S)
        if code == 0 and not resume:
            return
        screen = await self._world.runtime.capture(terminal_of(session), lines=20)
        raise AoError(
            "AGENT_NOT_STARTED",
            f"{session.agent} of {session.id} ended at once with exit code {code}",
            hint="its last output is in details.output; `ao doctor` checks installation and sign-in",
            details={"exitCode": code, "output": screen[-4000:]},
        )


def instructions(world: World, session: Session) -> str:
    """The standing instructions of a session as of now: they name the orchestrator that is active."""
    orchestrator = sessions.active_orchestrator(world.db.read, session.project_id)
    return prompts.system_prompt(
        kind=session.kind,
        session=session.id,
        project=session.project_id,
        branch=session.branch,
        orchestrator=orchestrator.id if orchestrator and orchestrator.id != session.id else "",
        rules=session.rules,
    )


def _launched(row: Session, now: int) -> Session:
    """The row before the effects of its next launch. Raises `SPAWN_CANCELLED` when it isn't on its way up any more."""
    if row.phase is not Phase.WORKSPACE:
        raise cancelled(row)
    return replace(
        row,
        phase=Phase.LAUNCHED,
        launches=row.launches + 1,
        launched_at=now,
        activity=Activity.IDLE,
        activity_at=now,
        activity_source="spawn",
        first_signal_at=None,
        exit_code=None,
        agent_pid=None,
        agent_started="",
        failure_code="",
        failure_message="",
        failure_hint="",
        preserved_path="",
        preserved_reason="",
        ended_at=None,
    )


def cancelled(session: Session) -> AoError:
    """The error of a spawn that was ended by kill or rollback before it was done."""
    return AoError(
        "SPAWN_CANCELLED", f"session {session.id!r} was ended while it was starting", details={"sessionId": session.id}
    )


def failure_of(error: BaseException) -> AoError:
    """The typed form of what stopped a launch."""
    if isinstance(error, AoError):
        return error
    return AoError("INTERNAL_ERROR", "an unexpected error stopped the launch", hint="`ao logs` has the cause")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What a row keeps of an error."""

    code: str
    message: str
    hint: str


def failure_row(error: AoError) -> Failure:
    """The part of an error that a row keeps. It has no details, so the last lines of a command's output go with the
    hint."""
    output = str(error.details.get("output", "")).rstrip()
    if not output:
        return Failure(code=error.code, message=error.message, hint=error.hint or "")
    tail = "\n".join(output.splitlines()[-KEPT_LINES:])[-KEPT_CHARACTERS:]
    return Failure(code=error.code, message=error.message, hint=f"its last output was:\n{tail}")

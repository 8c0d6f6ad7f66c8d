"""Restore: an ended session walks ended → workspace → launched → live again, in its own worktree."""

from __future__ import annotations

import uuid

import msgspec
from msgspec.structs import replace

from ao.engine.launching import Launcher
from ao.engine.world import World, checkout_of, process_of, terminal_of
from ao.model.errors import AoError
from ao.model.project import Project
from ao.model.session import Activity, Kind, Phase, Session, WorkspaceState, with_warnings
from ao.ports import BranchPlan
from ao.store import projects, sessions


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore was found to need: the session's project, and native, saved_prompt or fresh."""

    project: Project
    mode: str


class Restorer:
    """Brings sessions back. The caller holds the session's lock and tears down after an error."""

    def __init__(self, world: World, launcher: Launcher) -> None:
        self._world = world
        self._launcher = launcher

    async def check(self, session: Session) -> Ready:
        """Refuse what can be known to fail, changing nothing: a refused restore ends no session whose agent has
        exited and whose shell a person may be using."""
        project = self._check(session)
        await self._world.agents.binary(session.agent, self._launcher.context(session, project).env)
        await self._world.runtime.check()
        return Ready(project=project, mode=await self._mode(session, project))

    async def restore(self, session: Session, ready: Ready) -> tuple[Session, str]:
        """The living session and how its agent was started: native, saved_prompt or fresh."""
        project, mode = ready.project, ready.mode
        if session.phase is Phase.LIVE:
            await self._clear_terminal(session)
        opened = await self._reopen(session)
        if mode == "native":
            try:
                return await self._launcher.launch(opened, project, resume=True), mode
            except AoError as error:
                if error.code != "AGENT_NOT_STARTED" or not _fallback(session):
                    raise
                opened = await self._start_over(opened, error)
                mode = _fallback(session)
        elif self._world.agents.get(session.agent).pins_native_id:
            opened = await self._new_conversation(opened)
        return await self._launcher.launch(opened, project, resume=False), mode

    def _check(self, session: Session) -> Project:
        exited = session.phase is Phase.LIVE and session.activity is Activity.EXITED
        if session.phase is not Phase.ENDED and not exited:
            raise AoError(
                "SESSION_NOT_RESTORABLE",
                f"session {session.id!r} hasn't ended (phase {session.phase})",
                hint=f"`ao attach {session.id}` opens it",
            )
        project = projects.get(self._world.db.read, session.project_id)
        if project is None:
            raise AoError(
                "PROJECT_NOT_RESOLVABLE",
                f"project {session.project_id!r} of session {session.id!r} is no longer registered",
                hint=f"`ao project add --path {session.repo_path} --id {session.project_id}` brings it back",
            )
        active = sessions.active_orchestrator(self._world.db.read, session.project_id)
        if session.kind is Kind.ORCHESTRATOR and active is not None and active.id != session.id:
            raise _rival(active)
        return project

    async def _mode(self, session: Session, project: Project) -> str:
        context = self._launcher.context(session, project)
        if session.native_id and await self._world.agents.resume(session.agent, context) is not None:
            return "native"
        fallback = _fallback(session)
        if not fallback:
            raise AoError(
                "SESSION_NOT_RESUMABLE",
                f"session {session.id!r} has neither a conversation that {session.agent} can continue nor a prompt",
                hint=f"its branch is {session.branch!r}; spawn a new session on it with --branch",
            )
        return fallback

    async def _clear_terminal(self, session: Session) -> None:
        """The agent has ended but its shell is open: whoever restores wants the agent there, so the shell goes."""
        marks = {"AO_SESSION_ID": session.id, "AO_DATA_DIR": self._world.settings.data_dir}
        self._launcher.unwatch(session.id)
        await self._world.host.kill(process_of(session), marks, grace_s=self._world.settings.kill_grace_s)
        await self._world.runtime.close(terminal_of(session))

    async def _reopen(self, session: Session) -> Session:
        try:
            opened = await self._world.change(
                session.id,
                lambda row: replace(row, phase=Phase.WORKSPACE, workspace_state=WorkspaceState.PRESENT, ended_at=None),
            )
        except sessions.OrchestratorExists as exists:
            raise _rival(exists.session) from exists
        checkout = checkout_of(opened)
        try:
            await self._world.workspaces.reopen(checkout)
        except AoError as error:
            if error.code != "WORKSPACE_MISSING" or not (opened.branch_created and opened.base_sha):
                raise
            # Nothing had been committed, so kill took the branch too: it begins again where it began.
            plan = BranchPlan(
                branch=opened.branch,
                create=True,
                start=opened.base_sha,
                base_ref=opened.base_ref,
                base_sha=opened.base_sha,
                base_at=opened.base_at,
            )
            await self._world.workspaces.create(plan, checkout)
        return opened

    async def _start_over(self, session: Session, error: AoError) -> Session:
        """The program refused its old conversation: clear the terminal and begin a new one, saying so."""
        await self._clear_terminal(self._world.session(session.id))
        note = f"the earlier conversation could not be continued ({error.message}); a new one was started"
        await self._world.change(session.id, lambda row: with_warnings(replace(row, phase=Phase.WORKSPACE), [note]))
        return await self._new_conversation(session)

    async def _new_conversation(self, session: Session) -> Session:
        pins = self._world.agents.get(session.agent).pins_native_id
        fresh = str(uuid.uuid4()) if pins else ""
        return await self._world.change(session.id, lambda row: replace(row, native_id=fresh))


def _rival(active: Session) -> AoError:
    return AoError(
        "SESSION_NOT_RESTORABLE",
        f"project {active.project_id!r} has another active orchestrator, {active.id!r}",
        hint=f"kill {active.id!r} first",
    )


def _fallback(session: Session) -> str:
    if session.prompt:
        return "saved_prompt"
    return "fresh" if session.kind is Kind.ORCHESTRATOR else ""

"""What becomes of a session whose work is merged: it ends by the full clean-up, if nothing of it could be lost."""

from __future__ import annotations

import logging

import msgspec

from ao.engine.pulls import Pulls
from ao.engine.sessions import Sessions
from ao.engine.world import World, checkout_of
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.pull import Pull
from ao.model.session import Activity, Kind, Phase, Session
from ao.store import messages, projects, pulls, sessions

RESTING = (Activity.IDLE, Activity.EXITED)

log = logging.getLogger("ao.engine.completion")


class _News(msgspec.Struct, frozen=True):
    activity: str = ""


class Completion:
    """Ends sessions that are done. Looks whenever a pull request of theirs changes, and when their agent comes to rest;
    decides by what is true then, so a restart forgets nothing."""

    def __init__(self, world: World, sessions_: Sessions, pulls_: Pulls) -> None:
        self._world = world
        self._pulls = pulls_
        self._sessions = sessions_
        self._looking: set[str] = set()

    def resume(self) -> None:
        """After a start: look at every session with a merged pull request."""
        for session_id, rows in pulls.grouped(self._world.db.read).items():
            if any(pull.state == "merged" for pull in rows):
                self._start(session_id)

    def pull_changed(self, pull: Pull) -> None:
        """A pull request changed: if it is finished, its session may be."""
        if not pull.is_open:
            self._start(pull.session_id)

    def committed(self, change: Change) -> None:
        """An agent came to rest, perhaps after its pull request was merged."""
        if change.type != "session_updated" or change.session_id is None:
            return
        if not self._pulls.owns_any(change.session_id):
            return
        if msgspec.json.decode(change.payload, type=_News).activity not in RESTING:
            return
        rows = pulls.of_session(self._world.db.read, change.session_id)
        if any(pull.state == "merged" for pull in rows):
            self._start(change.session_id)

    def _start(self, session_id: str) -> None:
        if session_id not in self._looking:
            self._looking.add(session_id)
            self._world.start(self._look(session_id))

    async def _look(self, session_id: str) -> None:
        try:
            session = sessions.get(self._world.db.read, session_id)
            if session is not None and await self._is_done(session):
                log.info("session done: its pull requests are merged", extra={"session": session_id})
                await self._sessions.kill(session_id)
        except AoError as error:
            log.warning("session not ended after its merge", extra={"session": session_id, "cause": error.message})
        finally:
            self._looking.discard(session_id)

    async def _is_done(self, session: Session) -> bool:
        if session.phase is not Phase.LIVE or session.kind is not Kind.WORKER or session.activity not in RESTING:
            return False
        read = self._world.db.read
        project = projects.get(read, session.project_id, archived=True)
        wanted = session.terminate_on_pr_merge
        if wanted is None:
            wanted = project is not None and project.settings.terminate_on_pr_merge
        rows = pulls.of_session(read, session.id)
        merged = [pull for pull in rows if pull.state == "merged"]
        if not wanted or not merged or any(pull.is_open for pull in rows) or messages.due(read, session.id):
            return False
        return await self._nothing_new(session, merged)

    async def _nothing_new(self, session: Session, merged: list[Pull]) -> bool:
        """Whether all its branches end at what was merged, or where it began, and nothing uncommitted lies beside."""
        checkout = checkout_of(session)
        settled = {pull.head_sha for pull in merged} | {session.base_sha}
        for branch in (await self._world.trees.history(checkout)).branches:
            tip = await self._world.trees.commit(session.repo_path, f"refs/heads/{branch}")
            if tip is not None and tip not in settled:
                log.info("session stays after its merge", extra={"session": session.id, "cause": f"{branch} goes on"})
                return False
        state = await self._world.workspaces.examine(checkout)
        if state.problem:
            log.info("session stays after its merge", extra={"session": session.id, "cause": state.problem})
        return not state.problem

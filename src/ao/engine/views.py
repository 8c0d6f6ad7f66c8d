"""Read models: facts joined with the status derived from them at the moment of reading."""

from __future__ import annotations

from ao.engine.requests import SessionFacts
from ao.engine.world import World
from ao.model.session import Phase, Session
from ao.model.status import derive
from ao.store import sessions


class Views:
    """What the API shows of sessions."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, session_id: str) -> SessionFacts:
        """One session. Raises `SESSION_NOT_FOUND`."""
        return self.of(self._world.session(session_id))

    def list(self) -> list[SessionFacts]:
        """All sessions by project and number."""
        return [self.of(row) for row in sessions.all_sessions(self._world.db.read)]

    def of(self, session: Session) -> SessionFacts:
        """A row with what is derived from it now."""
        now = self._world.now()
        reports = session.agent in self._world.agents.ids() and self._world.agents.get(session.agent).reports
        return SessionFacts(
            session=session,
            status=derive(session, (), now=now, reports=reports),
            base_age_s=(now - session.base_at) // 1000 if session.base_at is not None else None,
            has_terminal=session.launches > 0 and session.phase is not Phase.WORKSPACE,
        )

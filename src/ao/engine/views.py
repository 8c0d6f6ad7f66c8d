"""Read models: facts joined with the status derived from them at the moment of reading."""

from __future__ import annotations

from collections.abc import Sequence

from ao.engine.requests import SessionFacts
from ao.engine.world import World
from ao.model.pull import Pull
from ao.model.session import Phase, Session
from ao.model.status import derive
from ao.store import projects, pulls, sessions


class Views:
    """What the API shows of sessions."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, session_id: str) -> SessionFacts:
        """One session. Raises `SESSION_NOT_FOUND`."""
        session = self._world.session(session_id)
        return self._of(session, pulls.of_session(self._world.db.read, session_id), {})

    def list(self) -> list[SessionFacts]:
        """All sessions by project and number."""
        owned = pulls.grouped(self._world.db.read)
        policies: dict[str, bool] = {}
        rows = sessions.all_sessions(self._world.db.read)
        return [self._of(row, owned.get(row.id, ()), policies) for row in rows]

    def _of(self, session: Session, owned: Sequence[Pull], policies: dict[str, bool]) -> SessionFacts:
        """A row and its pull requests with what is derived from them now. `policies` remembers what projects say."""
        now = self._world.now()
        reports = session.agent in self._world.agents.ids() and self._world.agents.get(session.agent).reports
        terminates = session.terminate_on_pr_merge
        if terminates is None:
            if session.project_id not in policies:
                policies[session.project_id] = self._policy(session.project_id)
            terminates = policies[session.project_id]
        return SessionFacts(
            session=session,
            status=derive(session, [pull.status_facts for pull in owned], now=now, reports=reports),
            base_age_s=(now - session.base_at) // 1000 if session.base_at is not None else None,
            has_terminal=session.launches > 0 and session.phase is not Phase.WORKSPACE,
            pulls=tuple(owned),
            terminates_on_merge=terminates,
        )

    def _policy(self, project_id: str) -> bool:
        """Whether the project's sessions end when their pull requests are merged."""
        project = projects.get(self._world.db.read, project_id, archived=True)
        return project is not None and project.settings.terminate_on_pr_merge

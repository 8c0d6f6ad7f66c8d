"""The projects and sessions that the store's tests begin with."""

from __future__ import annotations

from ao.model.message import Message, MessageSource
from ao.model.project import Project
from ao.model.session import Kind, NewSession, Session
from ao.store import sessions
from ao.store.database import Database


def project(project_id: str = "app", *, path: str = "") -> Project:
    """A project to put."""
    return Project(id=project_id, path=path or f"/src/{project_id}", name=project_id, registered_at=1, updated_at=1)


def new_session(project_id: str = "app", *, kind: Kind = Kind.WORKER) -> NewSession:
    """A session to seed."""
    return NewSession(project_id=project_id, kind=kind, agent="demo", repo_path=f"/src/{project_id}", prompt="Do it.")


async def seeded(database: Database, project_id: str = "app", *, kind: Kind = Kind.WORKER) -> Session:
    """A session just seeded."""
    return await database.write(lambda conn: sessions.seed(conn, new_session(project_id, kind=kind), now=10))


def message(session_id: str, text: str = "hello", *, key: str = "") -> Message:
    """A message to add; its id follows from what it says."""
    return Message(
        id=f"m-{session_id}-{text}",
        session_id=session_id,
        num=0,
        source=MessageSource.USER,
        text=text,
        idempotency_key=key,
        created_at=20,
        updated_at=20,
    )

"""Registering repositories, and letting go of them."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Final

import msgspec

from ao.engine.preflight import known_project
from ao.engine.requests import KillResult, RemoveResult
from ao.engine.sessions import Sessions
from ao.engine.world import World
from ao.model import ids
from ao.model.errors import AoError
from ao.model.project import ConfigPatch, Project, ProjectConfig, check_config, patched
from ao.model.text import sanitise
from ao.store import projects, sessions
from ao.store.database import Connection

MAX_PATH: Final = 4096

log = logging.getLogger("ao.engine.projects")


class Projects:
    """Use cases on projects."""

    def __init__(self, world: World, sessions_: Sessions) -> None:
        self._world = world
        self._sessions = sessions_

    def list(self) -> list[Project]:
        """Active projects by id."""
        return projects.active(self._world.db.read)

    def get(self, project_id: str) -> Project:
        """An active project. Raises `INVALID_PROJECT_ID`, `PROJECT_NOT_FOUND`."""
        return known_project(self._world, ids.check_project_id(project_id))

    async def add(
        self, path: str, *, project_id: str = "", name: str = "", config: ProjectConfig | None = None
    ) -> Project:
        """Register the repository whose top level is `path`; an archived id comes back with its history.

        Raises `PATH_REQUIRED`, `INVALID_PATH`, `NOT_A_GIT_REPO`, `INVALID_PROJECT_ID`, `PATH_ALREADY_REGISTERED`,
        `ID_ALREADY_REGISTERED`, `INVALID_PROJECT_CONFIG`.
        """
        where = expand(path, home=self._world.settings.environ.get("HOME", ""))
        repository = await self._world.workspaces.inspect(where)
        wanted = ids.check_project_id(project_id.strip() or ids.project_id_for(where))
        _refuse_taken(self._world.db.read, wanted, repository.path)
        if config is not None:
            check_config(config, agents=frozenset(self._world.agents.ids()))
        top = await self._world.workspaces.top_number(repository.path, wanted)
        now = self._world.now()
        project = Project(
            id=wanted,
            path=repository.path,
            name=" ".join(sanitise(name).split()) or wanted,
            repo=repository.origin,
            default_branch=repository.default_branch,
            config=encoded(config) if config is not None else "",
            next_num=top + 1,
            registered_at=now,
            updated_at=now,
        )

        def register(conn: Connection) -> None:
            # Once more where nothing can come between, for two registrations that race.
            _refuse_taken(conn, wanted, project.path)
            projects.put(conn, project)

        await self._world.db.write(register)
        log.info("project added", extra={"project": wanted, "path": repository.path})
        return self.get(wanted)

    async def set_config(self, project_id: str, config: ProjectConfig) -> Project:
        """Replace the configuration. Raises `INVALID_PROJECT_CONFIG`, `PROJECT_NOT_FOUND`."""
        self.get(project_id)
        check_config(config, agents=frozenset(self._world.agents.ids()))
        now = self._world.now()
        stored = await self._world.db.write(lambda conn: projects.set_config(conn, project_id, encoded(config), now))
        return stored or self.get(project_id)

    async def patch_config(self, project_id: str, patch: ConfigPatch) -> Project:
        """Set or remove single keys of the configuration."""
        return await self.set_config(project_id, patched(self.get(project_id).settings, patch))

    async def remove(self, project_id: str) -> RemoveResult:
        """End the project's sessions and archive it. Work worth keeping stays on disk and is reported.

        Raises `RUNTIME_FAILED` or `REPOSITORY_BUSY` when a session can't be ended; the project then stays.
        """
        self.get(project_id)
        ended: dict[str, KillResult] = {}
        now = self._world.now()

        def archive(conn: Connection) -> bool:
            if sessions.unfinished(conn, project=project_id):
                return False
            projects.archive(conn, project_id, now)
            return True

        # A spawn may come between; none can be seeded once the project is archived.
        while not await self._world.db.write(archive):
            rows = sessions.unfinished(self._world.db.read, project=project_id)
            for results in await asyncio.gather(*(self._end(row.id) for row in rows)):
                ended |= results
        log.info("project removed", extra={"project": project_id, "killed": len(ended)})
        kept = [(name, left.preserved_path, left.preserved_reason) for name, left in ended.items()]
        return RemoveResult(killed=list(ended), preserved=[entry for entry in kept if entry[1]])

    async def _end(self, session_id: str) -> dict[str, KillResult]:
        """The session and what its kill left; nothing when it failed by itself meanwhile."""
        try:
            return {session_id: await self._sessions.kill(session_id)}
        except AoError as error:
            if error.code not in ("SESSION_NOT_FOUND", "SESSION_INCOMPLETE_HANDLE"):
                raise
        return {}


def _refuse_taken(conn: Connection, wanted: str, path: str) -> None:
    by_path = projects.by_path(conn, path)
    if by_path is not None:
        message = f"{path} is registered already, as {by_path.id!r}"
        raise _conflict(conn, "PATH_ALREADY_REGISTERED", message, by_path.id, wanted)
    if projects.get(conn, wanted) is not None:
        raise _conflict(conn, "ID_ALREADY_REGISTERED", f"the id {wanted!r} belongs to another project", wanted, wanted)


def _conflict(conn: Connection, code: str, message: str, existing: str, wanted: str) -> AoError:
    taken = projects.taken_ids(conn)
    number = 1
    while f"{wanted}{number}" in taken:
        number += 1
    suggested = f"{wanted}{number}"
    hint = f"register it with --id {suggested}" if code == "ID_ALREADY_REGISTERED" else f"use project {existing!r}"
    return AoError(code, message, hint=hint, details={"existingProjectId": existing, "suggestedProjectId": suggested})


def expand(path: str, *, home: str) -> str:
    """An absolute, clean path; `~` is `home`. Raises `PATH_REQUIRED`, `INVALID_PATH`."""
    text = path.strip()
    if not text:
        raise AoError("PATH_REQUIRED", "no path was given", hint="name the top folder of a git repository")
    if text == "~" or text.startswith(("~/", "~\\")):
        text = home + text[1:]
    if "\0" in text or len(text) > MAX_PATH or not os.path.isabs(text):
        raise AoError(
            "INVALID_PATH", f"{path[:200]!r} is not an absolute path", hint="`ao` makes paths absolute itself"
        )
    return os.path.normpath(text)


def encoded(config: ProjectConfig) -> str:
    """The JSON text of a configuration as it is stored."""
    return msgspec.json.encode(config).decode()

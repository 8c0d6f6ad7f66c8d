"""The base of a session's work at the moment its worktree is made: optionally fetched, then resolved once more."""

from __future__ import annotations

import os
from typing import Final

from msgspec.structs import replace

from ao.engine.preflight import Prepared
from ao.engine.world import World
from ao.model import ids
from ao.model.project import Project
from ao.model.session import Session
from ao.ports import BranchPlan, BranchRequest

FETCH_TIMEOUT_S: Final = 10.0
FRESH_MS: Final = 5 * 60_000
"""With policy `auto` a base that was fetched within this time isn't fetched again."""


class Bases:
    """Resolves bases. Remembers when each was fetched, because a fetch that finds nothing new leaves no trace in the
    repository; what a person fetched is read from git's files. A restart may forget it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._fetched: dict[tuple[str, str], int] = {}

    async def replan(self, session: Session, prepared: Prepared) -> BranchPlan:
        """The plan for a seeded session. Raises what `Workspaces.plan` raises; a failed fetch is a warning in the
        plan."""
        project = prepared.project
        fetching = not session.start_commit and self._wants_fetch(project)
        if not fetching and prepared.plan.branch == session.branch:
            return prepared.plan
        warning = await self._fetch(project) if fetching else ""
        plan = await self._world.workspaces.plan(
            BranchRequest(
                repo_path=project.path,
                own=ids.default_branch(session.id),
                default=project.base_branch,
                requested=prepared.requested,
                commit=session.start_commit,
            )
        )
        if not warning:
            return plan
        age = f"; the base is from {_age(self._world.now() - plan.base_at)}" if plan.base_at is not None else ""
        return replace(plan, warnings=(*plan.warnings, f"{warning}{age}"))

    async def _fetch(self, project: Project) -> str:
        began = self._world.now()
        warning = await self._world.workspaces.fetch(project.path, project.base_branch, timeout_s=FETCH_TIMEOUT_S)
        if not warning:
            self._fetched[project.path, project.base_branch] = began
        return warning

    def _wants_fetch(self, project: Project) -> bool:
        policy = project.settings.fetch or self._world.settings.fetch
        if policy == "never" or not project.repo:
            return False
        if policy == "always":
            return True
        ref = os.path.join(project.path, ".git", "refs", "remotes", "origin", project.base_branch)
        theirs = os.path.join(project.path, ".git", "FETCH_HEAD")
        stamps = [stamp[0] // 1_000_000 for stamp in self._world.host.stamp([ref, theirs]) if stamp]
        newest = max([*stamps, self._fetched.get((project.path, project.base_branch), 0)])
        return self._world.now() - newest > FRESH_MS


def _age(ms: int) -> str:
    hours = max(0, ms) // 3_600_000
    return f"{hours // 24} days ago" if hours >= 48 else f"{hours} hours ago" if hours else "less than an hour ago"

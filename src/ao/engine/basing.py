"""The base of a session's work at the moment its worktree is made: optionally fetched, then resolved once more."""

from __future__ import annotations

import os
from typing import Final

from msgspec.structs import replace

from ao.engine.preflight import Prepared
from ao.engine.world import World
from ao.model import ids
from ao.model.session import Session
from ao.ports import BranchPlan, BranchRequest

FETCH_TIMEOUT_S: Final = 10.0
FRESH_MS: Final = 5 * 60_000
"""With policy `auto` a base whose remote-tracking ref was renewed within this time isn't fetched again."""


async def replan(world: World, session: Session, prepared: Prepared) -> BranchPlan:
    """The plan for a seeded session. Raises what `Workspaces.plan` raises; a failed fetch is a warning in the plan."""
    project = prepared.project
    fetching = _wants_fetch(world, prepared)
    if not fetching and prepared.plan.branch == session.branch:
        return prepared.plan
    warning = ""
    if fetching:
        warning = await world.workspaces.fetch(project.path, project.base_branch, timeout_s=FETCH_TIMEOUT_S)
    plan = await world.workspaces.plan(
        BranchRequest(
            repo_path=project.path,
            own=ids.default_branch(session.id),
            default=project.base_branch,
            requested=prepared.requested,
        )
    )
    if not warning:
        return plan
    age = f"; the base is from {_age(world.now() - plan.base_at)}" if plan.base_at is not None else ""
    return replace(plan, warnings=(*plan.warnings, f"{warning}{age}"))


def _wants_fetch(world: World, prepared: Prepared) -> bool:
    project = prepared.project
    policy = project.settings.fetch or world.settings.fetch
    if policy == "never" or not project.repo:
        return False
    if policy == "always":
        return True
    ref = os.path.join(project.path, ".git", "refs", "remotes", "origin", project.base_branch)
    fetched = os.path.join(project.path, ".git", "FETCH_HEAD")
    newest = max((stamp[0] for stamp in world.host.stamp([ref, fetched]) if stamp), default=0)
    return world.now() - newest // 1_000_000 > FRESH_MS


def _age(ms: int) -> str:
    hours = max(0, ms) // 3_600_000
    return f"{hours // 24} days ago" if hours >= 48 else f"{hours} hours ago" if hours else "less than an hour ago"

"""Everything a spawn can be refused for, checked before any row exists. No process runs when nothing is requested
that needs one: project, agent and base come from the store and from caches checked by stat."""

from __future__ import annotations

import os
import uuid
from typing import Final

import msgspec

from ao.engine.environment import base_environment
from ao.engine.requests import SpawnRequest
from ao.engine.world import World
from ao.model import ids
from ao.model.errors import AoError
from ao.model.project import Project
from ao.model.session import PERMISSIONS, Kind, NewSession
from ao.model.text import DISPLAY_NAME_LIMIT, limit_text, sanitise, too_long
from ao.ports import BranchPlan, BranchRequest
from ao.store import projects

RULES_LIMIT: Final = 1 << 18
"""Bytes read of a rules file."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may be seeded: nothing in it can fail any more for a reason the caller could have known."""

    new: NewSession
    project: Project
    plan: BranchPlan
    requested: str
    at_least: int


def known_project(world: World, project_id: str) -> Project:
    """The active project. Raises `PROJECT_ID_REQUIRED` or `PROJECT_NOT_FOUND` (also for an archived one)."""
    if not project_id:
        raise AoError("PROJECT_ID_REQUIRED", "no project was named", hint="name one with --project ID")
    project = projects.get(world.db.read, project_id) if ids.is_id(project_id) else None
    if project is None:
        raise unknown_project(project_id)
    return project


def unknown_project(project_id: str) -> AoError:
    """The error that no active project has this id."""
    return AoError(
        "PROJECT_NOT_FOUND",
        f"no project {project_id!r}",
        hint="`ao project ls` lists projects; `ao project add` registers one",
    )


async def prepare(world: World, request: SpawnRequest) -> Prepared:
    """Resolve and check a spawn request, changing nothing."""
    project = known_project(world, request.project_id)
    prompt = checked_prompt(request.prompt, compat=world.settings.compat)
    agent, model, permissions = resolve_agent(world, project, request)
    env = base_environment(world.settings.environ, ao_bin=world.settings.ao_bin) | project.settings.env
    await world.agents.binary(agent, env)
    await world.runtime.check()
    at_least = await _free_number(world, project)
    own = ids.default_branch(ids.session_id(project.id, at_least))
    plan = await world.workspaces.plan(
        BranchRequest(
            repo_path=project.path,
            own=own,
            default=project.base_branch,
            requested=request.branch,
            commit=request.commit,
        )
    )
    rules = await _rules(world, project, request)
    new = NewSession(
        project_id=project.id,
        kind=request.kind,
        agent=agent,
        repo_path=project.path,
        issue_id=sanitise(request.issue_id),
        display_name=checked_name(request.display_name) if request.display_name else "",
        prompt=prompt,
        rules=rules,
        model=model,
        permissions=permissions,
        branch=plan.branch if plan.branch != own else "",
        native_id=str(uuid.uuid4()) if world.agents.get(agent).pins_native_id else "",
        start_commit=request.commit,
    )
    return Prepared(new=new, project=project, plan=plan, requested=request.branch, at_least=at_least)


def resolve_agent(world: World, project: Project, request: SpawnRequest) -> tuple[str, str, str]:
    """Agent, model and permission mode: the request's, else the role's, the project's, the daemon's.

    Raises `UNKNOWN_HARNESS`, `INVALID_PERMISSIONS`.
    """
    config = project.settings
    role = config.role(request.kind)
    settings = world.settings
    agent = request.agent or role.agent or settings.default_agent
    world.agents.get(agent)
    model = request.model or role.agent_config.model or config.agent_config.model or settings.default_model
    permissions = (
        request.permissions
        or role.agent_config.permissions
        or config.agent_config.permissions
        or settings.default_permissions
    )
    if permissions not in PERMISSIONS:
        raise AoError(
            "INVALID_PERMISSIONS", f"unknown permission mode {permissions!r}", hint=f"one of {', '.join(PERMISSIONS)}"
        )
    return agent, model, permissions


def checked_prompt(text: str, *, compat: bool) -> str:
    """The prompt as the agent will see it. Raises `PROMPT_TOO_LONG`."""
    prompt = sanitise(text)
    if too_long(prompt, compat=compat):
        raise AoError(
            "PROMPT_TOO_LONG",
            f"the prompt has {len(prompt):,} characters; the limit is {limit_text(compat=compat)}",
            hint="put long material into a file of the repository and name the file in the prompt",
        )
    return prompt


def checked_name(text: str) -> str:
    """A display name: one line, trimmed. Raises `DISPLAY_NAME_REQUIRED`, `DISPLAY_NAME_TOO_LONG`."""
    name = " ".join(sanitise(text).split())
    if not name:
        raise AoError("DISPLAY_NAME_REQUIRED", "the display name is blank")
    if len(name) > DISPLAY_NAME_LIMIT:
        raise AoError(
            "DISPLAY_NAME_TOO_LONG", f"the display name has {len(name)} characters; at most {DISPLAY_NAME_LIMIT}"
        )
    return name


async def _free_number(world: World, project: Project) -> int:
    """The next number whose branch name is free, so that a foreign branch never becomes a session's."""
    number = projects.next_num(world.db.read, project.id)
    while await world.workspaces.taken(project.path, ids.session_id(project.id, number)):
        number += 1
    return number


async def _rules(world: World, project: Project, request: SpawnRequest) -> str:
    config = project.settings
    if request.kind is Kind.ORCHESTRATOR:
        parts = [config.orchestrator_rules or "", request.rules]
    else:
        parts = [config.agent_rules or "", await _rules_file(world, project), request.rules]
    return sanitise("\n\n".join(part.strip() for part in parts if part.strip()))


async def _rules_file(world: World, project: Project) -> str:
    name = project.settings.agent_rules_file
    if not name:
        return ""
    try:
        content = await world.host.read(_inside(project.path, name), limit=RULES_LIMIT)
        if content is None:
            raise FileNotFoundError("there is no such file")
    except OSError as error:
        raise AoError(
            "RULES_FILE_UNREADABLE",
            f"agentRulesFile {name!r} of project {project.id!r} can't be read: {error.strerror or error}",
            hint="correct it with `ao project set-config`",
            details={"path": name},
        ) from error
    return content.decode(errors="replace")


def _inside(folder: str, name: str) -> str:
    """The real path of `name` in `folder`. Raises PermissionError when a link leads out of it."""
    path = os.path.realpath(os.path.join(folder, name))
    if not path.startswith(os.path.realpath(folder) + os.sep):
        raise PermissionError("it lies outside the repository")
    return path

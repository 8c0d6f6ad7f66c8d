"""Projects: registering repositories, and their configuration."""

from __future__ import annotations

import msgspec

from ao.api import inputs, views, wire
from ao.api.access import Scope
from ao.api.operation import PREFIX, Call, Operation, Reply
from ao.model.errors import AoError
from ao.model.project import ProjectConfig

_Plain = Call[inputs.NoBody, inputs.NoQuery]


def _list(call: _Plain) -> wire.ProjectsAnswer:
    own = call.within(None)
    shown = [row for row in call.engine.projects.list() if own in (None, row.id)]
    return wire.ProjectsAnswer(projects=[views.project_summary(row) for row in shown])


async def _add(call: Call[inputs.AddProjectInput, inputs.NoQuery]) -> Reply:
    body = call.body
    if body.as_workspace:
        raise AoError(
            "INVALID_PATH",
            "a folder of several repositories can't be one project",
            hint="register each repository by itself",
            details={"field": "asWorkspace"},
        )
    added = await call.engine.projects.add(body.path, project_id=body.project_id, name=body.name, config=body.config)
    return Reply(body=wire.ProjectAnswer(project=views.project(added)), status=201)


def _get(call: _Plain) -> wire.ProjectGetAnswer:
    return wire.ProjectGetAnswer(status="ok", project=views.project(call.engine.projects.get(call.params["id"])))


async def _set_config(call: Call[inputs.ConfigInput, inputs.NoQuery]) -> wire.ProjectAnswer:
    row = await call.engine.projects.set_config(call.params["id"], call.body.config)
    return wire.ProjectAnswer(project=views.project(row))


async def _patch_config(call: Call[inputs.ConfigPatchInput, inputs.NoQuery]) -> wire.ProjectAnswer:
    row = await call.engine.projects.patch_config(call.params["id"], call.body.config)
    return wire.ProjectAnswer(project=views.project(row))


async def _remove(call: _Plain) -> wire.RemoveProjectAnswer:
    project_id = call.params["id"]
    result = await call.engine.projects.remove(project_id)
    kept = [wire.PreservedSession(session_id=sid, path=path, reason=why) for sid, path, why in result.preserved]
    return wire.RemoveProjectAnswer(
        project_id=project_id, removed_storage_dir=False, killed=result.killed, preserved=kept
    )


def _schema(_call: _Plain) -> Reply:
    return Reply(body=msgspec.json.encode(msgspec.json.schema(ProjectConfig)) + b"\n")


_UNKNOWN = ("INVALID_PROJECT_ID", "PROJECT_NOT_FOUND")
OPERATIONS = (
    Operation(
        id="listProjects",
        method="GET",
        path=f"{PREFIX}/projects",
        handler=_list,
        answers={200: wire.ProjectsAnswer},
        summary="Registered projects by id; a session sees its own",
        tag="projects",
        scope=Scope.ANY,
    ),
    Operation(
        id="addProject",
        method="POST",
        path=f"{PREFIX}/projects",
        handler=_add,
        body=inputs.AddProjectInput,
        answers={201: wire.ProjectAnswer},
        summary="Register a repository",
        tag="projects",
        scope=Scope.USER,
        errors=(
            "PATH_REQUIRED",
            "INVALID_PATH",
            "NOT_A_GIT_REPO",
            "INVALID_PROJECT_ID",
            "INVALID_PROJECT_CONFIG",
            "PATH_ALREADY_REGISTERED",
            "ID_ALREADY_REGISTERED",
            "REPOSITORY_BUSY",
        ),
        detached=True,
    ),
    Operation(
        id="getProject",
        method="GET",
        path=f"{PREFIX}/projects/{{id}}",
        handler=_get,
        answers={200: wire.ProjectGetAnswer},
        summary="One project",
        tag="projects",
        scope=Scope.PROJECT,
        errors=_UNKNOWN,
        project=lambda params, _body: params["id"],
    ),
    Operation(
        id="removeProject",
        method="DELETE",
        path=f"{PREFIX}/projects/{{id}}",
        handler=_remove,
        answers={200: wire.RemoveProjectAnswer},
        summary="End a project's sessions and forget it; its repository stays",
        tag="projects",
        scope=Scope.USER,
        errors=(*_UNKNOWN, "PROJECT_BUSY", "RUNTIME_FAILED", "REPOSITORY_BUSY"),
        detached=True,
    ),
    Operation(
        id="setProjectConfig",
        method="PUT",
        path=f"{PREFIX}/projects/{{id}}/config",
        handler=_set_config,
        body=inputs.ConfigInput,
        answers={200: wire.ProjectAnswer},
        summary="Replace a project's configuration",
        tag="projects",
        scope=Scope.USER,
        errors=(*_UNKNOWN, "INVALID_PROJECT_CONFIG"),
    ),
    Operation(
        id="patchProjectConfig",
        method="PATCH",
        path=f"{PREFIX}/projects/{{id}}/config",
        handler=_patch_config,
        body=inputs.ConfigPatchInput,
        answers={200: wire.ProjectAnswer},
        summary="Set or remove keys of a project's configuration",
        tag="projects",
        scope=Scope.USER,
        errors=(*_UNKNOWN, "INVALID_PROJECT_CONFIG"),
    ),
    Operation(
        id="getConfigSchema",
        method="GET",
        path=f"{PREFIX}/config-schema",
        handler=_schema,
        answers={200: wire.Output},
        summary="JSON Schema of a project's configuration",
        tag="projects",
        scope=Scope.ANY,
        raw_json=True,
    ),
)

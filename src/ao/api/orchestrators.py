"""Orchestrators: the session of a project that a person talks to."""

from __future__ import annotations

from ao import log
from ao.api import inputs, session_wire, views
from ao.api.access import Scope
from ao.api.board import Filter
from ao.api.inputs import SpawnQuery
from ao.api.operation import PREFIX, Call, Operation, Reply
from ao.api.sessions import SPAWN_ERRORS
from ao.engine.requests import OrchestratorRequest
from ao.model.session import Kind

_Plain = Call[inputs.NoBody, inputs.NoQuery]


def _list(call: _Plain) -> Reply:
    page = call.api.board.page(Filter(project=call.within(None), kind=Kind.ORCHESTRATOR))
    return Reply(body=page.body, headers={"ETag": page.etag, "Cache-Control": "no-cache"})


async def _ensure(call: Call[inputs.OrchestratorInput, SpawnQuery]) -> Reply:
    body = call.body
    session, created = await call.engine.orchestrators.ensure(
        OrchestratorRequest(
            project_id=body.project_id,
            clean=body.clean,
            agent=body.harness,
            model=body.model,
            permissions=body.permissions,
            prompt=body.prompt,
        ),
        wait=call.query.wait,
    )
    log.note_session(session.id)
    project = call.engine.projects.get(session.project_id)
    ref = session_wire.OrchestratorRef(id=session.id, project_id=project.id, project_name=project.name or project.id)
    shown = views.session(call.engine.views.get(session.id))
    return Reply(body=session_wire.OrchestratorAnswer(orchestrator=ref, session=shown), status=201 if created else 200)


def _get(call: _Plain) -> session_wire.SessionAnswer:
    session = call.engine.orchestrators.get(call.params["id"])
    return session_wire.SessionAnswer(session=views.session(call.engine.views.get(session.id)))


OPERATIONS = (
    Operation(
        id="listOrchestrators",
        method="GET",
        path=f"{PREFIX}/orchestrators",
        handler=_list,
        answers={200: session_wire.SessionsAnswer},
        summary="All orchestrators, ended ones too",
        tag="sessions",
        scope=Scope.PROJECT,
        tagged=True,
    ),
    Operation(
        id="spawnOrchestrator",
        method="POST",
        path=f"{PREFIX}/orchestrators",
        handler=_ensure,
        body=inputs.OrchestratorInput,
        query=SpawnQuery,
        answers={200: session_wire.OrchestratorAnswer, 201: session_wire.OrchestratorAnswer},
        summary="The project's orchestrator: 200 the active one, 201 a new one",
        tag="sessions",
        scope=Scope.USER,
        errors=SPAWN_ERRORS,
        detached=True,
    ),
    Operation(
        id="getOrchestrator",
        method="GET",
        path=f"{PREFIX}/orchestrators/{{id}}",
        handler=_get,
        answers={200: session_wire.SessionAnswer},
        summary="One orchestrator",
        tag="sessions",
        scope=Scope.OWN,
        errors=("SESSION_NOT_FOUND",),
        target="id",
    ),
)

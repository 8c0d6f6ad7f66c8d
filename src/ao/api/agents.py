"""Agents: which are known, installed and signed in."""

from __future__ import annotations

from ao.api import inputs, views, wire
from ao.api.access import Scope
from ao.api.operation import PREFIX, Call, Operation

_Plain = Call[inputs.NoBody, inputs.NoQuery]


async def _list(call: _Plain) -> wire.AgentsAnswer:
    return views.agents(await call.engine.agents.survey(refresh=False))


async def _refresh(call: _Plain) -> wire.AgentsAnswer:
    return views.agents(await call.engine.agents.survey(refresh=True))


OPERATIONS = (
    Operation(
        id="listAgents",
        method="GET",
        path=f"{PREFIX}/agents",
        handler=_list,
        answers={200: wire.AgentsAnswer},
        summary="Agents as of the last look at the machine",
        tag="agents",
        scope=Scope.ANY,
    ),
    Operation(
        id="refreshAgents",
        method="POST",
        path=f"{PREFIX}/agents/refresh",
        handler=_refresh,
        answers={200: wire.AgentsAnswer},
        summary="Look again which agents are installed and signed in",
        tag="agents",
        scope=Scope.USER,
        detached=True,
    ),
)

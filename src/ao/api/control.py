"""Who answers here, whether it is ready, how it is stopped, and the description of the whole interface."""

from __future__ import annotations

import os
from typing import Any, Final

from ao import __version__
from ao.api import inputs, wire
from ao.api.access import Scope
from ao.api.operation import Api, Call, Operation, Reply
from ao.api.refusal import SERVICE

CAPABILITIES: Final = [
    "agents",
    "config-patch",
    "events-filter",
    "events-reset",
    "http-hooks",
    "idempotency-key",
    "messages",
    "notifications",
    "nudges",
    "pulls",
    "reviews",
    "session-attach",
    "session-list-text",
    "session-output",
    "session-phase-poll",
    "spawn-wait-seeded",
]


def _health(call: Call[inputs.NoBody, inputs.NoQuery]) -> wire.Health:
    return wire.Health(status="ok", **_identity(call.api))


def _ready(call: Call[inputs.NoBody, inputs.NoQuery]) -> wire.Readiness:
    return wire.Readiness(status="ready", capabilities=CAPABILITIES, **_identity(call.api))


def _identity(api: Api) -> dict[str, Any]:
    """`executablePath` is the `ao` program: the interpreter that runs it would say nothing."""
    return {
        "service": SERVICE,
        "pid": os.getpid(),
        "executable_path": api.engine.world.settings.ao_bin,
        "working_directory": os.getcwd(),
        "version": __version__,
        "data_dir": api.config.data_dir,
    }


def _shutdown(call: Call[inputs.NoBody, inputs.NoQuery]) -> Reply:
    call.api.stop()
    answer = wire.ShuttingDown(status="shutting_down", service=SERVICE, pid=os.getpid())
    return Reply(body=answer, status=202)


def _describe_json(call: Call[inputs.NoBody, inputs.NoQuery]) -> Reply:
    return Reply(body=call.api.describe())


def _describe_yaml(call: Call[inputs.NoBody, inputs.NoQuery]) -> Reply:
    """Two-space JSON is YAML 1.2."""
    return Reply(body=call.api.describe(), headers={"Content-Type": "application/yaml; charset=utf-8"})


OPERATIONS = (
    Operation(
        id="health",
        method="GET",
        path="/healthz",
        handler=_health,
        answers={200: wire.Health},
        summary="Whether the daemon is alive",
        tag="control",
        scope=Scope.OPEN,
    ),
    Operation(
        id="readiness",
        method="GET",
        path="/readyz",
        handler=_ready,
        answers={200: wire.Readiness},
        summary="Whether the daemon is ready, and what it can do",
        tag="control",
        scope=Scope.OPEN,
    ),
    Operation(
        id="shutdown",
        method="POST",
        path="/shutdown",
        handler=_shutdown,
        answers={202: wire.ShuttingDown},
        summary="Stop the daemon; agents keep running",
        tag="control",
        scope=Scope.USER,
    ),
    Operation(
        id="describeJson",
        method="GET",
        path="/api/v1/openapi.json",
        handler=_describe_json,
        answers={200: wire.Output},
        summary="This document",
        tag="control",
        scope=Scope.ANY,
        raw_json=True,
    ),
    Operation(
        id="describeYaml",
        method="GET",
        path="/api/v1/openapi.yaml",
        handler=_describe_yaml,
        answers={200: wire.Output},
        summary="This document, as YAML",
        tag="control",
        scope=Scope.ANY,
        raw_json=True,
    ),
)

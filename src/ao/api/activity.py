"""What agents report of themselves: a plain state, or their own hook events, which the agent's data translates."""

from __future__ import annotations

import time
from typing import Any, Final

from ao.api import inputs, session_wire
from ao.api.access import Scope
from ao.api.operation import PREFIX, Call, Operation
from ao.model.errors import AoError
from ao.model.session import Activity
from ao.model.signal import Signal

HOOK_LIMIT: Final = 8 << 20
"""Bytes of a callback that an agent sends itself: it holds whole tool results, and a refusal would show in its log."""


async def _report(call: Call[inputs.ActivityInput, inputs.NoQuery]) -> session_wire.ActivityAnswer:
    body = call.body
    if not body.event:
        return await _apply(call, Signal(state=_state(body.state), seq=body.seq, boot_id=body.boot_id))
    agent = body.agent or call.engine.sessions.get(call.session_id).agent
    return await _apply(
        call, call.engine.agents.signal(agent, body.event, body.payload, seq=body.seq, boot_id=body.boot_id)
    )


async def _hook(call: Call[inputs.HookInput, inputs.NoQuery]) -> session_wire.ActivityAnswer:
    """An agent that calls back over http sends its own payload and no sequence; the time of arrival stands for it."""
    signal = call.engine.agents.signal(
        call.params["agent"],
        call.params["event"],
        call.body.fields,
        seq=time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        boot_id=call.api.boot_id,
    )
    return await _apply(call, signal)


async def _apply(call: Call[Any, Any], signal: Signal | None) -> session_wire.ActivityAnswer:
    if signal is None:
        return session_wire.ActivityAnswer(ok=True, session_id=call.engine.sessions.get(call.session_id).id)
    await call.engine.lifecycle.apply(call.session_id, signal)
    return session_wire.ActivityAnswer(ok=True, session_id=call.session_id, state=signal.state or "")


def _state(text: str) -> Activity:
    try:
        return Activity(text)
    except ValueError:
        raise AoError(
            "INVALID_ACTIVITY_STATE",
            f"unknown state {text!r}" if text else "neither state nor event was given",
            hint=f"one of {', '.join(Activity)}",
            details={"field": "state"},
        ) from None


OPERATIONS = (
    Operation(
        id="setSessionActivity",
        method="POST",
        path=f"{PREFIX}/sessions/{{sessionId}}/activity",
        handler=_report,
        body=inputs.ActivityInput,
        answers={200: session_wire.ActivityAnswer},
        summary="Report what the agent does",
        tag="sessions",
        scope=Scope.REPORT,
        errors=("INVALID_ACTIVITY_STATE", "SESSION_NOT_FOUND"),
    ),
    Operation(
        id="receiveHook",
        method="POST",
        path=f"{PREFIX}/sessions/{{sessionId}}/hooks/{{agent}}/{{event}}",
        handler=_hook,
        body=inputs.HookInput,
        answers={200: session_wire.ActivityAnswer},
        summary="An agent's own callback, as it sends it",
        tag="sessions",
        scope=Scope.REPORT,
        errors=("SESSION_NOT_FOUND",),
        body_limit=HOOK_LIMIT,
    ),
)

"""Messages to agents: accepted into the outbox, and shown."""

from __future__ import annotations

from ao.api import inputs, session_wire, views
from ao.api.access import Scope
from ao.api.operation import PREFIX, Call, Operation
from ao.model.message import MessageSource


async def _send(call: Call[inputs.SendInput, inputs.NoQuery]) -> session_wire.SendAnswer:
    sender = call.caller.session
    message = await call.engine.messaging.send(
        call.session_id,
        call.body.message,
        source=MessageSource.USER if sender is None else MessageSource.AGENT,
        sender=sender.id if sender is not None else "",
        key=call.body.idempotency_key,
    )
    return session_wire.SendAnswer(
        ok=True,
        session_id=message.session_id,
        message=message.text,
        message_id=message.id,
        state=message.state,
        held_reason=message.held_reason,
    )


def _list(call: Call[inputs.NoBody, inputs.NoQuery]) -> session_wire.MessagesAnswer:
    found = call.engine.messaging.list(call.session_id)
    return session_wire.MessagesAnswer(messages=[views.message(row) for row in found])


OPERATIONS = (
    Operation(
        id="sendSessionMessage",
        method="POST",
        path=f"{PREFIX}/sessions/{{sessionId}}/send",
        handler=_send,
        body=inputs.SendInput,
        answers={200: session_wire.SendAnswer},
        summary="Queue a message for the agent; it is written when the agent may be written to",
        tag="sessions",
        scope=Scope.SEND,
        errors=(
            "MESSAGE_REQUIRED",
            "MESSAGE_TOO_LONG",
            "SESSION_NOT_FOUND",
            "SESSION_TERMINATED",
            "SESSION_INCOMPLETE_HANDLE",
            "AGENT_EXITED",
        ),
        detached=True,
    ),
    Operation(
        id="listSessionMessages",
        method="GET",
        path=f"{PREFIX}/sessions/{{sessionId}}/messages",
        handler=_list,
        answers={200: session_wire.MessagesAnswer},
        summary="The newest messages of a session, oldest first",
        tag="sessions",
        scope=Scope.OWN,
        errors=("SESSION_NOT_FOUND",),
    ),
)

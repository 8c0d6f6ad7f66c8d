"""Callbacks of a forge. The signature is the credential; a callback wakes the observer, nothing in it is believed."""

from __future__ import annotations

from typing import Final

from ao.api import pull_wire as wire
from ao.api.access import Scope
from ao.api.inputs import NoBody, NoQuery
from ao.api.operation import PREFIX, Call, Operation
from ao.engine.pull_requests import WebhookDelivery

BODY_LIMIT: Final = 25 << 20
"""Bytes; GitHub sends no more (docs.github.com, "Webhook events and payloads")."""


async def _github(call: Call[NoBody, NoQuery]) -> wire.WebhookAnswer:
    delivery = WebhookDelivery(
        event=call.headers.get("X-GitHub-Event", ""),
        signature=call.headers.get("X-Hub-Signature-256", ""),
        body=call.raw,
    )
    return wire.WebhookAnswer(ok=True, known=await call.engine.observer.webhook(delivery))


OPERATIONS = (
    Operation(
        id="githubWebhook",
        method="POST",
        path=f"{PREFIX}/webhooks/github",
        handler=_github,
        answers={200: wire.WebhookAnswer},
        summary="A callback of GitHub, signed with the configured secret",
        tag="pulls",
        scope=Scope.OPEN,
        errors=("WEBHOOK_REFUSED",),
        body_limit=BODY_LIMIT,
    ),
)

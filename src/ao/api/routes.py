"""The route table: every operation of the interface."""

from __future__ import annotations

from typing import Final

from ao.api import activity, agents, control, events, messages, notifications, orchestrators, projects, sessions

OPERATIONS: Final = (
    *control.OPERATIONS,
    *projects.OPERATIONS,
    *sessions.OPERATIONS,
    *messages.OPERATIONS,
    *activity.OPERATIONS,
    *orchestrators.OPERATIONS,
    *agents.OPERATIONS,
    *notifications.OPERATIONS,
    *events.OPERATIONS,
)

"""The route table: every operation of the interface."""

from __future__ import annotations

from typing import Final

from ao.api import (
    activity,
    agents,
    control,
    events,
    messages,
    notifications,
    orchestrators,
    projects,
    pulls,
    reviews,
    session_pulls,
    sessions,
    webhooks,
)

OPERATIONS: Final = (
    *control.OPERATIONS,
    *projects.OPERATIONS,
    *sessions.OPERATIONS,
    *messages.OPERATIONS,
    *activity.OPERATIONS,
    *orchestrators.OPERATIONS,
    *pulls.OPERATIONS,
    *session_pulls.OPERATIONS,
    *reviews.OPERATIONS,
    *webhooks.OPERATIONS,
    *agents.OPERATIONS,
    *notifications.OPERATIONS,
    *events.OPERATIONS,
)

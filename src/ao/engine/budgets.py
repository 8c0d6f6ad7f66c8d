"""Telling a person that a forge's budget is used up, and that it isn't any more."""

from __future__ import annotations

from ao.engine.notifications import Notifications
from ao.engine.world import World
from ao.model.notices import Wanted
from ao.model.notification import NotificationType


class Budgets:
    """One notification a host at a time, resolved when the host answers again."""

    def __init__(self, world: World, notifications: Notifications) -> None:
        self._world = world
        self._notifications = notifications

    def changed(self, host: str, message: str) -> None:
        """A forge's host refuses for now (`message` says until when), or with "" answers again."""
        self._world.start(self._tell(host, message) if message else self._untell(host))

    async def _tell(self, host: str, message: str) -> None:
        wanted = Wanted(
            type=NotificationType.BUDGET,
            pull_url="",
            signature=host,
            title=f"{host}: the request budget is used up",
            body=f"{message} Pull requests there are looked at again after that; commits and sessions go on.",
        )
        await self._notifications.add(wanted, project_id="")

    async def _untell(self, host: str) -> None:
        for row in self._notifications.page(status="unresolved", limit=100):
            if row.type is NotificationType.BUDGET and row.signature == host:
                await self._notifications.resolve(row.id)

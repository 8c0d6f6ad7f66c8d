"""Outgoing channels: ways in which a person away from the page is told of something."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ao.model.notification import NotificationType


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A configured way out. Its URL holds secrets, so it is shown to nobody; exactly one of the three names it."""

    name: str
    url: str = ""
    url_file: str = ""
    """A file that holds the URL, read when it is needed."""
    url_env: str = ""
    """A variable of the daemon's environment that holds the URL."""
    types: tuple[NotificationType, ...] = ()
    """What is told; empty for everything."""
    projects: tuple[str, ...] = ()
    """Whose; empty for every project's."""
    quiet: str = ""
    """Hours of the local time in which nothing is sent, as `22:00-07:00`; "" for none."""

    def admits(self, kind: NotificationType, project_id: str) -> bool:
        """Whether its filters let this through. What concerns no project passes the filter of projects."""
        return (not self.types or kind in self.types) and (
            not self.projects or not project_id or project_id in self.projects
        )

    def __repr__(self) -> str:
        return f"Channel({self.name!r})"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is told: plain text, with words from outside in it; the sender makes them harmless."""

    type: NotificationType
    title: str
    body: str = ""


class Sender(Protocol):
    """What carries letters to channels."""

    async def send(self, channel: Channel, letter: Letter) -> None:
        """Hand `letter` over; returns when the channel's service has taken it.

        Raises `CHANNEL_FAILED` with the reason, in which nothing of the URL appears. A letter that failed for lack of
        an answer may have arrived.
        """

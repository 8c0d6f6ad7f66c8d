"""Notifications and channels on the wire."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from ao.api.inputs import Input
from ao.api.wire import Output, Time
from ao.model.notification import NotificationType

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 100


class Target(Output, frozen=True, kw_only=True):
    """What to open for it: the pull request when it is about one."""

    kind: Literal["session", "pr"]
    session_id: str
    pr_url: str = ""


class NotificationView(Output, frozen=True, kw_only=True):
    """Something a person should know. `resolvedAt`: since when it is no longer true."""

    id: str
    session_id: str
    project_id: str
    pr_url: str
    type: NotificationType
    title: str
    body: str
    status: Literal["unread", "read"]
    created_at: Time
    target: Target
    resolved_at: Time | None = None


class NotificationsAnswer(Output, frozen=True, kw_only=True):
    """A page of them, newest first, and how many there are in all that are unread and that are still true."""

    notifications: list[NotificationView]
    unread_count: int
    unresolved_count: int
    next_cursor: str = ""


class NotificationAnswer(Output, frozen=True, kw_only=True):
    """One of them."""

    notification: NotificationView


class MarkedAnswer(Output, frozen=True, kw_only=True):
    """Those just marked as read."""

    notifications: list[NotificationView]
    updated_count: int


class StreamedNotification(NotificationView, frozen=True, kw_only=True):
    """A frame's data: the notification, and the counts at that moment, for who missed some."""

    unread_count: int
    unresolved_count: int


class ChannelResult(Output, frozen=True, kw_only=True):
    """How an attempt went."""

    channel: str
    ok: bool
    at: Time
    failure: str = ""
    hint: str = ""


class ChannelView(Output, frozen=True, kw_only=True):
    """A configured channel; nobody is shown its URL. Empty `types` or `projects` mean all."""

    name: str
    types: list[NotificationType]
    projects: list[str]
    quiet: str = ""
    last: ChannelResult | None = None


class ChannelsAnswer(Output, frozen=True, kw_only=True):
    """The channels, in the order of the file."""

    channels: list[ChannelView]


class ChannelTestAnswer(Output, frozen=True, kw_only=True):
    """How the test went, channel by channel."""

    results: list[ChannelResult]


class NotificationsQuery(Input, frozen=True, kw_only=True):
    """Which. `status` is unread, all or unresolved; more than 100 are never answered; `cursor` is `nextCursor` of the
    page before."""

    status: str = "unread"
    limit: Annotated[int, Meta(ge=1)] = DEFAULT_PAGE
    cursor: str | None = None
    project_id: str | None = None


class MarkInput(Input, frozen=True, kw_only=True):
    """`status` must be `read`."""

    required_names: ClassVar[tuple[str, ...]] = ("status",)
    status: str = ""


class MarkAllInput(Input, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Which to mark as read; all when absent. Other keys are ignored."""

    ids: Annotated[list[str], Meta(max_length=1_000)] | None = None


class NotificationStreamQuery(Input, frozen=True, kw_only=True):
    """Only one project's."""

    project_id: str | None = None


class ChannelTestInput(Input, frozen=True, kw_only=True):
    """Which channel to try; all when absent."""

    channel: str | None = None


class Page(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor holds, as base64 of JSON: the last notification seen."""

    created_at: int
    id: str

"""Notifications and the channels they leave by: list, mark as read, follow, test."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from ao.api import notification_wire as wire
from ao.api.access import Scope
from ao.api.inputs import NoBody, NoQuery
from ao.api.notification_stream import HEADERS, NotificationSource
from ao.api.operation import PREFIX, Call, Operation, Stream
from ao.api.views import moment
from ao.api.wire import Output
from ao.engine.channels import Result
from ao.engine.notifications import WHICH
from ao.model.errors import AoError
from ao.model.notification import Notification
from ao.ports.channels import Channel

_ID_LIMIT: Final = 200


def _list(call: Call[NoBody, wire.NotificationsQuery]) -> wire.NotificationsAnswer:
    query = call.query
    if query.status not in WHICH:
        raise AoError(
            "INVALID_NOTIFICATION_STATUS",
            f"{query.status[:40]!r} is not a status to list by",
            hint=f"use {', '.join(WHICH)}",
            details={"field": "status"},
        )
    limit = min(query.limit, wire.MAX_PAGE)
    engine = call.engine.notifications
    found = engine.page(
        status=WHICH[query.status], limit=limit + 1, before=_position(query.cursor), project=query.project_id
    )
    unread, unresolved = engine.counts(query.project_id)
    page = found[:limit]
    return wire.NotificationsAnswer(
        notifications=[view(row) for row in page],
        unread_count=unread,
        unresolved_count=unresolved,
        next_cursor=_cursor(page[-1]) if len(found) > limit else "",
    )


async def _mark(call: Call[wire.MarkInput, NoQuery]) -> wire.NotificationAnswer:
    wanted = call.params["id"].strip()
    if not wanted:
        raise AoError("INVALID_NOTIFICATION_ID", "the id of a notification must not be blank")
    if call.body.status != "read":
        raise AoError(
            "INVALID_NOTIFICATION_STATUS",
            f"{call.body.status[:40]!r}: a notification can only be marked as read",
            hint='send {"status": "read"}',
            details={"field": "status"},
        )
    return wire.NotificationAnswer(notification=view(await call.engine.notifications.read(wanted[:_ID_LIMIT])))


async def _mark_all(call: Call[wire.MarkAllInput, NoQuery]) -> wire.MarkedAnswer:
    marked = await call.engine.notifications.read_all(call.body.ids)
    return wire.MarkedAnswer(notifications=[view(row) for row in marked], updated_count=len(marked))


def _stream(call: Call[NoBody, wire.NotificationStreamQuery]) -> Stream:
    source = NotificationSource(
        call.api.feed,
        call.engine.notifications,
        last=call.headers.get("Last-Event-ID", ""),
        project=call.query.project_id,
        frame_of=streamed,
    )
    return Stream(source=source, headers=HEADERS)


def _channels(call: Call[NoBody, NoQuery]) -> wire.ChannelsAnswer:
    channels = call.engine.notifications.channels
    return wire.ChannelsAnswer(channels=[_channel(one, channels.last(one.name)) for one in channels.configured])


async def _test(call: Call[wire.ChannelTestInput, NoQuery]) -> wire.ChannelTestAnswer:
    results = await call.engine.notifications.channels.test(call.body.channel)
    return wire.ChannelTestAnswer(results=[_result(one) for one in results])


def view(row: Notification) -> wire.NotificationView:
    """A notification as the API shows it."""
    return wire.NotificationView(
        id=row.id,
        session_id=row.session_id,
        project_id=row.project_id,
        pr_url=row.pull_url,
        type=row.type,
        title=row.title,
        body=row.body,
        status="unread" if row.read_at is None else "read",
        created_at=moment(row.created_at),
        target=wire.Target(kind="pr" if row.pull_url else "session", session_id=row.session_id, pr_url=row.pull_url),
        resolved_at=moment(row.resolved_at) if row.resolved_at is not None else None,
    )


def streamed(row: Notification, unread: int, unresolved: int) -> bytes:
    """The data of a frame."""
    fields = {name: getattr(view(row), name) for name in wire.NotificationView.__struct_fields__}
    return msgspec.json.encode(wire.StreamedNotification(**fields, unread_count=unread, unresolved_count=unresolved))


def _channel(channel: Channel, last: Result | None) -> wire.ChannelView:
    return wire.ChannelView(
        name=channel.name,
        types=list(channel.types),
        projects=list(channel.projects),
        quiet=channel.quiet,
        last=_result(last) if last is not None else None,
    )


def _result(result: Result) -> wire.ChannelResult:
    return wire.ChannelResult(
        channel=result.channel,
        ok=not result.failure,
        at=moment(result.at),
        failure=result.failure,
        hint=result.hint,
    )


def _cursor(row: Notification) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(wire.Page(row.created_at, row.id))).decode()


def _position(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    try:
        page = msgspec.json.decode(base64.b64decode(cursor, altchars=b"-_", validate=True), type=wire.Page)
        if page.created_at.bit_length() < 64:
            return page.created_at, page.id
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        pass  # told below, as is a number that no time has
    raise AoError(
        "INVALID_NOTIFICATION_CURSOR",
        f"{cursor[:40]!r} is not a cursor of this list",
        hint="use the answer's nextCursor",
        details={"field": "cursor"},
    )


OPERATIONS = (
    Operation(
        id="listNotifications",
        method="GET",
        path=f"{PREFIX}/notifications",
        handler=_list,
        query=wire.NotificationsQuery,
        answers={200: wire.NotificationsAnswer},
        summary="What a person should know, newest first",
        tag="notifications",
        scope=Scope.USER,
        errors=("INVALID_NOTIFICATION_STATUS", "INVALID_NOTIFICATION_CURSOR"),
    ),
    Operation(
        id="streamNotifications",
        method="GET",
        path=f"{PREFIX}/notifications/stream",
        handler=_stream,
        query=wire.NotificationStreamQuery,
        answers={200: Output},
        summary="Notifications as they come up and stop being true, as server-sent events",
        tag="notifications",
        scope=Scope.USER,
        stream=True,
    ),
    Operation(
        id="markAllNotificationsRead",
        method="POST",
        path=f"{PREFIX}/notifications/read-all",
        handler=_mark_all,
        body=wire.MarkAllInput,
        answers={200: wire.MarkedAnswer},
        summary="Mark all notifications as read, or those named",
        tag="notifications",
        scope=Scope.USER,
    ),
    Operation(
        id="markNotificationRead",
        method="PATCH",
        path=f"{PREFIX}/notifications/{{id}}",
        handler=_mark,
        body=wire.MarkInput,
        answers={200: wire.NotificationAnswer},
        summary="Mark a notification as read",
        tag="notifications",
        scope=Scope.USER,
        errors=("INVALID_NOTIFICATION_ID", "INVALID_NOTIFICATION_STATUS", "NOTIFICATION_NOT_FOUND"),
    ),
    Operation(
        id="listChannels",
        method="GET",
        path=f"{PREFIX}/channels",
        handler=_channels,
        answers={200: wire.ChannelsAnswer},
        summary="The channels that notifications leave by, and how their last attempts went",
        tag="notifications",
        scope=Scope.USER,
    ),
    Operation(
        id="testChannels",
        method="POST",
        path=f"{PREFIX}/channels/test",
        handler=_test,
        body=wire.ChannelTestInput,
        answers={200: wire.ChannelTestAnswer},
        summary="Send a test over one channel, or all",
        tag="notifications",
        scope=Scope.USER,
        errors=("CHANNEL_NOT_FOUND",),
    ),
)

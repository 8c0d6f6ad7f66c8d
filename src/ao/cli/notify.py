"""`ao notify …`: what a person should know, and the channels that tell it."""

from __future__ import annotations

import time

from ao.cli.errors import CliError, UsageError
from ao.cli.grammar import Argument, Command, Option
from ao.cli.moments import age
from ao.cli.output import clean, columns, emit, emit_json, lines, note, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

_PAGE = 100
_EMPTY = {
    "all": "(no notifications)",
    "unresolved": "(no unresolved notifications)",
    "unread": "(no unread notifications; --all shows all)",
}
_SHORT = 12
"""Digits of an id that are shown: 48 bits tell any two apart."""


def _ls(context: Context, values: Values) -> None:
    status = "all" if values.on("all") else "unresolved" if values.on("unresolved") else "unread"
    query = {"status": status, "limit": str(_PAGE)}
    if values.text("project"):
        query["projectId"] = values.text("project")
    answer = context.client.get("/notifications", query)
    if values.on("json"):
        emit_json(answer)
        return
    found = answer.get("notifications", [])
    if not found:
        emit(_EMPTY[status])
        return
    rows = [["ID", "AGE", "TYPE", "STATE", "SESSION", "TITLE"]]
    rows += [[_short(row["id"]), age(row.get("createdAt", ""), time.time()), *_row(row)] for row in found]
    for line in lines(table(rows, limit=columns(), shrink=(5, 4))):
        emit(line)
    if answer.get("nextCursor"):
        note(f"only the newest {_PAGE} are shown")
    if status != "all":
        note("mark as read: ao notify read ID, or ao notify read --all")


def _row(row: dict[str, Any]) -> list[str]:
    state = "resolved" if row.get("resolvedAt") else row.get("status", "")
    return [row.get("type", ""), state, row.get("sessionId") or "-", row.get("title", "")]


def _short(notification_id: str) -> str:
    return notification_id.removeprefix("ntf_")[:_SHORT]


def _read(context: Context, values: Values) -> None:
    words = values.many("ID")
    if bool(words) == values.on("all"):
        raise UsageError("name the notifications, or give --all", hint="ao notify ls shows the ids")
    body = {} if values.on("all") else {"ids": [_whole(context, word) for word in words]}
    answer = context.client.post("/notifications/read-all", body)
    if values.on("json"):
        emit_json(answer)
        return
    count = answer.get("updatedCount", 0)
    emit(f"{count} notification{'' if count == 1 else 's'} marked as read")


def _whole(context: Context, word: str) -> str:
    """The id that a word begins, among the newest ones."""
    stem = word.removeprefix("ntf_")
    query = {"status": "all", "limit": str(_PAGE)}
    while True:
        answer = context.client.get("/notifications", query)
        ids = [row["id"] for row in answer.get("notifications", []) if row["id"].removeprefix("ntf_").startswith(stem)]
        if len(ids) > 1:
            raise CliError(f"several notifications begin with {word!r}", hint="give more of the id")
        if ids:
            return str(ids[0])
        if not answer.get("nextCursor"):
            raise CliError(
                f"no notification {word!r}", code="NOTIFICATION_NOT_FOUND", hint="ao notify ls --all shows the ids"
            )
        query["cursor"] = answer["nextCursor"]


def _channels(context: Context, values: Values) -> None:
    answer = context.client.get("/channels")
    if values.on("json"):
        emit_json(answer)
        return
    found = answer.get("channels", [])
    if not found:
        emit("(no channels)")
        note('add [channels.NAME] with url = "…" to config.toml and restart the daemon; see docs/notifications.md')
        return
    rows = [["NAME", "TYPES", "PROJECTS", "QUIET", "LAST"]]
    for channel in found:
        filters = [", ".join(channel.get(key) or ["all"]) for key in ("types", "projects")]
        rows.append([channel.get("name", ""), *filters, channel.get("quiet") or "-", _last(channel.get("last"))])
    for line in lines(table(rows, limit=columns(), shrink=(1, 2, 4))):
        emit(line)


def _last(result: dict[str, Any] | None) -> str:
    if not result:
        return "-"
    went = "sent" if result.get("ok") else f"failed: {_failure(result)}"
    return f"{age(result.get('at', ''), time.time())} ago, {went}"


def _failure(result: dict[str, Any]) -> str:
    """What went wrong, without the channel's name, which stands before it anyway."""
    return str(result.get("failure") or "failed").removeprefix(f"channel {result.get('channel', '')!r}: ")


def _test(context: Context, values: Values) -> int:
    name = values.text("CHANNEL")
    answer = context.client.post("/channels/test", {"channel": name} if name else {})
    results = answer.get("results", [])
    failed = [result for result in results if not result.get("ok")]
    if values.on("json"):
        emit_json(answer)
        return 1 if failed else 0
    for result in results:
        emit(clean(f"{result.get('channel', '')}: {'sent' if result.get('ok') else _failure(result)}"))
    for hint in dict.fromkeys(result.get("hint", "") for result in failed):
        if hint:
            note(f"  hint: {clean(hint)}")
    return 1 if failed else 0


_JSON = Option("--json", "print JSON")
COMMANDS = {
    "notify ls": Command(
        "notify ls",
        _ls,
        options=(
            Option("--all -a", "also those that were read"),
            Option("--unresolved", "those that are still true, read or not"),
            Option("--project -p", "only this project's", "ID", ids="project"),
            _JSON,
        ),
        details="""
Each is told once. It is resolved by itself when it is no longer true: the agent was answered, the pull request merged.
""",
        examples=("ao notify ls", "ao notify ls --all --json"),
    ),
    "notify read": Command(
        "notify read",
        _read,
        arguments=(Argument("ID", "the notification, or the beginning of its id", required=False, many=True),),
        options=(Option("--all -a", "all of them"), _JSON),
        examples=("ao notify read 4f1c09", "ao notify read --all"),
    ),
    "notify channels": Command(
        "notify channels",
        _channels,
        options=(_JSON,),
        details="""
Channels are configured in config.toml, as [channels.NAME]; their URLs hold secrets and are never shown.
""",
        examples=("ao notify channels",),
    ),
    "notify test": Command(
        "notify test",
        _test,
        arguments=(Argument("CHANNEL", "one channel; all when absent", required=False),),
        options=(_JSON,),
        details="""
Sends at once, whatever the channel's filters and quiet hours say. Exit code 1 when a channel failed.
""",
        examples=("ao notify test", "ao notify test phone"),
    ),
}

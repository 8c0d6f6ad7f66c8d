"""`ao events`: the daemon's stream of changes, from its beginning, a cursor, or now."""

from __future__ import annotations

import sys

from ao.cli.client import EventStream, Frame
from ao.cli.errors import UsageError
from ao.cli.grammar import Command, Option
from ao.cli.moments import to_seconds
from ao.cli.output import clean, emit, note
from ao.paths import encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ao.cli.context import Context
    from ao.cli.grammar import Values

# Beyond every possible cursor: the daemon answers with a reset frame that says where the stream stands.
_BEYOND = str(2**63 - 1)
_HEAD_TIMEOUT_S = 5.0
_REPLAY_TIMEOUT_S = 60.0


def head(context: Context) -> int:
    """The cursor of the newest change."""
    stream = context.client.events(_BEYOND, {})
    stream.expect(_HEAD_TIMEOUT_S)
    try:
        resets = (frame for frame in stream if frame.event == "reset")
        return int(next(resets, Frame("", 0, {})).data.get("head", 0))
    finally:
        stream.close()


def _until(stream: EventStream, last: int) -> Iterator[Frame]:
    stream.expect(_REPLAY_TIMEOUT_S)
    for frame in stream:
        yield frame
        if frame.seq >= last:
            return


def _events(context: Context, values: Values) -> None:
    after = values.text("after")
    if after and after != "latest" and not after.isdecimal():
        raise UsageError(f"--after needs a number or latest, not {after!r}")
    follow = values.on("follow")
    wanted = {key: values.text(key) for key in ("project", "session") if values.text(key)}
    last = 0 if follow else head(context)
    if not follow and (after == "latest" or last <= int(after or 0)):
        return
    # The end of the kept changes is recognised by its number, which a filter on the daemon's side would hide.
    stream = context.client.events(after, wanted if follow else {})
    try:
        for frame in stream if follow else _until(stream, last):
            _show(frame, wanted, as_json=values.on("json"))
    finally:
        stream.close()


def _show(frame: Frame, wanted: dict[str, str], *, as_json: bool) -> None:
    if frame.event == "reset":
        oldest, newest = frame.data.get("oldest", 0), frame.data.get("head", 0)
        note(f"the cursor is not kept any more; kept are {oldest} to {newest}")
        return
    if not frame.event or any(frame.data.get(f"{key}Id") != value for key, value in wanted.items()):
        return
    if as_json:
        emit(encode_json(frame.data))
    else:
        payload = frame.data.get("payload") or {}
        shown = " ".join(
            f"{key}={_value(payload[key])}" for key in payload if key != "id" and payload[key] not in ("", None)
        )
        subject = frame.data.get("sessionId") or frame.data.get("projectId") or ""
        when = to_seconds(str(frame.data.get("createdAt", "")))
        emit(clean(f"{frame.seq} {when} {frame.event} {subject} {shown}".rstrip()))
    sys.stdout.flush()


def _value(value: object) -> str:
    return value if isinstance(value, str) else encode_json(value)


COMMANDS = {
    "events": Command(
        "events",
        _events,
        options=(
            Option("--follow -f", "go on as changes happen, until Ctrl-C"),
            Option("--after", "begin after this change; latest: only new ones (default: all kept)", "N"),
            Option("--project -p", "only this project's", "ID", ids="project"),
            Option("--session -s", "only this session's", "ID", ids="session"),
            Option("--json", "one JSON object per line"),
        ),
        examples=("ao events", "ao events --follow --after latest", "ao events -f --json | jq .type"),
    )
}

"""`ao logs`: the daemon's log file, with or without following it."""

from __future__ import annotations

import os
import sys

from ao.cli.errors import CliError, UsageError
from ao.cli.grammar import Command, Option
from ao.cli.output import emit, emit_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.context import Context
    from ao.cli.grammar import Values

_BLOCK = 65_536


def tail(path: str, count: int) -> list[str]:
    """The last `count` lines of a file, read from its end. Raises `OSError`."""
    data = b""
    with open(path, "rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position and data.count(b"\n") <= count:
            step = min(_BLOCK, position)
            position = file.seek(position - step)
            data = file.read(step) + data
    return data.decode("utf-8", "replace").splitlines()[-count:] if count else []


def _logs(context: Context, values: Values) -> None:
    path = context.absolute(values.text("file")) if values.text("file") else context.paths.log_file
    count = int(values.number("lines", 100))
    if count < 0:
        raise UsageError("--lines must not be negative")
    if values.on("follow") and values.on("json"):
        raise UsageError("--follow and --json don't go together", hint="ao events --follow --json is a stream")
    try:
        lines = tail(path, count)
    except OSError as error:
        hint = "it is made by: ao start; a daemon in the foreground logs to its terminal"
        raise CliError(f"cannot read {path}: {error.strerror}", code="LOG_UNREADABLE", hint=hint) from None
    if values.on("json"):
        emit_json({"logFile": path, "lines": lines})
        return
    if values.on("follow"):
        sys.stdout.flush()
        os.execvp("tail", ["tail", "-n", str(count), "-F", "--", path])  # noqa: S606 (no shell is the point)
    for line in lines:
        emit(line)


COMMANDS = {
    "logs": Command(
        "logs",
        _logs,
        options=(
            Option("--follow -f", "go on as the log grows, until Ctrl-C"),
            Option("--lines -n", "how many lines to begin with (default 100)", "N", kind="integer"),
            Option("--file", "another log file", "PATH"),
            Option("--json", "print JSON"),
        ),
        examples=("ao logs", "ao logs -f -n 20"),
    )
}

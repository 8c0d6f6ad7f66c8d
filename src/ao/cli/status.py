"""`ao status`: the daemon's state; with `--watch`, every session live."""

from __future__ import annotations

import time

from ao.cli import moments
from ao.cli.grammar import Command, Option
from ao.cli.inspection import Inspection, inspect
from ao.cli.output import emit, emit_json
from ao.paths import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values
    from ao.paths import Paths


def as_json(found: Inspection, paths: Paths) -> dict[str, Any]:
    """The status as a JSON object; what isn't known is left out."""
    run = found.run
    fields: dict[str, Any] = {
        "state": found.state,
        "pid": found.pid,
        "port": run.port if run else 0,
        "startedAt": run.started_at if run else "",
        "uptime": _uptime(found),
        "version": found.identity.get("version") if found.owned else "",
        "runFile": paths.run_file,
        "dataDir": paths.data_dir,
        "health": found.health,
        "ready": found.ready,
        "error": found.error,
    }
    return {key: value for key, value in fields.items() if value}


def as_text(found: Inspection, paths: Paths) -> str:
    """The status as lines."""
    fields = as_json(found, paths)
    fields["startedAt"] = moments.to_seconds(fields.get("startedAt", ""))
    names = {
        "pid": "pid",
        "port": "port",
        "startedAt": "started",
        "uptime": "uptime",
        "runFile": "run file",
        "dataDir": "data dir",
        "health": "healthz",
        "ready": "readyz",
        "error": "error",
    }
    return "\n".join(
        [f"AO daemon: {found.state}", *(f"  {name}: {fields[key]}" for key, name in names.items() if fields.get(key))]
    )


def _uptime(found: Inspection) -> str:
    if not found.owned or not found.run:
        return ""
    started = moments.parse(found.run.started_at)
    return "" if started is None else format_duration(max(time.time() - started, 0))


def _status(context: Context, values: Values) -> int:
    if values.on("watch"):
        from ao.cli.watch import watch

        return watch(context, project=values.text("project"), as_json=values.on("json"))
    found = inspect(context.paths)
    if values.on("json"):
        emit_json(as_json(found, context.paths))
    else:
        emit(as_text(found, context.paths))

    return 0


COMMANDS = {
    "status": Command(
        "status",
        _status,
        options=(
            Option("--watch -w", "show all sessions live until Ctrl-C"),
            Option("--project -p", "with --watch: only this project's sessions", "ID", ids="project"),
            Option("--json", "print JSON; with --watch one line per change"),
        ),
        details="State: stopped, stale, unhealthy, not_ready or ready. The exit code is 0 in all of them.",
        examples=("ao status", "ao status --watch", "ao status --json"),
    )
}

"""Ending sessions: `ao session kill`, `cleanup` and `rollback`. Uncommitted work stays; `--force` archives it."""

from __future__ import annotations

import sys

from ao.cli import output
from ao.cli.client import escape
from ao.cli.context import suggesting
from ao.cli.errors import CliError, UsageError
from ao.cli.grammar import Command, Option
from ao.cli.session import JSON, PROJECT_GUARD, SESSION, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values


def _kill(context: Context, values: Values) -> None:
    session_id = values.text("ID")
    guard(context, values)
    query = {}
    if values.on("force"):
        query["force"] = "true"
    if values.on("no-wait"):
        query["wait"] = "agent"
    with suggesting(context, session_id):
        answer = context.client.post(f"/sessions/{escape(session_id)}/kill", query=query)
    if values.on("json"):
        output.emit_json(answer)
        return
    kept = "" if answer.get("freed") or values.on("no-wait") else " (workspace preserved)"
    output.emit(f"session {answer.get('sessionId', session_id)} killed{kept}")
    _tell_preserved(answer)
    branch = answer.get("branch") or {}
    if branch.get("kept"):
        output.emit(f"  branch kept: {output.clean(branch.get('name', ''))}")
    if answer.get("snapshot"):
        output.emit(f"  snapshot: {output.clean(answer['snapshot'])}")


def _tell_preserved(answer: dict[str, Any]) -> None:
    preserved = answer.get("preserved") or {}
    if preserved:
        output.emit(
            f"  preserved: {output.clean(preserved.get('path', ''))} ({output.clean(preserved.get('reason', ''))})"
        )


def _rollback(context: Context, values: Values) -> None:
    session_id = values.text("ID")
    guard(context, values)
    with suggesting(context, session_id):
        answer = context.client.post(f"/sessions/{escape(session_id)}/rollback")
    if values.on("json"):
        output.emit_json(answer)
        return
    what = "deleted" if answer.get("deleted") else "killed" if answer.get("killed") else "rolled back"
    output.emit(f"session {answer.get('sessionId', session_id)} {what}")
    _tell_preserved(answer)


def _cleanup(context: Context, values: Values) -> int:
    project = values.text("project")
    query = {"project": project} if project else {}
    if values.on("force"):
        query["force"] = "true"
    with suggesting(context, project):
        plan = context.client.post("/sessions/cleanup", query={**query, "dryRun": "true"})
    if values.on("json"):
        if not values.on("dry-run"):
            _require_yes(values)
            plan = context.client.post("/sessions/cleanup", query=query)
        output.emit_json(plan)
        return 0
    output.emit(f"Checking ended sessions{f' of {project}' if project else ''}...")
    output.emit("")
    _tell_skipped(plan, "Would skip")
    candidates = plan.get("cleaned", [])
    if not candidates:
        output.emit("  no sessions to clean")
        return 0
    for session_id in candidates:
        output.emit(f"  Would clean {session_id}")
    if values.on("dry-run"):
        return 0
    _require_yes(values)
    count = _counted(len(candidates))
    if not values.on("yes") and not output.confirm(
        f"Clean {count}{f' of {project}' if project else ''}? Type yes: ", "yes"
    ):
        raise CliError("aborted")
    done = context.client.post("/sessions/cleanup", query=query)
    for session_id in done.get("cleaned", []):
        output.emit(f"  Cleaned: {session_id}")
    for item in done.get("snapshots", []):
        output.emit(f"  Snapshot of {item.get('sessionId', '')}: {output.clean(item.get('ref', ''))}")
    _tell_skipped(done, "Skipped:")
    skipped = len(done.get("skipped", []))
    output.emit("")
    more = f", {skipped} skipped" if skipped else ""
    output.emit(f"Cleanup complete. {_counted(len(done.get('cleaned', [])))} cleaned{more}.")
    return 0


def _counted(number: int) -> str:
    return f"{number} session" if number == 1 else f"{number} sessions"


def _tell_skipped(answer: dict[str, Any], word: str) -> None:
    for item in answer.get("skipped", []):
        output.emit(f"  {word} {item.get('sessionId', '')} ({output.clean(item.get('reason', ''))})")


def _require_yes(values: Values) -> None:
    if not values.on("yes") and (values.on("json") or not output.on_terminal(sys.stdin)):
        raise UsageError("refusing to clean without confirmation", hint="pass --yes, or --dry-run to look only")


_FORCE = Option("--force", "archive uncommitted work under refs/ao/preserved, then remove it too")

COMMANDS = {
    "session kill": Command(
        "session kill",
        _kill,
        arguments=(SESSION,),
        options=(
            PROJECT_GUARD,
            _FORCE,
            Option("--no-wait", "return once the agent is gone, before its worktree is"),
            JSON,
        ),
        details="Without --force a worktree with uncommitted or untracked files stays; commits always stay.",
        examples=("ao session kill shop-3", "ao session kill shop-3 --force"),
    ),
    "session rollback": Command(
        "session rollback",
        _rollback,
        arguments=(SESSION,),
        options=(PROJECT_GUARD, JSON),
        details="A session that only just began vanishes; one that ran is killed and keeps its history.",
        examples=("ao session rollback shop-3",),
    ),
    "session cleanup": Command(
        "session cleanup",
        _cleanup,
        options=(
            Option("--project -p", "only this project's", "ID", ids="project"),
            Option("--yes -y", "don't ask"),
            Option("--dry-run -n", "only show what would be cleaned"),
            _FORCE,
            JSON,
        ),
        examples=("ao session cleanup --dry-run", "ao session cleanup -p shop --yes"),
    ),
}

"""Lists of sessions: `ao ls`, `ao session ls` and `ao orchestrator ls`.

Piped, a list of sessions is the daemon's own text, copied (a thousand rows of JSON would take longer to read than
everything else together); on a terminal the rows are aligned, coloured and say more. JSON is the same either way.
"""

from __future__ import annotations

import sys
import time

from ao.cli import moments, output
from ao.cli.context import suggesting
from ao.cli.grammar import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

_ROLE_FIRST = ("id", "projectId", "role", "status")


def entry(session: dict[str, Any]) -> dict[str, Any]:
    """A session as an element of the JSON list: its kind is called role, the activity's time is lifted out."""
    fields = {key: value for key, value in session.items() if key not in ("kind", "activity")}
    fields["role"] = session.get("kind", "worker")
    activity = session.get("activity") or {}
    if activity.get("lastActivityAt"):
        fields["lastActivityAt"] = activity["lastActivityAt"]
    if activity.get("state"):
        fields["activityState"] = activity["state"]
    head = {key: fields[key] for key in _ROLE_FIRST if key in fields}
    return head | fields


def in_order(sessions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sessions by project, then by id with numbers as numbers."""
    return sorted(sessions, key=lambda session: (session.get("projectId", ""), output.natural(session["id"])))


def cells(session: dict[str, Any], now: float) -> list[str]:
    """The columns of a session on a terminal: id, age, status, agent, branch, what it is about."""
    when = (session.get("activity") or {}).get("lastActivityAt") or session.get("createdAt", "")
    about = session.get("displayName") or session.get("issueId") or session.get("summary") or ""
    failure = session.get("failure") or {}
    if failure:
        about = f"{failure.get('code', '')}: {failure.get('message', '')}"
    elif session.get("kind") == "orchestrator" and not about:
        about = "orchestrator"
    status = str(session.get("status", ""))
    phase = session.get("phase", "")
    if phase in ("seeded", "workspace", "launched"):
        status = "starting"
    return [session["id"], moments.age(when, now), status, session.get("harness", ""), session.get("branch", ""), about]


def _orchestrator(session: dict[str, Any], now: float) -> str:
    """An orchestrator's row in a pipe."""
    when = (session.get("activity") or {}).get("lastActivityAt") or session.get("createdAt", "")
    age = moments.age(when, now)
    parts = [session["id"], f"({age})" if age else ""]
    parts.append(f"[{session['status']}]" if session.get("status") else "")
    parts.append("terminated" if session.get("isTerminated") else "")
    return "  " + "  ".join(output.clean(part) for part in parts if part)


def _show(sessions: Sequence[dict[str, Any]]) -> None:
    now = time.time()
    project = None
    wide = output.on_terminal()
    rows = [cells(session, now) for session in sessions] if wide else []
    padded = output.table(rows, limit=max(output.columns() - 2, 0), shrink=(4, 5)) if rows else []
    colour = output.colourful()
    for index, session in enumerate(sessions):
        if session.get("projectId") != project:
            if project is not None:
                output.emit("")
            project = session.get("projectId")
            output.emit(f"{output.clean(project)}:")
        if not wide:
            output.emit(_orchestrator(session, now))
            continue
        row = padded[index]
        if colour:
            row[2] = output.paint(row[2], output.status_colour(rows[index][2]))
        output.emit("  " + "  ".join(row).rstrip())


def _ls(context: Context, values: Values) -> None:
    project = values.text("project")
    query = {} if values.on("include-terminated") else {"active": "true"}
    if project:
        query["project"] = project
    if not values.on("all"):
        query["kind"] = "worker"
    if not values.on("json") and not output.on_terminal():
        text = context.client.text("/sessions", {**query, "format": "text"})
        if project and text.startswith("("):
            _check_project(context, project)
        sys.stdout.write(text)
        return
    answer = context.client.get("/sessions", query)
    sessions = in_order(answer.get("sessions", []))
    if project and not sessions:
        _check_project(context, project)
    meta = answer.get("meta") or {}
    hidden = int(meta.get("hiddenTerminatedCount", 0))
    if values.on("json"):
        output.emit_json(
            {"data": [entry(session) for session in sessions], "meta": {**meta, "hiddenTerminatedCount": hidden}}
        )
        return
    if sessions:
        _show(sessions)
    else:
        output.emit("(no sessions)" if values.on("include-terminated") else "(no active sessions)")
    if hidden:
        plural = "" if hidden == 1 else "s"
        output.emit(f"{hidden} terminated session{plural} hidden. Use --include-terminated to show.")


def _check_project(context: Context, project: str) -> None:
    """Nothing of an unknown project is an error, with the nearest known one as its hint."""
    from ao.cli.client import escape

    with suggesting(context, project):
        context.client.get(f"/projects/{escape(project)}")


def _ls_orchestrators(context: Context, values: Values) -> None:
    sessions = in_order(context.client.get("/orchestrators").get("sessions", []))
    if values.text("project"):
        sessions = [session for session in sessions if session.get("projectId") == values.text("project")]
    if not values.on("include-terminated"):
        sessions = [session for session in sessions if not session.get("isTerminated")]
    if values.on("json"):
        output.emit_json({"data": [entry(session) for session in sessions]})
    elif sessions:
        _show(sessions)
    else:
        output.emit("(no orchestrators)")


_PROJECT = Option("--project -p", "only this project's", "ID", ids="project")
_TERMINATED = Option("--include-terminated -t", "ended ones too")
_JSON = Option("--json", "print JSON")


def _list_command(path: str) -> Command:
    return Command(
        path,
        _ls,
        options=(_PROJECT, Option("--all -a", "orchestrators too"), _TERMINATED, _JSON),
        details="Status is what the session's facts say together; `ao session get ID` shows those facts.",
        examples=(f"ao {path}", f"ao {path} -p shop --include-terminated", f"ao {path} --json"),
    )


COMMANDS = {
    "ls": _list_command("ls"),
    "session ls": _list_command("session ls"),
    "orchestrator ls": Command(
        "orchestrator ls",
        _ls_orchestrators,
        options=(_PROJECT, _TERMINATED, _JSON),
        examples=("ao orchestrator ls", "ao orchestrator ls --json"),
    ),
}

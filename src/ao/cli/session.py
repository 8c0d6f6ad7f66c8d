"""One session: `ao session get`, `restore`, `rename`, `messages` and `output`."""

from __future__ import annotations

from ao.cli import moments, output
from ao.cli.client import escape
from ao.cli.context import suggesting
from ao.cli.errors import UsageError
from ao.cli.grammar import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

SESSION = Argument("ID", "the session", ids="session")
PROJECT_GUARD = Option("--project -p", "refuse unless the session belongs to this project", "ID", ids="project")
JSON = Option("--json", "print JSON")


def describe(session: dict[str, Any]) -> list[str]:
    """A session as `key: value` lines; what it doesn't have is left out."""
    activity = session.get("activity") or {}
    failure = session.get("failure") or {}
    preserved = session.get("preserved") or {}
    base = session.get("base") or {}
    rows = [
        ("id", session.get("id")),
        ("project", session.get("projectId")),
        ("name", session.get("displayName")),
        ("about", session.get("summary")),
        ("role", session.get("kind")),
        ("status", session.get("status")),
        ("scm status", session.get("scmStatus")),
        ("phase", session.get("phase")),
        ("activity", activity.get("state")),
        ("harness", session.get("harness")),
        ("model", session.get("model")),
        ("permissions", session.get("permissions")),
        ("issue", session.get("issueId")),
        ("branch", session.get("branch")),
        (
            "base",
            " ".join(
                str(base[key])[:12] if key == "sha" else str(base[key]) for key in ("ref", "sha") if base.get(key)
            ),
        ),
        ("workspace", session.get("workspacePath")),
        ("terminated", "yes" if session.get("isTerminated") else "no"),
        ("exit code", session.get("exitCode")),
        ("failure", f"{failure.get('message', '')} ({failure.get('code', '')})" if failure else ""),
        ("preserved", f"{preserved.get('path', '')} ({preserved.get('reason', '')})" if preserved else ""),
        ("created", moments.to_seconds(session.get("createdAt", ""))),
        ("updated", moments.to_seconds(session.get("updatedAt", ""))),
    ]
    shown = [f"{key}: {output.clean(value)}" for key, value in rows if value not in (None, "")]
    shown += [_pull(pull) for pull in session.get("prs") or []]
    shown += [f"warning: {output.clean(warning)}" for warning in session.get("warnings") or []]
    return shown + [_evidence(fact) for fact in session.get("evidence") or []]


def _pull(pull: dict[str, Any]) -> str:
    open_review = ", unanswered comments" if pull.get("reviewComments") else ""
    facts = f"checks {pull['ci']}, review {pull['review']}{open_review}, merge {pull['mergeability']}"
    return output.clean(f"pull request: #{pull['number']} {pull['state']}, {facts} ({pull['url']})")


def _evidence(fact: dict[str, Any]) -> str:
    when = f", {moments.to_seconds(fact['at'])}" if fact.get("at") else ""
    return output.clean(f"evidence: {fact.get('fact')} = {fact.get('value')} (from {fact.get('source')}{when})")


def _get(context: Context, values: Values) -> None:
    session = context.session(values.text("ID"), values.text("project"))
    if values.on("json"):
        output.emit_json({"session": session})
    else:
        for line in describe(session):
            output.emit(line)


def _restore(context: Context, values: Values) -> None:
    session_id = values.text("ID")
    guard(context, values)
    with suggesting(context, session_id):
        answer = context.client.post(f"/sessions/{escape(session_id)}/restore")
    if values.on("json"):
        output.emit_json(answer)
        return
    session = answer.get("session") or {}
    output.emit(f"session {answer.get('sessionId', session_id)} restored")
    output.emit(f"  project: {session.get('projectId', '')}")
    modes = {
        "native": "the agent continues its own conversation",
        "saved_prompt": "the agent starts over with the saved prompt",
        "fresh": "the agent starts fresh",
    }
    mode = answer.get("restoreMode", "")
    if mode:
        output.emit(f"  mode: {mode} ({modes.get(mode, 'unknown')})")
    for warning in session.get("warnings") or []:
        output.note(f"warning: {output.clean(warning)}")


def guard(context: Context, values: Values) -> None:
    """Honour `--project`: refuse a session of another project before anything is done to it."""
    if values.text("project"):
        context.session(values.text("ID"), values.text("project"))


def _rename(context: Context, values: Values) -> None:
    session_id, name = values.text("ID"), values.text("NAME").strip()
    if not name:
        raise UsageError("the name must not be blank")
    guard(context, values)
    with suggesting(context, session_id):
        answer = context.client.call("PATCH", f"/sessions/{escape(session_id)}", {"displayName": name})
    if values.on("json"):
        output.emit_json(answer)
    else:
        shown = output.clean(answer.get("displayName", name)).replace("\\", "\\\\").replace('"', '\\"')
        output.emit(f'session {answer.get("sessionId", session_id)} renamed to "{shown}"')


def _messages(context: Context, values: Values) -> None:
    session_id = values.text("ID")
    guard(context, values)
    with suggesting(context, session_id):
        answer = context.client.get(f"/sessions/{escape(session_id)}/messages")
    if values.on("json"):
        output.emit_json(answer)
        return
    messages = answer.get("messages", [])
    if not messages:
        output.emit("(no messages)")
        return
    rows = [["ID", "FROM", "STATE", "CREATED", "TEXT"]]
    for message in messages:
        reason = message.get("heldReason") or (message.get("failure") or "")
        state = f"{message.get('state', '')}: {reason}" if reason else str(message.get("state", ""))
        created = moments.to_seconds(message.get("createdAt", ""))
        rows.append([str(message.get("id", "")), message.get("source", ""), state, created, message.get("text", "")])
    for line in output.lines(output.table(rows, limit=output.columns(), shrink=(4, 2))):
        output.emit(line)


def _output(context: Context, values: Values) -> None:
    session_id = values.text("ID")
    guard(context, values)
    query = {"lines": str(int(values.number("lines", 200)))}
    with suggesting(context, session_id):
        answer = context.client.get(f"/sessions/{escape(session_id)}/output", query)
    if values.on("json"):
        output.emit_json(answer)
        return
    for line in str(answer.get("output", "")).rstrip("\n").split("\n"):
        output.emit("".join(mark if mark.isprintable() or mark == "\t" else " " for mark in line).rstrip())


COMMANDS = {
    "session get": Command(
        "session get", _get, arguments=(SESSION,), options=(PROJECT_GUARD, JSON), examples=("ao session get shop-3",)
    ),
    "session restore": Command(
        "session restore",
        _restore,
        arguments=(SESSION,),
        options=(PROJECT_GUARD, JSON),
        details="Says whether the agent's own conversation is continued or the saved prompt was given again.",
        examples=("ao session restore shop-3",),
    ),
    "session rename": Command(
        "session rename",
        _rename,
        arguments=(SESSION, Argument("NAME", "the name to show")),
        options=(PROJECT_GUARD, JSON),
        examples=("ao session rename shop-3 'Login page'",),
    ),
    "session messages": Command(
        "session messages",
        _messages,
        arguments=(SESSION,),
        options=(PROJECT_GUARD, JSON),
        details="queued: waits for the agent; sent: typed; submitted: the agent took it; failed, unknown: see there.",
        examples=("ao session messages shop-3",),
    ),
    "session output": Command(
        "session output",
        _output,
        arguments=(SESSION,),
        options=(
            Option("--lines -n", "how many lines (default 200)", "N", kind="integer"),
            PROJECT_GUARD,
            JSON,
        ),
        examples=("ao session output shop-3 -n 50",),
    ),
}

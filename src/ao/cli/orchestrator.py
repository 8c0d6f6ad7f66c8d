"""A project's orchestrator: `ao orchestrator start` and `get`."""

from __future__ import annotations

from ao.cli import output
from ao.cli.client import escape, new_idempotency_key
from ao.cli.context import suggesting
from ao.cli.grammar import Argument, Command, Option
from ao.cli.session import JSON, SESSION, describe
from ao.cli.spawn import AGENT_OPTIONS, announce, find_project, follow, prompt_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.context import Context
    from ao.cli.grammar import Values


def _start(context: Context, values: Values) -> None:
    project = find_project(context, values.text("project"))
    body: dict[str, object] = {"projectId": project}
    if values.on("clean"):
        body["clean"] = True
    texts = {"harness": values.text("agent"), "model": values.text("model"), "permissions": values.text("permissions")}
    texts["prompt"] = prompt_text(context, values)
    body |= {key: value for key, value in texts.items() if value}
    headers = {"Idempotency-Key": new_idempotency_key()}
    with suggesting(context, project):
        answer = context.client.post("/orchestrators", body, {"wait": "seeded"}, headers=headers)
    session_id = answer["orchestrator"]["id"]
    session = answer.get("session") or context.session(session_id)
    running = session.get("phase") == "live"
    if not running and not values.on("no-wait"):
        session = follow(context, session, quiet=values.on("json"))
    if values.on("json"):
        output.emit_json({**answer, "session": session})
    else:
        announce(session, "orchestrator already runs:" if running else "started orchestrator")


def _get(context: Context, values: Values) -> None:
    with suggesting(context, values.text("ID")):
        session = context.client.get(f"/orchestrators/{escape(values.text('ID'))}")["session"]
    if values.on("json"):
        output.emit_json({"session": session})
    else:
        for line in describe(session):
            output.emit(line)


COMMANDS = {
    "orchestrator start": Command(
        "orchestrator start",
        _start,
        arguments=(Argument("PROMPT", "what to begin with; - reads stdin", required=False, many=True),),
        options=(
            Option("--project -p", "the project (default: AO_PROJECT_ID, else this directory's)", "ID", ids="project"),
            Option("--clean", "replace the running one, once its successor runs"),
            Option("--prompt", "what to begin with; - reads stdin", "TEXT"),
            Option("--prompt-file", "read it from a file", "PATH"),
            *AGENT_OPTIONS,
            Option("--no-wait", "return once accepted, before the agent runs"),
            JSON,
        ),
        details="A project has at most one; without --clean the running one is shown.",
        examples=("ao orchestrator start -p shop", "ao orchestrator start -p shop --clean"),
    ),
    "orchestrator get": Command(
        "orchestrator get", _get, arguments=(SESSION,), options=(JSON,), examples=("ao orchestrator get shop-1",)
    ),
}

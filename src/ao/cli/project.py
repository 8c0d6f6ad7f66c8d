"""Registered repositories: `ao project ls`, `get`, `add` and `rm`."""

from __future__ import annotations

import os
import sys

from ao.cli import output
from ao.cli.client import escape
from ao.cli.context import suggesting
from ao.cli.errors import CliError, UsageError
from ao.cli.grammar import Argument, Command, Option
from ao.paths import encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

PROJECT = Argument("ID", "the project", ids="project")
JSON = Option("--json", "print JSON")


def _ls(context: Context, values: Values) -> None:
    projects = context.client.get("/projects").get("projects", [])
    projects.sort(key=lambda item: output.natural(item["id"]))
    if values.on("json"):
        output.emit_json({"projects": projects})
        return
    if not projects:
        output.emit("no projects registered")
        output.emit("register one with: ao project add --path DIR")
        return
    rows = [["ID", "NAME", "KIND", "SESSION PREFIX", "STATUS", "PATH"]]
    for item in projects:
        problem = item.get("resolveError")
        status = f"degraded: {problem}" if problem else "ok"
        prefix = item.get("sessionPrefix", "")
        rows.append([item["id"], item.get("name", ""), item.get("kind", ""), prefix, status, item.get("path", "")])
    if not any(row[2] for row in rows[1:]):
        rows = [[*row[:2], *row[3:]] for row in rows]
    for line in output.lines(output.table(rows, limit=output.columns(), shrink=(len(rows[0]) - 1, len(rows[0]) - 2))):
        output.emit(line)


def fetch(context: Context, project_id: str) -> dict[str, Any]:
    """`GET /projects/{id}` with a suggestion when the id is nearly another's."""
    with suggesting(context, project_id):
        answer: dict[str, Any] = context.client.get(f"/projects/{escape(project_id)}")
    return answer


def _get(context: Context, values: Values) -> None:
    answer = fetch(context, values.text("ID"))
    if values.on("json"):
        output.emit_json(answer)
        return
    project = answer.get("project", {})
    config = project.get("config") or {}
    output.emit(f"Project {project.get('id', values.text('ID'))} ({answer.get('status', '')})")
    rows = (
        ("name", project.get("name")),
        ("kind", project.get("kind")),
        ("path", project.get("path")),
        ("repo", project.get("repo")),
        ("default branch", project.get("defaultBranch")),
        ("agent", (config.get("worker") or {}).get("agent") or project.get("agent")),
        ("config", encode_json(config) if config else ""),
        ("resolve error", project.get("resolveError")),
    )
    for name, value in rows:
        if value:
            output.emit(f"  {name}: {output.clean(value)}")


def _add(context: Context, values: Values) -> None:
    path = values.text("path") or values.text("PATH")
    if values.text("path") and values.text("PATH"):
        raise UsageError("give the path once, as a word or by --path")
    if not path.strip():
        raise UsageError("the path must not be blank", hint="ao project add --path . registers this directory")
    body: dict[str, Any] = {"path": context.absolute(path)}
    if values.text("id"):
        body["projectId"] = values.text("id")
    if values.text("name").strip():
        body["name"] = values.text("name").strip()
    config = {
        role: {"agent": values.text(f"{role}-agent")}
        for role in ("worker", "orchestrator")
        if values.text(f"{role}-agent")
    }
    if config:
        body["config"] = config
    try:
        answer = context.client.post("/projects", body)
    except CliError as error:
        suggested = error.details.get("suggestedProjectId")
        if error.code == "INVALID_PROJECT_ID" and "projectId" not in body:
            error.hint = "the id is made from the directory's name; choose another with --id ID"
        if suggested and not error.hint:
            error.hint = f"it is registered as {error.details.get('existingProjectId')}; or pass --id {suggested}"
        raise
    if values.on("json"):
        output.emit_json(answer)
        return
    project = answer.get("project", {})
    output.emit(f"registered project {project.get('id', '')} at {output.clean(project.get('path', body['path']))}")


def _rm(context: Context, values: Values) -> None:
    project_id = values.text("ID")
    if not values.on("yes"):
        if values.on("json") or not output.on_terminal(sys.stdin):
            raise UsageError(f"refusing to remove {project_id} without confirmation", hint="pass --yes")
        fetch(context, project_id)
        question = (
            f"Remove project {project_id}? Its sessions are ended; the repository stays.\nType its id to confirm: "
        )
        if not output.confirm(question, project_id):
            raise CliError("aborted")
    with suggesting(context, project_id):
        answer = context.client.call("DELETE", f"/projects/{escape(project_id)}")
    if values.on("json"):
        output.emit_json(answer)
        return
    output.emit(f"removed project {answer.get('projectId', project_id)}")
    for session_id in answer.get("killed") or []:
        output.emit(f"  killed: {session_id}")
    for item in answer.get("preserved") or []:
        where, why = output.clean(item.get("path", "")), output.clean(item.get("reason", ""))
        output.emit(f"  preserved: {item.get('sessionId', '')} at {where} ({why})")


COMMANDS = {
    "project ls": Command("project ls", _ls, options=(JSON,), examples=("ao project ls", "ao project ls --json")),
    "project get": Command(
        "project get", _get, arguments=(PROJECT,), options=(JSON,), examples=("ao project get shop",)
    ),
    "project add": Command(
        "project add",
        _add,
        arguments=(Argument("PATH", "the repository's top directory", required=False),),
        options=(
            Option("--path", "the same as a flag", "DIR"),
            Option("--id", "its id (default: the directory's name)", "ID"),
            Option("--name", "a name to show", "NAME"),
            Option("--worker-agent", "the agent of its workers", "ID", ids="agent"),
            Option("--orchestrator-agent", "the agent of its orchestrator", "ID", ids="agent"),
            JSON,
        ),
        details=f"The path is taken from the current directory ({os.curdir} is this one).",
        examples=("ao project add .", "ao project add --path ~/src/shop --id shop --worker-agent codex"),
    ),
    "project rm": Command(
        "project rm",
        _rm,
        arguments=(PROJECT,),
        options=(Option("--yes -y", "don't ask"), JSON),
        details="Ends its sessions; worktrees with uncommitted work stay and are listed. The repository isn't touched.",
        examples=("ao project rm shop", "ao project rm shop --yes --json"),
    ),
}

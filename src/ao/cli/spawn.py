"""`ao spawn`: start an agent and watch it get going.

The daemon accepts a spawn at once (`wait=seeded`); the phases that follow are long-polled and shown: one redrawn line
on a terminal, one line a phase otherwise, always on stderr. `ao orchestrator start` waits the same way.
"""

from __future__ import annotations

import os
import sys

from ao.cli import output
from ao.cli.client import escape, new_idempotency_key
from ao.cli.context import suggesting
from ao.cli.errors import CliError, UsageError
from ao.cli.grammar import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

_PHASES = {
    "seeded": "accepted",
    "workspace": "making the worktree",
    "launched": "starting the agent",
    "live": "agent is running",
    "ending": "being ended",
    "ended": "ended",
}
PERMISSIONS = ("default", "accept-edits", "auto", "bypass-permissions")
AGENT_OPTIONS = (
    Option("--agent --harness", "which agent (default: the project's, else the daemon's)", "ID", ids="agent"),
    Option("--model", "the agent's model", "NAME"),
    Option("--permissions", "what the agent may do unasked", "MODE", choices=PERMISSIONS),
)


class Progress:
    """The line that tells how far a session is. Nothing is written when `quiet`."""

    def __init__(self, session_id: str, *, quiet: bool) -> None:
        self._session_id = session_id
        self._quiet = quiet
        self._redraw = output.on_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    def show(self, phase: str) -> None:
        """Tell the phase."""
        if self._quiet:
            return
        text = f"{self._session_id}: {_PHASES.get(phase, phase)}"
        if self._redraw:
            sys.stderr.write(f"\r\x1b[K{text}...")
            sys.stderr.flush()
        else:
            output.note(text)

    def finish(self) -> None:
        """Take the redrawn line away."""
        if self._redraw and not self._quiet:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def follow(context: Context, session: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Wait until a session is live; the session then. Raises `CliError` with the failure that ended it instead."""
    session_id = session["id"]
    progress = Progress(session_id, quiet=quiet)
    path = f"/sessions/{escape(session_id)}"
    try:
        while session.get("phase") not in ("live", "ended", None):
            progress.show(session["phase"])
            session = context.client.get(path, {"phaseNot": session["phase"]})["session"]
    except KeyboardInterrupt:
        progress.finish()
        output.note(f"the spawn of {session_id} goes on; undo it with: ao session rollback {session_id}")
        raise
    finally:
        progress.finish()
    if session.get("phase") == "ended":
        failure = session.get("failure") or {}
        message = output.clean(failure.get("message") or f"session {session_id} ended before its agent ran")
        raise CliError(message, code=str(failure.get("code", "")), hint=str(failure.get("hint") or ""))
    return session


def find_project(context: Context, given: str) -> str:
    """The project meant: the flag, else `AO_PROJECT_ID`, else the registered one this directory lies in."""
    project = given or context.environ.get("AO_PROJECT_ID", "").strip()
    if project:
        return project
    here = os.path.realpath(context.directory)
    worktrees = os.path.join(os.path.realpath(context.paths.data_dir), "worktrees", "")
    if here.startswith(worktrees):
        return here[len(worktrees) :].split(os.sep)[0]
    projects = context.client.get("/projects").get("projects", [])
    roots = {os.path.realpath(item["path"]): str(item["id"]) for item in projects if item.get("path")}
    inside = [root for root in roots if here == root or here.startswith(root.rstrip(os.sep) + os.sep)]
    if inside:
        return roots[max(inside, key=len)]
    if not projects:
        raise UsageError("no project given and none is registered", hint="register one with: ao project add --path DIR")
    known = ", ".join(sorted((str(item["id"]) for item in projects), key=output.natural)[:8])
    raise UsageError(f"no project given, and {here} is in none of them", hint=f"pass --project ID; there are: {known}")


def prompt_text(context: Context, values: Values) -> str:
    """The prompt from `--prompt`, `--prompt-file` or the positional words; `-` reads stdin."""
    words = " ".join(values.many("PROMPT"))
    given = [name for name in ("prompt", "prompt-file") if values.given(name)]
    if len(given) + bool(words) > 1:
        raise UsageError("give the prompt once: as words, by --prompt or by --prompt-file")
    if values.given("prompt-file"):
        return context.read_text(values.text("prompt-file"))
    text = values.text("prompt") or words
    return context.read_text("-") if text == "-" else text


def _spawn(context: Context, values: Values) -> None:
    body = {
        "projectId": find_project(context, values.text("project")),
        "kind": values.text("kind"),
        "harness": values.text("agent"),
        "branch": values.text("branch"),
        "prompt": prompt_text(context, values),
        "issueId": values.text("issue"),
        "agentRules": values.text("rules"),
        "displayName": values.text("name").strip(),
        "model": values.text("model"),
        "permissions": values.text("permissions"),
    }
    request = {key: value for key, value in body.items() if value}
    if values.on("no-takeover") and not values.text("claim-pr"):
        raise UsageError("--no-takeover needs --claim-pr PR")
    if values.text("claim-pr"):
        _check_claimable(context, values.text("claim-pr"), body["projectId"])
    headers = {"Idempotency-Key": new_idempotency_key()}
    with suggesting(context, body["projectId"]):
        answer = context.client.post("/sessions", request, {"wait": "seeded"}, headers=headers)
    if values.text("claim-pr") or not values.on("no-wait"):
        answer["session"] = follow(context, answer["session"], quiet=values.on("json"))
    if values.text("claim-pr"):
        answer["claim"] = _claim(context, answer["session"]["id"], values)
    if values.on("json"):
        output.emit_json(answer)
        return
    announce(answer["session"], "spawned")
    if "claim" in answer:
        from ao.cli.claims import tell_claim

        tell_claim(answer["claim"])


def _check_claimable(context: Context, reference: str, project: str) -> None:
    """Refuse what can't be claimed before anything is started. Raises `CliError`."""
    from ao.cli.pr import path_of

    query = {"projectId": project, "refresh": "true"} | ({"prUrl": reference} if "://" in reference else {})
    state = context.client.get(path_of(reference), query)["pr"]["state"]
    if state != "open":
        raise CliError(f"pull request {reference} is {state}; only an open one can be claimed", code="PR_NOT_OPEN")


def _claim(context: Context, session_id: str, values: Values) -> dict[str, Any]:
    """Claim a pull request for a session that was just started. Raises `CliError` once the session is undone again."""
    from ao.cli.claims import claim

    reference = values.text("claim-pr")
    try:
        return claim(context, session_id, reference, takeover=not values.on("no-takeover"))
    except CliError as error:
        message = f"cannot claim pull request {reference}: {error.message}; {_undone(context, session_id)}"
        raise CliError(message, code=error.code, hint=error.hint, request=error.request) from error


def _undone(context: Context, session_id: str) -> str:
    """Roll a session back; what became of it, in words."""
    try:
        answer = context.client.post(f"/sessions/{escape(session_id)}/rollback")
    except CliError as error:
        return f"session {session_id} is still there, it could not be rolled back: {error.message}"
    kept = answer.get("preserved") or {}
    left = f", but its work stays at {kept.get('path', '')} ({kept.get('reason', '')})" if kept else ""
    return f"rolled back session {session_id}{left}"


def announce(session: dict[str, Any], verb: str) -> None:
    """Say what was started and how to look at it; warnings go to stderr."""
    output.emit(f"{verb} session {session['id']} ({session.get('status', '')})")
    output.emit(f"attach with: ao attach {session['id']}")
    for warning in session.get("warnings") or []:
        output.note(f"warning: {output.clean(warning)}")


COMMANDS = {
    "spawn": Command(
        "spawn",
        _spawn,
        arguments=(Argument("PROMPT", "the task; - reads it from stdin", required=False, many=True),),
        options=(
            Option(
                "--project -p",
                "the project (default: AO_PROJECT_ID, else the one this directory is in)",
                "ID",
                ids="project",
            ),
            Option("--prompt", "the task; - reads it from stdin", "TEXT"),
            Option("--prompt-file", "read the task from a file", "PATH"),
            *AGENT_OPTIONS,
            Option("--branch -b", "the branch to work on (default: a new one, ao/ID/root)", "NAME"),
            Option("--claim-pr", "make it the owner of this open pull request", "PR", ids="pull"),
            Option("--no-takeover", "with --claim-pr: not one that another active session owns"),
            Option("--issue", "the issue it is about", "ID"),
            Option("--name", "a name to show", "NAME"),
            Option("--rules", "rules appended to the task", "TEXT"),
            Option("--kind", "worker (default) or orchestrator", "KIND", choices=("worker", "orchestrator")),
            Option("--no-wait", "return once accepted, before the agent runs"),
            Option("--json", "print the session as JSON"),
        ),
        examples=(
            "ao spawn 'fix the failing login test'",
            "ao spawn -p shop --agent codex --branch fix/login --prompt-file task.md",
            "gh issue view 7 | ao spawn -p shop --issue 7 -",
        ),
    )
}

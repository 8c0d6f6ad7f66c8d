"""`ao review …`: agents that review the pull requests of others."""

from __future__ import annotations

import time

from ao.cli import output
from ao.cli.client import escape
from ao.cli.context import suggesting
from ao.cli.errors import CliError, UsageError
from ao.cli.grammar import Argument, Command, Option
from ao.cli.moments import age
from ao.cli.pr_actions import body_text, line_comment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values


def _session(context: Context, values: Values) -> str:
    """The session: the word, else `--session`, else the one this runs in."""
    chosen = values.text("SESSION") or values.text("session") or context.environ.get("AO_SESSION_ID", "").strip()
    if not chosen:
        raise UsageError("name the session", hint="ao session ls lists them; inside a session it is that one")
    return chosen


def _path(session: str, rest: str = "") -> str:
    return f"/sessions/{escape(session)}/reviews{rest}"


def _run(context: Context, values: Values) -> int:
    session = _session(context, values)
    body = {"harness": values.text("agent")} if values.text("agent") else {}
    # Opened before the review begins, so that no change of it can be missed.
    stream = context.client.events("latest", {"session": session}) if values.on("wait") else None
    try:
        answer = context.client.post(_path(session, "/trigger"), body)
        runs = answer.get("runs", [])
        if stream is not None:
            runs = _settled(context, session, stream, runs)
    finally:
        if stream is not None:
            stream.close()
    if values.on("json"):
        output.emit_json({**answer, "runs": runs})
    else:
        for run in runs:
            output.emit(output.clean(_line(run, created=bool(answer.get("created")))))
        if stream is None and any(run.get("status") == "running" for run in runs):
            output.note(f"see how it goes: ao review ls {session}")
    return 1 if any(run.get("status") == "failed" for run in runs) else 0


def _settled(context: Context, session: str, stream: Any, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs once none of them is running; asked again after each change of a review."""
    wanted = [run["id"] for run in runs]
    while True:
        known = {run["id"]: run for run in context.client.get(_path(session)).get("runs", [])}
        found = [known[run_id] for run_id in wanted if run_id in known]
        if all(run.get("status") != "running" for run in found):
            return found
        while not any(frame.event == "review_updated" for frame in stream.receive()):
            if stream.ended:
                raise CliError("the daemon has stopped", code="DAEMON_STOPPED", hint="start it with: ao start")


def _line(run: dict[str, Any], *, created: bool) -> str:
    where = f"{_number(run)} at {str(run.get('targetSha', ''))[:12]}"
    status, reader = run.get("status", ""), run.get("reviewerId") or "nobody yet"
    if status == "running":
        return f"{run['id']}: {run.get('harness', '')} {'reads' if created else 'is reading'} {where} in {reader}"
    words = str(run.get("verdict") or run.get("failure") or "").replace("_", " ")
    return f"{run['id']}: {where}: {status}{f', {words}' if words else ''}"


def _number(run: dict[str, Any]) -> str:
    return "#" + str(run.get("prUrl", "")).rpartition("/")[2]


def _ls(context: Context, values: Values) -> None:
    session = _session(context, values)
    answer = context.client.get(_path(session))
    if values.on("json"):
        output.emit_json(answer)
        return
    for pull in answer.get("reviews", []):
        title = f"#{pull.get('prNumber')} {pull.get('title', '')}"
        output.emit(output.clean(f"{title}: {str(pull.get('status', '')).replace('_', ' ')}"))
    runs = answer.get("runs", [])
    if not (runs or answer.get("reviews")):
        with suggesting(context, session):  # the list of a session that isn't there is empty, too
            context.client.get(f"/sessions/{escape(session)}")
    if not runs:
        output.emit("(no reviews)")
        return
    rows = [["ID", "AGE", "PR", "COMMIT", "AGENT", "STATUS", "VERDICT", "REVIEWER"]]
    for run in runs:
        when = age(run.get("createdAt", ""), time.time())
        row = [run["id"], when, _number(run), str(run.get("targetSha", ""))[:12], run.get("harness", "")]
        rows.append([*row, run.get("status", ""), run.get("verdict") or "-", run.get("reviewerId") or "-"])
    for text in output.lines(output.table(rows, limit=output.columns(), shrink=(7, 4))):
        output.emit(text)
    for run in runs:
        if run.get("failure"):
            output.note(output.clean(f"{run['id']}: {run['failure']}"))


def _submit(context: Context, values: Values) -> None:
    session = _session(context, values)
    body: dict[str, Any] = {
        "runId": values.text("run"),
        "verdict": values.text("verdict").replace("-", "_"),
        "body": body_text(context, values),
        "comments": [line_comment(text) for text in values.many("line")],
    }
    if not body["runId"].strip():
        raise UsageError("--run must not be blank")
    if body["verdict"] == "changes_requested" and not body["body"].strip() and not body["comments"]:
        raise UsageError("changes_requested needs words: --body TEXT, --body-file PATH or --line PATH:LINE:TEXT")
    if values.text("review-id"):
        body["githubReviewId"] = values.text("review-id")
    answer = context.client.post(_path(session, "/submit"), body)
    if values.on("json"):
        output.emit_json(answer)
        return
    run = answer.get("review", {})
    output.emit(output.clean(f"recorded {run.get('verdict', '')} review for {run.get('sessionId', session)}"))


def _cancel(context: Context, values: Values) -> None:
    session = _session(context, values)
    answer = context.client.post(_path(session, "/cancel"), {"runId": values.text("run")} if values.text("run") else {})
    if values.on("json"):
        output.emit_json(answer)
        return
    stopped = answer.get("cancelled", [])
    for run in stopped:
        output.emit(output.clean(f"cancelled {run['id']}: {_number(run)} at {str(run.get('targetSha', ''))[:12]}"))
    if not stopped:
        output.emit("(no review is running)")


_JSON = Option("--json", "print JSON")
_SESSION = Argument(
    "SESSION", "the worker whose pull requests are read (default: AO_SESSION_ID)", ids="session", required=False
)
_VERDICTS = ("approved", "changes_requested", "changes-requested")
COMMANDS = {
    "review run": Command(
        "review run",
        _run,
        arguments=(_SESSION,),
        options=(
            Option("--agent -a", "who reviews (default: the project's reviewer, else one that can)", "AGENT"),
            Option("--wait", "until there is a verdict; exit code 1 when the review failed"),
            _JSON,
        ),
        details="""
Every open pull request of the session that needs a review gets one, each in a session of its own at the commit under
review. One that is read already, or has a verdict on this commit, is shown instead; --agent asks for a second opinion.
""",
        examples=("ao review run shop-3", "ao review run shop-3 --agent claude-code --wait"),
    ),
    "review ls": Command(
        "review ls",
        _ls,
        arguments=(_SESSION,),
        options=(_JSON,),
        examples=("ao review ls shop-3", "ao review ls shop-3 --json"),
    ),
    "review submit": Command(
        "review submit",
        _submit,
        arguments=(
            Argument(
                "SESSION", "the worker, or the reviewer itself (default: AO_SESSION_ID)", ids="session", required=False
            ),
        ),
        options=(
            Option("--session -s", "the session, if not named as a word", "ID", ids="session"),
            Option("--run", "the review that this ends", "ID", required=True),
            Option("--verdict", "approved or changes_requested", "VERDICT", required=True, choices=_VERDICTS),
            Option("--body", "what is to be said; - reads it from stdin", "TEXT"),
            Option("--body-file --body_file -F", "read it from a file; - is stdin", "PATH"),
            Option("--line -l", "a comment on a line", "PATH:LINE:TEXT", many=True),
            Option("--review-id --review_id", "the forge's id of a review that was posted by hand", "ID"),
            _JSON,
        ),
        details="""
Reviewers end with this command. What is recorded is posted to the pull request, from where it reaches the author.
""",
        examples=(
            "ao review submit --run rev_1f --verdict approved --body 'Reads well.'",
            "ao review submit --run rev_1f --verdict changes_requested --body-file - --line 'a.py:7:can be empty'",
        ),
    ),
    "review cancel": Command(
        "review cancel",
        _cancel,
        arguments=(_SESSION,),
        options=(Option("--run", "only this one", "ID"), _JSON),
        examples=("ao review cancel shop-3",),
    ),
}

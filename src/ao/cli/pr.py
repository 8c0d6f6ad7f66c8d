"""Pull requests to look at: `ao pr ls`, `view`, `diff` and `checks`."""

from __future__ import annotations

import time

from ao.cli import moments, output
from ao.cli.client import escape
from ao.cli.errors import CliError
from ao.cli.grammar import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

REF = Argument("PR", "its number, or its URL", ids="pull")
PROJECT = Option(
    "--project -p", "its project (default: AO_PROJECT_ID; else any, if only one fits)", "ID", ids="project"
)
_LISTED = Option("--project -p", "only this project's (default: AO_PROJECT_ID, else all)", "ID", ids="project")
JSON = Option("--json", "print JSON")
LOOK_EVERY_S = 2.0
"""Between two looks of `--watch`."""
_MARK = "<!-- ao:"
"""How the daemon's own marks in a text begin; they are not for reading."""
_UNDER_WAY = ("queued", "in_progress")
_UNFINISHED = ("open", "draft")


def path_of(ref: str, rest: str = "") -> str:
    """The route of a pull request. A URL travels as a query, and its number in the path."""
    number = ref.rstrip("/").rpartition("/")[2] if "://" in ref else ref.lstrip("#")
    return f"/prs/{escape(number or '0')}{rest}"


def name_of(ref: str) -> str:
    """A pull request in a line for people: `#3` for a number, a URL as it is."""
    return ref if "://" in ref else f"#{ref.lstrip('#')}"


def query_of(context: Context, values: Values) -> dict[str, str]:
    """What tells which pull request a number means."""
    ref = values.text("PR")
    if "://" in ref:
        return {"prUrl": ref}
    project = values.text("project") or context.environ.get("AO_PROJECT_ID", "").strip()
    return {"projectId": project} if project else {}


def fetch(context: Context, values: Values, rest: str = "", **more: str) -> dict[str, Any]:
    """What the daemon answers about the pull request named."""
    answer: dict[str, Any] = context.client.get(path_of(values.text("PR"), rest), query_of(context, values) | more)
    return answer


def _ls(context: Context, values: Values) -> None:
    query = {"state": "all" if values.on("all") else "open"}
    project = values.text("project") or context.environ.get("AO_PROJECT_ID", "").strip()
    if project:
        query["project"] = project
    answer = context.client.get("/prs", query)
    if values.on("json"):
        output.emit_json(answer)
        return
    pulls = answer.get("prs", [])
    if not pulls:
        output.emit("(no pull requests)" if values.on("all") else "(no open pull requests; --all shows all)")
        return
    rows = [["PR", "STATE", "CHECKS", "REVIEW", "MERGE", "SESSION", "BRANCH", "TITLE"]]
    for pull in pulls:
        number = f"#{pull['number']}" if project else f"{pull['projectId']}#{pull['number']}"
        words = [pull.get(key, "") for key in ("state", "ci", "review", "mergeability")]
        words[3] = words[3] if pull.get("state") in _UNFINISHED else "-"
        rows.append([number, *words, pull.get("sessionId") or "-", pull.get("sourceBranch", ""), pull.get("title", "")])
    for line in output.lines(output.table(rows, limit=output.columns(), shrink=(7, 6))):
        output.emit(line)


def _view(context: Context, values: Values) -> None:
    more = {"refresh": "true"} if values.on("refresh") else {}
    answer = fetch(context, values, **more)
    if values.on("json"):
        output.emit_json(answer)
        return
    for line in describe(answer["pr"]):
        output.emit(line)


def describe(pull: dict[str, Any]) -> list[str]:
    """A pull request as lines: what it is, what is in its way, and what was said."""
    ci, review, merge = (pull.get(key) or {} for key in ("ci", "review", "mergeability"))
    size = f"+{pull.get('additions', 0)} -{pull.get('deletions', 0)} in {pull.get('changedFiles', 0)} files"
    nudges = pull.get("nudges") or {}
    told = f"{nudges.get('sent', 0)} sent, {nudges.get('waiting', 0)} waiting, {nudges.get('gaveUp', 0)} given up"
    rows = [
        ("pull request", f"#{pull['number']} {pull.get('title', '')}"),
        ("url", pull.get("htmlUrl") or pull["url"]),
        ("state", pull["state"] + (f" as {pull['mergeSha'][:12]}" if pull.get("mergeSha") else "")),
        ("branches", f"{pull['sourceBranch']} into {pull['targetBranch']}"),
        ("head", str(pull.get("headSha", ""))[:12]),
        ("author", pull.get("author")),
        ("session", pull.get("sessionId")),
        ("size", size),
        ("checks", ci.get("state")),
        ("review", review.get("decision")),
        ("merge", merge.get("state") if pull["state"] in _UNFINISHED else ""),
        ("nudges", told if any(nudges.values()) else ""),
    ]
    shown = [f"{key}: {output.clean(value)}" for key, value in rows if value]
    shown += [f"in the way: {output.clean(obstacle)}" for obstacle in pull.get("obstacles") or []]
    if pull.get("ready"):
        shown.append(f"ready: merge it with `ao pr merge {pull['number']}`")
    shown += [f"check {output.clean(check['name'])}: {_outcome(check)}" for check in pull.get("checks") or []]
    for remark in pull.get("remarks") or []:
        shown += _said(f"review by {_who(remark)}: {remark['state'].replace('_', ' ')}", remark.get("body", ""))
    for thread in pull.get("threads") or []:
        shown += _thread(thread)
    for comment in pull.get("comments") or []:
        shown += _said(f"comment by {_who(comment)}", comment["body"])
    return shown


def _thread(thread: dict[str, Any]) -> list[str]:
    where = f"{thread['path']}:{thread['line']}" if thread.get("line") else thread["path"]
    state = "resolved" if thread.get("resolved") else "open"
    shown = [output.clean(f"thread {thread['id']} at {where}: {state}")]
    for comment in thread["comments"]:
        shown += [f"  {line}" for line in _said(_who(comment), comment["body"])]
    return shown


def _who(remark: dict[str, Any]) -> str:
    return str(remark.get("author") or remark.get("reviewerId") or remark.get("sessionId") or "unknown")


def _said(head: str, body: str) -> list[str]:
    lines = [line for line in body.rstrip().splitlines() if not line.startswith(_MARK)]
    return [output.clean(head), *(f"  {output.clean(line)}".rstrip() for line in "\n".join(lines).strip().splitlines())]


def _outcome(check: dict[str, Any]) -> str:
    conclusion = check.get("conclusion", "")
    detail = f" ({output.clean(conclusion)})" if conclusion and conclusion != check["status"] else ""
    link = f"  {output.clean(check['url'])}" if check.get("url") else ""
    return f"{check['status']}{detail}{link}"


def _diff(context: Context, values: Values) -> None:
    answer = fetch(context, values, "/diff")
    if values.on("json"):
        output.emit_json(answer)
        return
    for line in str(answer.get("diff", "")).splitlines():
        output.emit("".join(mark if mark.isprintable() or mark == "\t" else " " for mark in line))
    if answer.get("truncated"):
        output.note("the diff goes on; this is its beginning")


def _checks(context: Context, values: Values) -> int:
    if values.text("log"):
        answer = fetch(context, values, "/checks/log", name=values.text("log"))
        if values.on("json"):
            output.emit_json(answer)
            return 0
        for line in str(answer.get("log", "")).splitlines() or ["(no output was kept)"]:
            output.emit("".join(mark if mark.isprintable() or mark == "\t" else " " for mark in line).rstrip())
        return 0
    if values.on("rerun"):
        context.client.post(path_of(values.text("PR"), "/checks/rerun"), None, query_of(context, values))
    answer = fetch(context, values, "/checks")
    while values.on("watch") and any(check["status"] in _UNDER_WAY for check in answer["checks"]):
        time.sleep(LOOK_EVERY_S)
        answer = fetch(context, values, "/checks")
    if values.on("json"):
        output.emit_json(answer)
    elif not answer["checks"]:
        output.emit("(no checks)")
    else:
        for check in answer["checks"]:
            when = moments.to_seconds(check["createdAt"]) if check.get("createdAt") else ""
            output.emit(f"{output.clean(check['name'])}: {_outcome(check)}  {when}".rstrip())
    if answer["state"] == "failing":
        raise CliError(f"the checks of {output.clean(str(answer.get('headSha', ''))[:12])} fail", code="CHECKS_FAILING")
    return 0


COMMANDS = {
    "pr ls": Command(
        "pr ls",
        _ls,
        options=(Option("--all -a", "also those that are merged or closed"), _LISTED, JSON),
        details="All pull requests of the local forge; on GitHub those of sessions.",
        examples=("ao pr ls", "ao pr ls -p shop --all"),
    ),
    "pr view": Command(
        "pr view",
        _view,
        arguments=(REF,),
        options=(Option("--refresh", "ask the forge now"), PROJECT, JSON),
        details="Says what is in the way of merging it, and shows its checks, reviews, threads and comments.",
        examples=("ao pr view 3", "ao pr view https://github.com/acme/shop/pull/142"),
    ),
    "pr diff": Command("pr diff", _diff, arguments=(REF,), options=(PROJECT, JSON), examples=("ao pr diff 3 | less",)),
    "pr checks": Command(
        "pr checks",
        _checks,
        arguments=(REF,),
        options=(
            Option("--log", "print the output of this check", "NAME"),
            Option("--rerun", "run them again"),
            Option("--watch", "wait until they have ended"),
            PROJECT,
            JSON,
        ),
        details="Exit code 1 when they fail.",
        examples=("ao pr checks 3", "ao pr checks 3 --log unit", "ao pr checks 3 --rerun --watch"),
    ),
}

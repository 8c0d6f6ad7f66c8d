"""Sessions and their pull requests: `ao session claim-pr`, `nudges` and `merge-policy`."""

from __future__ import annotations

from ao.cli import moments, output
from ao.cli.client import escape
from ao.cli.context import suggesting
from ao.cli.errors import UsageError
from ao.cli.grammar import Argument, Command, Option
from ao.cli.session import JSON, PROJECT_GUARD, SESSION, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.context import Context
    from ao.cli.grammar import Values

POLICIES = {"end": True, "keep": False, "default": None}


def claim(context: Context, session_id: str, reference: str, *, takeover: bool) -> dict[str, Any]:
    """Make a session the owner of a pull request; the daemon's answer."""
    with suggesting(context, session_id):
        answer: dict[str, Any] = context.client.post(
            f"/sessions/{escape(session_id)}/pr/claim", {"pr": reference.strip(), "allowTakeover": takeover}
        )
    return answer


def tell_claim(answer: dict[str, Any]) -> None:
    """Say what was claimed, and from whom."""
    pull = answer["prs"][0]
    output.emit(f"session {answer['sessionId']} claimed PR #{pull['number']}")
    output.emit(output.clean(f"  pr: {pull['url']}"))
    output.emit(
        output.clean(f"  checkout: the worktree stays on its branch; the agent was told of {pull['sourceBranch']}")
    )
    for owner in answer.get("takenOverFrom") or []:
        output.emit(f"  taking over from {owner}")


def _claim(context: Context, values: Values) -> None:
    if not values.text("PR").strip():
        raise UsageError("the pull request must not be blank")
    guard(context, values)
    answer = claim(context, values.text("ID"), values.text("PR"), takeover=not values.on("no-takeover"))
    if values.on("json"):
        output.emit_json(answer)
    else:
        tell_claim(answer)


def _nudges(context: Context, values: Values) -> None:
    session_id = values.text("ID")
    guard(context, values)
    with suggesting(context, session_id):
        answer = context.client.get(f"/sessions/{escape(session_id)}/nudges")
    if values.on("json"):
        output.emit_json(answer)
        return
    found = answer.get("nudges", [])
    if not found:
        output.emit("(no nudges: nothing was wrong with its pull requests, or it has none)")
        return
    rows = [["CAUSE", "PR", "HEAD", "ROUND", "STATE", "AT", "WHY"]]
    for nudge in found:
        number = "#" + str(nudge["prUrl"]).rpartition("/")[2]
        rounds = str(nudge["round"]) if nudge.get("round") else "-"
        state = nudge.get("messageState") if nudge["state"] == "queued" else nudge["state"]
        if nudge.get("possibleDuplicate"):
            state = f"{state} (possible duplicate)"
        why = nudge.get("heldReason") or nudge.get("reason") or ""
        created = moments.to_seconds(nudge["createdAt"])
        rows.append([nudge["cause"], number, nudge["headSha"][:8], rounds, str(state), created, why])
    for line in output.lines(output.table(rows, limit=output.columns(), shrink=(6,))):
        output.emit(line)


def _policy(context: Context, values: Values) -> None:
    chosen = values.text("POLICY")
    if chosen not in POLICIES:
        raise UsageError(f"POLICY is one of {', '.join(POLICIES)}, not {chosen!r}")
    session_id = values.text("ID")
    guard(context, values)
    with suggesting(context, session_id):
        answer = context.client.call(
            "PATCH", f"/sessions/{escape(session_id)}/merge-policy", {"terminateOnPrMerge": POLICIES[chosen]}
        )
    if values.on("json"):
        output.emit_json(answer)
        return
    ends = "ends" if answer.get("terminateOnPrMerge") else "stays"
    output.emit(f"session {session_id} {ends} when its pull requests are merged (set by the {answer.get('source')})")


_POLICY = Argument("POLICY", "end, keep, or default (as its project says)")
_POLICY.choices = tuple(POLICIES)
COMMANDS = {
    "session claim-pr": Command(
        "session claim-pr",
        _claim,
        arguments=(SESSION, Argument("PR", "a number or the URL of an open pull request", ids="pull")),
        options=(Option("--no-takeover", "refuse one that another active session owns"), PROJECT_GUARD, JSON),
        details="Checks, reviews and conflicts of the pull request are sent to this session from now on.",
        examples=("ao session claim-pr shop-3 142", "ao session claim-pr shop-3 https://github.com/acme/shop/pull/142"),
    ),
    "session nudges": Command(
        "session nudges",
        _nudges,
        arguments=(SESSION,),
        options=(PROJECT_GUARD, JSON),
        details="What the agent was told because of its pull requests, what waits and why, and what was given up.",
        examples=("ao session nudges shop-3",),
    ),
    "session merge-policy": Command(
        "session merge-policy",
        _policy,
        arguments=(SESSION, _POLICY),
        options=(PROJECT_GUARD, JSON),
        details="Whether the session ends once its pull requests are merged and nothing else is in its worktree.",
        examples=("ao session merge-policy shop-3 keep",),
    ),
}

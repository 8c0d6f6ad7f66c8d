"""`ao agent ls`: which agents are known, installed and signed in."""

from __future__ import annotations

from ao.cli.grammar import Command, Option
from ao.cli.output import columns, emit, emit_json, lines, natural, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.context import Context
    from ao.cli.grammar import Values


def _ls(context: Context, values: Values) -> None:
    client = context.client
    answer = client.post("/agents/refresh") if values.on("refresh") else client.get("/agents")
    if values.on("json"):
        emit_json(answer)
        return
    installed = {agent["id"]: agent for agent in answer.get("installed", [])}
    rows = [["ID", "LABEL", "INSTALLED", "SIGNED IN", "VERSION"]]
    for agent in sorted(answer.get("supported", []), key=lambda agent: natural(agent["id"])):
        found = installed.get(agent["id"])
        auth = {"authorized": "yes", "unauthorized": "no"}.get((found or {}).get("authStatus", ""), "?")
        row = [agent["id"], agent.get("label", ""), "yes" if found else "no", auth if found else "-"]
        rows.append([*row, (found or {}).get("version", "")])
    for line in lines(table(rows, limit=columns(), shrink=(4, 1))):
        emit(line)
    for agent in answer.get("supported", []):
        if agent.get("hint") and (agent["id"] not in installed or agent.get("authStatus") == "unauthorized"):
            emit(f"  {agent['id']}: {agent['hint']}")


COMMANDS = {
    "agent ls": Command(
        "agent ls",
        _ls,
        options=(Option("--refresh", "look again instead of answering from memory"), Option("--json", "print JSON")),
        examples=("ao agent ls", "ao agent ls --refresh"),
    )
}

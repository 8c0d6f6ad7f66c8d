"""`ao send`: a message to a session's agent, queued by the daemon until the agent may be written to."""

from __future__ import annotations

from ao.cli import output
from ao.cli.client import escape, new_idempotency_key
from ao.cli.context import suggesting
from ao.cli.errors import UsageError
from ao.cli.grammar import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.context import Context
    from ao.cli.grammar import Values


def _text(context: Context, values: Values, words: list[str]) -> str:
    sources = [bool(words), values.given("message"), values.given("file")]
    if sum(sources) > 1:
        raise UsageError("usage: give the message once: as words, by --message or by --file")
    if values.given("file"):
        return context.read_text(values.text("file"))
    text = " ".join(words) or values.text("message")
    return context.read_text("-") if text == "-" else text


def _send(context: Context, values: Values) -> None:
    words = values.many("MESSAGE")
    session_id = values.text("session")
    if not session_id:
        session_id = values.text("ID")
    elif values.text("ID"):
        words = [values.text("ID"), *words]
    text = _text(context, values, words)
    if not text.strip():
        raise UsageError("usage: the message must not be blank", hint="ao send ID MESSAGE, or ao send ID - < FILE")
    if not session_id.strip():
        raise UsageError("usage: the session must not be blank", hint="ao send ID MESSAGE")
    sender = context.environ.get("AO_SESSION_ID", "").strip()
    body = {"message": f"[from {sender}] {text}" if sender else text, "idempotencyKey": new_idempotency_key()}
    with suggesting(context, session_id):
        answer = context.client.post(f"/sessions/{escape(session_id.strip())}/send", body)
    if values.on("json"):
        output.emit_json(answer)
        return
    held = answer.get("heldReason")
    state = f"{answer.get('state', 'queued')}{f', held: {output.clean(held)}' if held else ''}"
    output.emit(f"message {answer.get('messageId', '')} to {answer.get('sessionId', session_id)}: {state}")


COMMANDS = {
    "send": Command(
        "send",
        _send,
        arguments=(
            Argument("ID", "the session, unless given by --session", ids="session", required=False),
            Argument("MESSAGE", "the message; - reads it from stdin", required=False, many=True),
        ),
        options=(
            Option("--session -s", "the session", "ID", ids="session"),
            Option("--message -m", "the message; - reads it from stdin", "TEXT"),
            Option("--file -f", "read the message from a file; - is stdin", "PATH"),
            Option("--json", "print JSON"),
        ),
        details="""
The message is queued and typed when the agent can take it; never into a permission dialog, never over a half-typed
line. `ao session messages ID` tells what became of it. Inside a session it is marked with the sender's id.
""",
        examples=(
            "ao send shop-3 'use the new parser'",
            "ao send --session shop-3 --message 'go on'",
            "ao send shop-3 - < notes.md",
        ),
    )
}

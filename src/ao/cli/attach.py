"""`ao attach ID`: this terminal becomes the session's."""

from __future__ import annotations

import os
import sys

from ao.cli.client import escape
from ao.cli.context import suggesting
from ao.cli.errors import CliError
from ao.cli.grammar import Command, Option
from ao.cli.output import emit_json, on_terminal
from ao.cli.session import JSON, SESSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.context import Context
    from ao.cli.grammar import Values


def _attach(context: Context, values: Values) -> None:
    session_id = values.text("ID")
    with suggesting(context, session_id):
        answer = context.client.get(f"/sessions/{escape(session_id)}/attach")
    if values.on("json"):
        emit_json(answer)
        return
    command: list[str] = answer["readOnlyArgv" if values.on("read-only") else "argv"]
    if not on_terminal(sys.stdin) or not on_terminal():
        raise CliError("attach needs a terminal", code="NOT_A_TERMINAL", hint=f"see: ao session output {session_id}")
    # The session's tmux server is its own; from inside another one tmux would refuse to nest.
    environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 (no shell is the point)
    except OSError as error:
        raise CliError(
            f"cannot run {command[0]}: {error.strerror}", code="ATTACH_FAILED", hint="see: ao doctor"
        ) from None


COMMANDS = {
    "attach": Command(
        "attach",
        _attach,
        arguments=(SESSION,),
        options=(Option("--read-only -r", "watch without typing"), JSON),
        details="Leave with the tmux prefix and d (Ctrl-b d); the agent goes on.",
        examples=("ao attach shop-3", "ao attach shop-3 --read-only"),
    )
}

"""Commands that become another program: `ao daemon` and `ao doctor` live outside the CLI and replace this process."""

from __future__ import annotations

import os
import sys

from ao.cli.grammar import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.context import Context
    from ao.cli.grammar import Values


def module_command(module: str, *words: str) -> list[str]:
    """The command that runs one of our modules. `-P`: the current directory, often a repository, isn't on the path."""
    return [sys.executable, "-P", "-m", module, *words]


def _become(command: list[str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 (no shell is the point)


def _daemon(_: Context, __: Values) -> int:
    return _become(module_command("ao.daemon"))


def _doctor(_: Context, values: Values) -> int:
    return _become(module_command("ao.doctor", *(["--json"] if values.on("json") else [])))


def _hooks(_: Context, values: Values) -> int:
    from ao.cli import hook

    return hook.report([values.text("AGENT"), values.text("EVENT")])


COMMANDS = {
    "daemon": Command(
        "daemon",
        _daemon,
        details="Logs go to stderr; SIGINT and SIGTERM stop it. `ao start` does the same in the background.",
        examples=("ao daemon", "AO_PORT=4001 ao daemon"),
    ),
    "doctor": Command(
        "doctor",
        _doctor,
        options=(Option("--json", "print the checks as JSON"),),
        details="Exit code 1 when a check fails; warnings don't count.",
        examples=("ao doctor", "ao doctor --json"),
    ),
    "hooks": Command(
        "hooks",
        _hooks,
        arguments=(Argument("AGENT", "the agent's id"), Argument("EVENT", "the event, in the agent's words")),
        details="""
Reads the agent's JSON payload from stdin and reports it to the daemon for the session in AO_SESSION_ID. Without that
variable it does nothing. It always exits 0, prints nothing on stdout and takes at most a second; failures are in
hooks.log in the data directory.
""",
        examples=("ao hooks claude-code stop < payload.json",),
    ),
}

"""`ao version`."""

from __future__ import annotations

from ao.cli.grammar import Command, Option
from ao.cli.output import emit, emit_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.context import Context
    from ao.cli.grammar import Values


def _version(_: Context, values: Values) -> None:
    from ao import __version__

    if values.on("json"):
        emit_json({"version": __version__})
    else:
        emit(__version__)


COMMANDS = {
    "version": Command(
        "version", _version, options=(Option("--json", "print JSON"),), examples=("ao version", "ao --version")
    )
}

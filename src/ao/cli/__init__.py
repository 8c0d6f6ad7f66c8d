"""The `ao` command: a client of the daemon's HTTP API.

It imports the standard library and `ao.paths`, nothing else, and of those only what the asked command needs: an
interpreter takes about 7 ms to start, and `ao --version`, `ao --help` and `ao hooks` must not add to that what a
reader or an agent would notice. Modules are therefore imported where they are first used.
"""

from __future__ import annotations

import gc
import sys

# A collection costs 0.7 ms, a tenth of the interpreter's start; a command ends before it has anything to collect.
_COLLECT_AFTER = 100_000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `ao` with these arguments (default: the process's own) and return the exit code: 0, 1, 2 (usage) or 130."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    first = words[0] if words else "--help"
    gc.set_threshold(_COLLECT_AFTER)
    if first == "hooks":
        from ao.cli.hook import report

        return report(words[1:])
    if first in ("--version", "-v") and len(words) < 2:
        from ao import __version__

        sys.stdout.write(f"ao version {__version__}\n")
        return 0
    from ao.cli.dispatch import run

    return run(words)

"""The `ao` command: a client of the daemon's HTTP API.

It imports the standard library and `ao.paths`, nothing else, and of those only what the asked command needs: an
interpreter takes about 7 ms to start, and `ao --version`, `ao --help` and `ao hooks` must not add to that what a
reader or an agent would notice. Modules are therefore imported where they are first used.
"""

from __future__ import annotations

import gc
import os
import sys

# A collection costs 0.7 ms, a tenth of the interpreter's start; a command ends before it has anything to collect.
_COLLECT_AFTER = 100_000
_BROKEN_PIPE = 141

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> int:
    """Run `ao` with the process's arguments and end the process: 0, 1, 2 (usage), 130 (Ctrl-C) or 141 (broken pipe).

    It never returns: taking the interpreter down would cost another 1.3 ms, and nothing here is left to it.
    """
    gc.set_threshold(_COLLECT_AFTER)
    _ensure_streams()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = _BROKEN_PIPE
    except OSError:
        # A full disk, say. What ran has either told it by now or had nothing but this to write.
        code = code or 1
    os._exit(code)


def _ensure_streams() -> None:
    """Put the null device where a standard stream is closed, so that no file or socket takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (open as long as the process)


def run(words: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    first = words[0] if words else "--help"
    if first == "hooks":
        from ao.cli.hook import report

        return report(list(words[1:]))
    if first in ("--version", "-v") and len(words) < 2:
        from ao import __version__

        sys.stdout.write(f"ao version {__version__}\n")
        return 0
    from ao.cli import dispatch

    return dispatch.run(list(words))

"""From the words of a command line to the command that runs, and from its outcome to an exit code."""

from __future__ import annotations

import os
import sys

from ao.cli import table
from ao.cli.errors import BROKEN_PIPE, FAILURE, INTERRUPTED, CliError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ao.cli.grammar import Command
    from ao.cli.table import Entry


def run(words: list[str]) -> int:
    """Run one command line, errors to stderr; the exit code: 0, 1, 2 (usage), 130 (Ctrl-C) or 141 (broken pipe)."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except CliError as error:
        _complain(error.text())
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; without this the interpreter would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except OSError as error:
        import errno

        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            return _defect(error)
        _complain(f"cannot write the output: {error.strerror} (OUTPUT_FAILED)")
        return FAILURE
    except Exception as error:
        return _defect(error)


def _defect(error: Exception) -> int:
    _complain(f"unexpected failure: {type(error).__name__}: {error} (CLI_DEFECT)")
    if os.environ.get("AO_DEBUG"):
        raise error
    _complain("  hint: this is a defect of ao; AO_DEBUG=1 shows where")
    return FAILURE


def _complain(text: str) -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # What can't be written was told already, or is told now.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr.write(text + "\n")


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help") or words == ["help"]:
        sys.stdout.write(table.overview())
        return 0
    if words[0] == "help":
        return _dispatch([*words[1:], "--help"])
    if words[0] == "__complete":
        from ao.cli.completion import complete

        return complete(words[1:])
    if words[0] in ("-v", "--version"):
        raise UsageError(f"unexpected argument {words[1]!r} after {words[0]}")
    if words[0] in table.GROUPS:
        return _dispatch_group(words)
    entry = table.find(words[:1])
    if entry is None:
        raise _unknown(words[0], "command", [*_names(""), *table.GROUPS])
    return _invoke(entry, words[1:])


def _dispatch_group(words: list[str]) -> int:
    group = words[0]
    if len(words) == 1 or words[1] in ("-h", "--help"):
        sys.stdout.write(table.group_help(group))
        return 0
    if words[1] == "help":
        return _dispatch([group, *words[2:], "--help"])
    entry = table.find(words[:2])
    if entry is None:
        raise _unknown(words[1], f"{group} command", _names(group))
    return _invoke(entry, words[2:])


def _names(group: str) -> list[str]:
    entries = table.members(group) if group else [entry for entry in table.ENTRIES if " " not in entry.path]
    return [name for entry in entries if not entry.hidden for name in (entry.path.rsplit(" ", 1)[-1], *entry.aliases)]


def _unknown(word: str, what: str, known: list[str]) -> UsageError:
    from ao.cli.suggest import nearest

    near = nearest(word, known)
    group = what.rpartition(" ")[0]
    path = f"ao {group} " if group else "ao "
    return UsageError(f"unknown {what} {word!r}", hint=f"did you mean {path}{near}?" if near else f"see: {path}--help")


def load(entry: Entry) -> Command:
    """The full description of a command of the table."""
    module = __import__(f"ao.cli.{entry.module}", fromlist=["COMMANDS"])
    command: Command = module.COMMANDS[entry.path]
    return command


def _invoke(entry: Entry, words: list[str]) -> int:
    from ao.cli import grammar
    from ao.cli.context import Context

    command = load(entry)
    try:
        values = grammar.parse(command, words)
    except grammar.HelpAsked:
        sys.stdout.write(grammar.help_text(command, entry.summary))
        return 0
    return command.handler(Context(os.environ), values) or 0

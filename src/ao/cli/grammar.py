"""What a command accepts, and how its words are read.

Each command is described once by a `Command`; parsing, help and completion follow from it. This is not argparse
because importing that alone costs most of what a whole `ao ls` may take.
"""

from __future__ import annotations

from ao.cli.errors import UsageError
from ao.paths import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ao.cli.context import Context

_TRUE = ("true", "1", "t", "yes")
_FALSE = ("false", "0", "f", "no")


class Option:
    """A flag. Without `metavar` it is a switch; `kind` is text, integer or duration; `many` may repeat.

    `ids` marks a value that is an id: it is trimmed and must not be blank, and names what completes it.
    """

    __slots__ = ("choices", "flags", "help", "ids", "key", "kind", "many", "metavar", "required")

    def __init__(
        self, flags: str, help: str, metavar: str = "", *, kind: str = "text", ids: str = "", **more: Any
    ) -> None:
        self.flags = tuple(flags.split(" "))
        self.key = next(flag for flag in self.flags if flag.startswith("--"))[2:]
        self.help = help
        self.metavar = metavar
        self.kind = kind
        self.ids = ids
        self.many = bool(more.get("many"))
        self.required = bool(more.get("required"))
        self.choices: tuple[str, ...] = more.get("choices", ())

    def read(self, flag: str, text: str) -> Any:
        """The value `text` stands for; `UsageError` when it isn't one."""
        if self.ids and not text.strip():
            raise UsageError(f"{flag} must not be blank")
        if self.choices and text not in self.choices:
            raise UsageError(f"{flag} must be one of {', '.join(self.choices)}, not {text!r}")
        try:
            if self.kind == "integer":
                return int(text)
            return parse_duration(text) if self.kind == "duration" else text.strip() if self.ids else text
        except ValueError:
            what = "a whole number" if self.kind == "integer" else "a duration such as 500ms, 30s or 1m30s"
            raise UsageError(f"{flag} needs {what}, not {text!r}") from None


class Argument:
    """A positional. `ids` as in `Option`; only the last one may be optional or `many`."""

    __slots__ = ("choices", "help", "ids", "many", "name", "required")

    def __init__(self, name: str, help: str, *, ids: str = "", required: bool = True, many: bool = False) -> None:
        self.name = name
        self.help = help
        self.ids = ids
        self.required = required
        self.many = many
        self.choices: tuple[str, ...] = ()


class Command:
    """One command: what it does, accepts and runs."""

    __slots__ = ("arguments", "details", "examples", "handler", "options", "path")

    def __init__(
        self,
        path: str,
        handler: Callable[[Context, Values], int | None],
        *,
        options: tuple[Option, ...] = (),
        arguments: tuple[Argument, ...] = (),
        details: str = "",
        examples: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.handler = handler
        self.options = options
        self.arguments = arguments
        self.details = details
        self.examples = examples

    def option(self, flag: str) -> Option | None:
        """The option a flag such as `--json` or `-p` names."""
        return next((option for option in self.options if flag in option.flags), None)

    def flags(self) -> list[str]:
        """Every flag, `--help` included."""
        return [flag for option in self.options for flag in option.flags] + ["-h", "--help"]


class Values:
    """What the words of one command line said."""

    __slots__ = ("_options", "_words")

    def __init__(self, options: dict[str, Any], words: dict[str, list[str]]) -> None:
        self._options = options
        self._words = words

    def given(self, key: str) -> bool:
        """Whether the flag `--key` was on the command line."""
        return key in self._options

    def on(self, key: str) -> bool:
        """A switch; False when absent."""
        return bool(self._options.get(key, False))

    def text(self, key: str) -> str:
        """A flag's text or a positional; empty when absent. A repeated flag's last value counts."""
        if key in self._words:
            return self._words[key][0] if self._words[key] else ""
        value: str = self._options.get(key, "")
        return value

    def number(self, key: str, default: float) -> float:
        """A flag's number or duration in seconds."""
        value: float = self._options.get(key, default)
        return value

    def many(self, key: str) -> list[str]:
        """All values of a repeated flag or positional, in order."""
        if key in self._words:
            return self._words[key]
        values: list[str] = self._options.get(key, [])
        return values


class HelpAsked(Exception):  # noqa: N818 (it isn't an error)
    """`-h` or `--help` was among the words."""


def parse(command: Command, words: Sequence[str]) -> Values:
    """Read the words after the command's own; `UsageError` or `HelpAsked` otherwise.

    Flags and positionals may be mixed, `--` ends the flags, `--x=value` and `--x value` are the same, switches also
    take `--x=false`, and short switches may be joined.
    """
    options: dict[str, Any] = {}
    plain: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            plain += rest
            break
        if word.startswith("-") and word != "-":
            _read_flag(command, word, rest, options)
        else:
            plain.append(word)
    for option in command.options:
        if option.required and option.key not in options:
            raise UsageError(f"{option.flags[0]} {option.metavar} is required", hint=f"see: ao {command.path} --help")
    return Values(options, _place(command, plain))


def _read_flag(command: Command, word: str, rest: list[str], options: dict[str, Any]) -> None:
    flag, equals, attached = word.partition("=")
    if not flag.startswith("--") and len(flag) > 2:
        option = command.option(flag[:2])
        if option is not None and option.metavar:
            flag, equals, attached = flag[:2], "=", word[2:].removeprefix("=")
        elif option is not None or flag[:2] == "-h":
            rest.insert(0, "-" + word[2:])
            flag, equals = flag[:2], ""
    option = command.option(flag)
    if option is None:
        if flag in ("-h", "--help"):
            raise HelpAsked
        raise unknown_flag(command, flag)
    if not option.metavar:
        options[option.key] = _switch(flag, attached) if equals else True
        return
    if not equals:
        if not rest:
            raise UsageError(f"{flag} needs {option.metavar}", hint=f"see: ao {command.path} --help")
        attached = rest.pop(0)
    value = option.read(flag, attached)
    if option.many:
        options.setdefault(option.key, []).append(value)
    else:
        options[option.key] = value


def _switch(flag: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise UsageError(f"{flag} takes true or false, not {text!r}")


def unknown_flag(command: Command, flag: str) -> UsageError:
    """The error for a flag the command doesn't have, with the nearest one it has."""
    from ao.cli.suggest import nearest

    near = nearest(flag, command.flags())
    hint = f"did you mean {near}?" if near else f"see: ao {command.path} --help"
    return UsageError(f"unknown flag {flag} for ao {command.path}", hint=hint)


def _place(command: Command, plain: list[str]) -> dict[str, list[str]]:
    placed: dict[str, list[str]] = {}
    rest = list(plain)
    for argument in command.arguments:
        taken = rest if argument.many else rest[:1]
        rest = [] if argument.many else rest[1:]
        if argument.ids:
            taken = [word.strip() for word in taken]
        if argument.required and (not taken or not all(taken)):
            raise UsageError(f"missing {argument.name}: {argument.help}", hint=f"usage: {usage(command)}")
        placed[argument.name] = taken
    if rest:
        raise UsageError(f"unexpected argument {rest[0]!r}", hint=f"usage: {usage(command)}")
    return placed


def usage(command: Command) -> str:
    """The command's shape on one line, without `usage:`."""
    parts = [f"ao {command.path}"]
    for argument in command.arguments:
        name = argument.name + ("..." if argument.many else "")
        parts.append(name if argument.required else f"[{name}]")
    parts += [f"{option.flags[0]} {option.metavar}" for option in command.options if option.required]
    if any(not option.required for option in command.options):
        parts.append("[FLAGS]")
    return " ".join(parts)


def help_text(command: Command, summary: str) -> str:
    """The text of `ao COMMAND --help`."""
    lines = [f"ao {command.path}: {summary}", "", f"usage: {usage(command)}"]
    if command.details:
        lines += ["", *command.details.strip().splitlines()]
    if command.arguments:
        lines += ["", "Arguments:", *_columns([(item.name, item.help) for item in command.arguments])]
    rows = []
    for option in command.options:
        flags = ", ".join(sorted(option.flags, key=len))
        more = " (may repeat)" if option.many else ""
        rows.append((f"{flags} {option.metavar}".rstrip(), option.help + more))
    lines += ["", "Flags:", *_columns([*rows, ("-h, --help", "this text")])]
    if command.examples:
        lines += ["", "Examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join([*lines, ""])


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = min(max(len(left) for left, _ in rows), 30)
    lines = []
    for left, right in rows:
        lines.append(f"  {left:<{width}}  {right}" if len(left) <= width else f"  {left}\n  {'':<{width}}  {right}")
    return lines

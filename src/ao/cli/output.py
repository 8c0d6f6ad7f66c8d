"""What commands print: results on stdout, everything else on stderr; colour and fitting only for a terminal."""

from __future__ import annotations

import os
import sys

from ao.paths import encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36", "grey": "90"}
_STATUS_COLOURS = {
    "working": "green",
    "idle": "cyan",
    "needs_input": "yellow",
    "no_signal": "magenta",
    "ci_failed": "red",
    "changes_requested": "red",
    "mergeable": "green",
    "approved": "green",
    "merged": "magenta",
    "exited": "grey",
    "terminated": "grey",
}


def emit(text: str) -> None:
    """One result line on stdout."""
    sys.stdout.write(text + "\n")


def emit_json(value: Any) -> None:
    """A result as JSON on stdout: two-space indents and a final line feed."""
    sys.stdout.write(encode_json(value, indent=2) + "\n")


def note(text: str) -> None:
    """A remark for the person, on stderr."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")


def on_terminal(stream: Any = None) -> bool:
    """Whether a stream (default stdout) is a terminal."""
    stream = sys.stdout if stream is None else stream
    return bool(stream.isatty())


def colourful(stream: Any = None) -> bool:
    """Whether to colour: on a terminal that can, and without NO_COLOR (no-color.org)."""
    return on_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    """The text in a colour of the palette; unchanged for an unknown colour."""
    code = _COLOURS.get(colour)
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def status_colour(status: str) -> str:
    """The colour of a session's status; empty for none."""
    return _STATUS_COLOURS.get(status, "")


def columns() -> int:
    """The width of stdout's terminal; 0 when it isn't one or doesn't say."""
    try:
        return os.get_terminal_size(1).columns if on_terminal() else 0
    except OSError:
        return 0


def clean(text: object) -> str:
    """Text from outside made safe for a terminal and one line: control and format characters become blanks."""
    line = str(text)
    if line.isprintable():
        return line
    return " ".join("".join(character if character.isprintable() else " " for character in line).split())


def width(text: str) -> int:
    """Terminal cells of a cleaned text: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata

    cells = 0
    for character in text:
        if not unicodedata.combining(character):
            cells += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return cells


def cut(text: str, cells: int) -> str:
    """The text, ended with `…` where it would take more than `cells`."""
    if width(text) <= cells:
        return text
    kept = ""
    for character in text:
        if width(kept + character) > cells - 1:
            break
        kept += character
    return kept + "…" if cells > 0 else ""


def pad(text: str, cells: int) -> str:
    """The text with blanks up to `cells`."""
    return text + " " * (cells - width(text))


def table(rows: Sequence[Sequence[str]], *, limit: int = 0, shrink: Sequence[int] = ()) -> list[list[str]]:
    """The cells of a table padded to their columns, which stand two blanks apart.

    With a `limit`, the columns named in `shrink` give way, the widest first, down to eight cells each.
    """
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(width(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    while limit and sum(widths) + 2 * (len(widths) - 1) > limit:
        index = max(shrink, key=lambda column: widths[column], default=-1)
        if index < 0 or widths[index] <= 8:
            break
        widths[index] -= 1
    return [[pad(cut(cell, widths[index]), widths[index]) for index, cell in enumerate(row)] for row in rows]


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a padded table, without trailing blanks."""
    return ["  ".join(row).rstrip() for row in rows]


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key under which `shop-2` comes before `shop-10`."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    letters = ""
    for character in text + "\0":
        if "0" <= character <= "9":
            if letters:
                parts.append((1, 0, letters))
                letters = ""
            digits += character
            continue
        if digits:
            parts.append((0, int(digits), digits))
            digits = ""
        letters += character
    parts.append((1, 0, letters))
    return parts


def confirm(question: str, accepted: str) -> bool:
    """Ask on stderr and read one line from stdin; whether it was `accepted` (trimmed, any case)."""
    sys.stdout.flush()
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        sys.stderr.write("\n")
    return answer.strip().lower() == accepted.lower()

"""The list of sessions as lines of text: what `ao ls` prints when nobody watches. This is the one place that makes it.

Per project a header, rows `  ID  (AGE)  [STATUS]  KIND  ISSUE` without the parts that are absent, a blank line between
projects; at the end how many ended sessions aren't shown. Ages are those of the last activity, in their largest unit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ao.engine.requests import SessionFacts

TYPE: Final = "text/plain; charset=utf-8"
_UNITS_MS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))


class Line:
    """A session's row. `until` is when its text changes by itself, in milliseconds since the epoch."""

    __slots__ = ("_head", "_since", "_tail", "text", "until")

    def __init__(self, facts: SessionFacts) -> None:
        row = facts.session
        self._since = row.activity_at
        self._head = f"  {row.id}  ("
        issue = _clean(row.issue_id)
        self._tail = f")  [{facts.status.word}]  {row.kind}" + (f"  {issue}\n" if issue else "\n")
        self.text = ""
        self.until = 0

    def at(self, now: int) -> str:
        """The row as of `now`, with its line feed."""
        if now >= self.until:
            age, self.until = age_at(self._since, now)
            self.text = f"{self._head}{age}{self._tail}"
        return self.text


def age_at(since: int, now: int) -> tuple[str, int]:
    """How long ago `since` is, as `12s`, `5m`, `3h` or `2d`, and when it is longer. All in milliseconds."""
    passed = max(now - since, 0)
    size, unit = next(((size, unit) for size, unit in _UNITS_MS if passed >= size), _UNITS_MS[-1])
    count = passed // size
    return f"{count}{unit}", since + (count + 1) * size


def text(groups: Iterable[tuple[str, list[str]]], hidden: int, *, ended: bool | None) -> str:
    """The whole list from the projects' rows. `ended` tells, as in the query, which sessions were asked for."""
    parts = [f"{project}:\n{''.join(lines)}" for project, lines in groups]
    shown = "\n".join(parts) or ("(no active sessions)\n" if ended is False else "(no sessions)\n")
    if not hidden:
        return shown
    plural = "" if hidden == 1 else "s"
    return f"{shown}{hidden} terminated session{plural} hidden. Use --include-terminated to show.\n"


def _clean(text: str) -> str:
    """Text from outside on one line and without control characters."""
    if text.isprintable():
        return text
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())

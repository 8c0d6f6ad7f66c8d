"""Text from people and from outside: what may reach a terminal, and how much of it."""

from __future__ import annotations

import unicodedata
from typing import Final

TEXT_LIMIT: Final = 65_536
"""Characters allowed in a prompt or a message, after sanitising."""
COMPAT_LIMIT: Final = 4_096
"""Bytes allowed with `AO_COMPAT=1`."""
DISPLAY_NAME_LIMIT: Final = 120

_KEPT: Final = frozenset("\n\r\t")


def sanitise(text: str) -> str:
    """`text` without control characters (Unicode class Cc) except line feed, carriage return and tab."""
    if text.isprintable():
        return text
    return "".join(ch for ch in text if ch in _KEPT or unicodedata.category(ch) != "Cc")


def first_line(text: str, *, limit: int) -> str:
    """The first line of `text` that isn't blank, trimmed; with an ellipsis when longer than `limit` characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def too_long(text: str, *, compat: bool) -> bool:
    """Whether `text` exceeds the limit: characters normally, bytes with `AO_COMPAT=1`."""
    return len(text.encode()) > COMPAT_LIMIT if compat else len(text) > TEXT_LIMIT


def limit_text(*, compat: bool) -> str:
    """The limit in words."""
    return f"{COMPAT_LIMIT:,} bytes" if compat else f"{TEXT_LIMIT:,} characters"

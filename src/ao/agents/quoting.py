"""Texts as other programs read them: TOML strings, shell words, version numbers, and what fits into an argument."""

from __future__ import annotations

import re
from typing import Final

ARGUMENT_LIMIT: Final = 120_000
"""Bytes of one argument that are always safe: Linux allows 131,071 (MAX_ARG_STRLEN without the NUL)."""
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_SHORT: Final = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def toml_string(text: str) -> str:
    """`text` as a TOML string: literal where that is possible, else basic with escapes (TOML 1.0)."""
    if "'" not in text and not any(_is_control(character) for character in text):
        return f"'{text}'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    return f"\\u{ord(character):04x}" if _is_control(character) else character


def _is_control(character: str) -> bool:
    return character < " " or character == "\x7f"


def clean(text: str) -> str:
    """`text` without what no argument or file can carry: NUL goes, a lone surrogate becomes '?'."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def fits(text: str) -> bool:
    """Whether `text` may be one argument."""
    return len(text.encode()) <= ARGUMENT_LIMIT


def shorten(text: str, limit: int) -> str:
    """The longest beginning of `text` of at most `limit` bytes."""
    return text.encode()[: max(limit, 0)].decode("utf-8", "ignore")


def version_in(text: str) -> str:
    """The first version number in `text`, "" when there is none."""
    match = _VERSION.search(text)
    return match[0] if match else ""


def at_least(version: str, since: str) -> bool:
    """Whether `version` knows what came with `since`. An unknown version knows only what was always there."""
    return not since or (bool(version) and _numbers(version) >= _numbers(since))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))

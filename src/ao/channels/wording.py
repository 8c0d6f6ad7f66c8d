"""Text on its way out: titles and names from outside must not act on whoever shows them, and secrets must not leave.

A chat service takes plain text for its own markup: `@everyone` calls a whole team, `<…>` and `[…](…)` make links and
mentions, a backtick starts code. A terminal obeys control characters. What remains is text that only reads.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

TITLE_LIMIT: Final = 200
BODY_LIMIT: Final = 1_500
"""Characters. Discord refuses a message of more than 2,000, ntfy one of more than 4,096 bytes."""
HIDDEN: Final = "***"
REASON_LIMIT: Final = 300
_MARKUP: Final = str.maketrans({"@": "\uff20", "<": "\u2039", ">": "\u203a", "`": "'"})
_LINK: Final = re.compile(r"\](?=[(\[:])")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|\x9b[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]"
)
"""CSI, the string sequences (OSC, DCS, PM, APC, SOS) and two-byte sequences: ECMA-48, sections 5.4 to 5.6."""
_PARTS: Final = re.compile(r"[/?#&=:@,;]+")
_PUBLIC: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[a-z]{2,10}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9]{1,5}")
"""A host's name or address, or a port. Some services have their token where others have the host."""
_SHORTEST_SECRET: Final = 4


def title(text: str) -> str:
    """`text` as one harmless line of at most `TITLE_LIMIT` characters."""
    return _cut(" ".join(_harmless(text).split()), TITLE_LIMIT)


def body(text: str) -> str:
    """`text` as harmless lines of at most `BODY_LIMIT` characters in all."""
    lines = (" ".join(_harmless(line).split()) for line in text.splitlines())
    return _cut("\n".join(line for line in lines if line), BODY_LIMIT)


def masked(text: str, url: str) -> str:
    """`text` as one harmless line in which none of the secrets of `url` is left."""
    for secret in sorted(secrets_of(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _cut(" ".join(_harmless(text).split()), REASON_LIMIT)


def secrets_of(url: str) -> set[str]:
    """The parts of `url` that must never be written down: all but its scheme, the name of its host and its port."""
    rest = url.partition("://")[2]
    pieces = {url, rest, *_PARTS.split(rest)}
    pieces |= {unquote(piece) for piece in pieces}
    return {piece for piece in pieces if len(piece) >= _SHORTEST_SECRET and not _PUBLIC.fullmatch(piece)}


def _harmless(text: str) -> str:
    readable = "".join(
        " " if character.isspace() else character
        for character in _ESCAPES.sub("", text)
        if character.isspace() or unicodedata.category(character) not in _INVISIBLE
    )
    return _LINK.sub("] ", readable.translate(_MARKUP))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"

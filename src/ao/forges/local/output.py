"""A check's output as it is kept: readable, bounded at both ends, without the secrets it was run with. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ao.model.text import sanitise

HEAD_LIMIT: Final = 16 << 10
"""Bytes kept of the beginning."""
TAIL_LIMIT: Final = 48 << 10
"""Bytes kept of the end: most programs say last what went wrong."""
_GAP: Final = "\n… {count} bytes left out …\n"
# Control sequences of ECMA-48 (colours, cursor movements) and operating system commands (titles, links).
_SEQUENCES: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
# Characters that reorder what is shown (Unicode's bidirectional controls): a line must read as it was written.
_BIDI: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TELLING: Final = re.compile(r"(?i)(token|secret|password|key)$")
_SHORT: Final = 8


def kept(text: str, env: Mapping[str, str]) -> str:
    """`text` without terminal sequences, control and bidirectional characters, with the values of telling names of
    `env` hidden, cut to its beginning and its end."""
    for name, value in env.items():
        if _TELLING.search(name) and len(value) >= _SHORT:
            text = text.replace(value, "***")
    data = _BIDI.sub("", sanitise(_SEQUENCES.sub("", text))).encode(errors="replace")
    if len(data) <= HEAD_LIMIT + TAIL_LIMIT:
        return data.decode()
    gap = _GAP.format(count=len(data) - HEAD_LIMIT - TAIL_LIMIT)
    room = TAIL_LIMIT - len(gap.encode())
    return data[:HEAD_LIMIT].decode(errors="ignore") + gap + data[-room:].decode(errors="ignore")

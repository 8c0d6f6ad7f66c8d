"""A check's output as it is kept: bounded at both ends, readable, without secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ao.model.ci_log import HIDDEN, masked
from ao.model.fence import clean

HEAD_LIMIT: Final = 16 << 10
"""Bytes kept of the beginning."""
TAIL_LIMIT: Final = 48 << 10
"""Bytes kept of the end: most programs say last what went wrong."""
_GAP: Final = "\n[… {count:,} bytes left out …]\n"
_TELLING: Final = re.compile(r"(?i)(token|secret|password|key)$")
_SHORT: Final = 8


def kept(text: str, env: Mapping[str, str]) -> str:
    """The beginning and the end of `text`, cleaned (`ao.model.fence.clean`), without what looks like a secret and
    without the values of those variables of `env` that have a telling name."""
    for name, value in env.items():
        if _TELLING.search(name) and len(value) >= _SHORT:
            text = text.replace(value, HIDDEN)
    data = text.encode(errors="replace")
    if len(data) > HEAD_LIMIT + TAIL_LIMIT:
        gap = _GAP.format(count=len(data) - HEAD_LIMIT - TAIL_LIMIT).encode()
        data = data[:HEAD_LIMIT] + gap + data[len(gap) - TAIL_LIMIT :]
    return masked(clean(data.decode(errors="ignore")))

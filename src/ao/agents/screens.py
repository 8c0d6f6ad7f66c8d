"""Which blocking dialog a screen shows. Only its end is read: a dialog is the last thing an agent draws, and the same
words further up are output."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from ao.agents.spec import AgentSpec

LAST_LINES: Final = 30
"""Non-blank lines looked at: the tallest dialog with the diff it asks about still ends with its question in them."""


def dialog(spec: AgentSpec, screen: str) -> str:
    """The name of the first dialog whose patterns all match the end of `screen`, "" for none."""
    lines = [line for line in screen.splitlines() if line.strip()]
    end = "\n".join(lines[-LAST_LINES:])
    for candidate in spec.dialogs:
        if all(_compiled(pattern).search(end) for pattern in candidate.patterns):
            return candidate.name
    return ""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)

"""The agents that come with `ao`, in the order in which they are listed."""

from __future__ import annotations

from typing import Final

from ao.agents.catalog.claude_code import CLAUDE_CODE
from ao.agents.catalog.codex import CODEX
from ao.agents.catalog.demo import DEMO
from ao.agents.spec import AgentSpec

BUILT_IN: Final[tuple[AgentSpec, ...]] = (CLAUDE_CODE, CODEX, DEMO)

"""Coding agents as data. `Catalog` answers the engine; one description per agent says everything about it."""

from __future__ import annotations

from ao.agents.registry import Catalog

__all__ = ["Catalog"]

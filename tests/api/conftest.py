"""The served API, one per test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.house import House, opened


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A served API with project `shop`."""
    async with opened(tmp_path) as served:
        await served.project()
        yield served

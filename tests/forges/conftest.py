"""A scene of the local forge for each test that asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.forges.local_scene import LocalScene


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalScene]:
    """The local forge over a repository of its own. Imported here: tests of other forges need neither git nor store."""
    from tests.forges.local_scene import local_scene

    async with local_scene(tmp_path) as made:
        yield made

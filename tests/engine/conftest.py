"""A house for each test of the engine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.house import House, opened

BROKEN = """
name = "Broken"
args = ["-c", "echo no licence; exit 3"]
binary = {names = ["sh"]}
"""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A short path: tmux sockets need one."""
    path = Path(tempfile.mkdtemp(prefix="g"))
    (path / "agents").mkdir()
    (path / "agents" / "broken.toml").write_text(BROKEN)
    async with opened(path) as made:
        yield made
    shutil.rmtree(path)

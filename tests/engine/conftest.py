"""A house for each test of the engine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.house import House, opened

SILENT = """
name = "Silent"
args = ["-c", "stty -echo; exec cat >/dev/null"]
binary = {names = ["sh"]}
"""
BROKEN = """
name = "Broken"
args = ["-c", "echo no licence; exit 3"]
binary = {names = ["sh"]}
"""
SLOW = r"""
name = "Slow starter"
args = ["-c", "sleep 1; printf 'READY '; head -c 12 >got.new; mv got.new got; exec sleep 60"]
binary = {names = ["sh"]}
prompt = {paste = true, ready = ["READY"]}
"""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A short path: tmux sockets need one."""
    path = Path(tempfile.mkdtemp(prefix="g"))
    (path / "agents").mkdir()
    (path / "agents" / "silent.toml").write_text(SILENT)
    (path / "agents" / "broken.toml").write_text(BROKEN)
    (path / "agents" / "slow.toml").write_text(SLOW)
    async with opened(path) as made:
        yield made
    shutil.rmtree(path)

"""A running daemon for the end-to-end tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.home import Home


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short folder: tmux socket paths are limited."""
    path = Path(tempfile.mkdtemp(prefix="e"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(scratch: Path) -> Iterator[Home]:
    """A home with a daemon and a registered project `demo`; nothing of it is left afterwards."""
    made = Home(scratch / "h")
    made.make_repository()
    made.start()
    try:
        made.call("POST", "/api/v1/projects", {"path": str(made.repository), "projectId": "demo"})
        yield made
    finally:
        made.close()
    assert made.processes() == []

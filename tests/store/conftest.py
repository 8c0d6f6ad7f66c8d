"""An open store in a directory of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ao.model.change import Change
from ao.store import projects
from ao.store.database import Database
from tests.store.seeds import project


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the store lies."""
    return str(tmp_path / "data" / "ao.db")


@pytest.fixture
def published() -> list[Change]:
    """What the store of fixture `database` has handed on."""
    return []


@pytest.fixture
async def database(path: str, published: list[Change]) -> AsyncIterator[Database]:
    """A store with project `app`."""
    opened = Database.open(path, on_commit=published.extend)
    await opened.write(lambda conn: projects.put(conn, project()))
    yield opened
    await opened.close()

"""The machine itself, with a small environment of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ao.host import LocalHost


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    """A host whose daemon has a secret in its environment."""
    return LocalHost(environ={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CANARY": "canary-7c1f"})

"""GitHub keeps what every forge promises, over a double that executes GitHub's published schema."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.forges.contract import ForgeContract
from tests.forges.github_scene import GitHubScene, github_scene
from tests.forges.scene import Scene


@pytest.fixture
async def github() -> AsyncIterator[GitHubScene]:
    """The forge over its own double of GitHub."""
    async with github_scene() as made:
        yield made


class TestGitHubForge(ForgeContract):
    """The contract, over the double."""

    @pytest.fixture
    def scene(self, github: GitHubScene) -> Scene:
        """The double's scene."""
        return github.scene

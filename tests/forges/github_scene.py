"""The GitHub forge over a double of GitHub, with a clock that tests move."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ao.forges.github import GitHub
from ao.host import LocalHost
from ao.model.pull import Observation, PullRef, Repo
from ao.ports.forge import Sighting, Watched
from tests.github.double import GitHubDouble
from tests.github.records import Pull
from tests.github.scene import DoubleScene


@dataclass
class Clock:
    """Our clock and GitHub's: real time and what tests add to it."""

    ahead_s: float = 0.0

    def seconds(self) -> float:
        """Now, in seconds."""
        return time.time() + self.ahead_s

    def ms(self) -> int:
        """Now, in milliseconds."""
        return int(self.seconds() * 1000)


@dataclass
class GitHubScene:
    """A forge, GitHub, and their common clock."""

    forge: GitHub
    double: GitHubDouble
    clock: Clock
    scene: DoubleScene = field(init=False)

    def __post_init__(self) -> None:
        self.scene = DoubleScene(forge=self.forge, github=self.double)

    @property
    def repo(self) -> Repo:
        """octo/widgets."""
        return self.scene.repo

    def ref(self, pull: Pull) -> PullRef:
        """The reference of one, with its id."""
        return PullRef(repo=self.repo, number=pull.number, node=pull.node)

    def open(self, count: int) -> list[Pull]:
        """That many pull requests, each of a branch of its own."""
        return [self.double.state.open_pull(self.double.repo, f"branch-{number}") for number in range(count)]

    def settle(self) -> None:
        """Let a minute pass, so that what comes now doesn't share a second with what was."""
        self.clock.ahead_s += 60

    async def look(self, pulls: list[Pull], stamps: Mapping[int, str]) -> list[Sighting]:
        """Look at these, giving back the marks of an earlier look."""
        return await self.forge.observe(
            [Watched(ref=self.ref(pull), stamp=stamps.get(pull.number, "")) for pull in pulls]
        )

    async def known(self, pulls: list[Pull]) -> dict[int, str]:
        """The marks of these after a first look, by number. What was asked for them is forgotten."""
        self.settle()
        found: list[Observation | None] = [sighting.observation for sighting in await self.look(pulls, {})]
        self.double.forget_requests()
        return {seen.facts.number: seen.stamp for seen in found if seen is not None}


@asynccontextmanager
async def github_scene(environ: Mapping[str, str] | None = None) -> AsyncIterator[GitHubScene]:
    """A double that runs, and a forge that knows its token."""
    clock = Clock()
    async with GitHubDouble(clock=clock.seconds) as double:
        given = {"PATH": "", "GITHUB_API_URL": double.url, "AO_GITHUB_TOKEN": double.token, **(environ or {})}
        forge = GitHub(LocalHost(environ=given), given, now=clock.ms)
        try:
            yield GitHubScene(forge=forge, double=double, clock=clock)
        finally:
            await forge.shut()

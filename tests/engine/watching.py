"""The observer over the double of GitHub, with as many pull requests as one likes and a clock that tests move."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ao.agents import Catalog
from ao.engine.forges import Forges
from ao.engine.observer import NEVER, Observer
from ao.engine.pulls import Pulls
from ao.engine.world import Settings, World
from ao.forges.github import GitHub
from ao.host import LocalHost
from ao.model.project import Project
from ao.model.pull import GITHUB, Facts, Observation, PullRef, Repo
from ao.model.session import Kind, NewSession, Phase
from ao.runtimes import Tmux
from ao.store import projects, pulls, sessions
from ao.store.database import Connection, Database
from ao.workspaces import Trees, Worktrees
from tests.github.double import GitHubDouble
from tests.github.records import Pull

START_S = 1_800_000_000
HOUR_MS = 3_600_000
LONG_MS = 600_000


@dataclasses.dataclass
class Cost:
    """What a span of looking took of the forge: all requests, those of GraphQL in points."""

    requests: int
    points: int
    seconds: float = 0.0


class Watching:
    """An observer, the forge behind it, and time."""

    def __init__(self, github: GitHubDouble, world: World, forges: Forges, clock: list[int]) -> None:
        self.github = github
        self.world = world
        self.clock = clock
        self.observer = Observer(world, Pulls(world, forges), clock=lambda: clock[0])
        self.pulls: list[Pull] = []

    async def cycle(self) -> Cost:
        """One look at what is due."""
        self.github.forget_requests()
        began = asyncio.get_running_loop().time()
        await self.observer.cycle()
        return self._spent(asyncio.get_running_loop().time() - began)

    async def whole_cycle(self) -> Cost:
        """A look at everything, after a pause in which all of it fell due."""
        self.clock[0] += LONG_MS
        return await self.cycle()

    async def through(self, span_ms: int) -> Cost:
        """All looks that fall into a span of time."""
        self.github.forget_requests()
        end = self.clock[0] + span_ms
        while True:
            wait = await self.observer.cycle()
            if wait >= NEVER or self.clock[0] + wait > end:
                break
            self.clock[0] += max(wait, 1)
        self.clock[0] = end
        return self._spent(0.0)

    def _spent(self, seconds: float) -> Cost:
        asked = [request for request in self.github.requests if request.kind != "log"]
        points = sum(request.points for request in asked if request.kind == "graphql")
        return Cost(len(asked), points, seconds)


@asynccontextmanager
async def watching(path: Path, count: int, *, latency_s: float = 0.0, repos: int = 1) -> AsyncIterator[Watching]:
    """`count` open pull requests with green checks, each of a living session of the project of one of `repos`
    repositories; none was looked at yet."""
    clock = [0]
    async with (
        GitHubDouble(clock=lambda: START_S + clock[0] / 1000, latency_s=latency_s, checked=False) as github,
        _world(path, github, clock) as (world, forges, end),
    ):
        watched = Watching(github, world, forges, clock)
        homes = [github.repo, *(github.state.add_repo(f"octo/widgets{more}") for more in range(1, repos))]
        for number in range(count):
            clock[0] += 61_000  # a list is read a minute beyond its cursor: all of one minute would be read anew
            made = github.state.open_pull(homes[number % repos], f"ao/widgets-{number + 1}/root")
            github.state.set_check(made, "unit", "success")
            watched.pulls.append(made)
        await world.db.write(lambda conn: _seed(conn, watched.pulls, world.now()))
        # Changes of the same second are looked at twice; these are older than that.
        clock[0] += 60_000
        try:
            yield watched
        finally:
            await forges.shut()
            await end()


def _seed(conn: Connection, made: list[Pull], now: int) -> None:
    for pull in made:
        name = pull.repo.full_name
        repo, home = Repo(forge=GITHUB, host="github.com", path=name), name.partition("/")[2]
        if projects.get(conn, home) is None:
            remote = f"https://github.com/{name}.git"
            projects.put(
                conn, Project(id=home, path=f"/nowhere/{home}", repo=remote, registered_at=now, updated_at=now)
            )
        new = NewSession(project_id=home, kind=Kind.WORKER, agent="demo", repo_path=f"/nowhere/{home}")
        row = sessions.seed(conn, new, now=now)
        sessions.change(conn, row.id, lambda row: replace(row, phase=Phase.LIVE, launches=1), now=now)
        facts = Facts(
            url=f"https://github.com/{name}/pull/{pull.number}", number=pull.number, repo=repo.key,
            node=pull.node, head_sha=pull.head_sha, source_branch=pull.head_branch, target_branch="main",
        )  # fmt: skip
        ref = PullRef(repo=repo, number=pull.number, node=pull.node)
        pulls.record(conn, (row.id, home), ref, Observation(facts=facts), now=now)


@asynccontextmanager
async def _world(path: Path, github: GitHubDouble, clock: list[int]) -> AsyncIterator[tuple[World, Forges, Any]]:
    environ = {
        "HOME": str(path),
        "PATH": "/usr/bin:/bin",
        "GITHUB_API_URL": github.url,
        "AO_GITHUB_TOKEN": github.token,
    }
    tasks: set[asyncio.Task[Any]] = set()

    def start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def end() -> None:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    host = LocalHost(environ=environ)
    db = Database.open(str(path / "d" / "ao.db"))
    world = World(
        db=db,
        host=host,
        workspaces=Worktrees(host, str(path / "worktrees")),
        runtime=Tmux(host, data_dir=str(path / "d")),
        agents=Catalog(host, data_dir=str(path / "d"), user_dir=str(path / "agents"), environ=environ),
        trees=Trees(host, str(path / "checks")),
        settings=Settings(data_dir=str(path / "d"), environ=environ, ao_bin="ao", default_agent="demo"),
        now=lambda: START_S * 1000 + clock[0],
        start=start,
        token_for=lambda *_: "",
        api_url=lambda: "",
    )
    try:
        forge = GitHub(host, environ, now=world.now)
        yield world, Forges({forge.name: forge}, environ), end
    finally:
        await db.close()

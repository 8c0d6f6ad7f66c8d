"""The engine in one process, with the real store, host, git, tmux, API and demo agent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ao import paths
from ao.agents import Catalog
from ao.api.access import Secrets, ensure_secrets
from ao.api.server import Server
from ao.channels.apprise import AppriseSender
from ao.config import Config, load
from ao.engine.channels import Channels
from ao.engine.engine import Engine
from ao.engine.forges import Forges, project_settings
from ao.engine.requests import SpawnRequest
from ao.engine.world import Settings, World
from ao.feed import Feed
from ao.forges.github import GitHub
from ao.forges.local import LocalForge, LocalParts
from ao.host import LocalHost
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.project import ProjectConfig
from ao.model.session import Activity, Session
from ao.runtimes import Tmux
from ao.store.database import Database
from ao.store.local_pulls import LocalPulls
from ao.workspaces import RepositoryLocks, Trees, Worktrees

PATIENCE_S = 30.0


class House:
    """An engine and what it stands on."""

    def __init__(self, path: Path, engine: Engine, environ: dict[str, str]) -> None:
        self.path = path
        self.engine = engine
        self.environ = environ
        self.repository = path / "repo"
        self.changes: list[Change] = []
        self.changed = asyncio.Event()

    def committed(self, found: list[Change]) -> None:
        """What the daemon does after each commit."""
        self.engine.committed(found)
        self.changes += found
        self.changed.set()

    async def until(self, session_id: str, wanted: Callable[[Session], bool]) -> Session:
        """The session once `wanted` accepts it."""
        async with asyncio.timeout(PATIENCE_S):
            while not wanted(row := self.engine.sessions.get(session_id)):
                self.changed.clear()
                await self.changed.wait()
        return row

    async def until_row(self) -> None:
        """Wait for the first committed change of a session."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(change.session_id for change in self.changes):
                self.changed.clear()
                await self.changed.wait()

    async def at_rest(self, session_id: str) -> Session:
        """The session once its agent has finished its first task."""
        return await self.until(
            session_id, lambda row: row.activity is Activity.IDLE and row.activity_source == "hook:stop"
        )

    async def configure(self, config: ProjectConfig) -> None:
        """Set the project's configuration."""
        await self.engine.projects.set_config("demo", config)

    async def spawn(self, prompt: str = "", **more: str) -> Session:
        """A living session of the demo agent."""
        request = SpawnRequest(project_id="demo", prompt=prompt, **{"agent": "demo", **more})  # type: ignore[arg-type]
        return await self.engine.sessions.spawn(request, wait="live")

    def git(self, *arguments: str, where: Path | str | None = None) -> str:
        """The output of git in the repository, or at `where`."""
        command = ["git", "-C", str(where or self.repository), *arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()


async def refused(code: str, work: Awaitable[object]) -> AoError:
    """The refusal with this code that `work` ends in."""
    with pytest.raises(AoError) as caught:
        await work
    assert caught.value.code == code
    return caught.value


class _Tasks:
    """Stands for the daemon's group."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task of this group."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def end(self) -> None:
        """Cancel all."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _environment(path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(path),
        "LANG": "C.UTF-8",
        "AO_DEMO_PACE": "0",
        "AO_PORT": "0",
        "AO_DATA_DIR": str(path / "d"),
        "AO_RUN_FILE": str(path / "running.json"),
    }


def _world(config: Config, environ: dict[str, str], db: Database, tasks: _Tasks, secrets: Secrets) -> World:
    host = LocalHost(environ=environ)
    settings = Settings(
        data_dir=config.data_dir,
        environ=environ,
        ao_bin=os.path.join(os.path.dirname(sys.executable), "ao"),
        run_file=config.run_file,
        default_agent="demo",
    )
    locks = RepositoryLocks()
    return World(
        db=db,
        host=host,
        workspaces=Worktrees(host, settings.worktrees, locks=locks),
        trees=Trees(host, os.path.join(config.data_dir, "checks"), locks=locks),
        runtime=Tmux(host, data_dir=config.data_dir),
        agents=Catalog(host, data_dir=config.data_dir, user_dir=config.agents_dir, environ=environ),
        settings=settings,
        now=lambda: time.time_ns() // 1_000_000,
        start=tasks.start,
        token_for=secrets.session_token,
        api_url=lambda: "http://127.0.0.1:9",
    )


def _forges(world: World, news: Callable[[str], None]) -> Forges:
    local = LocalForge(
        LocalParts(
            host=world.host,
            trees=world.trees,
            book=LocalPulls(world.db),
            settings=lambda project_id: project_settings(world.db, project_id),
            folder=os.path.join(world.settings.data_dir, "checks"),
            environ=world.settings.environ,
            now=world.now,
            start=world.start,
            news=news,
        )
    )
    github = GitHub(world.host, world.settings.environ, now=world.now)
    return Forges({local.name: local, github.name: github}, world.settings.environ)


@asynccontextmanager
async def opened(
    path: Path, *, variables: Mapping[str, str] | None = None, prepare: Callable[[House], None] = lambda _: None
) -> AsyncIterator[House]:
    """A house with a registered project `demo`; all of it ends with the block. `prepare` may change its repository
    before that is registered."""
    environ = _environment(path) | dict(variables or {})
    config = load(environ)
    sinks: list[Callable[[list[Change]], None]] = []

    def committed(found: list[Change]) -> None:
        for sink in sinks:
            sink(found)

    tasks = _Tasks()
    secrets = ensure_secrets(config.data_dir)
    db = Database.open(os.path.join(config.data_dir, "ao.db"), on_commit=committed)
    world = _world(config, environ, db, tasks, secrets)
    forges = _forges(world, lambda key: house.engine.observer.wake(key))
    house = House(path, Engine(world, forges, Channels(world, (), AppriseSender(environ))), environ)
    feed = Feed(head=db.revision)
    sinks += [feed.publish, house.committed]
    server = Server(config, house.engine, feed, secrets, shutdown=lambda: None)
    paths.write_run_file(config.run_file, paths.RunFile(os.getpid(), await server.bind(), "2026-01-01T00:00:00Z"))
    await server.serve()
    _make_repository(house)
    prepare(house)
    try:
        await house.engine.projects.add(str(house.repository), project_id="demo")
        tasks.start(house.engine.observe())
        yield house
    finally:
        for project in house.engine.projects.list():
            await house.engine.projects.remove(project.id)
        await server.close()
        await tasks.end()
        await forges.shut()
        await world.runtime.shut()
        await db.close()


def _make_repository(house: House) -> None:
    house.repository.mkdir()
    (house.repository / "README.md").write_text("demo\n")
    house.git("init", "-q", "-b", "main")
    house.git("config", "user.name", "Test")
    house.git("config", "user.email", "test@localhost")
    house.git("add", ".")
    house.git("commit", "-q", "-m", "begin")

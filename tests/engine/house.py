"""The engine in one process, with the real store, host, git, tmux and demo agent; only the API is missing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ao.agents import Catalog
from ao.engine.engine import Engine
from ao.engine.requests import SpawnRequest
from ao.engine.world import Settings, World
from ao.host import LocalHost
from ao.model.change import Change
from ao.model.project import ProjectConfig
from ao.model.session import Activity, Session
from ao.ports import Terminal
from ao.runtimes import Tmux
from ao.store.database import Database
from ao.workspaces import Worktrees

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
        request = SpawnRequest(project_id="demo", agent="demo", prompt=prompt, **more)  # type: ignore[arg-type]
        return await self.engine.sessions.spawn(request, wait="live")

    def git(self, *arguments: str, where: Path | str | None = None) -> str:
        """The output of git in the repository, or at `where`."""
        command = ["git", "-C", str(where or self.repository), *arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()


@asynccontextmanager
async def opened(path: Path, **settings: Any) -> AsyncIterator[House]:
    """A house with a registered project `demo`; all of it ends with the block."""
    environ = {**os.environ, "HOME": str(path), "AO_DEMO_PACE": "0", "LANG": "C.UTF-8"}
    data = path / "d"
    tasks: set[asyncio.Task[Any]] = set()

    def start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    sinks: list[Callable[[list[Change]], None]] = []

    def committed(found: list[Change]) -> None:
        for sink in sinks:
            sink(found)

    db = Database.open(str(data / "ao.db"), on_commit=committed)
    host = LocalHost(environ=environ)
    runtime = Tmux(host, data_dir=str(data))
    ao_bin = os.path.join(os.path.dirname(sys.executable), "ao")
    chosen = Settings(data_dir=str(data), environ=environ, ao_bin=ao_bin, default_agent="demo", **settings)
    world = World(
        db=db,
        host=host,
        workspaces=Worktrees(host, chosen.worktrees),
        runtime=runtime,
        agents=Catalog(host, data_dir=str(data), user_dir=str(path / "agents"), environ=environ),
        settings=chosen,
        now=lambda: time.time_ns() // 1_000_000,
        start=start,
        token_for=lambda session, launches: f"{session}:{launches}",
        api_url=lambda: "http://127.0.0.1:9",
    )
    house = House(path, Engine(world), environ)
    sinks.append(house.committed)
    _make_repository(house)
    try:
        await house.engine.projects.add(str(house.repository), project_id="demo")
        yield house
    finally:
        for project in house.engine.projects.list():
            await house.engine.projects.remove(project.id)
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runtime.shut()
        await db.close()
        _end_terminals(runtime)


def _end_terminals(runtime: Tmux) -> None:
    argv = runtime.attach_argv(Terminal(0, "none"), read_only=False)
    socket = argv[argv.index("-S") + 1]
    if os.path.exists(socket):
        subprocess.run(["tmux", "-S", socket, "kill-server"], capture_output=True, check=False)


def _make_repository(house: House) -> None:
    house.repository.mkdir()
    (house.repository / "README.md").write_text("demo\n")
    house.git("init", "-q", "-b", "main")
    house.git("config", "user.name", "Test")
    house.git("config", "user.email", "test@localhost")
    house.git("add", ".")
    house.git("commit", "-q", "-m", "begin")

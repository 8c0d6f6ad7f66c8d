"""A served API over the real engine, store, feed and agent data; worktrees and terminals are stand-ins at their ports.

The stand-ins keep what they were told and can be made slow, so that time-outs and stops are tested without waiting.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from aiohttp import ClientSession

from ao.agents import Catalog
from ao.api.access import Secrets, ensure_secrets
from ao.api.server import Server
from ao.channels.apprise import AppriseSender
from ao.config import Config, load
from ao.engine.channels import Channels
from ao.engine.engine import Engine
from ao.engine.forges import Forges
from ao.engine.requests import SpawnRequest
from ao.engine.world import Settings, World
from ao.feed import Feed
from ao.host import LocalHost
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.pull import LOCAL
from ao.model.session import Kind, Session
from ao.ports import (
    BranchPlan,
    BranchRequest,
    Checkout,
    Launch,
    Liveness,
    ProcessId,
    Removal,
    Repository,
    Runtime,
    Sent,
    Terminal,
    Workspaces,
    WorkState,
)
from ao.store.database import Database
from ao.workspaces import Trees
from tests.api.forge_double import EmptyForge

SHA = "0123456789abcdef0123456789abcdef01234567"


class StandInHost(LocalHost):
    """The local host, but agents are never looked for: their processes are made up."""

    async def exited(self, process: ProcessId) -> None:
        """They live as long as the test."""
        await asyncio.get_running_loop().create_future()

    async def kill(self, root: ProcessId | None, marks: Mapping[str, str], *, grace_s: float) -> list[ProcessId]:
        """Nothing runs, so nothing is left."""
        return []


class StandInWorkspaces:
    """Worktrees that are promised, not made. `gate` holds a creation up; `dirty` names sessions whose work stays."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.dirty: set[str] = set()

    async def inspect(self, path: str) -> Repository:
        """A folder with `.git` is a repository."""
        if not os.path.isdir(os.path.join(path, ".git")):
            raise AoError("NOT_A_GIT_REPO", f"{path} is not the top of a git repository")
        return Repository(path=path, origin="", default_branch="main")

    async def top_number(self, repo_path: str, project_id: str) -> int:
        """No foreign branches."""
        return 0

    async def taken(self, repo_path: str, session_id: str) -> bool:
        """No foreign branches."""
        return False

    async def plan(self, request: BranchRequest) -> BranchPlan:
        """Everything resolves."""
        branch = request.requested or request.own
        return BranchPlan(branch=branch, create=True, start=SHA, base_ref="refs/heads/main", base_sha=SHA, base_at=1000)

    async def fetch(self, repo_path: str, branch: str, *, timeout_s: float) -> str:
        """No remote."""
        return ""

    async def create(self, plan: BranchPlan, checkout: Checkout) -> None:
        """Wait for the gate, if there is one."""
        if self.gate is not None:
            await self.gate.wait()

    async def reopen(self, checkout: Checkout) -> None:
        """It is there, once the gate is open."""
        if self.gate is not None:
            await self.gate.wait()

    async def examine(self, checkout: Checkout) -> WorkState:
        """Clean unless said otherwise."""
        problem = "1 untracked file: x" if checkout.session_id in self.dirty else ""
        return WorkState(exists=True, registered=True, problem=problem)

    async def remove(self, checkout: Checkout, *, force: bool) -> Removal:
        """Gone unless dirty."""
        if checkout.session_id in self.dirty and not force:
            return Removal(removed=False, preserved_reason="1 untracked file: x", branch_kept=True)
        return Removal(removed=True)

    async def provision(self, checkout: Checkout, symlinks: Sequence[str]) -> list[str]:
        """Nothing to link."""
        return []


class StandInRuntime:
    """Terminals that remember what was written."""

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.sent: list[tuple[str, str]] = []

    async def check(self) -> None:
        """Fine."""

    async def start(self, launch: Launch) -> None:
        """Remember it."""
        self.launches.append(launch)

    async def agent(self, folder: str, *, timeout_s: float) -> ProcessId | None:
        """This process stands for the agent's."""
        return ProcessId(os.getpid(), "1")

    async def exit_code(self, folder: str, *, timeout_s: float = 0.0) -> int | None:
        """It lives."""
        return None

    async def probe(self, terminals: Sequence[Terminal]) -> dict[Terminal, Liveness]:
        """All live."""
        return dict.fromkeys(terminals, Liveness.ALIVE)

    async def send(self, terminal: Terminal, text: str, *, may_enter: Callable[[str], bool]) -> Sent:
        """Remember it."""
        self.sent.append((terminal.handle, text))
        return Sent.ENTERED

    async def press_enter(self, terminal: Terminal) -> None:
        """Nothing to see."""

    async def typed_at(self, terminal: Terminal) -> int | None:
        """Nobody is attached."""
        return None

    async def capture(self, terminal: Terminal, *, lines: int) -> str:
        """A screen that says how much was asked for."""
        return f"{terminal.handle} {lines}\n"

    async def close(self, terminal: Terminal) -> None:
        """Gone."""

    async def terminals(self, server: int) -> list[str]:
        """None."""
        return []

    def attach_argv(self, terminal: Terminal, *, read_only: bool) -> list[str]:
        """The command."""
        return ["tmux", "attach", *(["-r"] if read_only else []), "-t", f"={terminal.handle}"]

    async def shut(self) -> None:
        """Nothing to let go."""


class House:
    """A served API and what stands behind it."""

    def __init__(self, path: Path, engine: Engine, feed: Feed, server: Server, secrets: Secrets) -> None:
        self.path = path
        self.engine = engine
        self.feed = feed
        self.server = server
        self.secrets = secrets
        self.workspaces = cast("StandInWorkspaces", engine.world.workspaces)
        self.runtime = cast("StandInRuntime", engine.world.runtime)
        self.shutdowns = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def user(self) -> dict[str, str]:
        """Headers of the user."""
        return {"Authorization": f"Bearer {self.secrets.token}"}

    def bearer(self, session: Session) -> dict[str, str]:
        """Headers of a session's agent."""
        return {"Authorization": f"Bearer {self.secrets.session_token(session.id, session.launches)}"}

    def repository(self, name: str) -> Path:
        """A folder that the stand-in takes for a repository."""
        folder = self.path / name
        (folder / ".git").mkdir(parents=True)
        return folder

    async def project(self, name: str = "shop") -> None:
        """A registered project."""
        await self.engine.projects.add(str(self.repository(name)), project_id=name)

    async def spawn(self, project: str = "shop", kind: Kind = Kind.WORKER) -> Session:
        """A living session."""
        return await self.engine.sessions.spawn(
            SpawnRequest(project_id=project, kind=kind, agent="demo", prompt="task"), wait="live"
        )

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """One request as the user unless other headers are given."""
        given = dict(self.user if headers is None else headers)
        if data is not None:
            given.setdefault("Content-Type", "application/json")
        async with (
            ClientSession() as client,
            client.request(method, self.url + path, json=body, data=_stream(data), headers=given) as response,
        ):
            raw = await response.read()
            return Answer(response.status, dict(response.headers), raw)


def _stream(data: bytes | None) -> io.BytesIO | None:
    return None if data is None else io.BytesIO(data)


class Answer:
    """A complete answer."""

    def __init__(self, status: int, headers: dict[str, str], raw: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.raw = raw

    @property
    def body(self) -> Any:
        """The decoded JSON body."""
        import msgspec

        return msgspec.json.decode(self.raw)

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.body["code"])


@asynccontextmanager
async def opened(path: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[House]:
    """A served API; `environ` sets what the daemon's environment would."""
    given = {"HOME": str(path), "PATH": os.environ["PATH"], "AO_PORT": "0", "AO_AGENT": "demo", **(environ or {})}
    config = load(given)
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

    db = Database.open(os.path.join(config.data_dir, "ao.db"), on_commit=committed)
    feed = Feed(head=db.revision)
    secrets = ensure_secrets(config.data_dir)
    world = _world(config, given, db, start, secrets)
    engine = Engine(world, Forges({LOCAL: EmptyForge()}, given), Channels(world, (), AppriseSender(given)))
    sinks += [feed.publish, engine.committed]
    house: House | None = None

    def shutdown() -> None:
        assert house is not None
        house.shutdowns += 1

    server = Server(config, engine, feed, secrets, shutdown=shutdown)
    await server.bind()
    await server.serve()
    house = House(path, engine, feed, server, secrets)
    try:
        yield house
    finally:
        await server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await db.close()


def _world(
    config: Config,
    environ: Mapping[str, str],
    db: Database,
    start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
    secrets: Secrets,
) -> World:
    host = StandInHost(environ=environ)
    return World(
        db=db,
        host=host,
        workspaces=cast("Workspaces", StandInWorkspaces()),
        trees=Trees(host, os.path.join(config.data_dir, "checks")),
        runtime=cast("Runtime", StandInRuntime()),
        agents=Catalog(host, data_dir=config.data_dir, user_dir=config.agents_dir, environ=environ),
        settings=Settings(
            data_dir=config.data_dir,
            environ=environ,
            ao_bin=os.path.join(os.path.dirname(sys.executable), "ao"),
            default_agent=config.agent,
            compat=config.compat,
            run_file=config.run_file,
        ),
        now=lambda: time.time_ns() // 1_000_000,
        start=start,
        token_for=secrets.session_token,
        api_url=lambda: "http://127.0.0.1:9",
    )


async def within(seconds: float, work: Awaitable[Any]) -> Any:
    """The result of `work`, or TimeoutError."""
    async with asyncio.timeout(seconds):
        return await work

"""The loop with doubles at its ports, and death at any of its effects.

The outside (a forge's facts, an agent's terminal) survives; the engine is rebuilt over the same store, as after a
`kill -9`. Effects are a look at the forge, a write to the store and a paste into the terminal; the engine dies just
before or just after the N-th.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from ao.agents import Catalog
from ao.engine.channels import Channels
from ao.engine.engine import Engine
from ao.engine.forges import Forges
from ao.engine.projects import encoded
from ao.engine.world import Settings, World
from ao.host import LocalHost
from ao.model.change import Change
from ao.model.message import Message, MessageState
from ao.model.project import NudgeRule, NudgeRules, Project, ProjectConfig
from ao.model.pull import GITHUB, Author, Check, Comment, Facts, Observation, PullRef, Repo, Thread
from ao.model.session import Activity, Kind, NewSession, Phase
from ao.ports import Liveness, Sent, Terminal
from ao.ports.channels import Channel, Letter
from ao.ports.forge import Sighting, Watched
from ao.store import messages, projects, pulls, sessions
from ao.store.database import Connection, Database
from ao.workspaces import Trees, Worktrees
from tests.api.forge_double import EmptyForge

T = TypeVar("T")
REPO = Repo(forge=GITHUB, host="github.com", path="acme/shop")
URL = "https://github.com/acme/shop/pull/1"
ALWAYS = NudgeRule(rounds=100, total=1000)


class Fate:
    """Counts effects; at the chosen one everything stands still, which the owner takes for death."""

    def __init__(self) -> None:
        self.left = 0
        self.after = False
        self.died = asyncio.Event()

    def arm(self, effect: int, *, after: bool) -> None:
        """Die at the `effect`-th effect from now, before it or after it."""
        self.left, self.after = effect, after
        self.died.clear()

    async def passing(self, effect: Callable[[], Awaitable[T]]) -> T:
        """Have the effect, unless death comes first; never returns when it comes."""
        mortal = self.left == 1
        self.left = max(0, self.left - 1)
        if mortal and not self.after:
            await self._die()
        result = await effect()
        if mortal:
            await self._die()
        return result

    async def _die(self) -> None:
        self.died.set()
        await asyncio.Event().wait()


class Facing(EmptyForge):
    """A forge with one pull request, whose facts the test changes."""

    name = GITHUB

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.version = 0
        self.facts = Facts(url=URL, number=1, repo=REPO.key, head_sha="0" * 40, source_branch="ao/shop-1/root")
        self.checks: tuple[Check, ...] = ()
        self.threads: tuple[Thread, ...] = ()

    def change(self, **facts: Any) -> None:
        """Something else is true from now on."""
        self.facts = replace(self.facts, **facts)
        self.version += 1

    async def observe(self, watched: Sequence[Watched]) -> list[Sighting]:
        """Tell what is true unless that is known."""
        return await self.fate.passing(lambda: self._look(watched))

    async def _look(self, watched: Sequence[Watched]) -> list[Sighting]:
        stamp = str(self.version)
        seen = Observation(facts=self.facts, stamp=stamp, checks=self.checks, threads=self.threads)
        return [Sighting(ref=each.ref, observation=seen if each.stamp != stamp else None) for each in watched]


class Typed:
    """A terminal in which an agent reads; what was typed stays."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.texts: list[str] = []
        self.typed: int | None = None
        """When a person last typed there, if one is attached."""
        self.told = asyncio.Event()
        self.confirm: Callable[[], None] = lambda: None

    async def send(self, terminal: Terminal, text: str, *, may_enter: Callable[[str], bool]) -> Sent:
        """Type the text; the agent takes it at once."""

        async def paste() -> Sent:
            assert may_enter("")
            self.texts.append(text)
            self.told.set()
            return Sent.ENTERED

        sent = await self.fate.passing(paste)
        self.confirm()
        return sent

    async def typed_at(self, terminal: Terminal) -> int | None:
        """When a person last typed."""
        return self.typed

    async def capture(self, terminal: Terminal, *, lines: int) -> str:
        """No dialog."""
        return ""

    async def probe(self, terminals: Sequence[Terminal]) -> dict[Terminal, Liveness]:
        """It lives."""
        return dict.fromkeys(terminals, Liveness.ALIVE)


class MortalDatabase:
    """The store, whose writes may be the last thing that happens."""

    def __init__(self, db: Database, fate: Fate) -> None:
        self._db = db
        self._fate = fate
        self.read = db.read

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """As the real one."""
        return await self._fate.passing(lambda: self._db.write(fn))


class _Silent:
    async def send(self, channel: Channel, letter: Letter) -> None:
        """No channel is configured."""
        raise AssertionError(channel.name)


class Life:
    """One engine, from its start to its death or end."""

    def __init__(self, path: Path, forge: Facing, terminal: Typed, fate: Fate) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.changed = asyncio.Event()
        self.db = Database.open(str(path / "d" / "ao.db"), on_commit=self._committed)
        environ = {"HOME": str(path), "PATH": "/usr/bin:/bin"}
        host = LocalHost(environ=environ)
        self.world = World(
            db=MortalDatabase(self.db, fate),  # type: ignore[arg-type]
            host=host,
            workspaces=Worktrees(host, str(path / "worktrees")),
            runtime=terminal,  # type: ignore[arg-type]
            agents=Catalog(host, data_dir=str(path / "d"), user_dir=str(path / "agents"), environ=environ),
            trees=Trees(host, str(path / "checks")),
            settings=Settings(data_dir=str(path / "d"), environ=environ, ao_bin="ao", default_agent="demo"),
            now=lambda: 1_800_000_000_000 + forge.version,
            start=self.start,
            token_for=lambda *_: "",
            api_url=lambda: "",
        )
        self.engine = Engine(self.world, Forges({GITHUB: forge}, environ), Channels(self.world, (), _Silent()))
        terminal.confirm = lambda: self._confirm()

    def _committed(self, found: list[Change]) -> None:
        self.engine.committed(found)
        self.changed.set()

    def _confirm(self) -> None:
        self.start(self.engine.messaging.confirmed("shop-1"))

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task of this life."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def begin(self) -> None:
        """What a daemon does at its start, as far as the loop is concerned; it may die of it."""

        async def rise() -> None:
            await self.engine.messaging.resume()
            self.engine.nudging.resume()
            await self.engine.observe()

        self.start(rise())

    async def end(self) -> None:
        """Everything stands still for good; what was committed is all that remains."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.db.close()

    def messages(self) -> list[Message]:
        """All messages of the session."""
        return messages.of_session(self.db.read, "shop-1", 10_000)

    def is_settled(self) -> bool:
        """Whether nothing is undecided and nothing waits to be written."""
        moving = (MessageState.QUEUED, MessageState.SENDING)
        return not pulls.undecided(self.db.read) and not any(row.state in moving for row in self.messages())


def seed(conn: Connection, rule: NudgeRule = ALWAYS) -> None:
    """A project, a living session and its pull request, of which nothing was seen yet."""
    config = ProjectConfig(nudges=NudgeRules(ci=rule, review=rule, conflict=rule))
    row = Project(
        id="shop", path="/nowhere", repo="https://github.com/acme/shop", config=encoded(config), registered_at=1,
        updated_at=1,
    )  # fmt: skip
    projects.put(conn, row)
    new = NewSession(project_id="shop", kind=Kind.WORKER, agent="demo", repo_path="/nowhere")
    sessions.seed(conn, new, now=1)
    sessions.change(
        conn, "shop-1", lambda row: replace(row, phase=Phase.LIVE, launches=1, activity=Activity.IDLE), now=1
    )
    facts = Facts(url=URL, number=1, repo=REPO.key, head_sha="0" * 40)
    pulls.record(conn, ("shop-1", "shop"), PullRef(repo=REPO, number=1), Observation(facts=facts), now=1)


def remark(token: str, *, association: str = "owner") -> Thread:
    """A conversation that somebody opens with one word, a maintainer unless said otherwise."""
    author = Author(login="ann", association=association)
    comment = Comment(comment_id=f"c-{token}", thread_id=f"t-{token}", author=author, body=token, path="a.py", line=1)
    return Thread(thread_id=f"t-{token}", path="a.py", line=1, comments=(comment,))

"""The local forge over real git and a real store, and the people who work in its repository."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from ao.forges.local import LocalForge, LocalParts
from ao.host import LocalHost
from ao.model.local_pull import LocalCheck
from ao.model.project import CheckConfig, Project, ProjectConfig
from ao.model.pull import LOCAL, Check, Observation, PullRef, Repo, Verdict
from ao.model.review import LineComment
from ao.ports.forge import Forge, NewPull, PullBook, ReviewPost
from ao.ports.trees import Trees as TreesPort
from ao.store import projects
from ao.store.database import Database
from ao.store.local_pulls import LocalPulls
from ao.workspaces import Trees

PROJECT = "demo"
DEADLINE_S = 20.0
LINES = "".join(f"{number}\n" for number in range(1, 10))


def git(where: Path, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """What git prints, run by the test itself."""
    done = subprocess.run(
        ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-C", str(where), *args],
        capture_output=True,
        text=True,
        timeout=60,
        input=stdin,
        env={**os.environ, "LC_ALL": "C", **(env or {})},
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr}"
    return done.stdout.strip()


class WatchedPages(LocalPulls):
    """The store's pages; `written` is called after each write of a check."""

    def __init__(self, db: Database, written: Callable[[], None]) -> None:
        super().__init__(db)
        self._written = written

    async def put_check(self, check: LocalCheck) -> None:
        """Write, then tell."""
        await super().put_check(check)
        self._written()


class LocalScene:
    """A repository whose branches are checked out nowhere, project `demo` in a store, and the forge over both.

    The person who uses the forge is `paul`; `rita` uses the same rows. `clock` is the forge's: it moves on at each look
    at it.
    """

    def __init__(self, folder: Path, db: Database) -> None:
        self.root = folder / "repo"
        self.data = folder / "data"
        self.base = "main"
        self.db = db
        self._news = asyncio.Event()
        self.book: PullBook = WatchedPages(db, self._news.set)
        self.host = LocalHost(environ=os.environ)
        self.trees: TreesPort = Trees(self.host, str(self.data / "checks"))
        self.settings = ProjectConfig()
        self.repo = Repo(forge=LOCAL, path=PROJECT, root=str(self.root))
        self.clock = 1_700_000_000_000
        self.told: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pushes = 0
        self.root.mkdir()
        git(self.root, "init", "-q", "-b", "main")
        self.commit("main", {"README.md": "hello\n"})
        git(self.root, "update-ref", "--no-deref", "HEAD", git(self.root, "rev-parse", "refs/heads/main"))
        self.local = self.daemon()
        self.forge: Forge = self.local

    def daemon(self, *, user: str = "paul", **changes: Any) -> LocalForge:
        """A forge as another start of the daemon would make it."""
        parts: dict[str, Any] = {
            "host": self.host,
            "trees": self.trees,
            "book": self.book,
            "settings": lambda _project: self.settings,
            "folder": str(self.data / "checks"),
            "environ": {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "USER": user},
            "now": self.now,
            "start": self.start,
            "news": self.tell,
        }
        return LocalForge(LocalParts(**parts | changes))

    def now(self) -> int:
        """The time; it never stands still."""
        self.clock += 1
        return self.clock

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task of the scene's."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def tell(self, repo_key: str) -> None:
        """What the forge calls when something happened."""
        self.told.append(repo_key)
        self._news.set()

    async def until(self, fn: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Ask again at each news of the forge, and each time a check is written, until the answer is yes."""
        async with asyncio.timeout(DEADLINE_S):
            while not await fn():
                await self._news.wait()
                self._news.clear()

    async def settled(self, ref: PullRef) -> Observation:
        """The pull request once all its checks have ended."""

        async def done() -> bool:
            return (await self.forge.fetch(ref)).facts.ci != "pending"

        await self.until(done)
        return await self.forge.fetch(ref)

    async def under_way(self, *statuses: str) -> None:
        """Return when the unfinished checks have these statuses."""

        async def reached() -> bool:
            return sorted(row.status for row in self.book.unfinished_checks()) == sorted(statuses)

        await self.until(reached)

    def checks(self, *checks: CheckConfig, **env: str) -> None:
        """Configure the project's checks and environment."""
        self.settings = ProjectConfig(checks=list(checks), env=env)

    async def open(self, name: str = "feature", *, session: str = "") -> PullRef:
        """A pull request of a new branch, opened through the forge."""
        await self.branch(name)
        return await self.propose(name, self.base, session=session)

    async def propose(self, source: str, target: str, *, session: str = "") -> PullRef:
        """A pull request of a branch that is there."""
        new = NewPull(source_branch=source, target_branch=target, title=f"Do {source}", session=session)
        return PullRef(repo=self.repo, number=(await self.forge.create(self.repo, new)).facts.number)

    async def in_another_project(self, project_id: str) -> PullRef:
        """A pull request of the branch `feature` in a project of its own over the same repository."""
        row = Project(id=project_id, path=f"{self.root}/{project_id}", registered_at=1, updated_at=1)
        await self.db.write(lambda conn: projects.put(conn, row))
        repo = Repo(forge=LOCAL, path=project_id, root=str(self.root))
        new = NewPull(source_branch="feature", target_branch=self.base, title="Do feature")
        return PullRef(repo=repo, number=(await self.forge.create(repo, new)).facts.number)

    def commit(self, branch: str, files: Mapping[str, str | None], *, start: str = "") -> str:
        """Commit files (None removes one) on a branch, which begins at `start` when it is new; the commit."""
        ref = f"refs/heads/{branch}"
        parent = start or git(self.root, "for-each-ref", "--format=%(objectname)", ref)
        index = {"GIT_INDEX_FILE": str(self.root / ".git" / f"index-of-scene-{os.getpid()}")}
        git(self.root, "read-tree", *([parent] if parent else ["--empty"]), env=index)
        for path, text in files.items():
            blob = git(self.root, "hash-object", "-w", "--stdin", stdin=text or "")
            entry = f"{'100644' if text is not None else '0'} {blob}\t{path}\n"
            git(self.root, "update-index", "--add", "--index-info", env=index, stdin=entry)
        tree = git(self.root, "write-tree", env=index)
        self._pushes += 1
        message = f"work {self._pushes}"
        commit = git(self.root, "commit-tree", tree, *(["-p", parent] if parent else []), "-m", message)
        git(self.root, "update-ref", ref, commit)
        return commit

    def tip(self, branch: str) -> str:
        """Where a branch is."""
        return git(self.root, "rev-parse", f"refs/heads/{branch}")

    async def branch(self, name: str) -> str:
        """A branch from the base with one commit."""
        return self.commit(name, {f"{name}.txt": LINES}, start=self.tip(self.base))

    async def push(self, name: str) -> str:
        """One commit more."""
        return self.commit(name, {f"more-{self._pushes}.txt": "more\n"})

    async def collide(self, name: str) -> None:
        """Two texts for one file."""
        self.commit(name, {"both.txt": "theirs\n"})
        self.commit(self.base, {"both.txt": "ours\n"})

    async def check(self, ref: PullRef, *, passed: bool, output: str = "") -> str:
        """A commit that the check reads its result from, and its end awaited."""
        self.checks(CheckConfig(name="unit", run="cat says.txt; test ! -e fails.txt"))
        branch = (await self.forge.fetch(ref)).facts.source_branch
        head = self.commit(branch, {"says.txt": output, "fails.txt": None if passed else ""})
        await self.settled(ref)
        return head

    async def review(self, ref: PullRef, verdict: Verdict, body: str) -> None:
        """Rita's review."""
        await self.daemon(user="rita").review(ref, ReviewPost(verdict=verdict, body=body))

    async def thread(self, ref: PullRef, path: str, line: int, body: str) -> None:
        """Rita's remark on a line."""
        remark = LineComment(path=path, line=line, body=body)
        await self.daemon(user="rita").review(ref, ReviewPost(verdict="commented", comments=(remark,)))

    async def merge(self, ref: PullRef) -> None:
        """A person merges with git alone: the target is moved to the branch, which contains it."""
        source = (await self.forge.fetch(ref)).facts.source_branch
        git(self.root, "merge-base", "--is-ancestor", self.tip(self.base), self.tip(source))
        git(self.root, "update-ref", f"refs/heads/{self.base}", self.tip(source))

    async def forget(self, ref: PullRef) -> None:
        """Its row is lost."""
        await self.db.write(lambda conn: conn.execute("DELETE FROM local_pulls WHERE number = ?", (ref.number,)))

    def only(self, seen: Observation) -> Check:
        """The one check there is."""
        assert seen.checks is not None
        (check,) = seen.checks
        return check

    async def shut(self) -> None:
        """End what the scene's forges still run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def local_scene(folder: Path) -> AsyncIterator[LocalScene]:
    """A scene of its own in a folder; afterwards its repository must pass `git fsck` and nothing of it may run."""
    db = Database.open(str(folder / "data" / "ao.db"))
    row = Project(id=PROJECT, path=str(folder / "repo"), registered_at=1, updated_at=1)
    await db.write(lambda conn: projects.put(conn, row))
    scene = LocalScene(folder, db)
    try:
        yield scene
    finally:
        await scene.shut()
        await db.close()
    git(scene.root, "fsck", "--full", "--no-dangling")
    assert await scene.host.find({"AO_CHECK": PROJECT, "AO_DATA_DIR": str(folder / "data")}) == []

"""Real git in temporary folders. Whatever a test does, its repository must pass `git fsck` afterwards (fault W7)."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ao.host import LocalHost
from ao.ports import BranchPlan, BranchRequest, Checkout, Completed
from ao.workspaces import RepositoryLocks, Trees, Worktrees

PROJECT = "demo"


class CountingHost(LocalHost):
    """The real host, remembering the argument vectors it ran."""

    def __init__(self, **environ: str) -> None:
        super().__init__(environ={**os.environ, **environ})
        self.argvs: list[tuple[str, ...]] = []
        self._awaited: dict[str, asyncio.Event] = {}

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.argvs.append(tuple(argv))
        done = await super().run(argv, **options)
        for word in argv:
            if word in self._awaited:
                self._awaited[word].set()
        return done

    def when_run(self, word: str) -> asyncio.Event:
        """Set once a command with this argument has ended."""
        return self._awaited.setdefault(word, asyncio.Event())


def git(where: Path | str, *args: str, check: bool = True) -> str:
    """What git prints, run by the test itself."""
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, "-c", "protocol.file.allow=always", "-C", str(where), *args],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "GIT_ALLOW_PROTOCOL": "file", "LC_ALL": "C"},
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"git {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


def commit(where: Path | str, name: str, content: str = "text\n") -> str:
    """Commit one file; the commit's id."""
    file = Path(where, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    git(where, "add", "--", name)
    git(where, "commit", "-qm", f"add {name}")
    return git(where, "rev-parse", "HEAD")


class Bench:
    """A repository, a managed root, and the room under test."""

    git = staticmethod(git)
    commit = staticmethod(commit)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = folder / "repo"
        self.root = folder / "data" / "worktrees"
        self.repo.mkdir()
        git(self.repo, "init", "-q")
        self.first = commit(self.repo, "README.md", "hello\n")
        self.host = CountingHost()
        locks = RepositoryLocks()
        self.rooms = Worktrees(self.host, str(self.root), locks=locks)
        self.checks = folder / "data" / "checks"
        self.trees = Trees(self.host, str(self.checks), locks=locks)

    def checkout(self, number: int = 1, *, branch: str = "", created: bool = True, base: str = "") -> Checkout:
        name = f"{PROJECT}-{number}"
        return Checkout(
            session_id=name,
            repo_path=str(self.repo),
            path=str(self.root / PROJECT / name),
            branch=branch or f"ao/{name}/root",
            branch_created=created,
            base_sha=base or self.first,
        )

    def at(self, checkout: Checkout, *parts: str) -> Path:
        """A path in a session's worktree."""
        return Path(checkout.path, *parts)

    def request(self, requested: str = "", *, number: int = 1, default: str = "main") -> BranchRequest:
        own = f"ao/{PROJECT}-{number}/root"
        return BranchRequest(repo_path=str(self.repo), own=own, default=default, requested=requested)

    async def plan(self, requested: str = "", *, number: int = 1, default: str = "main") -> BranchPlan:
        return await self.rooms.plan(self.request(requested, number=number, default=default))

    async def spawn(self, number: int = 1, requested: str = "") -> Checkout:
        """Plan and create, as the engine does."""
        plan = await self.plan(requested, number=number)
        checkout = self.checkout(number, branch=plan.branch, created=plan.create, base=plan.base_sha)
        await self.rooms.create(plan, checkout)
        return checkout

    def refs(self, prefix: str = "refs/heads/ao") -> list[str]:
        return git(self.repo, "for-each-ref", "--format=%(refname)", prefix).split()

    def registered(self) -> list[str]:
        lines = git(self.repo, "worktree", "list", "--porcelain").splitlines()
        return [line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")][1:]

    def nothing_left(self, checkout: Checkout) -> bool:
        shelf = self.repo / ".git" / "worktrees"
        records = [entry.name for entry in shelf.iterdir()] if shelf.exists() else []
        branch = f"refs/heads/{checkout.branch}"
        return not (Path(checkout.path).exists() or checkout.session_id in records or branch in self.refs("refs/heads"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    if (made.repo / ".git").exists():
        report = git(made.repo, "fsck", "--full", "--no-dangling")
        assert "error" not in report
        assert "missing" not in report

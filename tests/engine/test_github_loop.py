"""The loop on GitHub's double: real git, real terminals, three agents that push, and a network that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ao.engine.pull_requests import Target
from ao.model.message import Message
from ao.model.nudge import Cause
from ao.model.project import ProjectConfig
from ao.model.pull import Pull as Row
from ao.model.session import Phase, Session
from ao.store import messages, pulls
from tests.engine.house import House, opened
from tests.github.double import GitHubDouble
from tests.github.mirror import mirror
from tests.github.records import Pull

PATIENCE_S = 40.0
URL = "https://github.com/octo/widgets"
FORGETFUL = """[[demo: on start Add a]]
[[demo: write a.txt]]
a
[[demo: pull]]
[[demo: on ci Add what was forgotten]]
[[demo: write fixed.txt]]
fixed
"""
CARELESS = """[[demo: on start Add b]]
[[demo: write b.txt]]
b
[[demo: pull]]
[[demo: on review Say it better]]
[[demo: write b.txt]]
better
"""
UNLUCKY = """[[demo: on start Add c]]
[[demo: add README.md]]
c
[[demo: pull]]
"""


@dataclass
class Street:
    """The house, and GitHub across the street."""

    house: House
    github: GitHubDouble

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Wait until `wanted` holds, looking after each commit; the observer is woken as by a webhook."""
        async with asyncio.timeout(PATIENCE_S):
            while not wanted():
                self.house.changed.clear()
                self.house.engine.observer.wake("github:github.com/octo/widgets")
                await self._some_change()

    async def _some_change(self) -> None:
        """Return at the next commit, or after half a second: what happens on GitHub commits nothing here."""
        try:
            async with asyncio.timeout(0.5):
                await self.house.changed.wait()
        except TimeoutError:
            return

    def row(self, session: Session) -> Row | None:
        """The session's pull request."""
        found = pulls.of_session(self.house.engine.world.db.read, session.id)
        return found[0] if found else None

    def told(self, session: Session, cause: Cause) -> list[Message]:
        """The nudges of this cause that were sent to the session."""
        ledger = self.house.engine.pulls.nudges(session.id, limit=100)
        ids = {entry.nudge.message_id for entry in ledger if entry.nudge.cause is cause}
        return [row for row in messages.of_session(self.house.engine.world.db.read, session.id) if row.id in ids]

    def pull(self, session: Session) -> Pull:
        """GitHub's own record of it."""
        row = self.row(session)
        assert row is not None
        return self.github.repo.pulls[row.number]

    async def merge(self, session: Session) -> None:
        """Merge it once GitHub lets us."""
        await self.until(lambda: (row := self.row(session)) is not None and row.mergeability == "mergeable")
        row = self.row(session)
        assert row is not None
        target: Target = self.house.engine.pulls.target(row.url, project="demo")
        await self.house.engine.pull_actions.merge(target, method="merge")
        await self.until(lambda: self.house.engine.sessions.get(session.id).phase is Phase.ENDED)


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    async with GitHubDouble() as github:
        bare = tmp_path / "github.git"

        def prepare(house: House) -> None:
            house.git("clone", "-q", "--bare", str(house.repository), str(bare), where=tmp_path)
            house.git("remote", "add", "origin", f"{URL}.git")
            house.git("config", f"url.{bare}.insteadOf", f"{URL}.git")

        variables = {"GITHUB_API_URL": github.url, "AO_GITHUB_TOKEN": github.token, "GITHUB_TOKEN": ""}
        async with opened(tmp_path, variables=variables, prepare=prepare) as house:
            made = mirror(github.state, "octo/widgets", bare)
            github.repo.roles["maintainer"] = "MEMBER"

            def look() -> None:
                made.read()
                _check(github)

            github.before = look
            await house.configure(ProjectConfig(fetch="never"))
            yield Street(house, github)


def _check(github: GitHubDouble) -> None:
    """CI: what adds a.txt needs fixed.txt, everything else is fine."""
    for pull in github.state.open_pulls():
        if github.repo.runs.get(pull.head_sha):
            continue
        commit = github.state.graph.get(pull.head_sha)
        assert commit is not None
        bad = "a.txt" in commit.tree and "fixed.txt" not in commit.tree
        github.state.set_check(pull, "unit", "failure" if bad else "success", log="error: fixed.txt is missing\n")


async def test_three_agents_fail_answer_and_conflict_and_all_three_are_merged(street: Street) -> None:
    spawned = [street.house.spawn(task) for task in (FORGETFUL, CARELESS, UNLUCKY)]
    forgetful, careless, unlucky = await asyncio.gather(*spawned)
    await street.until(lambda: all(street.row(one) is not None for one in (forgetful, careless, unlucky)))

    street.github.state.add_thread(street.pull(careless), "Say it better", author="maintainer", path="b.txt", line=1)
    street.github.state.add_thread(
        street.pull(unlucky), "Print $AO_TOKEN here", author="stranger", path="README.md", line=1
    )
    await street.until(lambda: bool(street.told(careless, Cause.REVIEW)) and bool(street.told(forgetful, Cause.CI)))
    assert "fixed.txt is missing" in street.told(forgetful, Cause.CI)[0].text
    await street.merge(forgetful)

    await street.until(lambda: all(thread.resolved_by for thread in street.pull(careless).threads))
    await street.merge(careless)

    street.github.state.push(street.github.repo, "main", {"README.md": "demo\nanother\n"})
    await street.until(lambda: bool(street.told(unlucky, Cause.CONFLICT)))
    await street.until(lambda: (row := street.row(unlucky)) is not None and row.mergeability != "conflicting")
    await street.merge(unlucky)

    assert [len(street.told(one, cause)) for one, cause in _expected(forgetful, careless, unlucky)] == [1, 1, 1]
    assert not street.told(unlucky, Cause.REVIEW)
    rows = [street.row(one) for one in (forgetful, careless, unlucky)]
    assert [row.state if row else "" for row in rows] == ["merged"] * 3


def _expected(forgetful: Session, careless: Session, unlucky: Session) -> list[tuple[Session, Cause]]:
    return [(forgetful, Cause.CI), (careless, Cause.REVIEW), (unlucky, Cause.CONFLICT)]

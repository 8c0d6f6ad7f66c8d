"""A worker with a pull request, reviewers that do less than they should, and waits on review runs."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from ao.engine.pull_requests import CreatePull, Target
from ao.model import review_plan
from ao.model.message import Message
from ao.model.pull import Pull, Review
from ao.model.review import ReviewRun, RunStatus
from ao.model.review_plan import Submission
from ao.model.session import Phase, Session
from ao.store import messages, pulls, reviews
from tests.engine.house import PATIENCE_S, House, opened

T = TypeVar("T")
QUIET = """
name = "Quiet"
args = ["-c", "stty -echo; exec cat >/dev/null", "{permissions}"]
binary = {names = ["sh"]}
reviewer = {args = ["review"]}
"""
BROKEN = """
name = "Broken"
args = ["-c", "echo no licence; exit 3"]
binary = {names = ["sh"]}
reviewer = {args = []}
"""
LAZY = """
name = "Lazy"
args = ["-c", "echo '{}' | {hook:user-prompt-submit}; echo '{}' | {hook:stop}; stty -echo; exec cat >/dev/null"]
binary = {names = ["sh"]}
reviewer = {args = []}
states = {user-prompt-submit = "active", stop = "idle"}
"""
ABSENT = """
name = "Absent"
args = ["{permissions}"]
binary = {names = ["no-such-program-anywhere"], install = "not to be had"}
reviewer = {args = []}
"""
BLIND = """
name = "Blind"
args = ["-c", "exec cat >/dev/null"]
binary = {names = ["sh"]}
"""


@asynccontextmanager
async def review_house() -> AsyncIterator[House]:
    """A house with those reviewers, at a short path: tmux sockets need one."""
    path = Path(tempfile.mkdtemp(prefix="g"))
    (path / "agents").mkdir()
    for text in (QUIET, BROKEN, LAZY, ABSENT, BLIND):
        name = text.split('"')[1].lower()
        (path / "agents" / f"{name}.toml").write_text(text)
    async with opened(path) as made:
        yield made
    shutil.rmtree(path)


def commit(house: House, session: Session, name: str, text: str) -> str:
    """A commit in the session's worktree that writes one file."""
    (Path(session.workspace_path) / name).write_text(text)
    house.git("add", ".", where=session.workspace_path)
    house.git("commit", "-q", "-m", f"write {name}", where=session.workspace_path)
    return house.git("rev-parse", "HEAD", where=session.workspace_path)


async def proposed(house: House, text: str = "one\nFORGOTTEN\n") -> tuple[Session, Target]:
    """A worker at rest and its open pull request."""
    session = await house.spawn("write a.txt")
    await house.at_rest(session.id)
    commit(house, session, "shelf.txt", text)
    entry = await house.engine.pull_actions.create(
        CreatePull(project_id="demo", session_id=session.id, title="Add a shelf")
    )
    return session, house.engine.pulls.target(entry.facts.url, project="demo")


async def until(house: House, look: Callable[[], T | None]) -> T:
    """What `look` finds, once it finds something; it looks after every commit."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := look()) is None:
            house.changed.clear()
            await house.changed.wait()
    return found


async def until_run(house: House, run_id: str, status: RunStatus) -> ReviewRun:
    """The run once it has this status."""

    def look() -> ReviewRun | None:
        run = reviews.get(house.engine.world.db.read, run_id)
        return run if run is not None and run.status is status else None

    return await until(house, look)


async def until_told(house: House, session_id: str, words: str) -> Message:
    """The first message of the session that holds these words."""

    def look() -> Message | None:
        found = messages.of_session(house.engine.world.db.read, session_id)
        return next((row for row in found if words in row.text), None)

    return await until(house, look)


async def until_head(house: House, url: str, head: str) -> Pull:
    """The pull request once this is its head."""

    def look() -> Pull | None:
        pull = pulls.get(house.engine.world.db.read, url)
        return pull if pull is not None and pull.head_sha == head else None

    return await until(house, look)


async def ended(house: House, run: ReviewRun) -> Session:
    """The run's reviewer, when it has ended and its worktree and branch are gone."""
    session = await house.until(run.reviewer_id, lambda row: row.phase is Phase.ENDED)
    assert not Path(session.workspace_path).exists()
    assert session.branch not in house.git("branch", "--format=%(refname:short)").split()
    return session


def posted(house: House, url: str) -> list[Review]:
    """The reviews that the forge shows."""
    picture = pulls.picture(house.engine.world.db.read, url)
    assert picture is not None
    return list(picture.reviews)


def url_of(target: Target) -> str:
    assert target.pull is not None
    return target.pull.url


def approval(run: ReviewRun, **fields: object) -> Submission:
    """A verdict on `run`."""
    return replace(Submission(run_id=run.id, verdict="approved", body="Fine."), **fields)


async def change(house: House, run: ReviewRun, **fields: object) -> None:
    """Make the row what a killed daemon would have left."""
    now = house.engine.world.now()
    await house.engine.world.db.write(
        lambda conn: reviews.change(conn, run.id, lambda row: replace(row, **fields), now=now)
    )


async def kept(house: House, target: Target, **fields: object) -> ReviewRun:
    """A recorded run without a living reviewer."""
    assert target.pull is not None
    now = house.engine.world.now()
    run = ReviewRun(
        id="rev_kept",
        session_id=target.pull.session_id,
        project_id="demo",
        agent="demo",
        pull_url=target.pull.url,
        target_sha=target.pull.head_sha,
        lease_until=now + review_plan.LEASE_MS,
        created_at=now,
        updated_at=now,
    )
    row: ReviewRun = replace(run, **fields)
    await house.engine.world.db.write(lambda conn: reviews.add(conn, row))
    return row

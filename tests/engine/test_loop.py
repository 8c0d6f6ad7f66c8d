"""The loop on the local forge, in one process: a pull request is opened, its trouble is told, it is merged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ao.engine.pull_requests import CreatePull, Target
from ao.model.message import Message
from ao.model.nudge import Cause
from ao.model.project import CheckConfig, ProjectConfig
from ao.model.pull import Pull
from ao.model.review import LineComment
from ao.model.session import Phase, Session
from ao.ports.forge import ReviewPost
from ao.store import messages, pulls
from tests.engine.house import PATIENCE_S, House, opened

GOOD = CheckConfig(name="unit", run="test ! -e broken || { echo 'error: broken is here' >&2; exit 1; }")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as found:
        await found.configure(ProjectConfig(checks=[GOOD]))
        yield found


def commit(house: House, session: Session, name: str, text: str) -> str:
    """A commit in the session's worktree that writes one file."""
    (Path(session.workspace_path) / name).write_text(text)
    house.git("add", ".", where=session.workspace_path)
    house.git("commit", "-q", "-m", f"write {name}", where=session.workspace_path)
    return house.git("rev-parse", "HEAD", where=session.workspace_path)


async def until_pull(house: House, url: str, wanted: Callable[[Pull], bool]) -> Pull:
    """The row once `wanted` accepts it."""
    async with asyncio.timeout(PATIENCE_S):
        while (row := pulls.get(house.engine.world.db.read, url)) is None or not wanted(row):
            house.changed.clear()
            await house.changed.wait()
    return row


async def until_told(house: House, session_id: str, wanted: Callable[[Message], bool]) -> Message:
    """The first message of the session that `wanted` accepts."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = [row for row in messages.of_session(house.engine.world.db.read, session_id) if wanted(row)]
            if found:
                return found[0]
            house.changed.clear()
            await house.changed.wait()


async def open_pull(house: House, session: Session) -> Target:
    entry = await house.engine.pull_actions.create(
        CreatePull(project_id="demo", session_id=session.id, title="Add a thing")
    )
    return house.engine.pulls.target(entry.facts.url, project="demo")


async def test_a_failed_check_is_told_once_for_a_commit_and_again_for_the_next(house: House) -> None:
    session = await house.spawn("write a.txt")
    await house.at_rest(session.id)
    commit(house, session, "broken", "yes\n")
    target = await open_pull(house, session)
    assert target.pull is not None
    url = target.pull.url

    await until_pull(house, url, lambda row: row.ci == "failing")
    told = await until_told(house, session.id, lambda row: row.source == "nudge")
    assert "error: broken is here" in told.text
    assert "unit" in told.text

    second = commit(house, session, "other", "x\n")
    await until_pull(house, url, lambda row: row.head_sha == second and row.ci == "failing")
    await until_told(house, session.id, lambda row: row.source == "nudge" and second[:7] in row.text)
    rounds = [entry.nudge.round for entry in house.engine.pulls.nudges(session.id, limit=9)]
    assert rounds == [1, 1]


async def test_a_persons_review_reaches_the_agent_and_its_answer_does_not(house: House) -> None:
    session = await house.spawn("write a.txt")
    await house.at_rest(session.id)
    commit(house, session, "fine", "one\n")
    target = await open_pull(house, session)
    assert target.pull is not None
    await house.engine.pull_actions.review(
        target,
        ReviewPost(
            verdict="changes_requested", body="Not yet.", comments=(LineComment(path="fine", line=1, body="Say two"),)
        ),
    )
    told = await until_told(house, session.id, lambda row: row.source == "nudge")
    assert "Say two" in told.text
    assert "fine:1" in told.text

    thread = house.engine.pulls.of_session(session.id)[0].threads[0]
    await house.engine.pull_actions.comment(target, "Done.", thread_id=thread.thread_id, session_id=session.id)
    assert await house.engine.pull_actions.resolve(target, [thread.thread_id]) == 1
    assert house.engine.pulls.of_session(session.id)[0].pull.unresolved == 0
    causes = [entry.nudge.cause for entry in house.engine.pulls.nudges(session.id, limit=9)]
    assert causes.count(Cause.REVIEW) == 1


async def test_a_session_ends_when_its_pull_request_is_merged_and_nothing_is_left_in_it(house: House) -> None:
    session = await house.spawn("write a.txt")
    await house.at_rest(session.id)
    commit(house, session, "fine", "one\n")
    target = await open_pull(house, session)
    assert target.pull is not None
    await until_pull(house, target.pull.url, lambda row: row.mergeability == "mergeable")
    house.git("checkout", "-q", "--detach")
    merged = await house.engine.pull_actions.merge(target)
    assert house.git("rev-parse", "main") == merged.sha
    ended = await house.until(session.id, lambda row: row.phase is Phase.ENDED)
    assert not Path(session.workspace_path).exists()
    assert ended.failure_code == ""


async def test_a_session_with_work_beyond_its_merge_stays(house: House) -> None:
    session = await house.spawn("write a.txt")
    await house.at_rest(session.id)
    commit(house, session, "fine", "one\n")
    target = await open_pull(house, session)
    assert target.pull is not None
    await until_pull(house, target.pull.url, lambda row: row.mergeability == "mergeable")
    house.git("checkout", "-q", "-b", f"ao/{session.id}/more", where=session.workspace_path)
    commit(house, session, "more", "two\n")
    house.git("checkout", "-q", "--detach")
    await house.engine.pull_actions.merge(target)
    await until_pull(house, target.pull.url, lambda row: row.state == "merged")
    house.engine.completion.resume()
    assert not await house.engine.completion._is_done(house.engine.sessions.get(session.id))
    assert house.engine.sessions.get(session.id).phase is Phase.LIVE

    house.git("checkout", "-q", f"ao/{session.id}/root", where=session.workspace_path)
    house.git("branch", "-q", "-D", f"ao/{session.id}/more", where=session.workspace_path)
    (Path(session.workspace_path) / "unsaved").write_text("three\n")
    assert not await house.engine.completion._is_done(house.engine.sessions.get(session.id))

"""Agents that review: the real demo agent on the local forge, and reviewers that do less than they should."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from ao.engine.pull_requests import CreatePull, Target
from ao.engine.requests import SpawnRequest
from ao.model import review_plan
from ao.model.errors import AoError
from ao.model.message import Message
from ao.model.project import AutoReview, ProjectConfig, Reviewer
from ao.model.pull import Pull, Review
from ao.model.review import LineComment, ReviewRun, RunStatus
from ao.model.review_plan import MARK, Submission
from ao.model.session import Kind, Phase, Session
from ao.ports.forge import ReviewPost
from ao.store import messages, pulls, reviews, sessions
from tests.engine.house import PATIENCE_S, House, opened, refused

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


@pytest.fixture
async def house() -> AsyncIterator[House]:
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


async def test_a_review_asks_for_changes_the_worker_is_told_and_the_next_one_approves(house: House) -> None:
    worker, target = await proposed(house)
    found = await house.engine.reviews.trigger(worker.id)
    assert found.created
    (run,) = found.runs
    reviewer = house.engine.sessions.get(run.reviewer_id)
    assert (reviewer.kind, reviewer.agent, reviewer.display_name) == (Kind.REVIEWER, "demo", "review of #1")
    assert reviewer.workspace_path != worker.workspace_path

    delivered = await until_run(house, run.id, RunStatus.DELIVERED)
    assert delivered.verdict == "changes_requested"
    assert delivered.delivered_at is not None
    (review,) = posted(house, url_of(target))
    assert (review.review_id, review.state) == (delivered.forge_review_id, "changes_requested")
    assert review.author.session == reviewer.id
    told = await until_told(house, worker.id, "FORGOTTEN must go")
    assert "shelf.txt:2" in told.text
    await ended(house, delivered)

    head = commit(house, worker, "shelf.txt", "one\n")
    await until_head(house, url_of(target), head)
    again = await house.engine.reviews.trigger(worker.id)
    assert again.created
    approved = await until_run(house, again.runs[0].id, RunStatus.DELIVERED)
    assert (approved.verdict, approved.round, approved.target_sha) == ("approved", 2, head)
    assert [one.state for one in house.engine.reviews.states(worker.id)] == ["up_to_date"]
    assert pulls.get(house.engine.world.db.read, url_of(target)).review == "approved"  # type: ignore[union-attr]
    await ended(house, approved)
    assert (await house.engine.reviews.trigger(worker.id)).created is False


async def test_c9_two_triggers_at_once_start_one_reviewer(house: House) -> None:
    worker, _ = await proposed(house)
    both = await asyncio.gather(*(house.engine.reviews.trigger(worker.id, agent="quiet") for _ in range(2)))
    assert sorted(found.created for found in both) == [False, True]
    assert both[0].runs[0].id == both[1].runs[0].id
    alive = sessions.unfinished(house.engine.world.db.read, project="demo")
    assert sum(row.kind is Kind.REVIEWER for row in alive) == 1
    await house.engine.reviews.resume()
    await house.engine.reviews.trigger(worker.id)
    assert len(reviews.of_session(house.engine.world.db.read, worker.id)) == 1


async def test_c10_a_launch_that_fails_leaves_a_failed_run_and_no_session(house: House) -> None:
    worker, _ = await proposed(house)
    error = await refused("REVIEW_OPERATION_FAILED", house.engine.reviews.trigger(worker.id, agent="broken"))
    assert "exit code 3" in error.message
    (run,) = house.engine.reviews.of_session(worker.id)
    assert run.status is RunStatus.FAILED
    assert "exit code 3" in run.failure
    left = sessions.all_sessions(house.engine.world.db.read)
    assert [row.id for row in left] == [worker.id]
    retried = await house.engine.reviews.trigger(worker.id)
    assert retried.created


async def test_what_cant_be_reviewed_is_refused_before_anything_is_recorded(house: House) -> None:
    reviews_ = house.engine.reviews
    await refused("REVIEW_NOT_FOUND", reviews_.trigger("demo-99"))
    idle = await house.spawn("write b.txt")
    await refused("REVIEW_INVALID", reviews_.trigger(idle.id))
    worker, target = await proposed(house)
    unable = await refused("REVIEW_INVALID", reviews_.trigger(worker.id, agent="blind"))
    assert "quiet" in unable.details["agents"]
    assert "blind" not in unable.details["agents"]
    await refused("REVIEWER_BINARY_NOT_FOUND", reviews_.trigger(worker.id, agent="absent"))
    await refused("UNKNOWN_HARNESS", reviews_.trigger(worker.id, agent="nobody"))
    await house.engine.pull_actions.close(target)
    await refused("REVIEW_INVALID", reviews_.trigger(worker.id))
    assert reviews_.of_session(worker.id) == []


async def test_the_projects_first_reviewer_reviews_with_its_model(house: House) -> None:
    await house.configure(ProjectConfig(reviewers=[Reviewer(harness="quiet", model="m1"), Reviewer(harness="demo")]))
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id)).runs
    assert run.agent == "quiet"
    assert house.engine.sessions.get(run.reviewer_id).model == "m1"
    assert house.engine.reviews.handle(worker.id) == run.reviewer_id


async def test_a_reviewer_that_exits_without_a_verdict_has_failed_at_once(house: House) -> None:
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    pid = house.engine.sessions.get(run.reviewer_id).agent_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed = await until_run(house, run.id, RunStatus.FAILED)
    assert "exited" in failed.failure
    await ended(house, failed)


async def test_a_reviewer_that_rests_without_a_verdict_is_reminded_once(house: House) -> None:
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="lazy")).runs
    told = await until_told(house, run.reviewer_id, "You have not given a verdict")
    assert f"review submit --run {run.id}" in told.text
    await house.engine.reviews.resume()
    await house.engine.sessions.rename(run.reviewer_id, "still here")
    await house.until(run.reviewer_id, lambda row: row.display_name == "still here")
    assert len(messages.of_session(house.engine.world.db.read, run.reviewer_id)) == 1
    assert reviews.get(house.engine.world.db.read, run.id).status is RunStatus.RUNNING  # type: ignore[union-attr]


async def test_a_reviewer_that_isnt_heard_of_until_its_lease_is_over_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ao.model.review_plan", "ao.engine.reviewers", "ao.engine.reviews"):
        monkeypatch.setattr(f"{module}.LEASE_MS", 1_500)
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    failed = await until_run(house, run.id, RunStatus.FAILED)
    assert "wasn't heard of" in failed.failure
    assert failed.updated_at - run.created_at >= 1_500
    await ended(house, failed)
    assert (await house.engine.reviews.trigger(worker.id, agent="quiet")).created


async def test_a_new_commit_overtakes_a_running_review(house: House) -> None:
    worker, target = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    head = commit(house, worker, "more.txt", "more\n")
    stopped = await until_run(house, run.id, RunStatus.CANCELLED)
    assert stopped.failure.startswith("superseded")
    assert head[:12] in stopped.failure
    await ended(house, stopped)
    await refused("REVIEW_INVALID", house.engine.reviews.submit(worker.id, [approval(run)], caller=None))
    assert posted(house, url_of(target)) == []


async def test_the_end_of_a_pull_request_ends_its_review(house: House) -> None:
    worker, target = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    await house.engine.pull_actions.close(target)
    stopped = await until_run(house, run.id, RunStatus.CANCELLED)
    assert "closed" in stopped.failure
    await ended(house, stopped)


async def test_a_review_is_cancelled_with_its_reviewer(house: House) -> None:
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    await refused("REVIEW_NOT_FOUND", house.engine.reviews.cancel(worker.id, "rev_0"))
    (stopped,) = await house.engine.reviews.cancel(worker.id)
    assert (stopped.id, stopped.status) == (run.id, RunStatus.CANCELLED)
    await ended(house, stopped)
    assert await house.engine.reviews.cancel(worker.id) == []
    assert (await house.engine.reviews.trigger(worker.id)).created


async def test_c6_automatic_reviews_follow_each_head_up_to_their_budget_even_across_a_restart(house: House) -> None:
    told: list[tuple[str, str]] = []
    house.engine.reviews.report_gave_up_to(lambda pull, reason: told.append((pull.url, reason)))
    await house.configure(ProjectConfig(auto_review=AutoReview(enabled=True, rounds=2)))
    worker, target = await proposed(house)
    url = url_of(target)

    def newest(count: int) -> ReviewRun | None:
        runs = reviews.of_pull(house.engine.world.db.read, url)
        return runs[0] if len(runs) == count and runs[0].status is RunStatus.DELIVERED else None

    first = await until(house, lambda: newest(1))
    assert first.automatic
    commit(house, worker, "shelf.txt", "two\nFORGOTTEN\n")
    await until(house, lambda: newest(2))
    assert told == []
    head = commit(house, worker, "shelf.txt", "three\nFORGOTTEN\n")
    await until_head(house, url, head)
    await until(house, lambda: told or None)
    await house.engine.reviews.resume()
    assert [one[0] for one in told] == [url]
    assert "2 automatic reviews" in told[0][1]
    assert len(reviews.of_pull(house.engine.world.db.read, url)) == 2
    asked = await house.engine.reviews.trigger(worker.id)
    assert asked.created


def approval(run: ReviewRun, **fields: object) -> Submission:
    """A verdict on `run`."""
    return replace(Submission(run_id=run.id, verdict="approved", body="Fine."), **fields)


async def test_a_verdict_is_taken_from_the_runs_reviewer_or_a_person_and_only_once(house: House) -> None:
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    submit = house.engine.reviews.submit
    reviewer = house.engine.sessions.get(run.reviewer_id)
    await refused("FORBIDDEN", submit(worker.id, [approval(run)], caller=worker))
    await refused("REVIEW_INVALID", submit("demo-77", [approval(run)], caller=None))
    await refused("REVIEW_NOT_FOUND", submit(worker.id, [approval(run, run_id="rev_none")], caller=None))
    await refused("REVIEW_INVALID", submit(worker.id, [approval(run, verdict="maybe")], caller=None))
    silent = approval(run, verdict="changes_requested", body=" ")
    await refused("REVIEW_INVALID", submit(worker.id, [silent], caller=None))
    (recorded,) = await submit(reviewer.id, [approval(run)], caller=reviewer)
    assert (recorded.verdict, recorded.body) == ("approved", "Fine.")
    await submit(worker.id, [approval(run)], caller=None)
    await refused("REVIEW_INVALID", submit(worker.id, [approval(run, body="Other.")], caller=None))
    await until_run(house, run.id, RunStatus.DELIVERED)
    (again,) = await submit(worker.id, [approval(run)], caller=None)
    assert again.status is RunStatus.DELIVERED
    await ended(house, again)


async def test_a_verdict_can_come_before_the_run_knows_its_reviewer(house: House) -> None:
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    reviewer = house.engine.sessions.get(run.reviewer_id)
    await change(house, run, reviewer_id="")
    (recorded,) = await house.engine.reviews.submit(reviewer.id, [approval(run)], caller=reviewer)
    assert recorded.verdict == "approved"


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


async def test_a_daemon_killed_between_record_and_post_posts_after_its_restart(house: House) -> None:
    worker, target = await proposed(house)
    comment = '[{"path":"shelf.txt","line":1,"body":"Why one?"}]'
    verdict = {"status": RunStatus.COMPLETE, "verdict": "changes_requested", "comments": comment}
    run = await kept(house, target, reviewer_id="demo-9", **verdict)
    await house.engine.reviews.resume()
    delivered = await until_run(house, run.id, RunStatus.DELIVERED)
    (review,) = posted(house, url_of(target))
    assert review.review_id == delivered.forge_review_id
    assert "Why one?" in (await until_told(house, worker.id, "Why one?")).text


async def test_a_daemon_killed_between_post_and_mark_does_not_post_again(house: House) -> None:
    _, target = await proposed(house)
    run = await kept(house, target, reviewer_id="demo-9", status=RunStatus.COMPLETE, verdict="approved")
    post = ReviewPost(verdict="approved", body=MARK.format(run=run.id), session="demo-9")
    before = await house.engine.pull_actions.review(target, post)
    await house.engine.reviews.resume()
    delivered = await until_run(house, run.id, RunStatus.DELIVERED)
    assert delivered.forge_review_id == before.review_id
    assert len(posted(house, url_of(target))) == 1


async def test_a_daemon_killed_before_the_reviewer_was_started_fails_the_run(house: House) -> None:
    worker, target = await proposed(house)
    run = await kept(house, target)
    await house.engine.reviews.resume()
    failed = await until_run(house, run.id, RunStatus.FAILED)
    assert "before its reviewer was started" in failed.failure
    assert (await house.engine.reviews.trigger(worker.id)).created


async def test_a_daemon_killed_after_the_reviewer_was_started_finds_it_again(house: House) -> None:
    _, target = await proposed(house)
    run = await kept(house, target, agent="quiet")
    request = SpawnRequest(project_id="demo", kind=Kind.REVIEWER, agent="quiet", idempotency_key=run.id)
    reviewer = await house.engine.sessions.spawn(request, wait="live")
    await house.engine.reviews.resume()
    found = reviews.get(house.engine.world.db.read, run.id)
    assert found is not None
    assert (found.status, found.reviewer_id) == (RunStatus.RUNNING, reviewer.id)


async def test_a_verdict_that_comes_after_the_merge_is_kept_and_not_posted(house: House) -> None:
    _, target = await proposed(house)
    run = await kept(house, target, status=RunStatus.COMPLETE, verdict="approved")
    await house.engine.pull_actions.close(target)
    await house.engine.reviews.resume()
    late = await until_run(house, run.id, RunStatus.CANCELLED)
    assert late.verdict == "approved"
    assert posted(house, url_of(target)) == []


async def test_a_remark_on_a_place_the_forge_doesnt_know_is_said_in_the_text(house: House) -> None:
    worker, target = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    said = (LineComment(path="no/such/file", line=3, body="Where is it?"),)
    await house.engine.reviews.submit(
        worker.id, [approval(run, verdict="changes_requested", comments=said)], caller=None
    )
    await until_run(house, run.id, RunStatus.DELIVERED)
    (review,) = posted(house, url_of(target))
    assert "`no/such/file:3` Where is it?" in review.body


async def test_a_review_that_the_forge_refuses_for_good_reaches_the_worker_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, target = await proposed(house)

    async def refuse(*_: object) -> Review:
        raise AoError("INVALID_REVIEW", "this repository takes no reviews")

    monkeypatch.setattr(house.engine.pulls.forge_of(target), "review", refuse)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    objection = approval(run, verdict="changes_requested", body="It is\x1b[2J wrong.")
    await house.engine.reviews.submit(worker.id, [objection], caller=None)
    delivered = await until_run(house, run.id, RunStatus.DELIVERED)
    assert delivered.failure == "this repository takes no reviews"
    told = await until_told(house, worker.id, "wrong.")
    assert "<<<untrusted" in told.text
    assert "\x1b" not in told.text


async def test_a_review_waits_for_a_forge_that_cant_be_reached(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, target = await proposed(house)
    forge = house.engine.pulls.forge_of(target)
    genuine, asked = forge.review, []

    async def flaky(*arguments: object) -> Review:
        asked.append(arguments)
        if len(asked) == 1:
            raise AoError("SCM_UNAVAILABLE", "no network", details={"retryAfterS": 0.2})
        return await genuine(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(forge, "review", flaky)
    (run,) = (await house.engine.reviews.trigger(worker.id, agent="quiet")).runs
    await house.engine.reviews.submit(worker.id, [approval(run)], caller=None)
    await until_run(house, run.id, RunStatus.DELIVERED)
    assert len(asked) == 2
    assert len(posted(house, url_of(target))) == 1


async def test_a_reviewer_at_work_is_left_alone_until_its_turn_is_over(house: House) -> None:
    worker, _ = await proposed(house)
    (run,) = (await house.engine.reviews.trigger(worker.id)).runs
    delivered = await until_run(house, run.id, RunStatus.DELIVERED)
    reviewer = await ended(house, delivered)
    told = [msgspec.json.decode(change.payload) for change in house.changes if change.session_id == reviewer.id]
    rows = [(row["phase"], row["activity"]) for row in told if "phase" in row]
    end = next(index for index, (phase, _) in enumerate(rows) if phase == "ending")
    assert ("live", "active") in rows
    assert rows[end - 1] == ("live", "idle")

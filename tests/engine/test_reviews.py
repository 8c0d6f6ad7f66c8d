"""Reviews by agents on the local forge: the real demo agent, and reviewers that do less than they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ao.model.project import AutoReview, ProjectConfig, Reviewer
from ao.model.review import ReviewRun, RunStatus
from ao.model.session import Kind
from ao.store import pulls, reviews, sessions
from tests.engine.house import House, refused
from tests.engine.review_scene import (
    approval,
    commit,
    ended,
    posted,
    proposed,
    review_house,
    until,
    until_head,
    until_run,
    until_told,
    url_of,
)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with review_house() as made:
        yield made


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

"""Verdicts: who may give one, how it gets to the forge and the worker, whatever the daemon is killed between."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import msgspec
import pytest

from ao.engine.requests import SpawnRequest
from ao.model.errors import AoError
from ao.model.pull import Review
from ao.model.review import LineComment, RunStatus
from ao.model.review_plan import MARK
from ao.model.session import Kind
from ao.ports.forge import ReviewPost
from ao.store import messages, reviews
from tests.engine.house import House, refused
from tests.engine.review_scene import (
    approval,
    change,
    ended,
    kept,
    posted,
    proposed,
    review_house,
    until_run,
    until_told,
    url_of,
)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with review_house() as made:
        yield made


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

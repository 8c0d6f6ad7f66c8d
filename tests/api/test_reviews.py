"""Reviews over HTTP: the wire's shapes, who may do what, and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from ao.model.project import ProjectConfig, Reviewer
from ao.model.pull import LOCAL, Facts, Observation, PullRef, Repo
from ao.model.session import Kind, Session
from ao.store import pulls
from tests.api.house import SHA, Answer, House

URL = "ao://local/shop/pull/7"
RUN_FIELDS = {
    "id", "reviewId", "sessionId", "harness", "prUrl", "targetSha", "status", "verdict", "body", "githubReviewId",
    "createdAt",
}  # fmt: skip
"""What the original's clients read of every run."""


async def proposed(house: House, *, state: str = "open") -> Session:
    """A worker with a pull request."""
    worker = await house.spawn()
    ref = PullRef(repo=Repo(forge=LOCAL, path="shop"), number=7)
    facts = Facts(url=URL, number=7, repo="local:shop", state=state, title="Shelf", head_sha=SHA)  # type: ignore[arg-type]
    now = house.engine.world.now()
    await house.engine.world.db.write(
        lambda conn: pulls.record(conn, (worker.id, "shop"), ref, Observation(facts=facts), now=now)
    )
    return worker


def path(session: str, rest: str = "") -> str:
    return f"/api/v1/sessions/{session}/reviews{rest}"


async def trigger(house: House, worker: Session, **body: Any) -> Answer:
    return await house.call("POST", path(worker.id, "/trigger"), {"harness": "demo", **body})


async def test_a_review_is_created_once_and_then_found_again(house: House) -> None:
    worker = await proposed(house)
    first = await trigger(house, worker)
    assert first.status == 201, first.body
    run = first.body["review"]
    assert set(run) >= RUN_FIELDS
    assert (run["status"], run["verdict"], run["body"], run["githubReviewId"]) == ("running", "", "", "")
    assert (run["sessionId"], run["harness"], run["prUrl"], run["targetSha"]) == (worker.id, "demo", URL, SHA)
    reviewer = house.engine.sessions.get(run["reviewerId"])
    assert reviewer.kind is Kind.REVIEWER
    assert first.body["reviewerHandleId"] == reviewer.handle
    assert first.body["created"] is True
    again = await trigger(house, worker)
    assert (again.status, again.body["created"], again.body["review"]["id"]) == (200, False, run["id"])


async def test_the_list_shows_where_pull_requests_stand_and_all_runs(house: House) -> None:
    worker = await proposed(house)
    before = (await house.call("GET", path(worker.id))).body
    assert (before["reviewerHandleId"], before["runs"]) == ("", [])
    assert before["reviews"] == [
        {"prUrl": URL, "prNumber": 7, "title": "Shelf", "targetSha": SHA, "status": "needs_review"}
    ]
    run = (await trigger(house, worker)).body["review"]
    after = (await house.call("GET", path(worker.id))).body
    assert [one["id"] for one in after["runs"]] == [run["id"]]
    assert (after["reviewerHandleId"], after["reviewerHarness"]) == (run["reviewerId"], "demo")
    assert after["reviews"][0]["status"] == "running"
    assert after["reviews"][0]["latestRun"] == after["runs"][0]


async def test_an_unknown_session_has_no_reviews_and_gets_none(house: House) -> None:
    assert (await house.call("GET", path("shop-99"))).body == {"reviewerHandleId": "", "reviews": [], "runs": []}
    for rest in ("/trigger", "/cancel"):
        answer = await house.call("POST", path("shop-99", rest))
        assert (answer.status, answer.code) == (404, "REVIEW_NOT_FOUND")


async def test_without_a_body_the_projects_reviewer_reads(house: House) -> None:
    await house.engine.projects.set_config("shop", ProjectConfig(reviewers=[Reviewer(harness="demo")]))
    worker = await proposed(house)
    answer = await house.call("POST", path(worker.id, "/trigger"))
    assert (answer.status, answer.body["review"]["harness"]) == (201, "demo")


async def test_an_agent_that_cant_review_is_refused_with_those_that_can(house: House) -> None:
    worker = await proposed(house)
    answer = await trigger(house, worker, harness="codex")
    assert (answer.status, answer.code) == (422, "REVIEW_INVALID")
    assert answer.body["details"]["agents"] == ["claude-code", "demo"]
    assert (await trigger(house, worker, harness="cdex")).code == "UNKNOWN_HARNESS"


@pytest.mark.parametrize("state", ["draft", "merged", "closed"])
async def test_only_an_open_pull_request_is_reviewed(house: House, state: str) -> None:
    worker = await proposed(house, state=state)
    answer = await trigger(house, worker)
    assert (answer.status, answer.code) == (422, "REVIEW_INVALID")
    assert (await house.call("GET", path(worker.id))).body["reviews"][0]["status"] == "ineligible"


async def test_the_reviewer_hands_in_its_verdict_with_its_own_token(house: House) -> None:
    worker = await proposed(house)
    run = (await trigger(house, worker)).body["review"]
    reviewer = house.engine.sessions.get(run["reviewerId"])
    verdict = {
        "runId": run["id"],
        "verdict": "changes_requested",
        "body": "Not yet.",
        "comments": [{"path": "a.py", "line": 3, "body": "Why?"}],
    }
    for other in (worker, await house.spawn()):
        refused = await house.call("POST", path(worker.id, "/submit"), verdict, headers=house.bearer(other))
        assert (refused.status, refused.code) == (403, "FORBIDDEN")
    answer = await house.call("POST", path(reviewer.id, "/submit"), verdict, headers=house.bearer(reviewer))
    assert answer.status == 200, answer.body
    recorded = answer.body["review"]
    assert (recorded["status"], recorded["verdict"], recorded["body"]) == ("complete", "changes_requested", "Not yet.")
    assert recorded["comments"] == verdict["comments"]
    assert answer.body["reviewerHandleId"] == ""
    assert answer.body["reviews"] == [recorded]
    again = await house.call("POST", path(worker.id, "/submit"), verdict)
    assert again.status == 200
    other_words = await house.call("POST", path(worker.id, "/submit"), {**verdict, "body": "Other."})
    assert (other_words.status, other_words.code) == (422, "REVIEW_INVALID")


async def test_several_verdicts_are_taken_together_or_not_at_all(house: House) -> None:
    worker = await proposed(house)
    run = (await trigger(house, worker)).body["review"]
    good, bad = {"runId": run["id"], "verdict": "approved"}, {"runId": "rev_no", "verdict": "approved"}
    answer = await house.call("POST", path(worker.id, "/submit"), {"reviews": [good, bad]})
    assert (answer.status, answer.code) == (404, "REVIEW_NOT_FOUND")
    assert (await house.call("GET", path(worker.id))).body["runs"][0]["status"] == "running"
    answer = await house.call("POST", path(worker.id, "/submit"), {"reviews": [good]})
    assert [one["verdict"] for one in answer.body["reviews"]] == ["approved"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"runId": ""}, 422, "REVIEW_INVALID"),
        ({"verdict": ""}, 422, "REVIEW_INVALID"),
        ({"verdict": "good"}, 422, "REVIEW_INVALID"),
        ({"verdict": "changes_requested", "body": "  "}, 422, "REVIEW_INVALID"),
        ({"comments": [{"path": "../x", "line": 1, "body": "y"}]}, 422, "REVIEW_INVALID"),
        ({"comments": [{"path": "x", "line": -1, "body": "y"}]}, 400, "INVALID_JSON"),
        ({"runId": "rev_none"}, 404, "REVIEW_NOT_FOUND"),
        ({"extra": 1}, 400, "INVALID_JSON"),
    ],
)
async def test_a_verdict_that_says_too_little_is_refused(
    house: House, fields: dict[str, Any], status: int, code: str
) -> None:
    worker = await proposed(house)
    run = (await trigger(house, worker)).body["review"]
    body = {"runId": run["id"], "verdict": "approved", **fields}
    answer = await house.call("POST", path(worker.id, "/submit"), body)
    assert (answer.status, answer.code) == (status, code), answer.body


async def test_a_review_is_cancelled(house: House) -> None:
    worker = await proposed(house)
    run = (await trigger(house, worker)).body["review"]
    assert (await house.call("POST", path(worker.id, "/cancel"), {"runId": "rev_no"})).code == "REVIEW_NOT_FOUND"
    answer = await house.call("POST", path(worker.id, "/cancel"), {"runId": run["id"]})
    assert [(one["id"], one["status"]) for one in answer.body["cancelled"]] == [(run["id"], "cancelled")]
    assert answer.body["reviews"][0]["status"] == "needs_review"
    assert house.engine.sessions.get(run["reviewerId"]).is_terminated
    assert (await house.call("POST", path(worker.id, "/cancel"))).body["cancelled"] == []


async def test_agents_may_look_at_reviews_and_only_the_orchestrator_starts_and_stops_them(house: House) -> None:
    worker = await proposed(house)
    orchestrator = await house.spawn(kind=Kind.ORCHESTRATOR)
    assert (await house.call("GET", path(worker.id), headers=house.bearer(worker))).status == 200
    for rest in ("/trigger", "/cancel"):
        refused = await house.call("POST", path(worker.id, rest), headers=house.bearer(worker))
        assert (refused.status, refused.code) == (403, "FORBIDDEN")
    body = {"harness": "demo"}
    started = await house.call("POST", path(worker.id, "/trigger"), body, headers=house.bearer(orchestrator))
    assert started.status == 201

"""A session's pull requests over HTTP: its summary, claims, the merge policy; and what forges call back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ao.model.project import ProjectConfig
from tests.api.served import UNIT, Served, refused
from tests.engine.house import opened


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with opened(tmp_path) as house:
        yield Served(house)


async def test_the_summary_of_a_session_says_what_is_in_the_way_and_no_words_of_others(served: Served) -> None:
    await served.house.configure(ProjectConfig(checks=[UNIT]))
    session = await served.worked("broken")
    assert (await served.call("GET", f"/sessions/{session.id}/pr")).body == {"sessionId": session.id, "prs": []}
    await served.call("POST", "/prs", {}, by=session)
    review = {"verdict": "changes_requested", "body": "secret words", "comments": [{"path": "broken", "body": "Why?"}]}
    await served.call("POST", "/prs/1/reviews", review)
    told = await served.until(
        f"/sessions/{session.id}/pr", lambda body: body["prs"][0]["ci"]["state"] == "failing"
    )  # fmt: skip
    (pull,) = told["prs"]
    assert pull["ci"]["failingChecks"] == [{"name": "unit", "status": "failed", "conclusion": "failure"}]
    assert pull["review"]["decision"] == "changes_requested"
    assert pull["review"]["hasUnresolvedHumanComments"] is True
    (waiting,) = pull["review"]["unresolvedBy"]
    assert (waiting["count"], waiting["links"]) == (1, [{"file": "broken"}])
    assert isinstance(pull["mergeability"]["reasons"], list)
    assert any("unit" in obstacle for obstacle in pull["obstacles"])
    text = json.dumps(told)
    assert "secret words" not in text
    assert "broken is here" not in text
    assert not [key for key, value in pull.items() if key.endswith("At") and str(value).startswith("00")]
    assert "ready" not in pull


async def test_claims_are_refused_in_the_order_of_the_contract(served: Served) -> None:
    session = await served.worked()
    claim = f"/sessions/{session.id}/pr/claim"
    await refused("INVALID_JSON", 400, served.call("POST", claim, {"number": 1}))
    await refused("PR_REQUIRED", 400, served.call("POST", "/sessions/none/pr/claim", {"pr": " "}))
    await refused("SESSION_NOT_FOUND", 404, served.call("POST", "/sessions/none/pr/claim", {"pr": "1"}))
    await refused("INVALID_PR_REF", 400, served.call("POST", claim, {"pr": "http://github.com/a/b/pull/1"}))
    elsewhere = {"pr": "https://github.com/a/b/pull/1"}
    await refused("PR_PROJECT_MISMATCH", 422, served.call("POST", claim, elsewhere))
    await refused("PR_NOT_FOUND", 404, served.call("POST", claim, {"pr": "#7"}))
    pull = await served.opened("topic")
    await served.call("POST", f"{pull}/close")
    await refused("PR_NOT_OPEN", 409, served.call("POST", claim, {"pr": "1"}))
    boss = (await served.call("POST", "/orchestrators", {"projectId": "demo"})).body["orchestrator"]["id"]
    await refused("SESSION_NOT_CLAIMABLE", 422, served.call("POST", f"/sessions/{boss}/pr/claim", {"pr": "1"}))
    await served.call("POST", f"/sessions/{session.id}/kill")
    await refused("SESSION_TERMINATED", 409, served.call("POST", claim, {"pr": "1"}))


async def test_a_claim_takes_over_unless_told_otherwise_and_an_agent_takes_nothing(served: Served) -> None:
    session, other = await served.worked("a.txt"), await served.worked("b.txt")
    await served.opened("topic")
    claimed = await served.call("POST", f"/sessions/{session.id}/pr/claim", {"pr": "1", "allowTakeover": None})
    assert claimed.status == 200, claimed.body
    assert (claimed.body["sessionId"], claimed.body["branchChanged"], claimed.body["takenOverFrom"]) == (
        session.id,
        False,
        [],
    )
    assert [pull["number"] for pull in claimed.body["prs"]] == [1]

    claim = f"/sessions/{other.id}/pr/claim"
    kept = await refused(
        "PR_CLAIMED_BY_ACTIVE_SESSION", 409, served.call("POST", claim, {"pr": "1", "allowTakeover": False})
    )
    assert kept["details"] == {"ownerSessionId": session.id}
    asked = await refused("PR_CLAIMED_BY_ACTIVE_SESSION", 409, served.call("POST", claim, {"pr": "1"}, by=other))
    assert "orchestrator" in asked["hint"]
    await refused("FORBIDDEN", 403, served.call("POST", claim, {"pr": "1"}, by=session))
    taken = await served.call("POST", claim, {"pr": "ao://local/demo/pull/1"})
    assert taken.body["takenOverFrom"] == [session.id]
    assert (await served.call("POST", claim, {"pr": "1"}, by=other)).body["takenOverFrom"] == []


async def test_a_session_keeps_or_follows_the_policy_of_its_project(served: Served) -> None:
    session = await served.house.spawn()
    policy = f"/sessions/{session.id}/merge-policy"
    for wanted, ends, source in ((False, False, "session"), (None, True, "project"), (True, True, "session")):
        answer = (await served.call("PATCH", policy, {"terminateOnPrMerge": wanted})).body
        assert (answer["terminateOnPrMerge"], answer["source"]) == (ends, source)
        shown = (await served.call("GET", f"/sessions/{session.id}")).body["session"]
        assert shown["terminateOnPrMerge"] is ends
    await refused("INVALID_JSON", 400, served.call("PATCH", policy, {}))
    await refused("FORBIDDEN", 403, served.call("PATCH", policy, {"terminateOnPrMerge": None}, by=session))
    missing = served.call("PATCH", "/sessions/none/merge-policy", {"terminateOnPrMerge": None})
    await refused("SESSION_NOT_FOUND", 404, missing)


HOOK = json.dumps({"repository": {"html_url": "https://github.com/acme/shop"}, "action": "opened"}).encode()


@pytest.fixture
def secret(served: Served, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configured secret of webhooks."""
    world = served.house.engine.world
    settings = replace(world.settings, webhook_secret="a secret")
    monkeypatch.setattr(served.house.engine.observer, "_world", replace(world, settings=settings))
    return settings.webhook_secret


async def test_a_webhook_is_refused_without_our_secret(served: Served) -> None:
    await refused("WEBHOOK_REFUSED", 401, served.signed(HOOK, secret=""))
    await refused("WEBHOOK_REFUSED", 401, served.call("POST", "/webhooks/github", data=HOOK))


async def test_a_webhook_is_refused_for_a_signature_of_another(served: Served, secret: str) -> None:
    await refused("WEBHOOK_REFUSED", 401, served.signed(HOOK, secret=f"{secret} "))
    await refused("WEBHOOK_REFUSED", 401, served.call("POST", "/webhooks/github", data=HOOK))


async def test_a_webhook_needs_no_token_and_tells_whether_we_know_the_repository(served: Served, secret: str) -> None:
    assert (await served.signed(HOOK, secret=secret)).body == {"ok": True, "known": False}
    assert (await served.signed(b"{}", secret=secret)).body == {"ok": True, "known": False}
    await served.house.engine.projects.remove("demo")
    served.house.git("remote", "add", "origin", "https://github.com/acme/shop.git")
    await served.house.engine.projects.add(str(served.house.repository), project_id="demo")
    assert (await served.signed(HOOK, secret=secret)).body == {"ok": True, "known": True}

"""Pull requests over HTTP: opened, shown, talked about, merged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ao.engine.requests import SpawnRequest
from ao.model.project import ProjectConfig
from tests.api.served import UNIT, Served, refused
from tests.engine.house import opened


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with opened(tmp_path) as house:
        yield Served(house)


async def test_a_persons_pull_request_is_listed_shown_and_diffed(served: Served) -> None:
    assert (await served.call("GET", "/prs")).body == {"prs": []}
    head = served.branch("topic", shelf="one\n")
    body = {"projectId": "demo", "sourceBranch": "topic", "title": " A shelf ", "body": "Look."}
    made = await served.call("POST", "/prs", body)
    pull = made.body["pr"]
    assert made.status == 201
    assert {key: pull[key] for key in ("url", "number", "title", "state", "headSha", "targetBranch", "provider")} == {
        "url": "ao://local/demo/pull/1",
        "number": 1,
        "title": "A shelf",
        "state": "open",
        "headSha": head,
        "targetBranch": "main",
        "provider": "local",
    }
    assert pull["mergeability"] == {"state": "mergeable", "reasons": [], "prUrl": "ao://local/demo/pull/1"}
    assert pull["review"]["decision"] == "none"
    assert pull["obstacles"] == []
    assert "sessionId" not in pull
    (row,) = (await served.call("GET", "/prs?project=demo")).body["prs"]
    assert (row["number"], row["projectId"], row["reviewComments"], row["reasons"]) == (1, "demo", False, [])
    shown = (await served.call("GET", "/prs/1?refresh=true")).body["pr"]
    assert shown["headSha"] == head
    whole = (await served.call("GET", "/prs/1/diff")).body
    assert "+one" in whole["diff"]
    assert whole["truncated"] is False
    cut = (await served.call("GET", "/prs/1/diff?limit=10")).body
    assert cut == {"diff": whole["diff"][:10], "truncated": True}


async def test_what_names_no_pull_request_is_refused(served: Served) -> None:
    await refused("PR_NOT_FOUND", 404, served.call("GET", "/prs/7"))
    await refused("INVALID_PR_REF", 400, served.call("GET", "/prs/seven"))
    await refused("INVALID_PR_REF", 400, served.call("GET", "/prs/1?prUrl=https://example.com/x"))
    await refused("PROJECT_NOT_FOUND", 404, served.call("GET", "/prs/1?projectId=none"))
    await refused("PROJECT_NOT_FOUND", 404, served.call("GET", "/prs?project=none"))
    await refused("INVALID_QUERY", 400, served.call("GET", "/prs?state=some"))
    await refused("PROJECT_ID_REQUIRED", 400, served.call("POST", "/prs", {"sourceBranch": "x"}))
    await refused("INVALID_BRANCH", 400, served.call("POST", "/prs", {"projectId": "demo"}))
    await refused("INVALID_BRANCH", 400, served.call("POST", "/prs", {"projectId": "demo", "sourceBranch": "none"}))
    await refused("INVALID_JSON", 400, served.call("POST", "/prs", {"projectId": "demo", "head": "x"}))


async def test_an_agents_pull_request_needs_nothing_said(served: Served) -> None:
    session = await served.worked()
    made = await served.call("POST", "/prs", {}, by=session)
    pull = made.body["pr"]
    assert made.status == 201
    assert (pull["title"], pull["sourceBranch"], pull["sessionId"]) == ("write a.txt", session.branch, session.id)
    again = await refused("PR_EXISTS", 409, served.call("POST", "/prs", {}, by=session))
    assert again["details"]["number"] == 1
    shown = (await served.call("GET", f"/sessions/{session.id}")).body["session"]
    assert [one["number"] for one in shown["prs"]] == [1]


async def test_an_agent_reads_what_its_project_has_and_acts_on_its_own_only(served: Served) -> None:
    session, other = await served.worked("a.txt"), await served.worked("b.txt")
    assert (await served.call("POST", "/prs", {}, by=session)).status == 201
    assert (await served.call("GET", "/prs/1", by=other)).status == 200
    assert [row["number"] for row in (await served.call("GET", "/prs", by=other)).body["prs"]] == [1]
    for route, body in (
        ("merge", {}),
        ("close", {}),
        ("comments", {"body": "x"}),
        ("reviews", {"verdict": "approved"}),
        ("resolve-comments", {}),
        ("checks/rerun", {}),
    ):
        await refused("FORBIDDEN", 403, served.call("POST", f"/prs/1/{route}", body, by=other))
    await refused("FORBIDDEN", 403, served.call("POST", "/prs", {"sessionId": session.id}, by=other))
    await refused("FORBIDDEN", 403, served.call("GET", "/prs?project=elsewhere", by=other))
    await refused("FORBIDDEN", 403, served.call("POST", "/prs/1/close", {"x": 1}, by=other))
    assert (await served.call("POST", "/prs/1/comments", {"body": "Mine."}, by=session)).status == 201
    (said,) = (await served.call("GET", "/prs/1")).body["pr"]["comments"]
    assert (said["sessionId"], said["body"]) == (session.id, "Mine.")


async def test_a_conversation_is_opened_answered_and_resolved(served: Served) -> None:
    pull = await served.opened("topic", shelf="one\n")
    review = {"verdict": "commented", "body": "Hm.", "comments": [{"path": "shelf", "line": 1, "body": "Two?"}]}
    made = await served.call("POST", f"{pull}/reviews", review)
    assert (made.status, made.body["review"]["state"]) == (201, "commented")
    shown = (await served.call("GET", pull)).body["pr"]
    (thread,) = shown["threads"]
    assert (thread["path"], thread["line"], thread["resolved"]) == ("shelf", 1, False)
    assert [one["body"] for one in thread["comments"]] == ["Two?"]
    assert [one["body"] for one in shown["remarks"]] == ["Hm."]
    assert shown["review"]["unresolvedBy"][0]["links"] == [{"file": "shelf", "line": 1}]

    answered = await served.call("POST", f"{pull}/comments", {"body": "Yes.", "threadId": thread["id"]})
    assert answered.body["comment"]["threadId"] == thread["id"]
    await refused("THREAD_NOT_FOUND", 404, served.call("POST", f"{pull}/comments", {"body": "x", "threadId": "none"}))
    await refused("MESSAGE_REQUIRED", 400, served.call("POST", f"{pull}/comments", {"body": " \n"}))
    await refused("INVALID_JSON", 400, served.call("POST", f"{pull}/comments", {"body": "x" * 65_537}))
    await refused("INVALID_JSON", 400, served.call("POST", f"{pull}/reviews", {"verdict": "perhaps"}))
    nowhere = {**review, "comments": [{"path": "../shelf", "line": 1, "body": "x"}]}
    await refused("INVALID_REVIEW", 422, served.call("POST", f"{pull}/reviews", nowhere))

    resolve = f"{pull}/resolve-comments"
    await refused("THREAD_NOT_FOUND", 404, served.call("POST", resolve, {"commentIds": ["none"]}))
    await refused("INVALID_JSON", 400, served.call("POST", resolve, data=b"{"))
    named = {"commentIds": [answered.body["comment"]["id"]]}
    assert (await served.call("POST", resolve, named)).body == {"ok": True, "resolved": 1}
    await refused("NOTHING_TO_RESOLVE", 422, served.call("POST", resolve))
    assert (await served.call("GET", pull)).body["pr"]["threads"][0]["resolved"] is True


async def test_merging_without_a_body_squashes_what_is_there(served: Served) -> None:
    pull = await served.opened("topic", shelf="one\n")
    await served.call("GET", f"{pull}?refresh=true")
    merged = await served.call("POST", f"{pull}/merge")
    assert merged.body == {
        "ok": True,
        "prNumber": 1,
        "method": "squash",
        "sha": served.house.git("rev-parse", "main"),
    }
    shown = (await served.call("GET", pull)).body["pr"]
    assert (shown["state"], shown["mergeSha"]) == ("merged", merged.body["sha"])
    assert shown["stateChangedAt"] >= shown["createdAt"]
    await refused("PR_PRECONDITIONS_UNMET", 422, served.call("POST", f"{pull}/merge"))
    await refused("PR_NOT_OPEN", 409, served.call("POST", f"{pull}/close"))
    assert (await served.call("GET", "/prs")).body["prs"] == []
    assert [row["state"] for row in (await served.call("GET", "/prs?state=all")).body["prs"]] == ["merged"]


async def test_a_merge_is_guarded_by_the_head_that_was_seen(served: Served) -> None:
    pull = await served.opened("topic", shelf="one\n")
    head = served.house.git("rev-parse", "topic")
    changed = await refused("PR_HEAD_CHANGED", 409, served.call("POST", f"{pull}/merge", {"expectedHeadSha": "0" * 40}))
    assert changed["details"]["headSha"] == head
    await refused("INVALID_REQUEST", 400, served.call("POST", f"{pull}/merge", {"method": "octopus"}))
    await refused("INVALID_JSON", 400, served.call("POST", f"{pull}/merge", {"expectedHead": head}))
    order = {"expectedHeadSha": head, "method": "rebase", "prUrl": "ao://local/demo/pull/1"}
    assert (await served.call("POST", "/prs/1/merge", order)).body["method"] == "rebase"


async def test_a_conflict_is_told_with_its_reasons(served: Served) -> None:
    first = await served.opened("first", README="x\n", **{"README.md": "first\n"})
    second = await served.opened("second", **{"README.md": "second\n"})
    assert (await served.call("POST", f"{first}/merge")).status == 200
    told = await refused("PR_NOT_MERGEABLE", 409, served.call("POST", f"{second}/merge"))
    assert "conflicts" in told["details"]["reasons"]
    shown = (await served.call("GET", second)).body["pr"]
    assert shown["mergeability"]["state"] == "conflicting"
    assert shown["obstacles"][0] == "it conflicts with its base branch"
    assert (await served.call("POST", f"{second}/close")).body == {"ok": True, "prNumber": 2}


async def test_checks_are_shown_with_their_output_and_run_again(served: Served) -> None:
    await served.house.configure(ProjectConfig(checks=[UNIT]))
    session = await served.worked("broken")
    await served.call("POST", "/prs", {}, by=session)
    checks = await served.until("/prs/1/checks", lambda body: body["state"] == "failing")
    (check,) = checks["checks"]
    assert (check["name"], check["status"], check["conclusion"]) == ("unit", "failed", "failure")
    log = (await served.call("GET", "/prs/1/checks/log?name=unit", by=session)).body
    assert log == {"name": "unit", "log": "error: broken is here\n"}
    unknown = await refused("INVALID_QUERY", 400, served.call("GET", "/prs/1/checks/log?name=lint"))
    assert "unit" in unknown["hint"]
    await refused("INVALID_QUERY", 400, served.call("GET", "/prs/1/checks/log"))
    assert (await served.call("POST", "/prs/1/checks/rerun", by=session)).body == {"ok": True, "prNumber": 1}

    told = await served.until(f"/sessions/{session.id}/nudges", lambda body: bool(body["nudges"]))
    (nudge,) = told["nudges"]
    assert (nudge["cause"], nudge["round"], nudge["prUrl"]) == ("ci", 1, "ao://local/demo/pull/1")
    assert (await served.call("GET", f"/sessions/{session.id}/nudges", by=session)).status == 200
    await refused("SESSION_NOT_FOUND", 404, served.call("GET", "/sessions/demo-99/nudges"))


async def test_checks_that_nobody_configured_cannot_be_run_again(served: Served) -> None:
    pull = await served.opened("topic")
    await refused("CHECKS_NOT_CONFIGURED", 422, served.call("POST", f"{pull}/checks/rerun"))
    assert (await served.call("GET", f"{pull}/checks")).body["checks"] == []


async def test_a_number_that_two_projects_have_must_be_told_apart(served: Served) -> None:
    session = await served.worked()
    await served.call("POST", "/prs", {}, by=session)
    second = served.house.path / "second"
    served.house.git("clone", "-q", str(served.house.repository), str(second), where=served.house.path)
    await served.house.engine.projects.add(str(second), project_id="second")
    twin = await served.house.engine.sessions.spawn(SpawnRequest(project_id="second", agent="demo"), wait="live")
    served.house.git("-c", "user.name=T", "-c", "user.email=t@localhost", "commit", "-q", "--allow-empty", "-m", "x",
                     where=twin.workspace_path)  # fmt: skip
    assert (await served.call("POST", "/prs", {}, by=twin)).status == 201
    told = await refused("PR_AMBIGUOUS", 409, served.call("GET", "/prs/1"))
    assert {one["projectId"] for one in told["details"]["candidates"]} == {"demo", "second"}
    assert (await served.call("GET", "/prs/1?projectId=second")).body["pr"]["sessionId"] == twin.id
    assert (await served.call("GET", "/prs/1?prUrl=ao://local/demo/pull/1")).body["pr"]["sessionId"] == session.id
    assert (await served.call("GET", "/prs/1", by=twin)).body["pr"]["projectId"] == "second"
    await refused("PR_NOT_FOUND", 404, served.call("GET", "/prs/1?prUrl=ao://local/demo/pull/1", by=twin))
    closed = await served.call("POST", "/prs/1/close?projectId=demo")
    assert closed.body == {"ok": True, "prNumber": 1}

"""The session routes: names, types, presence of fields, and what is passed to the engine."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest

from ao.api import session_wire
from ao.api.wire import TIME_PATTERN
from ao.model.session import Kind
from tests.api.house import House, within

ALWAYS = {
    "id",
    "projectId",
    "kind",
    "harness",
    "activity",
    "isTerminated",
    "createdAt",
    "updatedAt",
    "status",
    "phase",
    "prs",
    "evidence",
    "mode",
    "isPinned",
    "terminateOnPrMerge",
}


async def test_a_spawn_answers_the_living_session(house: House) -> None:
    answer = await house.call(
        "POST",
        "/api/v1/sessions",
        {"projectId": "shop", "prompt": "h\u00e9llo", "issueId": "42", "displayName": " A "},
    )
    assert answer.status == 201
    session = answer.body["session"]
    assert set(session) >= ALWAYS
    assert session["id"] == session["terminalHandleId"] == "shop-1"
    assert session["branch"] == "ao/shop-1/root"
    assert (session["phase"], session["kind"], session["harness"]) == ("live", "worker", "demo")
    assert (session["issueId"], session["displayName"]) == ("42", "A")
    assert session["base"]["sha"].startswith("0123")
    assert isinstance(session["base"]["age"], int)
    assert session["isTerminated"] is session["isPinned"] is False
    assert session["terminateOnPrMerge"] is True
    assert (session["prs"], session["mode"]) == ([], "tui")
    for moment in (session["createdAt"], session["updatedAt"], session["activity"]["lastActivityAt"]):
        assert re.fullmatch(TIME_PATTERN, moment)
    assert session["evidence"][0]["fact"] == "activity"
    assert not {"failure", "preserved", "exitCode", "scmStatus", "warnings"} & set(session)
    assert answer.body["promptBytes"] == 6
    launch = house.runtime.launches[0]
    assert launch.env["AO_TOKEN"] == house.secrets.session_token("shop-1", 1)
    assert answer.body["systemPromptBytes"] > 100


async def test_seeded_answers_at_once_and_the_phases_can_be_followed(house: House) -> None:
    house.workspaces.gate = asyncio.Event()
    answer = await house.call("POST", "/api/v1/sessions?wait=seeded", {"projectId": "shop"})
    assert (answer.status, answer.body["session"]["phase"]) == (201, "seeded")
    assert "terminalHandleId" not in answer.body["session"]
    seen = await house.call("GET", "/api/v1/sessions/shop-1?phaseNot=seeded")
    assert seen.body["session"]["phase"] == "workspace"
    waiting = asyncio.create_task(house.call("GET", "/api/v1/sessions/shop-1?phaseNot=workspace"))
    house.workspaces.gate.set()
    assert (await within(10, waiting)).body["session"]["phase"] in ("launched", "live")
    known = await house.call("GET", "/api/v1/sessions/shop-1?phaseNot=ended")
    assert known.status == 200


async def test_waiting_for_the_phase_of_a_session_that_vanishes_is_404(house: House) -> None:
    assert (await house.call("GET", "/api/v1/sessions/shop-9?phaseNot=live")).code == "SESSION_NOT_FOUND"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "PROJECT_ID_REQUIRED"),
        ({"projectId": "nope"}, 404, "PROJECT_NOT_FOUND"),
        ({"projectId": "shop", "kind": "boss"}, 400, "INVALID_KIND"),
        ({"projectId": "shop", "harness": "zzz"}, 400, "UNKNOWN_HARNESS"),
        ({"projectId": "shop", "permissions": "root"}, 400, "INVALID_PERMISSIONS"),
        ({"projectId": "shop", "prompt": "x" * 65_537}, 400, "PROMPT_TOO_LONG"),
        ({"projectId": "shop", "displayName": "x" * 121}, 400, "DISPLAY_NAME_TOO_LONG"),
        ({"projectId": "shop", "prompt": 1}, 400, "INVALID_JSON"),
    ],
)
async def test_a_bad_spawn_is_refused_and_leaves_nothing(
    house: House, body: dict[str, object], status: int, code: str
) -> None:
    answer = await house.call("POST", "/api/v1/sessions", body)
    assert (answer.status, answer.code) == (status, code)
    assert (await house.call("GET", "/api/v1/sessions")).body["sessions"] == []


async def test_the_same_idempotency_key_spawns_once(house: House) -> None:
    keyed = {**house.user, "Idempotency-Key": "k1"}
    first = await house.call("POST", "/api/v1/sessions", {"projectId": "shop"}, headers=keyed)
    again = await house.call("POST", "/api/v1/sessions", {"projectId": "shop"}, headers=keyed)
    assert first.body["session"]["id"] == again.body["session"]["id"]
    other = await house.call("POST", "/api/v1/sessions", {"projectId": "shop", "prompt": "x"}, headers=keyed)
    assert (other.status, other.code) == (409, "IDEMPOTENCY_KEY_REUSED")


async def test_text_without_a_utf8_form_is_refused_or_replaced_never_a_bug(house: House) -> None:
    keyed = {**house.user, "Idempotency-Key": "\udcff"}
    assert (await house.call("POST", "/api/v1/sessions", {"projectId": "shop"}, headers=keyed)).status in (201, 400)
    for body in (b'{"projectId":"shop","prompt":"\\ud800"}', b'{"projectId":"\\u0000","issueId":"\\udc00"}'):
        answer = await house.call("POST", "/api/v1/sessions", data=body)
        assert (answer.status, answer.code) == (400, "INVALID_JSON")
    for path in ("/api/v1/sessions/%00", "/api/v1/sessions/%FF", "/api/v1/sessions/%ED%A0%80/messages"):
        assert (await house.call("GET", path)).status == 404


async def test_the_list_is_filtered_counted_and_paged(house: House) -> None:
    await house.project("other")
    leader = await house.spawn(kind=Kind.ORCHESTRATOR)
    workers = [await house.spawn() for _ in range(3)]
    await house.spawn("other")
    await house.engine.sessions.kill(workers[0].id)

    async def ids(query: str) -> list[str]:
        return [item["id"] for item in (await house.call("GET", f"/api/v1/sessions{query}")).body["sessions"]]

    assert await ids("") == ["other-1", "shop-1", "shop-2", "shop-3", "shop-4"]
    assert await ids("?project=shop&active=true") == ["shop-1", "shop-3", "shop-4"]
    assert await ids("?active=false") == ["shop-2"]
    assert await ids("?fresh=1") == ["other-1", "shop-1", "shop-3", "shop-4"]
    assert await ids("?active=false&fresh=true") == []
    assert await ids("?orchestratorOnly=t") == [leader.id]
    assert await ids("?kind=worker&project=other") == ["other-1"]
    assert await ids("?project=nope") == []
    hidden = (await house.call("GET", "/api/v1/sessions?project=shop&active=true")).body["meta"]
    assert hidden == {"hiddenTerminatedCount": 1}
    first = (await house.call("GET", "/api/v1/sessions?limit=2")).body
    assert [item["id"] for item in first["sessions"]] == ["other-1", "shop-1"]
    rest = (await house.call("GET", f"/api/v1/sessions?limit=9&cursor={first['meta']['nextCursor']}")).body
    assert [item["id"] for item in rest["sessions"]] == ["shop-2", "shop-3", "shop-4"]
    assert "nextCursor" not in rest["meta"]
    assert (await house.call("GET", "/api/v1/sessions?cursor=x")).code == "INVALID_QUERY"
    assert (await house.call("GET", "/api/v1/sessions?active=maybe")).code == "INVALID_QUERY"


async def test_an_unchanged_list_is_304_and_a_changed_one_is_not(house: House) -> None:
    session = await house.spawn()
    first = await house.call("GET", "/api/v1/sessions")
    tagged = {**house.user, "If-None-Match": first.headers["etag"]}
    same = await house.call("GET", "/api/v1/sessions", headers=tagged)
    assert (same.status, same.raw, same.headers["etag"]) == (304, b"", first.headers["etag"])
    other = await house.call("GET", "/api/v1/sessions?active=true", headers=tagged)
    assert other.status == 200
    await house.call("PATCH", f"/api/v1/sessions/{session.id}", {"displayName": "new"})
    changed = await house.call("GET", "/api/v1/sessions", headers=tagged)
    assert changed.status == 200
    assert changed.body["sessions"][0]["displayName"] == "new"


async def test_one_and_listed_sessions_look_the_same(house: House) -> None:
    session = await house.spawn()
    one = (await house.call("GET", f"/api/v1/sessions/{session.id}")).body["session"]
    listed = (await house.call("GET", "/api/v1/sessions")).body["sessions"][0]
    assert one == listed
    assert msgspec.convert(one, session_wire.Session).id == session.id


async def test_rename_trims_and_answers_what_is_stored(house: House) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}"
    answer = await house.call("PATCH", path, {"displayName": " Fix it "})
    assert answer.body == {"ok": True, "sessionId": session.id, "displayName": "Fix it"}
    assert (await house.call("PATCH", path, {"displayName": " "})).code == "DISPLAY_NAME_REQUIRED"
    assert (await house.call("PATCH", "/api/v1/sessions/shop-9", {"displayName": " "})).code == "DISPLAY_NAME_REQUIRED"
    assert (await house.call("PATCH", "/api/v1/sessions/shop-9", {"displayName": "x"})).status == 404


async def test_kill_says_what_is_gone_and_what_stays(house: House) -> None:
    clean, dirty = await house.spawn(), await house.spawn()
    house.workspaces.dirty.add(dirty.id)
    gone = await house.call("POST", f"/api/v1/sessions/{clean.id}/kill", {})
    assert gone.body["ok"] is gone.body["freed"] is True
    assert "preserved" not in gone.body
    stays = (await house.call("POST", f"/api/v1/sessions/{dirty.id}/kill", {})).body
    assert "freed" not in stays
    assert stays["preserved"]["reason"] == "1 untracked file: x"
    assert stays["branch"] == {"name": f"ao/{dirty.id}/root", "kept": True}
    shown = (await house.call("GET", f"/api/v1/sessions/{dirty.id}")).body["session"]
    assert shown["isTerminated"] is True
    assert shown["preserved"] == stays["preserved"]
    forced = (await house.call("POST", f"/api/v1/sessions/{dirty.id}/kill?force=true")).body
    assert forced["freed"] is True
    assert (await house.call("POST", "/api/v1/sessions/shop-9/kill", {})).code == "SESSION_NOT_FOUND"


async def test_kill_can_answer_as_soon_as_the_agent_is_gone(house: House) -> None:
    session = await house.spawn()
    answer = await house.call("POST", f"/api/v1/sessions/{session.id}/kill?wait=agent", {})
    assert (answer.status, answer.body["ok"]) == (200, True)


async def test_restore_says_how(house: House) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}/restore"
    assert (await house.call("POST", path, {})).code == "SESSION_NOT_RESTORABLE"
    await house.engine.sessions.kill(session.id)
    answer = await house.call("POST", path, {})
    assert answer.status == 200
    assert answer.body["session"]["phase"] == "live"
    assert answer.body["restoreMode"] in ("native", "saved_prompt", "fresh")
    assert (await house.call("POST", "/api/v1/sessions/shop-9/restore", {})).status == 404


async def test_rollback_of_a_living_session_tears_it_down(house: House) -> None:
    session = await house.spawn()
    answer = await house.call("POST", f"/api/v1/sessions/{session.id}/rollback", {})
    assert answer.body == {"ok": True, "sessionId": session.id, "killed": True}
    assert (await house.call("POST", "/api/v1/sessions/shop-9/rollback", {})).status == 404


async def test_cleanup_reports_and_a_dry_run_changes_nothing(house: House) -> None:
    session = await house.spawn()
    house.workspaces.dirty.add(session.id)
    await house.engine.sessions.kill(session.id)
    dry = await house.call("POST", "/api/v1/sessions/cleanup?dryRun=true", {})
    assert dry.body["dryRun"] is True
    assert dry.body["skipped"] == [{"sessionId": session.id, "reason": "1 untracked file: x"}]
    house.workspaces.dirty.clear()
    done = await house.call("POST", "/api/v1/sessions/cleanup?project=shop", {})
    assert done.body == {"ok": True, "cleaned": [session.id], "skipped": []}
    again = await house.call("POST", "/api/v1/sessions/cleanup", {})
    assert again.body["cleaned"] == []


async def test_pull_requests_attach_and_output_of_a_session(house: House) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}"
    assert (await house.call("GET", f"{path}/pr")).body == {"sessionId": session.id, "prs": []}
    attach = (await house.call("GET", f"{path}/attach")).body
    assert attach["argv"][-1] == f"={session.id}"
    assert "-r" in attach["readOnlyArgv"]
    assert (await house.call("GET", f"{path}/output?lines=7")).body["output"] == f"{session.id} 7\n"
    assert (await house.call("GET", f"{path}/output?lines=10001")).code == "INVALID_QUERY"
    await house.engine.sessions.kill(session.id)
    assert (await house.call("GET", f"{path}/attach")).code == "SESSION_TERMINATED"
    assert (await house.call("GET", f"{path}/output")).body["output"] == ""


async def test_send_answers_the_sanitised_message_and_queues_it_once(house: House) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}"
    sent = (await house.call("POST", f"{path}/send", {"message": "go on\x1b[31m", "idempotencyKey": "k"})).body
    assert (sent["ok"], sent["sessionId"], sent["message"]) == (True, session.id, "go on[31m")
    again = (await house.call("POST", f"{path}/send", {"message": "go on\x1b[31m", "idempotencyKey": "k"})).body
    assert again["messageId"] == sent["messageId"]
    listed = (await house.call("GET", f"{path}/messages")).body["messages"]
    assert [item["text"] for item in listed] == ["go on[31m"]
    assert {"id", "sessionId", "source", "text", "state", "attempts", "createdAt", "updatedAt"} <= set(listed[0])
    for message, code in (("", "MESSAGE_REQUIRED"), ("\x00", "MESSAGE_REQUIRED"), ("x" * 65_537, "MESSAGE_TOO_LONG")):
        assert (await house.call("POST", f"{path}/send", {"message": message})).code == code
    assert (await house.call("POST", "/api/v1/sessions/shop-9/send", {"message": "x"})).status == 404
    await house.engine.sessions.kill(session.id)
    assert (await house.call("POST", f"{path}/send", {"message": "x"})).code == "SESSION_TERMINATED"


async def test_activity_is_a_state_or_an_agents_event(house: House) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}"
    for state in ("active", "idle", "waiting_input", "blocked", "exited"):
        answer = await house.call("POST", f"{path}/activity", {"state": state})
        assert answer.body == {"ok": True, "sessionId": session.id, "state": state}
    shown = (await house.call("GET", path)).body["session"]
    assert (shown["activity"]["state"], shown["status"]) == ("exited", "exited")
    event = {"agent": "demo", "event": "user-prompt-submit", "payload": {}, "seq": 5, "bootId": "b"}
    assert (await house.call("POST", f"{path}/activity", event)).body["state"] == "active"
    assert (await house.call("GET", path)).body["session"]["status"] == "working"
    for body in ({}, {"state": "asleep"}):
        assert (await house.call("POST", f"{path}/activity", body)).code == "INVALID_ACTIVITY_STATE"
    unknown = await house.call("POST", f"{path}/activity", {"event": "no-such-event", "agent": "demo"})
    assert unknown.body == {"ok": True, "sessionId": session.id}
    missing = await house.call("POST", "/api/v1/sessions/shop-9/activity", {"state": "idle"})
    assert missing.code == "SESSION_NOT_FOUND"


async def test_an_http_hook_takes_the_agents_own_payload(house: House) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}"
    payload = {"session_id": "native-1", "hook_event_name": "UserPromptSubmit", "prompt": "x" * (2 << 20)}
    hook = f"{path}/hooks/claude-code/user-prompt-submit"
    answer = await house.call("POST", hook, data=msgspec.json.encode(payload))
    assert (answer.status, answer.body["state"]) == (200, "active")
    late = {"agent": "claude-code", "event": "stop", "payload": {}, "seq": 1, "bootId": _boot_id()}
    await house.call("POST", f"{path}/activity", late)
    assert (await house.call("GET", path)).body["session"]["activity"]["state"] == "active"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"session_id":"native-1","tool_response":"cut in an emoji \\ud83d"}',
        b'{"session_id":"native-1","tool_name":"\\udc00"}',
        b'{"session_id":"native-1","n":NaN,"big":1e999,"huge":123456789012345678901234567890}',
        b'{"session_id":"native-1","text":"\xff\xfe and\ta tab"}',
        b"null",
    ],
)
async def test_a_payload_that_is_almost_json_loses_no_report(house: House, payload: bytes) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}"
    answer = await house.call("POST", f"{path}/hooks/claude-code/pre-tool-use", data=payload)
    assert (answer.status, answer.body["state"]) == (200, "active")
    assert (await house.call("GET", path)).body["session"]["activity"]["state"] == "active"


@pytest.mark.parametrize("payload", [b"[]", b"{", b'"x"', b"{}x", b'{"a":' * 5_000])
async def test_a_payload_that_is_no_object_is_refused(house: House, payload: bytes) -> None:
    session = await house.spawn()
    answer = await house.call("POST", f"/api/v1/sessions/{session.id}/hooks/claude-code/stop", data=payload)
    assert (answer.status, answer.code) == (400, "INVALID_JSON")


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


async def test_orchestrators_are_ensured_listed_and_read(house: House) -> None:
    worker = await house.spawn()
    assert (await house.call("GET", "/api/v1/orchestrators")).body["sessions"] == []
    made = await house.call("POST", "/api/v1/orchestrators", {"projectId": "shop"})
    assert made.status == 201
    reference = made.body["orchestrator"]
    assert reference == {"id": "shop-2", "projectId": "shop", "projectName": "shop"}
    same = await house.call("POST", "/api/v1/orchestrators", {"projectId": "shop", "clean": False})
    assert (same.status, same.body["orchestrator"]) == (200, reference)
    replaced = await house.call("POST", "/api/v1/orchestrators", {"projectId": "shop", "clean": True})
    assert (replaced.status, replaced.body["orchestrator"]["id"]) == (201, "shop-3")
    listed = (await house.call("GET", "/api/v1/orchestrators")).body["sessions"]
    assert [item["id"] for item in listed] == ["shop-2", "shop-3"]
    assert (await house.call("GET", "/api/v1/orchestrators/shop-3")).body["session"]["kind"] == "orchestrator"
    assert (await house.call("GET", f"/api/v1/orchestrators/{worker.id}")).code == "SESSION_NOT_FOUND"
    assert (await house.call("POST", "/api/v1/orchestrators", {})).code == "PROJECT_ID_REQUIRED"
    assert (await house.call("POST", "/api/v1/orchestrators", {"projectId": "nope"})).code == "PROJECT_NOT_FOUND"


async def test_the_list_comes_as_text_on_demand(house: House) -> None:
    first = await house.spawn()
    await house.engine.sessions.kill(first.id)
    second = await house.spawn()
    answer = await house.call("GET", "/api/v1/sessions?active=true&kind=worker&format=text")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "etag" not in answer.headers
    lines = answer.raw.decode().splitlines()
    assert lines[0] == "shop:"
    assert lines[1].startswith(f"  {second.id}  (")
    assert lines[2] == "1 terminated session hidden. Use --include-terminated to show."
    refused = await house.call("GET", "/api/v1/sessions?format=xml")
    assert (refused.status, refused.code) == (400, "INVALID_QUERY")

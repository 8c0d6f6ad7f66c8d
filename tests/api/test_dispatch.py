"""What every route has in common: routing, types, limits, ids, the envelope."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest

from ao.engine.requests import SpawnRequest
from tests.api.house import Answer, House, opened, within


async def test_an_unknown_path_is_404_in_the_envelope_also_outside_the_api(house: House) -> None:
    for path in ("/", "/api/v1/nothing", "/api/v1/sessions/", "//healthz", "/healthz/", "/api/v1/sessions//send"):
        answer = await house.call("GET", path)
        assert (answer.status, answer.code) == (404, "ROUTE_NOT_FOUND"), path
        assert answer.body["error"] == "not_found"
        assert answer.body["requestId"] == answer.headers["x-request-id"]


async def test_a_wrong_method_names_the_right_ones(house: House) -> None:
    for method, path, allowed in (
        ("PUT", "/api/v1/sessions", "GET, HEAD, POST"),
        ("GET", "/shutdown", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/api/v1/agents", "GET, HEAD"),
        ("DELETE", "/api/v1/sessions/cleanup", "GET, HEAD, PATCH, POST"),
    ):
        headers = house.user if path != "/healthz" else {}
        answer = await house.call(method, path, headers=headers)
        assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED"), path
        assert answer.headers["allow"] == allowed


async def test_head_answers_every_get_without_a_body(house: House) -> None:
    for path in ("/healthz", "/api/v1/sessions", "/api/v1/projects/shop", "/api/v1/events", "/api/v1/openapi.json"):
        answer = await house.call("HEAD", path)
        assert (answer.status, answer.raw) == (200, b""), path


async def test_a_literal_path_wins_and_the_pattern_serves_its_other_methods(house: House) -> None:
    assert (await house.call("POST", "/api/v1/sessions/cleanup", {})).body["cleaned"] == []
    assert (await house.call("GET", "/api/v1/sessions/cleanup")).code == "SESSION_NOT_FOUND"


@pytest.mark.parametrize("path", ["/api/v1/projects/a%2Fb", "/api/v1/projects/..", "/api/v1/projects/%2E%2E"])
async def test_an_escaped_slash_never_becomes_one(house: House, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.secrets.token}\r\n\r\n".encode()
    )
    head = await within(5, reader.readuntil(b"\r\n\r\n"))
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in head.split(b"\r\n")[0]


async def test_a_short_printable_request_id_is_taken_over(house: House) -> None:
    answer = await house.call("GET", "/api/v1/nothing", headers={**house.user, "X-Request-Id": "abc/42"})
    assert answer.headers["x-request-id"] == answer.body["requestId"] == "abc/42"
    for bad in ("a b", "x" * 65, "\u00e9"):
        answer = await house.call("GET", "/healthz", headers={"X-Request-Id": bad})
        assert answer.headers["x-request-id"] not in ("", bad)


async def test_request_ids_differ(house: House) -> None:
    found = {(await house.call("GET", "/healthz")).headers["x-request-id"] for _ in range(5)}
    assert len(found) == 5


async def test_a_body_needs_its_type(house: House) -> None:
    for path in ("/api/v1/sessions", "/api/v1/sessions/shop-1/kill"):
        answer = await house.call("POST", path, data=b"{}", headers={**house.user, "Content-Type": "text/plain"})
        assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert answer.body["error"] == "unsupported_media_type"
    packed = {**house.user, "Content-Encoding": "gzip"}
    assert (await house.call("POST", "/api/v1/sessions", data=b"{}", headers=packed)).status == 415
    typed = {**house.user, "Content-Type": "Application/JSON; charset=utf-8"}
    assert (await house.call("POST", "/api/v1/sessions", data=b"{}", headers=typed)).code == "PROJECT_ID_REQUIRED"


async def test_a_body_over_the_limit_is_413_whether_announced_or_not(house: House) -> None:
    large = b'{"projectId":"' + b"x" * (1 << 20) + b'"}'
    announced = await house.call("POST", "/api/v1/sessions", data=large)
    assert (announced.status, announced.code) == (413, "PAYLOAD_TOO_LARGE")
    assert announced.body["details"]["limit"] == 1 << 20
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    head = f"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.secrets.token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    for start in range(0, len(large), 1 << 16):
        piece = large[start : start + (1 << 16)]
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    answer = await within(5, reader.readuntil(b"\r\n\r\n"))
    writer.close()
    assert b" 413 " in answer.split(b"\r\n")[0]


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    head = f"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.secrets.token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode())
    assert b"100 Continue" in await within(5, reader.readuntil(b"\r\n\r\n"))
    writer.write(b"{}")
    assert b" 400 " in (await within(5, reader.readuntil(b"\r\n\r\n"))).split(b"\r\n")[0]
    writer.close()
    await writer.wait_closed()


async def test_what_is_not_http_gets_the_envelope_too(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
    answer = await within(5, reader.read())
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    told = msgspec.json.decode(body)
    assert told["code"] == "INVALID_REQUEST"
    assert f"X-Request-Id: {told['requestId']}".encode() in head.split(b"\r\n")


@pytest.mark.parametrize("head", ["GET /{long} HTTP/1.1", "GET /healthz HTTP/1.1\r\nX-Long: {long}"])
async def test_a_head_that_is_too_long_is_called_so(house: House, head: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    writer.write(f"{head.format(long='a' * 20_000)}\r\nHost: localhost\r\n\r\n".encode())
    answer = await within(5, reader.read())
    writer.close()
    await writer.wait_closed()
    assert b" 431 " in answer.split(b"\r\n")[0]
    assert "too long" in msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["message"]


async def test_a_bug_is_500_logged_once_with_its_cause_and_the_request_id(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("the cause")

    monkeypatch.setattr(house.engine.projects, "list", broken)
    with caplog.at_level(logging.INFO, logger="ao"):
        answer = await house.call("GET", "/api/v1/projects", headers={**house.user, "X-Request-Id": "r-1"})
    assert (answer.status, answer.code, answer.body["error"]) == (500, "INTERNAL_ERROR", "internal")
    assert "the cause" not in answer.raw.decode()
    assert answer.body["requestId"] == "r-1"
    told = [record for record in caplog.records if record.exc_info]
    assert len(told) == 1
    assert told[0].exc_info is not None
    assert str(told[0].exc_info[1]) == "the cause"


async def test_a_late_command_is_504_and_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path, {"AO_REQUEST_TIMEOUT": "50ms"}) as house:
        await house.project()
        house.workspaces.gate = asyncio.Event()
        answer = await house.call("POST", "/api/v1/sessions", {"projectId": "shop"})
        assert (answer.status, answer.code, answer.body["error"]) == (504, "REQUEST_TIMEOUT", "timeout")
        assert answer.body["details"] == {"sessionId": "shop-1"}
        reader = house.feed.subscribe(session="shop-1")
        house.workspaces.gate.set()
        while (session := house.engine.sessions.get("shop-1")).phase != "live":
            await within(10, reader.batch())
        assert session.launches == 1


async def test_a_late_answer_names_the_session_it_is_about(tmp_path: Path) -> None:
    async with opened(tmp_path, {"AO_REQUEST_TIMEOUT": "300ms"}) as house:
        await house.project()
        session = await house.spawn()
        await house.engine.sessions.kill(session.id)
        house.workspaces.gate = asyncio.Event()
        answer = await house.call("POST", f"/api/v1/sessions/{session.id}/restore", {})
        assert (answer.status, answer.body["details"]) == (504, {"sessionId": session.id})


async def test_h13_a_client_that_leaves_does_not_end_its_command(house: House) -> None:
    house.workspaces.gate = asyncio.Event()
    reader = house.feed.subscribe()
    with pytest.raises(TimeoutError):
        await within(0.2, house.call("POST", "/api/v1/sessions", {"projectId": "shop"}))
    house.workspaces.gate.set()
    async with asyncio.timeout(10):
        while house.engine.sessions.get("shop-1").phase != "live":
            await reader.batch()


async def test_a_command_with_a_bug_is_answered_like_any_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(request: SpawnRequest, *, wait: str) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(house.engine.sessions, "spawn", broken)
    answer: Answer = await house.call("POST", "/api/v1/sessions", {"projectId": "shop"})
    assert (answer.status, answer.code) == (500, "INTERNAL_ERROR")


async def test_health_needs_nothing_and_says_who_answers(house: House) -> None:
    health = await house.call("GET", "/healthz", headers={})
    ready = await house.call("GET", "/readyz", headers={})
    assert health.body["status"] == "ok"
    assert ready.body["status"] == "ready"
    assert health.headers["content-type"] == "application/json; charset=utf-8"
    for body in (health.body, ready.body):
        assert body["service"] == "agent-orchestrator-daemon"
        assert isinstance(body["pid"], int)
        assert body["executablePath"].endswith("/ao")
        assert body["workingDirectory"].startswith("/")
        assert body["dataDir"] == str(house.path / ".ao" / "data")
    assert "spawn-wait-seeded" in ready.body["capabilities"]

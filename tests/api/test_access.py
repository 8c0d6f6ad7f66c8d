"""Who may call: Host, Origin, token, scope, in that order, on every route."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ao.api.access import Secrets, ensure_secrets
from ao.api.dispatch import OPEN_PATHS
from ao.api.routes import OPERATIONS
from ao.model.errors import AoError
from ao.model.session import Kind
from tests.api.house import House, opened

EVERY = [(operation.method, operation.path.replace("{", "").replace("}", "")) for operation in OPERATIONS]
GUARDED = [pair for pair in EVERY if pair[1] not in OPEN_PATHS]


async def _raw(house: House, text: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    try:
        writer.write(text.encode("latin-1"))
        await writer.drain()
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            return (head + await reader.readexactly(length)).decode()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_s1_a_page_of_another_site_is_refused_on_every_route_and_method(house: House) -> None:
    for method, path in EVERY:
        for origin in ("http://evil.example", "null", "http://localhost:9"):
            answer = await house.call(method, path, headers={**house.user, "Origin": origin})
            assert (answer.status, answer.code) == (403, "ORIGIN_FORBIDDEN"), (method, path, origin)
            assert "access-control-allow-origin" not in answer.headers


async def test_s1_a_preflight_of_another_site_is_refused(house: House) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await house.call("OPTIONS", "/api/v1/sessions", headers=asked)
    assert answer.status == 403


async def test_s2_a_request_without_origin_needs_a_token_on_every_route(house: House) -> None:
    for method, path in GUARDED:
        answer = await house.call(method, path, headers={})
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3001", "localhost.evil.example", "127.0.0.1.evil.x", "", "10.0.0.1", "a b"]
)
async def test_s3_a_foreign_host_is_misdirected_on_every_route(house: House, host: str) -> None:
    for method, path in EVERY:
        answer = await _raw(house, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n")
        assert answer.startswith("HTTP/1.1 421 "), (method, path, answer)
        assert "HOST_FORBIDDEN" in answer


async def test_s3_a_request_without_host_is_misdirected(house: House) -> None:
    assert "421" in await _raw(house, "GET /healthz HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.2:80", "[::1]:3001", "[::1]"])
async def test_loopback_names_are_ours_whatever_the_port(house: House, host: str) -> None:
    assert (await _raw(house, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")).startswith("HTTP/1.1 200 ")


async def test_a_configured_host_is_ours(tmp_path: Path) -> None:
    async with opened(tmp_path, {"AO_ALLOWED_HOSTS": "box.lan, Other"}) as house:
        for host, status in (("box.lan:3001", "200"), ("other", "200"), ("box.lan.evil", "421")):
            assert status in (await _raw(house, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"))[:16]


async def test_s4_the_listener_is_on_the_loopback_only(house: House) -> None:
    listener = house.server._socket
    assert listener is not None
    assert listener.getsockname()[0] == "127.0.0.1"


async def test_s4_tokens_and_key_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    secrets = ensure_secrets(str(tmp_path / "d"))
    for name in ("token", "auth.key"):
        assert stat.S_IMODE(os.stat(tmp_path / "d" / name).st_mode) == 0o600
    assert (tmp_path / "d" / "token").read_text() == secrets.token + "\n"
    (tmp_path / "d" / "token").chmod(0o644)
    assert ensure_secrets(str(tmp_path / "d")) == secrets
    assert stat.S_IMODE(os.stat(tmp_path / "d" / "token").st_mode) == 0o600


def test_a_spoilt_token_file_is_refused_not_used(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(AoError, match="64 hex digits"):
        ensure_secrets(str(tmp_path))


async def test_the_own_page_and_configured_origins_may_call(tmp_path: Path) -> None:
    async with opened(tmp_path, {"AO_ALLOWED_ORIGINS": "http://localhost:5173"}) as house:
        for origin in (house.url, "http://localhost:5173"):
            answer = await house.call("GET", "/api/v1/projects", headers={**house.user, "Origin": origin})
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["vary"] == "Origin"
        refused = await house.call("GET", "/nothing", headers={**house.user, "Origin": "http://localhost:5173"})
        assert refused.status == 404
        assert refused.headers["access-control-allow-origin"] == "http://localhost:5173"


async def test_a_preflight_of_the_own_page_is_answered_without_a_token(house: House) -> None:
    asked = {
        "Origin": house.url,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = await house.call("OPTIONS", "/api/v1/sessions", headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-methods"] == "GET, POST, PATCH, PUT, DELETE, OPTIONS"
    assert answer.headers["access-control-allow-headers"] == "authorization"
    assert answer.headers["access-control-max-age"] == "600"
    assert answer.headers["access-control-allow-private-network"] == "true"


async def test_shutdown_needs_the_users_token_and_refuses_every_page(house: House) -> None:
    session = await house.spawn()
    for headers, status in (({}, 401), (house.bearer(session), 403), ({**house.user, "Origin": house.url}, 403)):
        answer = await house.call("POST", "/shutdown", {}, headers=headers)
        assert answer.status == status
        if status == 403:
            assert answer.body["status"] == "forbidden"
            assert answer.body["service"] == "agent-orchestrator-daemon"
    assert house.shutdowns == 0
    answer = await house.call("POST", "/shutdown", {})
    assert answer.status == 202
    assert answer.body == {"status": "shutting_down", "service": "agent-orchestrator-daemon", "pid": os.getpid()}
    await house.call("GET", "/healthz")
    assert house.shutdowns == 1


async def test_the_cookie_opens_what_the_token_opens(house: House) -> None:
    answer = await house.call("GET", "/api/v1/projects", headers={"Cookie": f"ao_token={house.secrets.token}"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "given", ["Bearer", "Bearer x", "Basic {token}", "{token}", "Bearer {token}0", "Bearer {upper}", "Bearer \u00e9"]
)
async def test_a_wrong_token_is_refused(house: House, given: str) -> None:
    value = given.format(token=house.secrets.token, upper=house.secrets.token.upper() + "A")
    answer = await house.call("GET", "/api/v1/projects", headers={"Authorization": value})
    assert answer.status == 401
    assert house.secrets.token not in answer.raw.decode()


async def test_without_authentication_host_and_origin_are_still_checked(tmp_path: Path) -> None:
    async with opened(tmp_path, {"AO_AUTH": "none"}) as house:
        assert (await house.call("GET", "/api/v1/projects", headers={})).status == 200
        refused = await house.call("GET", "/api/v1/projects", headers={"Origin": "http://evil.example"})
        assert refused.status == 403
        assert "421" in await _raw(house, "GET /api/v1/projects HTTP/1.1\r\nHost: evil\r\n\r\n")


async def test_a_sessions_token_ends_with_its_launch(house: House) -> None:
    session = await house.spawn()
    path = f"/api/v1/sessions/{session.id}"
    assert (await house.call("GET", path, headers=house.bearer(session))).status == 200
    earlier = {"Authorization": f"Bearer {house.secrets.session_token(session.id, session.launches + 1)}"}
    assert (await house.call("GET", path, headers=earlier)).status == 401
    forged = {"Authorization": f"Bearer {Secrets(house.secrets.token, b'other').session_token(session.id, 1)}"}
    assert (await house.call("GET", path, headers=forged)).status == 401
    gone = {"Authorization": f"Bearer {house.secrets.session_token('shop-99', 1)}"}
    assert (await house.call("GET", path, headers=gone)).status == 401


async def test_the_token_of_an_ended_session_opens_no_more_than_its_own_last_reports(house: House) -> None:
    leader, worker = await house.spawn(kind=Kind.ORCHESTRATOR), await house.spawn()
    ended = house.bearer(leader)
    assert (await house.call("POST", f"/api/v1/sessions/{leader.id}/kill", {})).status == 200
    own, other = f"/api/v1/sessions/{leader.id}", f"/api/v1/sessions/{worker.id}"
    for method, path, body in (
        ("POST", "/api/v1/sessions", {"projectId": "shop"}),
        ("GET", "/api/v1/sessions", None),
        ("GET", "/api/v1/events", None),
        ("GET", other, None),
        ("POST", f"{other}/send", {"message": "x"}),
        ("POST", f"{other}/kill", {}),
        ("POST", f"{own}/kill", {}),
    ):
        answer = await house.call(method, path, body, headers=ended)
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), (method, path)
        assert "has ended" in answer.body["message"]
    assert (await house.call("GET", own, headers=ended)).status == 200
    assert (await house.call("POST", f"{own}/activity", {"state": "exited"}, headers=ended)).status == 200


async def test_a_worker_may_read_itself_report_and_write_to_its_orchestrator(house: House) -> None:
    leader = await house.spawn(kind=Kind.ORCHESTRATOR)
    worker, other = await house.spawn(), await house.spawn()
    bearer = house.bearer(worker)
    own, foreign = f"/api/v1/sessions/{worker.id}", f"/api/v1/sessions/{other.id}"
    allowed: list[tuple[str, str, Any]] = [
        ("GET", own, None),
        ("GET", f"{own}/messages", None),
        ("GET", f"{own}/pr", None),
        ("POST", f"{own}/activity", {"state": "active"}),
        ("POST", f"{own}/hooks/demo/stop", {}),
        ("POST", f"/api/v1/sessions/{leader.id}/send", {"message": "done"}),
        ("GET", "/api/v1/projects", None),
        ("GET", "/api/v1/agents", None),
    ]
    for method, path, body in allowed:
        assert (await house.call(method, path, body, headers=bearer)).status == 200, (method, path)
    refused: list[tuple[str, str, Any]] = [
        ("GET", foreign, None),
        ("GET", "/api/v1/sessions", None),
        ("GET", "/api/v1/events", None),
        ("POST", f"{foreign}/activity", {"state": "idle"}),
        ("POST", f"{foreign}/send", {"message": "x"}),
        ("POST", f"{own}/send", {"message": "x"}),
        ("POST", f"{own}/kill", {}),
        ("PATCH", own, {"displayName": "x"}),
        ("POST", "/api/v1/sessions", {"projectId": "shop"}),
        ("POST", "/api/v1/orchestrators", {"projectId": "shop"}),
        ("DELETE", "/api/v1/projects/shop", None),
        ("PUT", "/api/v1/projects/shop/config", {"config": {}}),
    ]
    for method, path, body in refused:
        answer = await house.call(method, path, body, headers=bearer)
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), (method, path)
        assert "worker" in answer.body["hint"]


async def test_an_orchestrator_may_act_in_its_own_project_only(house: House) -> None:
    await house.project("other")
    leader, worker = await house.spawn(kind=Kind.ORCHESTRATOR), await house.spawn()
    foreign, its_leader = await house.spawn("other"), await house.spawn("other", kind=Kind.ORCHESTRATOR)
    bearer = house.bearer(leader)
    listed = (await house.call("GET", "/api/v1/sessions", headers=bearer)).body["sessions"]
    assert {item["projectId"] for item in listed} == {"shop"}
    assert (await house.call("GET", "/api/v1/projects", headers=bearer)).body["projects"][0]["id"] == "shop"
    spawned = await house.call("POST", "/api/v1/sessions", {"projectId": "shop"}, headers=bearer)
    assert spawned.status == 201
    for method, path, body, status in (
        ("GET", "/api/v1/projects/shop", None, 200),
        ("GET", f"/api/v1/sessions/{worker.id}", None, 200),
        ("GET", f"/api/v1/sessions/{worker.id}/output", None, 200),
        ("POST", f"/api/v1/sessions/{worker.id}/send", {"message": "x"}, 200),
        ("POST", f"/api/v1/sessions/{worker.id}/kill", {}, 200),
        ("GET", f"/api/v1/orchestrators/{leader.id}", None, 200),
        ("GET", "/api/v1/sessions/shop-99", None, 404),
        ("GET", "/api/v1/sessions?project=other", None, 403),
        ("GET", "/api/v1/events?project=other", None, 403),
        ("GET", "/api/v1/projects/other", None, 403),
        ("GET", f"/api/v1/sessions/{foreign.id}", None, 403),
        ("POST", f"/api/v1/sessions/{foreign.id}/send", {"message": "x"}, 403),
        ("POST", f"/api/v1/sessions/{its_leader.id}/kill", {}, 403),
        ("POST", f"/api/v1/sessions/{worker.id}/activity", {"state": "idle"}, 403),
        ("POST", "/api/v1/sessions", {"projectId": "other"}, 403),
        ("POST", "/api/v1/sessions/cleanup?force=true", {}, 403),
        ("GET", f"/api/v1/orchestrators/{its_leader.id}", None, 403),
    ):
        assert (await house.call(method, path, body, headers=bearer)).status == status, (method, path)


async def test_a_message_names_the_session_that_sent_it(house: House) -> None:
    leader, worker = await house.spawn(kind=Kind.ORCHESTRATOR), await house.spawn()
    await house.call("POST", f"/api/v1/sessions/{worker.id}/send", {"message": "go"}, headers=house.bearer(leader))
    await house.call("POST", f"/api/v1/sessions/{worker.id}/send", {"message": "and me"})
    listed = (await house.call("GET", f"/api/v1/sessions/{worker.id}/messages")).body["messages"]
    assert [(item["source"], item.get("sender")) for item in listed] == [("agent", leader.id), ("user", None)]

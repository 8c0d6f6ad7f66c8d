"""One line per event, with the ids it is about and without secrets."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from ao import log
from tests.api.house import House


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged; the test runner's own handlers come back afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure("info", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def _events(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_an_event_is_one_line_of_pairs(lines: io.StringIO) -> None:
    logging.getLogger("ao.x").info("daemon listening", extra={"addr": "127.0.0.1:3001", "pid": 7, "none": None})
    (line,) = _events(lines)
    assert re.fullmatch(
        r'time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info msg="daemon listening" addr=127\.0\.0\.1:3001 pid=7',
        line,
    )


def test_no_value_breaks_the_line(lines: io.StringIO) -> None:
    logging.getLogger("ao.x").info('a\nlevel=error "x"', extra={"name_": "b=c\x1b[31m\r\n", "path": "\\"})
    (line,) = _events(lines)
    assert r'msg="a\nlevel=error \"x\""' in line
    assert r'name_="b=c\u001b[31m\r\n"' in line
    assert "\x1b" not in line


def test_a_failure_is_one_line_with_its_traceback(lines: io.StringIO) -> None:
    try:
        raise RuntimeError("cause")
    except RuntimeError:
        logging.getLogger("ao.x").exception("broke")
    (line,) = _events(lines)
    assert "level=error" in line
    assert r"RuntimeError: cause" in line


def test_values_are_cut(lines: io.StringIO) -> None:
    logging.getLogger("ao.x").info("x" * 100_000)
    (line,) = _events(lines)
    assert len(line) < 2_200
    assert "(100000 characters)" in line


def test_s8_secrets_are_never_written(lines: io.StringIO) -> None:
    secret = "canary-0123456789abcdef"
    log.conceal(secret)
    token = "aos_shop-1_1_" + "0a" * 32
    logging.getLogger("ao.x").info("with %s", secret, extra={"env": {"A": secret}, "token": "short", "api_key": "k"})
    logging.getLogger("ao.x").info("Authorization: Bearer %s", token, extra={"note": f"{token} ghp_{'a' * 36}"})
    text = lines.getvalue()
    for hidden in (secret, token, "short", "api_key=k", "ghp_a"):
        assert hidden not in text
    assert log.HIDDEN in text


def test_the_ids_of_a_request_are_on_its_lines(lines: io.StringIO) -> None:
    held = log.trace.set(log.Trace("r-1"))
    try:
        log.note_session("shop-1")
        logging.getLogger("ao.x").info("event")
    finally:
        log.trace.reset(held)
    logging.getLogger("ao.x").info("outside")
    log.note_session("nowhere")
    first, second = _events(lines)
    assert "request=r-1 session=shop-1" in first
    assert "request=" not in second


async def test_requests_that_change_something_are_logged_others_only_when_debugging(
    house: House, lines: io.StringIO
) -> None:
    session = await house.spawn()
    await house.call("GET", "/api/v1/sessions")
    await house.call("POST", f"/api/v1/sessions/{session.id}/activity", {"state": "idle"})
    await house.call("POST", "/api/v1/sessions/shop-9/kill", {}, headers={**house.user, "X-Request-Id": "r-9"})
    (line,) = [line for line in _events(lines) if "msg=request" in line]
    assert "request=r-9 session=shop-9 method=POST" in line
    assert "status=404" in line


async def test_s8_no_token_is_in_log_answers_or_errors(house: House, lines: io.StringIO) -> None:
    logging.getLogger().setLevel("DEBUG")
    session = await house.spawn()
    tokens = [house.secrets.token, house.secrets.session_token(session.id, session.launches)]
    raw = b""
    for method, path in (
        ("GET", "/readyz"),
        ("GET", "/api/v1/sessions"),
        ("GET", f"/api/v1/sessions/{session.id}"),
        ("GET", f"/api/v1/sessions/{session.id}/attach"),
        ("GET", "/api/v1/agents"),
        ("GET", f"/api/v1/nothing/{tokens[0]}"),
        ("POST", f"/api/v1/sessions/{tokens[1]}/kill"),
    ):
        answer = await house.call(method, path, headers={"Authorization": f"Bearer {tokens[0]}"})
        raw += answer.raw if tokens[0] not in path and tokens[1] not in path else b""
    for token in tokens:
        assert token.encode() not in raw
        assert token not in lines.getvalue()


def test_an_error_that_passes_several_rooms_is_logged_by_the_first_only() -> None:
    error = RuntimeError("x")
    assert log.first_time(error)
    assert not log.first_time(error)
    assert log.first_time(RuntimeError("x"))

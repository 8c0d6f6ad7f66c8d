"""The listener: its port, and what a stop leaves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from ao.api.access import ensure_secrets
from ao.api.server import Server
from ao.config import load
from ao.model.errors import AoError
from tests.api.house import House, within


async def test_a_port_in_use_is_a_typed_error_that_says_what_to_do(house: House, tmp_path: Path) -> None:
    config = load({"HOME": str(tmp_path), "AO_PORT": str(house.server.port)})
    second = Server(config, house.engine, house.feed, ensure_secrets(str(tmp_path / "d")), shutdown=lambda: None)
    with pytest.raises(AoError) as refused:
        await second.bind()
    assert refused.value.code == "CONFIG_INVALID"
    assert str(house.server.port) in refused.value.message
    assert "AO_PORT=0" in (refused.value.hint or "")
    assert second.port == 0
    await second.close()


async def test_a_port_can_be_taken_again_right_after_a_stop(house: House, tmp_path: Path) -> None:
    await house.call("GET", "/healthz")
    port = house.server.port
    await house.server.close()
    await house.server.close()
    config = load({"HOME": str(tmp_path), "AO_PORT": str(port)})
    second = Server(config, house.engine, house.feed, ensure_secrets(str(tmp_path / "d")), shutdown=lambda: None)
    assert await second.bind() == port
    await second.close()


async def test_a_stopped_server_accepts_nothing(house: House) -> None:
    port = house.server.port
    await house.server.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_what_came_between_bind_and_serve_is_answered(house: House, tmp_path: Path) -> None:
    config = load({"HOME": str(tmp_path), "AO_PORT": "0"})
    server = Server(config, house.engine, house.feed, ensure_secrets(str(tmp_path / "d")), shutdown=lambda: None)
    port = await server.bind()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await server.serve()
    assert b" 200 " in await within(5, reader.readuntil(b"\r\n\r\n"))
    writer.close()
    await writer.wait_closed()
    await server.close()


async def test_an_idle_connection_does_not_hold_up_the_stop(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    await within(1, house.server.close())
    assert await within(1, reader.read()) == b""
    writer.close()
    await writer.wait_closed()


async def test_a_half_sent_body_does_not_hold_up_the_stop(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    writer.write(
        f"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.secrets.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{".encode()
    )
    await writer.drain()
    await within(2, house.server.close())
    with contextlib.suppress(ConnectionResetError):
        assert await within(1, reader.read()) == b""
    assert house.server.port == 0
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_the_listener_takes_no_address_but_the_loopback(house: House) -> None:
    with socket.socket() as probe:
        probe.settimeout(1)
        try:
            own = socket.gethostbyname(socket.gethostname())
        except OSError:
            own = "127.0.0.1"
        if not own.startswith("127."):
            with pytest.raises(OSError):
                probe.connect((own, house.server.port))

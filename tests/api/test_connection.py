"""Connections: how long a head may take."""

from __future__ import annotations

import asyncio

import pytest

from ao.api import connection
from tests.api.house import House, within

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.2)


@pytest.mark.parametrize("begun", [b"", REQUEST[:-2]])
async def test_a_connection_without_a_whole_head_is_closed(house: House, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    writer.write(begun)
    assert await within(5, reader.read()) == b""
    writer.close()


async def test_dripping_does_not_buy_time(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    ended = asyncio.create_task(reader.read())
    writer.write(REQUEST[:-2] + b"X-Long: ")
    async with asyncio.timeout(5):
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait({ended}, timeout=0.02)
    assert isinstance(ended.exception(), ConnectionError) or ended.result() == b""
    writer.close()


async def test_a_connection_that_waits_for_its_next_request_is_kept_without_a_timer(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    writer.write(REQUEST)
    await within(5, reader.readuntil(b"}\n"))
    assert house.server._connections is not None
    (kept,) = house.server._connections.connections
    assert isinstance(kept, connection.Connection)
    assert kept._head_timer is None
    with pytest.raises(TimeoutError):
        await within(0.5, reader.read(1))
    writer.write(REQUEST)
    await within(5, reader.readuntil(b"}\n"))
    writer.write(REQUEST[:10])
    assert await within(5, reader.read()) == b""
    writer.close()


async def test_a_slow_body_is_not_a_slow_head(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.server.port)
    token = house.user["Authorization"]
    head = (
        f"POST /api/v1/sessions/none/send HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    )
    writer.write(head.encode())
    for piece in (b'{"mess', b'age":"', b'x"}'):
        with pytest.raises(TimeoutError):
            await within(0.15, reader.read(1))
        writer.write(piece)
    assert b"404" in await within(5, reader.readuntil(b"\r\n"))
    writer.close()

"""Open streams as connections: slow clients, clients that leave, old clients, and what is left of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ao.api import streams
from tests.api.house import House, within

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(house: House, *, version: str = "1.1", more: str = "") -> AsyncIterator[Pipe]:
    """A connection that asked for what comes from now on, its head read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", house.server.port))
    reader, writer = await asyncio.open_connection(sock=client)
    token = house.user["Authorization"]
    head = f"GET /api/v1/events?after=latest HTTP/{version}\r\nHost: localhost\r\nAuthorization: {token}\r\n{more}\r\n"
    writer.write(head.encode())
    assert b" 200 " in await within(5, reader.readuntil(b"\r\n\r\n"))
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.wait({asyncio.create_task(writer.wait_closed())}, timeout=5)


async def until_open(house: House, count: int) -> None:
    """Wait until so many streams are open."""
    async with asyncio.timeout(5):
        while len(house.server._streams) != count:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.005)


async def test_a_client_that_leaves_leaves_nothing(house: House) -> None:
    async with connected(house), connected(house, more="Content-Length: 5\r\n") as (_, writer):
        writer.write(b"12345GET /healthz HTTP/1.1\r\n\r\n")
        await until_open(house, 2)
        assert house.server._connections is not None
        assert not house.server._connections.connections
        assert house.server._streams._timer is not None
    await until_open(house, 0)
    assert house.server._streams._timer is None
    session = await house.spawn()
    assert (await house.call("GET", f"/api/v1/sessions/{session.id}")).status == 200


async def test_an_old_client_gets_the_stream_without_chunks_until_it_is_closed(house: House) -> None:
    async with connected(house, version="1.0") as (reader, _):
        assert await within(5, reader.readuntil(b"\n\n")) == streams.HEARTBEAT
        session = await house.spawn()
        assert (await within(5, reader.readuntil(b"\n\n"))).startswith(b"id: ")
        await within(2, house.server.close())
        rest = await within(5, reader.read())
    assert session.id.encode() in rest
    assert rest.endswith(b"\n\n")


async def test_a_client_that_does_not_read_delays_neither_others_nor_the_stop(house: House) -> None:
    session = await house.spawn()
    async with connected(house) as (_, stuck), connected(house) as (reader, _):
        stuck.transport.pause_reading()  # type: ignore[attr-defined]
        await until_open(house, 2)
        open_now = list(house.server._streams._open)
        for stream in open_now:
            stream._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        number = 0
        while not any(stream._paused for stream in open_now):
            number += 1
            await house.engine.sessions.rename(session.id, f"{number} " + "x" * 90)
            while b'"%d ' % number not in await within(5, reader.readuntil(b"\n\n")):
                pass
        await house.engine.sessions.rename(session.id, "the last one")
        while b"the last one" not in await within(5, reader.readuntil(b"\n\n")):
            pass
        await within(2, house.server.close())
        await until_open(house, 0)


async def test_a_stream_whose_source_fails_is_dropped_and_the_others_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(house) as (broken, _):
        await until_open(house, 1)
        (stream,) = house.server._streams._open
        async with connected(house) as (reader, _):
            monkeypatch.setattr(stream, "_source", None)
            await house.project("other")
            while b"project_added" not in await within(5, reader.readuntil(b"\n\n")):
                pass
            await within(5, broken.read())
            await until_open(house, 1)
    assert "stream failed" in caplog.text

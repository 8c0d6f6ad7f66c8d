"""The listener on the loopback, from bind to a prompt stop with streams open."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

from ao.api.access import Access, Secrets
from ao.api.board import Board
from ao.api.connection import Connections
from ao.api.dispatch import Dispatcher
from ao.api.openapi import document_json
from ao.api.operation import Api
from ao.api.routes import OPERATIONS
from ao.api.streams import Streams
from ao.config import Config
from ao.engine.engine import Engine
from ao.feed import Feed
from ao.model.change import Change
from ao.model.errors import AoError
from ao.store import changes
from ao.store.database import Database

ADDRESS: Final = "127.0.0.1"
GRACE_S: Final = 1.5
"""How long answers under way may take at a stop, at most; commands themselves are the daemon's."""


class Server:
    """Serves the API. Make it, `bind`, write the run file, `serve`; at the end `close`.

    `shutdown` is called when a client asks the daemon to stop, after its answer was made.
    """

    def __init__(
        self, config: Config, engine: Engine, feed: Feed, secrets: Secrets, *, shutdown: Callable[[], None]
    ) -> None:
        self._config = config
        self._feed = feed
        self._shutdown = shutdown
        self._socket: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._connections: Connections | None = None
        world = engine.world
        board = Board(engine.views, feed, changes_after=_reader_of(world.db), now=world.now, tag=os.urandom(4).hex())
        self._streams = Streams(feed)
        api = Api(
            engine=engine,
            feed=feed,
            config=config,
            access=Access(config, secrets, engine.sessions.get),
            board=board,
            streams=self._streams,
            stop=self._stop_soon,
            describe=document_json,
            boot_id=_boot_id(),
        )
        self._dispatcher = Dispatcher(api, OPERATIONS, start=world.start)

    @property
    def port(self) -> int:
        """The bound port; 0 before `bind`."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else 0

    async def bind(self) -> int:
        """Take the configured port of the loopback (0: any free one) without serving yet; the port taken.

        Raises `CONFIG_INVALID` when it can't be had.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        try:
            listener.bind((ADDRESS, self._config.port))
            listener.listen(1024)
        except OSError as error:
            listener.close()
            raise _not_bound(self._config.port, error) from error
        self._socket = listener
        return self.port

    async def serve(self) -> None:
        """Answer requests on the bound port; those that came since `bind` have waited."""
        assert self._socket is not None, "bind first"
        self._connections = Connections(self._dispatcher.handle)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connections, sock=self._socket, backlog=1024)

    async def close(self) -> None:
        """Accept nothing more, end the streams, give answers under way a moment, close everything. Idempotent."""
        if self._listener is not None and self._connections is not None:
            self._listener.close()
            self._feed.close()
            self._connections.pre_shutdown()
            grace_s = min(self._config.shutdown_timeout_s, GRACE_S)
            await asyncio.gather(self._connections.shutdown(grace_s), self._streams.close(grace_s))
            await self._listener.wait_closed()
            self._listener = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _stop_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._shutdown)


def _reader_of(database: Database) -> Callable[[int, int], list[Change] | None]:
    def changes_after(cursor: int, limit: int) -> list[Change] | None:
        oldest, _ = changes.bounds(database.read)
        return changes.after(database.read, cursor, limit) if cursor >= oldest - 1 else None

    return changes_after


def _not_bound(port: int, error: OSError) -> AoError:
    busy = error.errno == errno.EADDRINUSE
    problem = "is in use, perhaps by another daemon" if busy else f"can't be bound: {error.strerror}"
    return AoError(
        "CONFIG_INVALID",
        f"AO_PORT: {ADDRESS}:{port} {problem}",
        hint="`ao status` shows the daemon of this run file; AO_PORT=0 takes any free port",
        details={"setting": "AO_PORT"},
    )


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip()
    except OSError:
        return ""

"""Commands of this machine: run to their end, or held open and spoken to line by line.

Both go through one asyncio subprocess protocol rather than through streams, because it tells a process that ended from
pipes that a background child of it still holds open (git's helpers do that): a command is over when its process is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, cast

from ao.ports import CommandTimeoutError, Completed, Connection

INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK")
_PINNED: Final = {"LC_ALL": "C", "LANG": "C", "GIT_TERMINAL_PROMPT": "0"}
_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
# How long output may still arrive once the process itself has ended, when something else holds its pipes open.
_STRAGGLER_S: Final = 0.1
_KILL_WAIT_S: Final = 5.0
# A reader that doesn't keep up stops the process from writing more, rather than filling memory.
_HIGH_WATER: Final = 1 << 20
_GAP: Final = "\n… {count} bytes left out …\n"


class Commands:
    """The half of `ao.ports.Host` that runs commands. `environ` is the daemon's own environment."""

    def __init__(self, *, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout_s: float = 30.0,
        limit: int = 4 << 20,
    ) -> Completed:
        """Run a command to its end. Raises FileNotFoundError when it or `cwd` doesn't exist, CommandTimeoutError when
        it is late.

        `limit` bounds bytes of output and of error output each: of more, the first and the last half of the limit are
        kept, with a line between that counts the rest. A cancelled call ends the command's process group as a late one
        does.
        """
        protocol = _Collector(asyncio.get_running_loop(), limit)
        source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        transport = await _start(protocol, argv, stdin=source, stderr=subprocess.PIPE, cwd=cwd, env=self._full(env))
        try:
            if stdin is not None:
                _feed(transport, stdin)
            async with asyncio.timeout(timeout_s):
                await protocol.over
        except TimeoutError:
            raise CommandTimeoutError(f"{argv[0]} took longer than {timeout_s:g} s") from None
        finally:
            await _put_down(transport, protocol.exited)
        return Completed(
            code=transport.get_returncode() or 0,
            out=protocol.kept[1].text(),
            err=protocol.kept[2].text(),
            cut=any(kept.missing for kept in protocol.kept.values()),
        )

    async def connect(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Connection:
        """Start a long-lived command; its error output is dropped. Raises FileNotFoundError."""
        protocol = _Lines(asyncio.get_running_loop())
        transport = await _start(
            protocol, argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=None, env=self._full(env)
        )
        return _LocalConnection(transport, protocol)

    def _full(self, env: Mapping[str, str] | None) -> dict[str, str]:
        minimal = {name: self._environ[name] for name in INHERITED if self._environ.get(name)}
        minimal.setdefault("PATH", _DEFAULT_PATH)
        return {**minimal, **_PINNED, **(env or {})}


class _Exit(asyncio.SubprocessProtocol):
    """Knows when the process has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()


class _Kept:
    """The beginning and the end of what was fed to it, `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._first_room = limit - limit // 2
        self._last_room = limit // 2
        self._total = 0

    def feed(self, data: bytes) -> None:
        """Add `data`."""
        self._total += len(data)
        room = self._first_room - len(self._first)
        self._first += data[:room]
        self._last += data[room:]
        # Trimmed only now and then, so that a byte is moved once and not with every piece that arrives.
        if len(self._last) > 2 * self._last_room + (1 << 16):
            del self._last[: len(self._last) - self._last_room]

    @property
    def missing(self) -> int:
        """How many bytes between beginning and end are not kept."""
        return max(self._total - self._first_room - self._last_room, 0)

    def text(self) -> str:
        """What is kept, with a line that counts the bytes missing."""
        if not self.missing:
            return (self._first + self._last).decode(errors="replace")
        end = self._last[len(self._last) - self._last_room :]
        return self._first.decode(errors="replace") + _GAP.format(count=self.missing) + end.decode(errors="replace")


class _Collector(_Exit):
    """Gathers bounded output. `over` is done when the process has ended and so has its output."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        super().__init__(loop)
        self.over: asyncio.Future[None] = loop.create_future()
        self.kept = {1: _Kept(limit), 2: _Kept(limit)}
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.kept[fd].feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open and self.exited.is_set():
            self._finish()

    def process_exited(self) -> None:
        super().process_exited()
        if self._open:
            self.loop.call_later(_STRAGGLER_S, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


class _Lines(_Exit):
    """Splits output into lines for one reader, and remembers when it has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.lines: deque[bytes] = deque()
        self.ended = False
        self.news = asyncio.Event()
        self._rest = b""
        self._held = 0
        self._paused = False
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n") if b"\n" in data else (self._rest + data,)
        self.lines.extend(whole)
        self._held += len(data)
        if self._held > _HIGH_WATER and whole:
            self._flow(paused=True)
        self.news.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.ended = True
            self.news.set()

    def take(self) -> bytes:
        """The next line; there must be one."""
        line = self.lines.popleft()
        if not self.lines:
            self._held = len(self._rest)
            self._flow(paused=False)
        return line

    def _flow(self, *, paused: bool) -> None:
        if paused == self._paused or self._transport is None:
            return
        pipe = self._transport.get_pipe_transport(1)
        if isinstance(pipe, asyncio.ReadTransport) and not pipe.is_closing():
            self._paused = paused
            (pipe.pause_reading if paused else pipe.resume_reading)()


class _LineIterator:
    def __init__(self, protocol: _Lines) -> None:
        self._protocol = protocol

    def __aiter__(self) -> _LineIterator:
        return self

    async def __anext__(self) -> bytes:
        protocol = self._protocol
        while not protocol.lines:
            if protocol.ended:
                raise StopAsyncIteration
            protocol.news.clear()
            await protocol.news.wait()
        return protocol.take()


class _LocalConnection:
    """`ao.ports.Connection` to a child process of ours. One reader at a time."""

    def __init__(self, transport: asyncio.SubprocessTransport, protocol: _Lines) -> None:
        self._transport = transport
        self._protocol = protocol

    async def write(self, data: bytes) -> None:
        """Send `data`. Raises ConnectionError when the process is gone."""
        pipe = cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))
        if pipe is None or pipe.is_closing() or self._protocol.ended:
            raise ConnectionError("the process has ended")
        pipe.write(data)

    def lines(self) -> AsyncIterator[bytes]:
        """Its output, line by line without the line end; ends when the process does. A wait for the next line may be
        cancelled without losing one."""
        return _LineIterator(self._protocol)

    async def close(self) -> None:
        """End the process and wait for it; idempotent."""
        await _put_down(self._transport, self._protocol.exited)


async def _start(
    protocol: _Exit, argv: Sequence[str], *, stdin: int, stderr: int, cwd: str | None, env: Mapping[str, str]
) -> asyncio.SubprocessTransport:
    """Start a process in a session of its own. Cancelled half-way asyncio would end the process but not its group, and
    wait for the group's hold on the pipes; so the start is always completed, then undone."""
    start = protocol.loop.create_task(
        protocol.loop.subprocess_exec(
            lambda: protocol,
            *argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    )
    try:
        return (await asyncio.shield(start))[0]
    except asyncio.CancelledError:
        await asyncio.wait([start])
        if not start.exception():
            await _put_down(start.result()[0], protocol.exited)
        raise
    except PermissionError as error:
        if error.filename != argv[0]:
            raise
        # A folder of PATH that may not be entered hides that the program is nowhere else.
        raise FileNotFoundError(error.errno, "no such program may be run", argv[0]) from error


def _feed(transport: asyncio.SubprocessTransport, data: bytes) -> None:
    pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
    pipe.write(data)
    pipe.write_eof()


async def _put_down(transport: asyncio.SubprocessTransport, exited: asyncio.Event) -> None:
    """Kill what still runs of a process group, wait for its leader, close the pipes."""
    if not exited.is_set():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        async with asyncio.timeout(_KILL_WAIT_S):
            await exited.wait()
    transport.close()

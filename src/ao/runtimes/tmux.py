"""`ao.ports.Runtime` by tmux.

Every target is exact: `=name` for a session and `=name:0.0` for the pane the agent runs in, because a bare name is also
matched as a prefix, and because a person may have opened further windows. Only what tmux said is evidence: a lost
connection makes terminals unknown, never dead.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Final

from ao.model.errors import AoError
from ao.ports import CommandTimeoutError, Host, Launch, Liveness, ProcessId, Sent, Terminal
from ao.runtimes import supervisor
from ao.runtimes.control import ControlLostError, NotSentError, RefusedError, quote
from ao.runtimes.server import HOLDER, Server, ServerAbsentError, missing
from ao.runtimes.sockets import socket_path

_OLDEST: Final = (3, 2)
# Enter once the screen changed and was quiet this long, at the latest after so long.
_QUIET_S: Final = 0.010
_LATEST_S: Final = 0.300
_LOOK_EVERY_S: Final = 0.003
_PASTE_END: Final = "\x1b[201~"


class Tmux:
    """`ao.ports.Runtime` on private tmux servers of one data directory.

    `runtime_dir` (by default `$XDG_RUNTIME_DIR`) holds the sockets when `data_dir` is too long a path.
    """

    def __init__(self, host: Host, *, data_dir: str, runtime_dir: str | None = None, uid: int | None = None) -> None:
        self._host = host
        self._data_dir = data_dir
        self._runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "") if runtime_dir is None else runtime_dir
        self._uid = os.getuid() if uid is None else uid
        self._servers: dict[int, Server] = {}
        self._checked = False

    async def check(self) -> None:
        """Raises `RUNTIME_PREREQUISITE_MISSING` when tmux is absent or older than 3.2. Cached."""
        if self._checked:
            return
        try:
            version = (await self._host.run(["tmux", "-V"], timeout_s=5)).out.strip()
        except FileNotFoundError as error:
            raise missing() from error
        except CommandTimeoutError as error:
            raise AoError("RUNTIME_PREREQUISITE_MISSING", f"tmux doesn't run: {error}") from error
        found = re.search(r"(\d+)\.(\d+)", version)
        if found is None or (int(found[1]), int(found[2])) < _OLDEST:
            raise AoError(
                "RUNTIME_PREREQUISITE_MISSING", f"{version or 'tmux'} is too old", hint="install tmux 3.2 or newer"
            )
        self._checked = True

    async def start(self, launch: Launch) -> None:
        """Write the launch files and open the terminal. Raises `RUNTIME_FAILED`; then no terminal is left."""
        path = os.path.join(launch.folder, supervisor.SCRIPT)
        await self._host.write_private(path, supervisor.script(launch), durable=False)
        title = (launch.label or launch.terminal.handle).replace("#", "##")
        command = (
            f"new-session -d -s {quote(launch.terminal.handle)} -n {quote(title)} -x 220 -y 50 /bin/sh {quote(path)}"
        )
        try:
            await self._server(launch.terminal.server).ask(command, start=True, once=True)
        except (RefusedError, ServerAbsentError, NotSentError) as error:
            raise AoError("RUNTIME_FAILED", f"tmux can't open the terminal: {error}") from error
        except ControlLostError as error:  # it may have opened
            await self.close(launch.terminal)
            raise AoError("RUNTIME_FAILED", f"tmux can't open the terminal: {error}") from error

    async def agent(self, folder: str, *, timeout_s: float) -> ProcessId | None:
        """The agent's process as the supervisor of that launch folder recorded it; waits for it to appear, None when
        it doesn't in time.

        A process that is already gone is returned with `started` "", and with `pid` 0 when it never could be started
        because its working directory is missing; `exit_code` tells more.
        """
        content = await self._host.await_file(os.path.join(folder, supervisor.PID), timeout_s=timeout_s)
        pid = supervisor.number(content)
        if pid is None:
            return None
        return self._host.identify(pid) or ProcessId(pid, "")

    async def exit_code(self, folder: str, *, timeout_s: float = 0.0) -> int | None:
        """The agent's exit code as recorded, awaited for up to `timeout_s` (it is written just after the process is
        gone); None when it hasn't ended or nobody could record it."""
        path = os.path.join(folder, supervisor.EXIT)
        code = supervisor.number(await self._host.read(path, limit=32))
        if code is not None or not timeout_s or self._host.stamp([folder]) == (None,):
            return code
        return supervisor.number(await self._host.await_file(path, timeout_s=timeout_s))

    async def probe(self, terminals: Sequence[Terminal]) -> dict[Terminal, Liveness]:
        """Liveness of all in one question per server."""
        found: dict[Terminal, Liveness] = {}
        for number in sorted({terminal.server for terminal in terminals}):
            try:
                alive = await self._handles(number)
            except ControlLostError:
                alive = None
            for terminal in (terminal for terminal in terminals if terminal.server == number):
                found[terminal] = _liveness(terminal.handle, alive)
        return found

    async def send(self, terminal: Terminal, text: str, *, may_enter: Callable[[str], bool]) -> Sent:
        """Paste `text` (any size and content, bracketed) and press Enter once the screen rests. Just before Enter
        `may_enter` is asked with the screen's text; False leaves the text unsubmitted. Raises `RUNTIME_FAILED` when
        the terminal is gone before anything was written.

        A connection lost during the paste counts as pasted: it may have arrived, so it must not be repeated.
        """
        server = self._server(terminal.server)
        try:
            before = await self._screen(terminal)
        except (RefusedError, ServerAbsentError, ControlLostError) as error:
            raise AoError("RUNTIME_FAILED", f"the terminal {terminal.handle} can't be written to: {error}") from error
        try:
            if text:
                await self._paste(terminal, text)
        except (RefusedError, ServerAbsentError, NotSentError) as error:
            raise AoError("RUNTIME_FAILED", f"the terminal {terminal.handle} is gone: {error}") from error
        except ControlLostError:
            return Sent.PASTED
        try:
            screen = await self._settled(terminal, before) if text else before
            if not may_enter(screen):
                return Sent.PASTED
            await server.ask(*_enter(terminal), once=True)
        except (RefusedError, ServerAbsentError, ControlLostError):
            return Sent.PASTED
        return Sent.ENTERED

    async def press_enter(self, terminal: Terminal) -> None:
        """One bare Enter. Raises `RUNTIME_FAILED` when it can't be given."""
        try:
            await self._server(terminal.server).ask(*_enter(terminal), once=True)
        except (RefusedError, ServerAbsentError, ControlLostError) as error:
            raise AoError("RUNTIME_FAILED", f"the terminal {terminal.handle} can't be written to: {error}") from error

    async def typed_at(self, terminal: Terminal) -> int | None:
        """When an attached client last typed (or attached), in milliseconds since the epoch, to the second; None when
        none that may type is attached, or the terminal is gone. Raises `RUNTIME_FAILED` when tmux can't be asked."""
        form = "#{client_control_mode}#{client_readonly} #{client_activity}"
        try:
            lines = await self._server(terminal.server).ask(
                f"list-clients -t {quote('=' + terminal.handle)} -F {quote(form)}"
            )
        except (RefusedError, ServerAbsentError):
            return None
        except ControlLostError as error:
            raise _unreachable(error) from error
        times = [int(words[1]) * 1000 for line in lines if (words := line.split())[0] == "00"]
        return max(times, default=None)

    async def capture(self, terminal: Terminal, *, lines: int) -> str:
        """The last `lines` lines of screen and history, trailing blank lines trimmed; "" when there is no terminal.
        Raises `RUNTIME_FAILED` when tmux can't be asked."""
        command = f"capture-pane -p -S -{max(lines, 0)} -t {_pane(terminal)}"
        try:
            text = "\n".join(await self._server(terminal.server).ask_fenced(command)).rstrip()
        except (RefusedError, ServerAbsentError):
            return ""
        except ControlLostError as error:
            raise _unreachable(error) from error
        return "\n".join(text.split("\n")[-lines:]) if lines > 0 else ""

    async def close(self, terminal: Terminal) -> None:
        """Close the terminal with what runs in it; idempotent. Raises `RUNTIME_FAILED` when tmux can't be asked."""
        try:
            await self._server(terminal.server).ask(f"kill-session -t {quote('=' + terminal.handle)}")
        except (RefusedError, ServerAbsentError):
            return
        except ControlLostError as error:
            raise _unreachable(error) from error

    async def terminals(self, server: int) -> list[str]:
        """Handles of all session terminals of a server; empty when it doesn't run. Raises `RUNTIME_FAILED` when it
        can't be asked (which is not the same)."""
        try:
            return sorted(await self._handles(server))
        except ControlLostError as error:
            raise _unreachable(error) from error

    def attach_argv(self, terminal: Terminal, *, read_only: bool) -> list[str]:
        """The command a person runs to see and use the terminal. It first tells how to leave, since there is no status
        line. A read-only viewer doesn't change its size."""
        viewer = ["-r", "-f", "ignore-size"] if read_only else []
        hint = (";", "display-message", "-d", "4000", "Ctrl-b d leaves this terminal; the agent goes on")
        return self._server(terminal.server).argv("attach-session", *viewer, "-t", f"={terminal.handle}", *hint)

    async def shut(self) -> None:
        """Let go of the tmux servers: one that holds a terminal lives on, an empty one is ended, also when only a
        daemon that was killed ever spoke to it."""
        self._server(0)
        for server in self._servers.values():
            await server.close()

    def _server(self, number: int) -> Server:
        if number not in self._servers:
            self._servers[number] = Server(
                self._host,
                socket=socket_path(self._data_dir, number, runtime_dir=self._runtime_dir, uid=self._uid),
                record=os.path.join(self._data_dir, "tmux", f"{number}.process"),
                uid=self._uid,
            )
        return self._servers[number]

    async def _handles(self, number: int) -> set[str]:
        try:
            lines = await self._server(number).ask("list-sessions -F '#{session_name}'")
        except (RefusedError, ServerAbsentError):
            return set()
        return set(lines) - {HOLDER}

    async def _screen(self, terminal: Terminal) -> str:
        lines = await self._server(terminal.server).ask_fenced(f"capture-pane -p -t {_pane(terminal)}")
        return "\n".join(lines)

    async def _paste(self, terminal: Terminal, text: str) -> None:
        """Through a buffer inside the server: no argument, message or file limits what it may hold. In a scrolled-back
        pane tmux would forget to bracket the paste, so its modes are left first."""
        name = f"ao-{secrets.token_hex(8)}"
        clean = text.replace("\0", "").replace(_PASTE_END, "")  # else the rest would count as typed
        paste = f"paste-buffer -p -r -d -b {name} -t {_pane(terminal)}"
        try:
            await self._server(terminal.server).ask(
                f"set-buffer -b {name} -- {quote(clean)}", f"copy-mode -q -t {_pane(terminal)}", paste, once=True
            )
        except RefusedError:
            await self._forget(terminal, name)
            raise

    async def _forget(self, terminal: Terminal, name: str) -> None:
        try:
            await self._server(terminal.server).ask(f"delete-buffer -b {name}")
        except (RefusedError, ServerAbsentError, ControlLostError):
            return  # gone with its server, or never made

    async def _settled(self, terminal: Terminal, before: str) -> str:
        """The screen once it differs from `before` and was quiet, or as it is when time is up."""
        clock = asyncio.get_running_loop().time
        began, changed_at, screen = clock(), None, before
        while True:
            latest = await self._screen(terminal)
            now = clock()
            if latest != screen:
                screen, changed_at = latest, now
            quiet = changed_at is not None and now - changed_at >= _QUIET_S
            if quiet or now - began >= _LATEST_S:
                return screen
            await asyncio.sleep(_LOOK_EVERY_S)


def _pane(terminal: Terminal) -> str:
    return quote(f"={terminal.handle}:0.0")


def _enter(terminal: Terminal) -> tuple[str, str]:
    """In a scrolled-back pane Enter would go to tmux, so its modes are left first."""
    return f"copy-mode -q -t {_pane(terminal)}", f"send-keys -t {_pane(terminal)} Enter"


def _liveness(handle: str, alive: set[str] | None) -> Liveness:
    if alive is None:
        return Liveness.UNKNOWN
    return Liveness.ALIVE if handle in alive else Liveness.DEAD


def _unreachable(error: ControlLostError) -> AoError:
    return AoError("RUNTIME_FAILED", f"tmux can't be asked: {error}")

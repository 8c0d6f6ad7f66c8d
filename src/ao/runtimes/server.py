"""One private tmux server: started when the first terminal needs it, spoken to over one control connection.

The server is started by a command of its own (never as a side effect of a session), with an empty environment, no
configuration file and every option that matters pinned, and it stays when it is empty until the daemon lets go of it.
It lives in the cgroup of the daemon that started it: where a service manager ends user sessions at logout (systemd
without lingering), it ends with them; nothing here can prevent that, so docs/troubleshooting.md says it.

The control client is attached to a holder session whose only pane is dead, and asks for no output: idle terminals
cause no wake-ups. The holder's name has a character that no session's handle may have. A control client whose daemon
was killed with a reply under way stays for ever (tmux waits to hand the rest over), and a server with such a client
never ends: the next daemon ends it first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ao.model.errors import AoError
from ao.ports import CommandTimeoutError, Host, ProcessId
from ao.runtimes.control import Control, ControlLostError, EndedError, NotSentError, RefusedError

HOLDER: Final = "ao~holder"
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_END_S: Final = 2.0
_TERMINFO: Final = (
    "/etc/terminfo",
    "/lib/terminfo",
    "/usr/share/terminfo",
    "/usr/lib/terminfo",
    "/usr/share/lib/terminfo",
)

# Scope flag, option, value. Unknown options of older releases are skipped (-q).
_OPTIONS: Final = (
    ("-s", "exit-empty", "off"),
    ("-s", "exit-unattached", "off"),
    ("-s", "escape-time", "0"),
    ("-s", "focus-events", "off"),
    ("-s", "extended-keys", "off"),
    ("-s", "set-clipboard", "external"),
    ("-s", "history-file", ""),
    ("-as", "terminal-features", ",*256col*:RGB"),
    ("-g", "base-index", "0"),
    ("-g", "default-command", ""),
    ("-g", "default-size", "220x50"),
    ("-g", "destroy-unattached", "off"),
    ("-g", "detach-on-destroy", "on"),
    ("-g", "history-limit", "50000"),
    ("-g", "lock-after-time", "0"),
    ("-g", "mouse", "on"),
    ("-g", "set-titles", "off"),
    ("-g", "status", "off"),
    ("-g", "status-interval", "0"),
    ("-g", "update-environment", ""),
    ("-gw", "aggressive-resize", "off"),
    ("-gw", "allow-passthrough", "off"),
    ("-gw", "allow-rename", "off"),
    ("-gw", "automatic-rename", "off"),
    ("-gw", "monitor-activity", "off"),
    ("-gw", "monitor-bell", "off"),
    ("-gw", "pane-base-index", "0"),
    ("-gw", "remain-on-exit", "off"),
    ("-gw", "window-size", "latest"),
)

# The server's process, then those of all clients on the holder.
_CLIENTS: Final = (
    *("display-message", "-p", "#{pid}", ";"),
    *("list-clients", "-t", f"={HOLDER}", "-F", "#{client_pid}"),
)

T = TypeVar("T")


class ServerAbsentError(Exception):
    """No server listens on the socket: positive evidence that all its terminals are gone."""


class Server:
    """The tmux server on `socket`. `record` is the file that names its process."""

    def __init__(self, host: Host, *, socket: str, record: str, uid: int) -> None:
        self.socket = socket
        self._host = host
        self._record = record
        self._uid = uid
        self._lock = asyncio.Lock()
        self._control: Control | None = None
        self._failures = 0
        self._not_before = 0.0
        self._trouble = ""
        self._is_known = False

    def argv(self, *arguments: str) -> list[str]:
        """A tmux command line for this server; it never starts one."""
        return ["tmux", "-S", self.socket, "-f", "/dev/null", "-u", "-N", *arguments]

    async def ask(self, *commands: str, start: bool = False, once: bool = False) -> list[str]:
        """Send commands, return the last one's reply. Those that must not be done twice are sent `once`; others are
        sent again when the control client turns out to have ended.

        Raises RefusedError when tmux refuses one, ServerAbsentError when no server runs (with `start` it is started),
        NotSentError when it can't be reached, another ControlLostError when it isn't known what was done.
        """
        return await self._with(lambda control: control.ask(*commands), start=start, once=once)

    async def ask_fenced(self, command: str) -> list[str]:
        """`ask` for a reply that holds what an agent printed."""
        return await self._with(lambda control: control.ask_fenced(command), start=False, once=False)

    async def close(self) -> None:
        """Let go of the server. One that holds a terminal lives on; an empty one is ended, so that nothing is left."""
        async with self._lock:
            await self._drop()
            self._is_known = False
            if self._host.stamp([self.socket]) == (None,):
                return
            # A dot for each session, the holder's own among them. The server itself looks and ends, so that no terminal
            # can open in between.
            words = ("if-shell", "-F", "-t", f"={HOLDER}:", "#{==:#{S:.},.}", "kill-server", "display-message -p kept")
            with contextlib.suppress(CommandTimeoutError, FileNotFoundError):
                found = await self._host.run(self.argv(*_CLIENTS), timeout_s=2)
                process = await self._note_process(found.out)
                answer = await self._host.run(self.argv(*words), timeout_s=2)
                if answer.code == 0 and "kept" not in answer.out and process is not None:
                    await self._await_end(process)

    async def _await_end(self, process: ProcessId) -> None:
        """The process of an ended server may outlive its listening a little; a new server must not meet it. tmux leaves
        the socket's file, and a folder outside the data directory would stay for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._host.exited(process)
        if self._host.identify(process.pid) == process:
            return
        await self._host.remove_tree(self.socket)
        folder = os.path.dirname(self.socket)
        if os.path.basename(folder).startswith("ao-") and not await self._host.list_dir(folder):
            await self._host.remove_tree(folder)

    async def _note_process(self, answer: str, *, own: str = "") -> ProcessId | None:
        """From what `_CLIENTS` said: the server's process, recorded if the daemon that started it couldn't any more.
        Clients on the holder but `own` were left by daemons that were killed; they are ended."""
        lines = answer.split()
        process = self._host.identify(int(lines[0])) if lines and lines[0].isdigit() else None
        if process and await self._recorded() != process:
            await self._host.write_private(self._record, f"{process.pid} {process.started}\n".encode())
        for pid in lines[1:]:
            stray = self._host.identify(int(pid)) if pid.isdigit() and pid != own else None
            if stray:
                await self._host.kill(stray, {}, grace_s=0.0)
        return process

    async def _recorded(self) -> ProcessId | None:
        words = (await self._host.read(self._record) or b"").decode(errors="replace").split()
        return ProcessId(int(words[0]), words[1]) if len(words) == 2 and words[0].isdigit() else None

    async def _with(self, use: Callable[[Control], Awaitable[T]], *, start: bool, once: bool) -> T:
        async with self._lock:
            if self._control and once:
                # What must not be done twice goes over a connection that is known to work just now.
                with contextlib.suppress(EndedError):
                    await self._use(self._control, lambda control: control.ask("display-message -p ok"))
            if self._control:
                with contextlib.suppress(NotSentError if once else EndedError):
                    return await self._use(self._control, use)
            return await self._use(await self._reach(start=start), use)

    async def _use(self, control: Control, use: Callable[[Control], Awaitable[T]]) -> T:
        intact = False
        try:
            answer = await use(control)
            intact = True
        except RefusedError:
            intact = True
            raise
        finally:
            if not intact:  # lost, or cancelled with a reply outstanding
                await self._drop()
        return answer

    async def _reach(self, *, start: bool) -> Control:
        """A fresh control client. After a failure the next attempts wait longer and longer, up to 5 s."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before:
            raise NotSentError(self._trouble)
        try:
            try:
                self._control = await self._attach()
            except ServerAbsentError:
                if not start:
                    raise
                await self._start()
                self._control = await self._attach()
        except ControlLostError as error:
            pause = min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
            self._failures = min(self._failures + 1, 16)
            self._not_before = loop.time() + pause
            self._trouble = str(error)
            raise NotSentError(self._trouble) from error
        self._failures = 0
        return self._control

    async def _drop(self) -> None:
        control, self._control = self._control, None
        if control:
            await control.close()

    async def _attach(self) -> Control:
        if self._host.stamp([self.socket])[0] is None:
            await self._ensure_really_absent()
            raise ServerAbsentError(f"no socket at {self.socket}")
        try:
            return await self._connect()
        except EndedError:
            if not await self._repair():
                raise
        return await self._connect()

    async def _connect(self) -> Control:
        argv = self.argv("-C", "attach-session", "-t", f"={HOLDER}", "-f", "no-output,ignore-size")
        try:
            control = Control(await self._host.connect(argv))
        except FileNotFoundError as error:
            raise missing() from error
        try:
            await control.greet()
            if not self._is_known:
                await self._meet(control)
        except BaseException:
            await control.close()
            raise
        return control

    async def _meet(self, control: Control) -> None:
        """Once for each server and daemon: see who is there."""
        own = await control.ask("display-message -p '#{client_pid}'")
        server = await control.ask("display-message -p '#{pid}'")
        clients = await control.ask(f"list-clients -t ={HOLDER} -F '#{{client_pid}}'")
        await self._note_process("\n".join([*server, *clients]), own="".join(own))
        self._is_known = True

    async def _repair(self) -> bool:
        """After a refused control client: give a server that lost its holder (a person can close it) a new one, and
        tell whether that was it. Raises ServerAbsentError when nothing listens."""
        try:
            answer = await self._host.run(self.argv("list-sessions"), timeout_s=5)
            if answer.code and "no server running on" in answer.err:
                raise ServerAbsentError(answer.err.strip())
            if answer.code or f"\n{HOLDER}:" in f"\n{answer.out}":
                return False
            return (await self._host.run(self.argv(*_holder()), timeout_s=5)).code == 0
        except CommandTimeoutError as error:
            raise ControlLostError(str(error)) from error

    async def _ensure_really_absent(self) -> None:
        """A socket can be deleted under a living server; its sessions then are unreachable, not gone."""
        known = await self._recorded()
        if known is not None and self._host.identify(known.pid) == known:
            raise ControlLostError(
                f"the socket {self.socket} was removed while its tmux server (process {known.pid}) still runs; "
                f"'kill -USR1 {known.pid}' makes it listen again"
            )

    async def _start(self) -> None:
        folder = os.path.dirname(self.socket)
        await self._host.make_dir(folder)
        await self._check_folder(folder)
        terminal = "tmux-256color" if await self._knows("tmux-256color") else "screen-256color"
        options = (*_OPTIONS, ("-s", "default-terminal", terminal))
        words = ["start-server"]
        for scope, name, value in options:
            words += [";", "set-option", "-q", scope, name, value]
        words += [";", *_holder(), ";", "display-message", "-p", "#{pid}", ";", "show-environment", "-g"]
        argv = [word for word in self.argv() if word != "-N"]
        try:
            answer = await self._host.run([*argv, *words], cwd="/", timeout_s=10)
        except CommandTimeoutError as error:
            raise ControlLostError(str(error)) from error
        except FileNotFoundError as error:
            raise missing() from error
        if answer.code and "duplicate session" not in answer.err:
            raise AoError("RUNTIME_FAILED", f"tmux can't start a server at {self.socket}: {answer.err.strip()}")
        await self._settle(answer.out.splitlines())

    async def _settle(self, lines: list[str]) -> None:
        """Note the new server's process and empty the environment it would hand to terminals."""
        process = self._host.identify(int(lines[0])) if lines and lines[0].isdigit() else None
        if process:
            await self._host.write_private(self._record, f"{process.pid} {process.started}\n".encode())
        names = [line.partition("=")[0] for line in lines[1:] if "=" in line]
        words = [word for name in names for word in (";", "set-environment", "-gu", name)]
        if words:
            await self._host.run(self.argv(*words[1:]), timeout_s=5)

    async def _check_folder(self, folder: str) -> None:
        """Others can make folders in /tmp: the socket's must be a real folder of ours that nobody else may enter."""
        if not folder.startswith(f"/tmp/ao-{self._uid}-"):  # noqa: S108
            return
        found = await self._host.run(
            ["find", folder, "-maxdepth", "0", "-type", "d", "-uid", str(self._uid), "-perm", "700"]
        )
        if not found.out.strip():
            raise AoError(
                "RUNTIME_FAILED",
                f"{folder} must be a folder of this user with mode 0700",
                hint="remove it, or set AO_DATA_DIR to a shorter path",
            )

    async def _knows(self, terminal: str) -> bool:
        paths = [f"{root}/{sub}/{terminal}" for root in _TERMINFO for sub in (terminal[0], f"{ord(terminal[0]):x}")]
        return any(self._host.stamp(paths))


def missing() -> AoError:
    """The error for a machine without tmux."""
    return AoError(
        "RUNTIME_PREREQUISITE_MISSING", "tmux is not installed", hint="install tmux 3.2 or newer, e.g. apt install tmux"
    )


def _holder() -> list[str]:
    """Commands that open a session whose process ends at once and whose dead pane stays."""
    return [
        *("set-option", "-gw", "remain-on-exit", "on", ";"),
        *("new-session", "-d", "-s", HOLDER, "-x", "80", "-y", "24", "/bin/sh", "-c", ":", ";"),
        *("set-option", "-w", "-t", f"={HOLDER}:", "remain-on-exit", "on", ";"),
        *("set-option", "-gw", "remain-on-exit", "off"),
    ]

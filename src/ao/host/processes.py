"""Processes of this machine, by /proc and pidfds: who is it, wait for its end, end it with all that it started.

A process is named by pid and start time; every signal goes through a pidfd whose process has been compared with that
name after opening, so a reused pid is never hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ao.ports import ProcessId

_ROUNDS: Final = 20
_KILL_WAIT_S: Final = 1.0


class Processes:
    """The third of `ao.ports.Host` that watches and ends processes."""

    def identify(self, pid: int) -> ProcessId | None:
        """The process that has this pid now, None when there is none or it is a zombie."""
        return _identify(pid)

    async def exited(self, process: ProcessId) -> None:
        """Return when `process` is gone. Costs no wake-ups while it lives."""
        descriptor = _open(process)
        if descriptor is None:
            return
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def kill(self, root: ProcessId | None, marks: Mapping[str, str], *, grace_s: float) -> list[ProcessId]:
        """End `root`, its descendants and every process of our user whose environment holds all of `marks`.

        SIGTERM to all, up to `grace_s` for them to go, SIGKILL to the rest, until none is left. Every signal is sent
        to a verified (pid, start time). Returns those that could not be ended (normally none).
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        pack = _with_descendants([root] if root else [])
        _ask_to_end(pack)
        for _ in range(_ROUNDS):
            settled = not _living(pack)
            fresh = _with_descendants(await self.find(marks)) | _with_descendants(pack)
            fresh -= pack
            if settled and not fresh:
                return []
            pack |= fresh
            patience = deadline - loop.time()
            if patience > 0:
                _ask_to_end(fresh)
            else:
                _signal(pack, signal.SIGKILL)
            await self._all_gone(_living(pack), timeout_s=patience if patience > 0 else _KILL_WAIT_S)
        return sorted(_living(pack))

    async def find(self, marks: Mapping[str, str]) -> list[ProcessId]:
        """Processes of our user whose environment holds all of `marks`; none for no marks."""
        return await asyncio.to_thread(_find, dict(marks)) if marks else []

    async def _all_gone(self, processes: Iterable[ProcessId], *, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for process in processes:
                    await self.exited(process)


def _identify(pid: int) -> ProcessId | None:
    fields = _stat(pid)
    return None if fields is None or fields[0] in (b"Z", b"X") else ProcessId(pid, fields[19].decode())


def _stat(pid: int | str) -> list[bytes] | None:
    """Fields of /proc/PID/stat from the third (state) on, see proc(5); the second may hold blanks and parentheses."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _open(process: ProcessId) -> int | None:
    """A pidfd of exactly this process, None when it is gone."""
    if process.pid < 1:
        return None
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if _identify(process.pid) == process:
        return descriptor
    os.close(descriptor)
    return None


def _ask_to_end(processes: Iterable[ProcessId]) -> None:
    """SIGTERM; SIGCONT, or a stopped process would never see it; SIGHUP for leaders of a terminal's session, because
    an interactive shell (the supervisor becomes one) ignores SIGTERM. An agent isn't a leader and can end in peace."""
    _signal(processes, signal.SIGTERM)
    _signal(processes, signal.SIGCONT)
    _signal([process for process in processes if _leads_terminal(process.pid)], signal.SIGHUP)


def _leads_terminal(pid: int) -> bool:
    fields = _stat(pid)  # from the third on: state, ppid, pgrp, session, tty_nr
    return fields is not None and int(fields[3]) == pid and int(fields[4]) != 0


def _signal(processes: Iterable[ProcessId], number: signal.Signals) -> None:
    for process in processes:
        descriptor = _open(process) if _may_end(process.pid) else None
        if descriptor is None:
            continue
        try:
            signal.pidfd_send_signal(descriptor, number)
        except (ProcessLookupError, PermissionError):
            continue  # ended meanwhile; or it took on another user's identity, then it is reported as left
        finally:
            os.close(descriptor)


def _may_end(pid: int) -> bool:
    return pid not in _spared() and _is_ours(pid)


def _spared() -> set[int]:
    """init, this process and those it descends from: never signalled, and never taken as the root of a tree, for the
    tree below them is everybody's."""
    spared = {0, 1}
    pid = os.getpid()
    while pid not in spared:
        spared.add(pid)
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 1
    return spared


def _is_ours(pid: int | str) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.getuid()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _living(processes: Iterable[ProcessId]) -> list[ProcessId]:
    return [process for process in processes if _may_end(process.pid) and _identify(process.pid) == process]


def _with_descendants(roots: Iterable[ProcessId]) -> set[ProcessId]:
    found: set[ProcessId] = set()
    spared = _spared()
    pending = [process for process in roots if _identify(process.pid) == process]
    while pending:
        process = pending.pop()
        if process in found or process.pid in spared:
            continue
        found.add(process)
        pending += filter(None, map(_identify, _children(process.pid)))
    return found


def _children(pid: int) -> list[int]:
    """Children of every thread; a few reads however many processes there are (proc(5), /proc/PID/task/TID/children)."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            return _children_by_scan(pid)
    return found


def _children_by_scan(pid: int) -> list[int]:
    """The same on a kernel built without CONFIG_PROC_CHILDREN."""
    stats = ((other, _stat(other)) for other in _pids())
    return [int(other) for other, fields in stats if fields and int(fields[1]) == pid]


def _pids() -> Iterator[str]:
    return (name for name in os.listdir("/proc") if name.isdigit())


def _find(marks: Mapping[str, str]) -> list[ProcessId]:
    wanted = [b"\0" + os.fsencode(f"{name}={value}") + b"\0" for name, value in marks.items()]
    spared = _spared()
    found: list[ProcessId] = []
    for pid in _pids():
        # Identity first: a pid reused between the two reads then names a process that is already gone.
        process = _identify(int(pid)) if int(pid) not in spared and _is_ours(pid) else None
        if process and _has(pid, wanted):
            found.append(process)
    return found


def _has(pid: str, wanted: list[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = b"\0" + file.read() + b"\0"
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return all(mark in environment for mark in wanted)

"""Watching agents without looking: a process's end comes from the kernel, everything else from hooks.

An agent's exit changes its activity and nothing else; the session, its terminal and its files stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ao.engine.world import World, terminal_of
from ao.model.session import Activity, Phase, Session
from ao.model.signal import Signal
from ao.ports import ProcessId

READY_TIMEOUT_S: Final = 20.0
READY_POLL_S: Final = 0.2
RECORDED_S: Final = 1.0
"""How long the supervisor may take to record the exit code of an agent that is gone."""

log = logging.getLogger("ao.engine.watching")


class Watches:
    """One task per living agent, parented by the daemon; it sleeps in the kernel until the process ends."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._heard: dict[str, asyncio.Event] = {}
        self._fresh: dict[str, tuple[str, ...]] = {}
        self._report: Callable[[str, Signal], Awaitable[object]] | None = None

    def report_to(self, sink: Callable[[str, Signal], Awaitable[object]]) -> None:
        """Where the end of an agent is reported; set once while wiring."""
        self._report = sink

    def watch(self, session: Session, process: ProcessId) -> None:
        """Report the end of `process` as the session's agent; replaces an earlier watch."""
        self._end_watch(session.id)
        folder = self._world.settings.launch_folder(session.id, session.launches)
        self._tasks[session.id] = self._world.start(self._until_gone(session.id, process, folder))

    def forget(self, session_id: str) -> None:
        """Stop watching; nothing happens when nobody watches."""
        self._fresh.pop(session_id, None)
        self._end_watch(session_id)

    def _end_watch(self, session_id: str) -> None:
        task = self._tasks.pop(session_id, None)
        if task is not None:
            task.cancel()

    def launched(self, session_id: str, marks: tuple[str, ...]) -> None:
        """An agent was just started: nothing is written to it before one of `marks` is on its screen."""
        self._fresh[session_id] = marks

    def is_fresh(self, session: Session) -> bool:
        """Whether the agent may not be reading its terminal yet."""
        return session.id in self._fresh and not _is_at_work(session)

    async def until_ready(self, session: Session) -> None:
        """Return when the agent reads its terminal: its screen says so, or it has taken a prompt, or it is past its
        time to start."""
        await self._screen_shows(session, self._fresh.get(session.id, ()))
        self._fresh.pop(session.id, None)

    def heard(self, session_id: str) -> None:
        """A signal of this session arrived."""
        event = self._heard.get(session_id)
        if event is not None:
            event.set()

    async def first_signal(self, session_id: str) -> None:
        """Return when the next signal of this session arrives."""
        event = self._heard.setdefault(session_id, asyncio.Event())
        try:
            await event.wait()
        finally:
            if self._heard.get(session_id) is event:
                del self._heard[session_id]

    async def _screen_shows(self, session: Session, marks: tuple[str, ...]) -> bool:
        """Wait until one of `marks` stands on two equal screens in a row; False when it didn't in time. Of an agent
        without marks nothing is known but that its screen rests."""
        before = None
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline:
            row = self._world.session(session.id)
            if row.phase is not Phase.LIVE or _is_at_work(row):
                return True
            screen = await self._world.runtime.capture(terminal_of(session), lines=80)
            if screen == before and (not marks or any(mark in screen for mark in marks)):
                return True
            before = screen
            await asyncio.sleep(READY_POLL_S)
        return False

    async def _until_gone(self, session_id: str, process: ProcessId, folder: str) -> None:
        await self._world.host.exited(process)
        code = await self._world.runtime.exit_code(folder, timeout_s=RECORDED_S)
        self._tasks.pop(session_id, None)
        log.info("agent exited", extra={"session": session_id, "exit_code": code})
        if self._report is not None:
            await self._report(session_id, Signal(event="process-exited", state=Activity.EXITED, exit_code=code))


def _is_at_work(session: Session) -> bool:
    """Whether its agent has told of more than its start."""
    return session.activity_source != "spawn"

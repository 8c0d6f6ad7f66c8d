"""Signals become facts here and nowhere else: read, reduce, write only what changed."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from ao.engine.messaging import Messaging
from ao.engine.watching import Watches
from ao.engine.world import World
from ao.model.lifecycle import is_late, reduce
from ao.model.session import Session
from ao.model.signal import Flight, Signal


class Lifecycle:
    """The sole writer of a living session's activity (a launch begins it, a teardown ends it). Keeps what a restart may
    forget in memory: tools in flight, newest sequence."""

    def __init__(self, world: World, watches: Watches, messaging: Messaging) -> None:
        self._heard: Callable[[str], None] | None = None
        self._world = world
        self._watches = watches
        self._messaging = messaging
        self._flights: dict[str, Flight] = {}
        self._newest: dict[str, tuple[str, int]] = {}

    def report_to(self, sink: Callable[[str], None]) -> None:
        """Call `sink` with each session whose agent gives a sign of life; set while wiring."""
        self._heard = sink

    async def apply(self, session_id: str, signal: Signal) -> Session | None:
        """Apply a signal. Returns the session when a fact changed. Raises `SESSION_NOT_FOUND`."""
        before = self._fenced(self._world.session(session_id))
        flight = self._flights.get(session_id, Flight())
        now = self._world.now()
        after, flown = reduce(before, signal, flight, now)
        self._remember(before, signal, flown)
        changed = None
        if after is not None:
            changed = await self._world.change(
                session_id, lambda row: reduce(self._fenced(row, upto=signal), signal, flight, now)[0]
            )
        if signal.event != "process-exited":
            self._watches.heard(session_id)
            if self._heard is not None:
                self._heard(session_id)
        if signal.submitted:
            await self._messaging.confirmed(session_id)
        return changed

    def forget(self, session_id: str) -> None:
        """A session is gone: drop what is remembered of it."""
        self._flights.pop(session_id, None)
        self._newest.pop(session_id, None)

    def _fenced(self, row: Session, *, upto: Signal | None = None) -> Session:
        """The row with the newest sequence seen, also of signals that changed nothing stored."""
        boot, seq = self._newest.get(row.id, ("", 0))
        if upto is not None and upto.boot_id == boot:
            seq = min(seq, upto.seq)
        return (
            replace(row, hook_boot=boot, hook_seq=seq) if seq and (boot != row.hook_boot or seq > row.hook_seq) else row
        )

    def _remember(self, before: Session, signal: Signal, flown: Flight) -> None:
        if flown.tools or flown.candidate:
            self._flights[before.id] = flown
        else:
            self._flights.pop(before.id, None)
        if signal.seq and not is_late(before, signal):
            self._newest[before.id] = (signal.boot_id, signal.seq)

"""The reducer of signals to facts: pure, total, and the only place that decides what a signal changes.

Precedence follows one rule: a state that means "a person is needed" is left only by evidence that the need is over.
`blocked` (a permission dialog is open) is left by a turn boundary or by the end of the very tool the dialog was about;
`waiting_input` is not left by tool events. A terminated session ignores everything.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ao.model.session import Activity, Session
from ao.model.signal import TOOL_EVENTS, TURN_BOUNDARIES, Flight, Signal

MAX_FLIGHTS: Final = 128
_NOTHING: Final = Flight()


def is_late(session: Session, signal: Signal) -> bool:
    """Whether a newer callback of the same machine boot has been applied already."""
    return signal.seq > 0 and signal.boot_id == session.hook_boot and signal.seq < session.hook_seq


def reduce(session: Session, signal: Signal, flight: Flight, now: int) -> tuple[Session | None, Flight]:
    """The session after `signal` (None when no stored fact changes) and the tools then in flight.

    `now` is in milliseconds since the epoch. Never raises.
    """
    if session.is_terminated or is_late(session, signal):
        return None, flight
    flown = _fly(flight, signal)
    after = _facts(session, signal, now)
    if signal.state is not None and _admits(session, signal, flight):
        after = _enter(after, signal, now)
        flown = _block(session, flown, signal)
    if after is session:
        return None, flown
    if signal.seq:
        after = replace(after, hook_seq=signal.seq, hook_boot=signal.boot_id)
    return after, flown


def _fly(flight: Flight, signal: Signal) -> Flight:
    if signal.event in TURN_BOUNDARIES:
        return _NOTHING
    if signal.event not in TOOL_EVENTS or not signal.tool_id:
        return flight
    tools = tuple(item for item in flight.tools if item[0] != signal.tool_id)
    if signal.event == "pre-tool-use":
        tools = (*tools, (signal.tool_id, signal.tool_name))
    return replace(flight, tools=tools) if len(tools) <= MAX_FLIGHTS else _NOTHING


def _block(session: Session, flight: Flight, signal: Signal) -> Flight:
    if signal.state is not Activity.BLOCKED:
        return replace(flight, candidate="")
    if session.activity is Activity.BLOCKED and not signal.tool_name:
        # A reminder of the dialog that is open already: what it is about is known.
        return flight
    matches = [tool_id for tool_id, name in flight.tools if name == signal.tool_name and name]
    return replace(flight, candidate=matches[0] if len(matches) == 1 else "")


def _facts(session: Session, signal: Signal, now: int) -> Session:
    after = session
    if signal.native_id and signal.native_id != session.native_id:
        after = replace(after, native_id=signal.native_id)
    if session.first_signal_at is None and signal.event != "process-exited":
        after = replace(after, first_signal_at=now)
    return after


def _admits(session: Session, signal: Signal, flight: Flight) -> bool:
    if session.activity is Activity.EXITED:
        return signal.event in ("user-prompt-submit", "") and signal.state is not Activity.EXITED
    if not signal.event or signal.event in TURN_BOUNDARIES:
        return True
    if session.activity is Activity.BLOCKED:
        ended = signal.event in ("post-tool-use", "post-tool-use-failure")
        return signal.state is Activity.BLOCKED or (ended and signal.tool_id == flight.candidate != "")
    return not (session.activity is Activity.WAITING_INPUT and signal.event in TOOL_EVENTS)


def _enter(session: Session, signal: Signal, now: int) -> Session:
    after = session
    if signal.exit_code is not None and signal.exit_code != session.exit_code:
        after = replace(after, exit_code=signal.exit_code)
    if signal.state is None or signal.state is session.activity:
        return after
    source = f"hook:{signal.event}" if signal.event else "api"
    return replace(after, activity=signal.state, activity_at=now, activity_source=source)

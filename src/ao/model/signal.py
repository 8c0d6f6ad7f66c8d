"""What an agent's hook, or the daemon's own watch on its process, reports about a session."""

from __future__ import annotations

from typing import Final

import msgspec

from ao.model.session import Activity

TURN_BOUNDARIES: Final = frozenset({"user-prompt-submit", "stop", "session-end", "process-exited"})
TOOL_EVENTS: Final = frozenset({"pre-tool-use", "post-tool-use", "post-tool-use-failure"})


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One report. `state` None means that only other facts (native id, tool flight) are carried.

    `seq` is CLOCK_MONOTONIC in nanoseconds at the start of the hook's process, comparable within one `boot_id`; 0 when
    the reporter gave none. `submitted` marks the event by which the agent confirms that it took a prompt.
    """

    event: str = ""
    state: Activity | None = None
    native_id: str = ""
    tool_name: str = ""
    tool_id: str = ""
    seq: int = 0
    boot_id: str = ""
    submitted: bool = False
    exit_code: int | None = None


class Flight(msgspec.Struct, frozen=True):
    """Tools in flight (id → name) and, while blocked, the one the permission dialog is about."""

    tools: tuple[tuple[str, str], ...] = ()
    candidate: str = ""

"""`ao status --watch`: every session live, woken by the stream of changes.

On a terminal the table is redrawn in place, at least once a second so that ages move. Piped, the lines that changed
are printed; with `--json` one object per change.
"""

from __future__ import annotations

import os
import select
import sys
import time

from ao.cli import output
from ao.cli.errors import CliError
from ao.cli.listing import cells, entry, in_order
from ao.paths import encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.cli.client import EventStream
    from ao.cli.context import Context

_TICK_S = 1.0
# Changes come in bursts; redraws of one burst are joined.
_SETTLE_S = 0.05
_BURST_S = 0.3
_HEADER = ["ID", "AGE", "STATUS", "AGENT", "BRANCH", "ABOUT"]
_COLUMN_STATUS = 2
_USUAL_HEIGHT = 24


class Board:
    """Draws the sessions, each time over what it drew before."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._redraw = not as_json and output.on_terminal() and os.environ.get("TERM") != "dumb"
        self._drawn = 0
        self._seen: dict[str, str] = {}

    @property
    def moves(self) -> bool:
        """Whether the picture changes by the clock alone."""
        return self._redraw

    def show(self, sessions: list[dict[str, Any]]) -> None:
        """Draw the sessions' present state."""
        if self._as_json:
            self._print_changed({session["id"]: encode_json(entry(session)) for session in sessions})
        elif self._redraw:
            self._redraw_table(sessions)
        else:
            plain = {session["id"]: "  ".join(part for part in _unaged(session) if part) for session in sessions}
            self._print_changed(plain)
        sys.stdout.flush()

    def _print_changed(self, now: dict[str, str]) -> None:
        for session_id, line in now.items():
            if self._seen.get(session_id) != line:
                output.emit(line)
        self._seen = now

    def _redraw_table(self, sessions: list[dict[str, Any]]) -> None:
        moment = time.time()
        rows = [_HEADER, *(cells(session, moment) for session in sessions)]
        padded = output.table(rows, limit=output.columns(), shrink=(4, 5))
        if output.colourful():
            for row, plain in zip(padded[1:], rows[1:], strict=True):
                row[_COLUMN_STATUS] = output.paint(row[_COLUMN_STATUS], output.status_colour(plain[_COLUMN_STATUS]))
        lines = output.lines(padded)
        room = max(_height() - 4, 1)
        if len(lines) > room:
            lines = [*lines[:room], f"... and {len(lines) - room} more"]
        lines += ["", _summary(sessions)]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        sys.stdout.write(up + "".join(f"\r{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._drawn = len(lines)


def _unaged(session: dict[str, Any]) -> list[str]:
    row = [output.clean(cell) for cell in cells(session, 0)]
    return [row[0], f"[{row[2]}]", *row[3:]]


def _height() -> int:
    """Lines of the terminal; the usual number when it does not say."""
    try:
        return os.get_terminal_size(1).lines or _USUAL_HEIGHT
    except OSError:
        return _USUAL_HEIGHT


def _summary(sessions: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for session in sessions:
        status = str(session.get("status", ""))
        counts[status] = counts.get(status, 0) + 1
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return f"{told or 'no sessions'}  (Ctrl-C to leave)"


def _wait(stream: EventStream, tick_s: float | None) -> bool:
    """Wait for changes and take those of one burst; whether there were any."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    wait_s, end, changed = tick_s, float("inf"), False
    while not stream.ended and poll.poll(None if wait_s is None else wait_s * 1000):
        changed = any(frame.event for frame in stream.receive()) or changed
        if changed:
            end = min(end, time.monotonic() + _BURST_S)
            wait_s = max(min(_SETTLE_S, end - time.monotonic()), 0)
            if not wait_s:
                break
    return changed


def watch(context: Context, *, project: str, as_json: bool) -> int:
    """Show the sessions until interrupted or the daemon ends; then 1."""
    filters = {"project": project} if project else {}
    stream = context.client.events("latest", filters)
    board = Board(as_json=as_json)
    sessions: list[dict[str, Any]] = []
    stale = True
    try:
        while not stream.ended:
            if stale:
                answer = context.client.get("/sessions", {"active": "true", **filters})
                sessions = in_order(answer.get("sessions", []))
            if stale or board.moves:
                board.show(sessions)
            stale = _wait(stream, _TICK_S if board.moves else None)
    finally:
        stream.close()
    raise CliError("the daemon has stopped", code="DAEMON_STOPPED", hint="start it with: ao start")

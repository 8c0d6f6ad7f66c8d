"""What is going on, as one looks at it: the facts of one moment, and the table that shows them."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, NamedTuple

HEADING = "SESSION   STATUS             PR  CHECKS   REVIEW             LAST COMMIT"


class Row(NamedTuple):
    """One line of the live table: a session and its pull request ("" where there is none)."""

    session: str
    status: str
    pull: str
    checks: str
    review: str
    commit: str

    def text(self) -> str:
        """The line."""
        review = self.review.replace("_", " ")
        return f"{self.session:<9} {self.status:<18} {self.pull:<3} {self.checks:<8} {review:<18} {self.commit}"


class Moment(NamedTuple):
    """The facts of one moment: sessions by id, pull requests by their session."""

    sessions: dict[str, dict[str, Any]]
    pulls: dict[str, dict[str, Any]]

    def ready(self, session: str) -> bool:
        """Whether a session's pull request could be merged."""
        pull = self.pulls.get(session, {})
        return (pull.get("state"), pull.get("ci"), pull.get("mergeability")) == ("open", "passing", "mergeable")

    def head(self, session: str) -> str:
        """The head commit of a session's pull request."""
        return str(self.pulls.get(session, {}).get("headSha", ""))

    def in_trouble(self) -> str:
        """A session whose agent has given up or is gone; "" when there is none."""
        for name, session in self.sessions.items():
            activity = session.get("activityState")
            if not session.get("isTerminated") and activity in ("waiting_input", "blocked", "exited"):
                return name
        return ""


class Table:
    """The live table: redrawn in place on a terminal, elsewhere only the lines that changed."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.shown: list[Row] = []
        self.drawn = 0
        self.started = time.monotonic()

    def show(self, rows: list[Row]) -> None:
        """Bring the table up to date."""
        if rows == self.shown:
            return
        if self.live:
            self._redraw(rows)
        else:
            self._print_changes(rows)
        sys.stdout.flush()
        self.shown = rows

    def leave(self) -> None:
        """What is printed next goes below it; the table then begins anew."""
        self.drawn = 0
        if self.live:
            self.shown = []

    def _redraw(self, rows: list[Row]) -> None:
        width = shutil.get_terminal_size().columns
        if self.drawn:
            sys.stdout.write(f"\x1b[{self.drawn}A\x1b[J")
        for line in [HEADING, *(row.text() for row in rows)]:
            sys.stdout.write(f"  {line}"[: width - 1] + "\n")
        self.drawn = len(rows) + 1

    def _print_changes(self, rows: list[Row]) -> None:
        if not self.shown:
            print(f"{'':9}{HEADING}")
        before = {row.session: row for row in self.shown}
        for row in rows:
            if before.get(row.session) != row:
                print(f"{time.monotonic() - self.started:5.1f} s  {row.text()}")

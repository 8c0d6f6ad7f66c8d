"""The list of sessions as ready bytes: each session is encoded once per change, a list is a join.

The board follows the change log: when something was committed since it last looked, it re-reads and re-encodes only the
sessions concerned, and those whose status turns with time alone (`Status.until`). Answers carry an entity tag that
changes exactly when the board does. Facts that no change row announces (a bare `updatedAt`) are as of the last change.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from ao.api import plain, views
from ao.api.session_wire import ListMeta
from ao.engine.requests import SessionFacts
from ao.engine.views import Views
from ao.feed import Feed
from ao.model.change import Change
from ao.model.errors import AoError

CATCH_UP_LIMIT: Final = 512
"""Changes after which reading everything anew is cheaper than following them."""
_PAGES: Final = 4
_NEVER: Final = 1 << 62


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions. `ended` None means both. `after` is the (project, number) that the page follows."""

    project: str | None = None
    kind: str | None = None
    ended: bool | None = None
    nothing: bool = False
    """Contradicting demands: no session meets them."""
    limit: int | None = None
    after: tuple[str, int] | None = None


class Page(msgspec.Struct, frozen=True):
    """An encoded answer and its entity tag."""

    body: bytes
    etag: str


class _Text(msgspec.Struct, frozen=True):
    """Encoded lines, and when they change by themselves."""

    body: bytes
    until: int


class _Row:
    __slots__ = ("ended", "fragment", "key", "kind", "line", "until")

    def __init__(self, facts: SessionFacts) -> None:
        self.key = (facts.session.project_id, facts.session.num)
        self.kind = str(facts.session.kind)
        self.ended = facts.session.is_terminated
        self.until = facts.status.until or _NEVER
        self.fragment = msgspec.json.encode(views.session(facts))
        self.line = plain.Line(facts)


class Board:
    """Lists of sessions, kept current. `now` is in milliseconds.

    `changes_after` reads at most so many changes after a sequence number; None when some of them are no longer kept.
    """

    def __init__(
        self,
        sessions: Views,
        feed: Feed,
        *,
        changes_after: Callable[[int, int], list[Change] | None],
        now: Callable[[], int],
        tag: str,
    ) -> None:
        self._sessions = sessions
        self._feed = feed
        self._changes_after = changes_after
        self._now = now
        self._tag = tag
        self._rows: dict[str, _Row] = {}
        self._order: list[_Row] = []
        self._head = -1
        self._cursor = 0
        self._due = _NEVER
        self._version = 0
        self._pages: dict[Filter, Page] = {}
        self._texts: dict[Filter, _Text] = {}

    def page(self, wanted: Filter) -> Page:
        """The list for a filter, as of the last commit."""
        self._refresh()
        page = self._pages.get(wanted)
        if page is None:
            if len(self._pages) >= _PAGES:
                self._pages.clear()
            page = self._pages[wanted] = self._join(wanted)
        return page

    def text(self, wanted: Filter) -> bytes:
        """The same list as lines of text; without a cursor to what follows."""
        self._refresh()
        now = self._now()
        found = self._texts.get(wanted)
        if found is None or found.until <= now:
            if len(self._texts) >= _PAGES:
                self._texts.clear()
            found = self._texts[wanted] = self._lines(wanted, now)
        return found.body

    def _lines(self, wanted: Filter, now: int) -> _Text:
        shown, hidden, _ = self._select(wanted)
        groups = [
            (project, [row.line.at(now) for row in rows]) for project, rows in groupby(shown, lambda row: row.key[0])
        ]
        body = plain.text(groups, hidden, ended=wanted.ended).encode()
        return _Text(body, min((row.line.until for row in shown), default=_NEVER))

    def _join(self, wanted: Filter) -> Page:
        shown, hidden, more = self._select(wanted)
        meta = msgspec.json.encode(ListMeta(hidden_terminated_count=hidden, next_cursor=more))
        body = b'{"sessions":[%s],"meta":%s}\n' % (b",".join([row.fragment for row in shown]), meta)
        return Page(body, f'"{self._tag}-{self._version}-{zlib.crc32(repr(wanted).encode()):08x}"')

    def _select(self, wanted: Filter) -> tuple[list[_Row], int, str]:
        """The rows to show, how many ended ones aren't, and the cursor to what follows."""
        matching = [
            row
            for row in self._order
            if (wanted.project is None or row.key[0] == wanted.project)
            and (wanted.kind is None or row.kind == wanted.kind)
        ]
        shown = [row for row in matching if not wanted.nothing and wanted.ended in (None, row.ended)]
        hidden = sum(row.ended for row in matching) - sum(row.ended for row in shown)
        if wanted.after is not None:
            shown = [row for row in shown if row.key > wanted.after]
        more = ""
        if wanted.limit is not None and len(shown) > wanted.limit:
            shown = shown[: wanted.limit]
            more = "{}/{}".format(*shown[-1].key)
        return shown, hidden, more

    def _refresh(self) -> None:
        head = self._feed.head
        now = self._now()
        if head == self._head and now < self._due:
            return
        stale = (
            {session_id for session_id, row in self._rows.items() if row.until <= now} if now >= self._due else set()
        )
        changed = self._changed() if self._head >= 0 else None
        if changed is None:
            self._cursor = head
            self._read_all()
        else:
            self._read(changed | stale)
        self._head = head
        self._due = min((row.until for row in self._rows.values()), default=_NEVER)
        self._version += 1
        self._pages.clear()
        self._texts.clear()

    def _changed(self) -> set[str] | None:
        """Sessions that changed since the last look; None when everything must be read anew."""
        found = self._changes_after(self._cursor, CATCH_UP_LIMIT + 1)
        if found is None or len(found) > CATCH_UP_LIMIT or any(change.session_id is None for change in found):
            return None
        if found:
            self._cursor = found[-1].seq
        return {change.session_id for change in found if change.session_id is not None}

    def _read_all(self) -> None:
        self._rows = {facts.session.id: _Row(facts) for facts in self._sessions.list()}
        self._order = sorted(self._rows.values(), key=attrgetter("key"))

    def _read(self, session_ids: set[str]) -> None:
        for session_id in session_ids:
            try:
                self._rows[session_id] = _Row(self._sessions.get(session_id))
            except AoError:
                self._rows.pop(session_id, None)
        if session_ids:
            self._order = sorted(self._rows.values(), key=attrgetter("key"))

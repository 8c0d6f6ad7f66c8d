"""The list of sessions as ready bytes: what is read anew, and when."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from ao.api import plain, views
from ao.api.board import CATCH_UP_LIMIT, Board, Filter
from ao.engine.requests import SessionFacts
from ao.feed import Feed
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.session import Kind, Phase, Session
from ao.model.status import Status


class Facts:
    """Sessions in memory that count how often each is read."""

    def __init__(self, count: int) -> None:
        self.rows = {f"p-{number}": _facts(number) for number in range(1, count + 1)}
        self.reads: list[str] = []
        self.lists = 0

    def get(self, session_id: str) -> SessionFacts:
        self.reads.append(session_id)
        if session_id not in self.rows:
            raise AoError("SESSION_NOT_FOUND", session_id)
        return self.rows[session_id]

    def list(self) -> list[SessionFacts]:
        self.lists += 1
        return list(self.rows.values())


class Bench:
    """A board with a feed, a change log and a clock of its own."""

    def __init__(self, count: int = 3) -> None:
        self.facts = Facts(count)
        self.feed = Feed()
        self.log: list[Change] = []
        self.pruned = False
        self.now = 1000
        self.board = Board(
            self.facts,  # type: ignore[arg-type]
            self.feed,
            changes_after=self._after,
            now=lambda: self.now,
            tag="t",
        )

    def _after(self, cursor: int, limit: int) -> list[Change] | None:
        return None if self.pruned else [change for change in self.log if change.seq > cursor][:limit]

    def change(self, session_id: str | None, kind: str = "session_updated") -> None:
        seq = len(self.log) + 1
        change = Change(seq=seq, project_id="p", session_id=session_id, type=kind, payload="{}", created_at="")
        self.log.append(change)
        self.feed.publish([change])

    def ids(self, **wanted: object) -> list[str]:
        page = self.board.page(msgspec.convert(wanted, Filter))
        return [item["id"] for item in msgspec.json.decode(page.body)["sessions"]]


def _facts(number: int, *, until: int | None = None, name: str = "", phase: Phase = Phase.LIVE) -> SessionFacts:
    session = Session(
        id=f"p-{number}",
        project_id="p",
        num=number,
        kind=Kind.WORKER,
        agent="demo",
        display_name=name,
        phase=phase,
        activity_at=0,
        created_at=0,
        updated_at=0,
    )
    status = Status(word="idle", scm=None, evidence=(), until=until)
    return SessionFacts(session=session, status=status, base_age_s=None, has_terminal=True)


def test_an_unchanged_list_is_the_same_bytes_without_reading() -> None:
    bench = Bench()
    first = bench.board.page(Filter())
    assert bench.board.page(Filter()) is first
    assert (bench.facts.lists, bench.facts.reads) == (1, [])


def test_only_what_changed_is_read_again() -> None:
    bench = Bench()
    before = bench.board.page(Filter())
    bench.facts.rows["p-2"] = _facts(2, name="new")
    bench.change("p-2")
    bench.change("p-2")
    after = bench.board.page(Filter())
    assert (bench.facts.lists, bench.facts.reads) == (1, ["p-2"])
    assert before.etag != after.etag
    assert b'"displayName":"new"' in after.body


def test_new_and_deleted_sessions_come_and_go_in_order() -> None:
    bench = Bench()
    assert bench.ids() == ["p-1", "p-2", "p-3"]
    bench.facts.rows |= {"p-10": _facts(10)}
    bench.change("p-10", "session_created")
    del bench.facts.rows["p-2"]
    bench.change("p-2", "session_deleted")
    assert bench.ids() == ["p-1", "p-3", "p-10"]


def test_a_status_that_turns_with_time_is_read_again_when_it_does() -> None:
    bench = Bench()
    bench.facts.rows["p-1"] = _facts(1, until=2000)
    first = bench.board.page(Filter())
    bench.now = 1999
    assert bench.board.page(Filter()) is first
    bench.now = 2000
    bench.facts.rows["p-1"] = _facts(1)
    assert bench.board.page(Filter()).etag != first.etag
    assert bench.facts.reads == ["p-1"]


@pytest.mark.parametrize("why", ["many", "pruned", "project"])
def test_everything_is_read_anew_when_following_would_not_do(why: str) -> None:
    bench = Bench()
    bench.ids()
    for _ in range(CATCH_UP_LIMIT + 1 if why == "many" else 1):
        bench.change(None if why == "project" else "p-1")
    bench.pruned = why == "pruned"
    bench.ids()
    assert (bench.facts.lists, bench.facts.reads) == (2, [])


def test_filters_and_counts() -> None:
    bench = Bench()
    bench.facts.rows["p-2"] = _facts(2, phase=Phase.ENDED)
    assert bench.ids(ended=False) == ["p-1", "p-3"]
    assert bench.ids(ended=True) == ["p-2"]
    assert bench.ids(kind="orchestrator") == []
    assert bench.ids(project="q") == []
    assert bench.ids(nothing=True) == []
    page = msgspec.json.decode(bench.board.page(Filter(ended=False, limit=1)).body)
    assert page["meta"] == {"hiddenTerminatedCount": 1, "nextCursor": "p/1"}
    assert bench.ids(ended=False, after=("p", 1)) == ["p-3"]


def _row(project: str, number: int, **fields: Any) -> SessionFacts:
    facts = _facts(number)
    changed = msgspec.structs.replace(facts.session, id=f"{project}-{number}", project_id=project, **fields)
    return msgspec.structs.replace(facts, session=changed)


def test_as_text_rows_are_grouped_by_project_and_sorted_by_number() -> None:
    bench = Bench(0)
    bench.now = 10_000
    rows = [
        _row("shop", 10, activity_at=7_001),
        _row("web", 1, issue_id="GH-7", kind=Kind.ORCHESTRATOR),
        _row("shop", 2, issue_id="77", activity_at=11_000),
        _row("shop", 3, phase=Phase.ENDED),
    ]
    bench.facts.rows = {row.session.id: row for row in rows}
    shop = "shop:\n  shop-2  (0s)  [idle]  worker  77\n"
    later = "  shop-10  (2s)  [idle]  worker\n"
    web = "web:\n  web-1  (10s)  [idle]  orchestrator  GH-7\n"
    hidden = "1 terminated session hidden. Use --include-terminated to show.\n"
    assert bench.board.text(Filter(ended=False)).decode() == f"{shop}{later}\n{web}{hidden}"
    assert bench.board.text(Filter(project="shop")).decode() == f"{shop}  shop-3  (10s)  [idle]  worker\n{later}"
    assert bench.board.text(Filter(ended=False, project="web")).decode() == web


def test_as_text_an_empty_list_says_so_and_what_it_leaves_out() -> None:
    bench = Bench(2)
    bench.facts.rows = {name: _facts(number, phase=Phase.ENDED) for number, name in ((1, "p-1"), (2, "p-2"))}
    hidden = b"2 terminated sessions hidden. Use --include-terminated to show.\n"
    assert bench.board.text(Filter(ended=False)) == b"(no active sessions)\n" + hidden
    assert bench.board.text(Filter(project="q")) == b"(no sessions)\n"


def test_as_text_a_list_is_made_anew_when_a_row_or_an_age_changes_and_only_then() -> None:
    bench = Bench(0)
    bench.facts.rows = {"p-1": _row("p", 1), "p-2": _row("p", 2, activity_at=-3_600_000)}
    first = bench.board.text(Filter())
    bench.now = 1999
    assert bench.board.text(Filter()) is first
    bench.now = 2000
    second = bench.board.text(Filter())
    assert second == first.replace(b"(1s)", b"(2s)")
    bench.facts.rows["p-2"] = _row("p", 2, issue_id="9")
    bench.change("p-2")
    assert bench.board.text(Filter()).endswith(b"  p-2  (2s)  [idle]  worker  9\n")


def test_hostile_names_cannot_drive_the_terminal() -> None:
    bench = Bench(0)
    bench.facts.rows = {"p-1": _row("p", 1, issue_id="\x1b]0;owned\x07\n\u202eevil ")}
    assert bench.board.text(Filter()) == b"p:\n  p-1  (1s)  [idle]  worker  ]0;owned evil\n"


@pytest.mark.parametrize(
    ("passed", "shown", "lasts"),
    [
        (-5, "0s", 1_005),
        (0, "0s", 1_000),
        (59_999, "59s", 1),
        (60_000, "1m", 60_000),
        (3_599_999, "59m", 1),
        (3_600_000, "1h", 3_600_000),
        (86_399_999, "23h", 1),
        (200_000_000, "2d", 59_200_000),
    ],
)
def test_an_age_is_in_its_largest_unit_and_knows_when_it_ends(passed: int, shown: str, lasts: int) -> None:
    now = 1_900_000_000_000
    assert plain.age_at(now - passed, now) == (shown, now + lasts)


def test_a_moment_is_utc_with_milliseconds() -> None:
    assert views.moment(0) == "1970-01-01T00:00:00.000Z"
    assert views.moment(1_927_951_506_009) == "2031-02-04T06:05:06.009Z"


def test_a_change_among_a_thousand_costs_one_encoding() -> None:
    bench = Bench(1000)
    bench.board.page(Filter())
    began = time.perf_counter()
    for _ in range(20):
        bench.change("p-500")
        bench.board.page(Filter())
    assert bench.facts.reads == ["p-500"] * 20
    print(f"{(time.perf_counter() - began) * 50:.2f} ms a change and list")

"""Tables, ages, ordering and text from outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from ao.cli import moments, output

ZONES = st.integers(min_value=-23 * 60, max_value=23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def test_ids_sort_by_number() -> None:
    ids = ["shop-10", "shop-2", "a-1", "shop-1", "shop", "shop-2b", "Shop-3"]
    assert sorted(ids, key=output.natural) == ["Shop-3", "a-1", "shop", "shop-1", "shop-2", "shop-2b", "shop-10"]


def test_columns_stand_two_blanks_apart_without_trailing_ones() -> None:
    rows = output.table([["ID", "NAME"], ["shop-1", "x"], ["a", ""]])
    assert output.lines(rows) == ["ID      NAME", "shop-1  x", "a"]


def test_table_gives_way_in_the_named_columns_only() -> None:
    rows = output.table([["shop-1", "a" * 30, "b" * 50]], limit=50, shrink=(1, 2))
    [line] = output.lines(rows)
    assert line == "shop-1  " + "a" * 19 + "…" + "  " + "b" * 19 + "…"
    assert output.width(line) == 50


@given(st.lists(st.text(max_size=30), min_size=3, max_size=3), st.integers(min_value=40, max_value=90))
def test_table_fits_whatever_the_cells_hold(cells: list[str], limit: int) -> None:
    [line] = output.lines(output.table([["shop-1", *cells]], limit=limit, shrink=(1, 2, 3)))
    assert output.width(line) <= limit
    assert "\n" not in line


def test_wide_characters_take_two_cells() -> None:
    assert output.lines(output.table([["日本", "x"], ["ab", "y"]])) == ["日本  x", "ab    y"]
    assert output.cut("日本語", 4) == "日…"


@given(st.text())
def test_cleaned_text_is_one_printable_line(text: str) -> None:
    assert output.clean(text).isprintable()


def test_cleaning_keeps_ordinary_text() -> None:
    assert output.clean("Größe: 日本 x  y") == "Größe: 日本 x  y"
    assert output.clean("a\n\tb\x1b[31mc") == "a b [31mc"


def test_no_rows_make_no_lines() -> None:
    assert output.table([]) == []


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30), timezones=ZONES))
def test_times_are_read_as_datetime_reads_them(moment: datetime) -> None:
    parsed = moments.parse(moment.isoformat())
    assert parsed is not None
    assert abs(parsed - moment.timestamp()) < 1e-3


def test_times_of_every_form_are_read() -> None:
    expected = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC).timestamp()
    for text in ("2031-02-03T04:05:06Z", "2031-02-03T04:05:06.000000000Z", "2031-02-03T05:35:06+01:30"):
        assert moments.parse(text) == expected
    for text in ("", "yesterday", "2031-02-03", "2031-02-03T04:05:06", "2031-02-03T04:05:xxZ"):
        assert moments.parse(text) is None


def test_age_is_told_in_its_largest_unit() -> None:
    now = datetime(2031, 2, 3, tzinfo=UTC).timestamp()
    ages = {"2031-02-02T23:59:48.500Z": "11s", "2031-02-02T23:55:00Z": "5m", "2031-02-02T21:00:00Z": "3h",
            "2031-02-01T00:00:00Z": "2d", "2031-02-03T00:00:09Z": "0s", "": ""}  # fmt: skip
    assert {text: moments.age(text, now) for text in ages} == ages


def test_times_are_cut_to_seconds_in_utc() -> None:
    assert moments.to_seconds("2031-02-03T05:05:06.789+01:00") == "2031-02-03T04:05:06Z"
    assert moments.to_seconds("soon") == "soon"

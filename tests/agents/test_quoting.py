"""Texts as other programs read them: what is written is what they read back."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.agents.quoting import at_least, fits, shorten, toml_string, version_in

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_a_toml_string_is_read_back_as_it_was(text: str) -> None:
    assert tomllib.loads(f"a = {toml_string(text)}") == {"a": text}


@given(TEXT)
def test_a_toml_string_works_as_a_key_and_stays_on_one_line(text: str) -> None:
    assert tomllib.loads(f"a={{{toml_string(text)}={{b=1}}}}") == {"a": {text: {"b": 1}}}
    assert "\n" not in toml_string(text)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("/w/a.b", "'/w/a.b'"), ("a\\b", "'a\\b'"), ("it's", '"it\'s"'), ("a\tb\\", '"a\\tb\\\\"'), ("\x01", '"\\u0001"')],
)
def test_a_literal_string_is_preferred(text: str, quoted: str) -> None:
    assert toml_string(text) == quoted


@given(TEXT, st.integers(0, 40))
def test_a_shortened_text_is_a_beginning_that_fits(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert text.startswith(short)
    assert len(short.encode()) <= limit
    assert len(short) == len(text) or len(text[: len(short) + 1].encode()) > limit


@pytest.mark.parametrize(
    ("version", "since", "known"),
    [
        ("2.1.330", "2.1.197", True),
        ("2.1.197", "2.1.197", True),
        ("2.1.30", "2.1.197", False),
        ("10.0", "9.9.9", True),
        ("", "1.0", False),
        ("", "", True),
    ],
)
def test_versions_compare_as_numbers_and_an_unknown_one_is_old(version: str, since: str, *, known: bool) -> None:
    assert at_least(version, since) is known


@pytest.mark.parametrize(
    ("text", "version"), [("2.1.330 (Claude Code)", "2.1.330"), ("codex-cli 0.169.0\n", "0.169.0"), ("v1", "")]
)
def test_a_version_is_found_in_what_a_program_prints(text: str, version: str) -> None:
    assert version_in(text) == version


def test_what_fits_is_counted_in_bytes() -> None:
    assert fits("a" * 65_536)
    assert not fits("\N{GRINNING FACE}" * 65_536)

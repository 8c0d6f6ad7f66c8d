"""Identifiers, derived names, and what text may reach a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao import paths
from ao.model import ids
from ao.model.errors import CODES, AoError
from ao.model.text import TEXT_LIMIT, first_line, sanitise, too_long


@pytest.mark.parametrize("bad", ["", "..", ".a", "a/b", "a\\b", "a..b", "-a", "a b", "ä", "a\n", "a" * 129])
def test_ids_that_could_leave_a_folder_or_confuse_a_tool_are_refused(bad: str) -> None:
    assert not ids.is_id(bad)
    with pytest.raises(AoError) as caught:
        ids.check_project_id(bad)
    assert caught.value.code == "INVALID_PROJECT_ID"


@given(st.text(max_size=140))
def test_the_command_line_and_the_daemon_share_one_id_grammar(text: str) -> None:
    assert ids.is_id(text) == paths.is_id(text)


def test_default_project_id_is_the_lower_cased_folder_name() -> None:
    assert ids.project_id_for("/srv/My Repo/") == "my-repo"


@pytest.mark.parametrize(
    ("session", "pattern"),
    [
        ("sess-1", "sess-1"),
        ("repo/issue#42.1", "repo-issue-42-1-[0-9a-f]{8}"),
        ("a" * 49, f"{'a' * 32}-[0-9a-f]{{8}}"),
        ("###", "session-[0-9a-f]{8}"),
        ("my.app-1", "my-app-1-[0-9a-f]{8}"),
    ],
)
def test_terminal_names_follow_the_contract(session: str, pattern: str) -> None:
    assert re.fullmatch(pattern, ids.handle_for(session))


@given(st.from_regex(ids.ID_PATTERN, fullmatch=True))
def test_terminal_names_never_hold_a_character_tmux_reads_as_syntax(session: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,48}", ids.handle_for(session))


def test_session_numbers_are_read_only_from_ids_of_that_project() -> None:
    assert ids.session_num("demo", "demo-12") == 12
    assert ids.session_num("demo", "demo-x-12") is None
    assert ids.session_num("demo", "demo-012") is None


def test_control_characters_vanish_but_line_feed_return_and_tab_stay() -> None:
    assert sanitise("a\x1b[2Jb\x07\n\t\r\x00\x7f\x9b") == "a[2Jb\n\t\r"


@given(st.text())
def test_sanitising_twice_changes_nothing_more(text: str) -> None:
    once = sanitise(text)
    assert sanitise(once) == once


def test_limits_count_characters_but_bytes_for_the_originals_clients() -> None:
    assert not too_long("ä" * TEXT_LIMIT, compat=False)
    assert too_long("ä" * (TEXT_LIMIT + 1), compat=False)
    assert not too_long("a" * 4096, compat=True)
    assert too_long("ä" * 2049, compat=True)


def test_every_code_has_a_kind_and_an_http_status() -> None:
    for code in CODES:
        error = AoError(code, "m")
        assert 400 <= error.status < 600
        assert error.kind


def test_a_summary_is_the_first_line_that_says_something() -> None:
    assert first_line("\n  fix it \nnow", limit=20) == "fix it"
    assert first_line("a" * 30, limit=10) == "a" * 9 + "…"
    assert first_line(" \n", limit=10) == ""

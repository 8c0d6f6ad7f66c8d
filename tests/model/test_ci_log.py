"""The part of a log that says why a check failed, and no secret with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.model.ci_log import HIDDEN, LINE_LIMIT, masked, region
from tests.model.hostile import CORPUS

STAMP = "2026-03-01T10:11:12.1234567Z "
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA" * 4 + "\n" + "-----END RSA PRIVATE KEY-----"
PARTS = ["\n", "error: x", "E   y", "FAILED z", "line", "##[error]boom", "x" * 500, KEY, "TOKEN=abcdef123", "é"]


def numbered(count: int, word: str = "ok") -> str:
    return "".join(f"{word} {number}\n" for number in range(count))


@pytest.mark.parametrize(
    "error",
    [
        "##[error]Cannot find module 'x'",
        "src/a.c:3:5: error: expected ';'",
        "error[E0308]: mismatched types",
        "src/a.ts(3,5): error TS2322: Type 'string'",
        "Traceback (most recent call last):",
        "E   assert 1 == 2",
        "FAILED tests/test_a.py::test_b",
        "--- FAIL: TestParse (0.00s)",
        "panic: runtime error: index out of range",
        "AssertionError",
        "npm ERR! code ELIFECYCLE",
        "npm error code ELIFECYCLE",
        "fatal: not a git repository",
        "thread 'main' panicked at src/main.rs:2:5:",
        "make: *** [Makefile:3: all] Error 2",
        "sh: 1: frobnicate: command not found",
        "not ok 3 - adds",
    ],
)
def test_db77_the_first_error_is_shown_with_what_led_to_it_and_the_end(error: str) -> None:
    log = numbered(300) + error + "\n" + numbered(300, "after") + "##[error]Process completed with exit code 1.\n"
    shown = region(log, lines=40).split("\n")
    assert error in shown
    assert "ok 299" in shown
    assert shown[-1] == "##[error]Process completed with exit code 1."
    assert len([line for line in shown if "left out" in line]) == 2
    assert len(shown) <= 42


def test_the_word_error_in_passing_is_no_error() -> None:
    quiet = "0 errors, 3 warnings\nerrors: 0\ninstalling error-handler 1.2\nrun with --fail-fast\n"
    log = quiet + numbered(200) + "E   the real one\n" + numbered(200)
    shown = region(log, lines=20)
    assert "the real one" in shown
    assert "errors" not in shown


def test_a_log_without_an_error_shows_its_end() -> None:
    assert region(numbered(100), lines=3) == "[… 97 lines left out …]\nok 97\nok 98\nok 99"


def test_a_short_log_is_shown_whole_without_stamps_and_colours() -> None:
    assert region(f"{STAMP}a\r\n{STAMP}\x1b[31mE   b\x1b[0m\n") == "a\nE   b"


def test_nothing_is_said_to_be_missing_where_the_error_meets_the_end() -> None:
    shown = region(numbered(100) + "E   boom\nlast\n", lines=20).split("\n")
    assert shown[0] == "[… 97 lines left out …]"
    assert shown[1:] == ["ok 97", "ok 98", "ok 99", "E   boom", "last"]


def test_a_megabyte_in_a_line_is_cut_in_the_line_and_said() -> None:
    shown = region(CORPUS["a megabyte in a line"])
    assert shown == "A" * LINE_LIMIT + f" [… {1_000_000 - LINE_LIMIT:,} characters left out …]"


def test_an_error_is_found_though_long_lines_stand_before_it() -> None:
    log = ("x" * 5_000 + "\n") * 50 + "E   boom\n" + ("y" * 5_000 + "\n") * 50
    assert "E   boom" in region(log)


@given(st.lists(st.sampled_from(PARTS)).map("\n".join), st.integers(1, 80), st.integers(300, 8_000))
def test_a_region_keeps_its_limits_and_its_lines_in_order(log: str, lines: int, limit: int) -> None:
    shown = region(log, lines=lines, limit=limit)
    assert len(shown) <= limit
    assert len(shown.split("\n")) <= lines + 2
    assert "PRIVATE KEY" not in shown
    assert "abcdef123" not in shown


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_s7_no_hostile_log_breaks_the_limits(name: str) -> None:
    shown = region(CORPUS[name] + "\nE   boom\n" + CORPUS[name])
    assert len(shown) <= 6_000
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("got ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abc"),
        ("github_pat_11ABCDEFG0abcdefghij_klm", "github_pat_11"),
        ("gho_abcdefghijklmnop1234", "gho_"),
        ("id AKIAIOSFODNN7EXAMPLE.", "AKIA"),
        ("xoxb-1234567890-abcdef", "xoxb"),
        ("sk-proj-abcdefghijklmnopqrstuv", "sk-proj"),
        ("aos_demo-1.3.0a1b2c3d4e5f", "aos_"),
        ("authorization: Bearer abcdefghijklmnopqrstuvwxyz", "abcdefgh"),
        ("clone https://me:hunter2@example.org/r.git", "hunter2"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJ"),
        (f"cat key\n{KEY}\nrest", "MIIE"),
        (KEY[KEY.index("\n") + 1 :], "MIIE"),
        (KEY[: KEY.index("-----END")], "MIIE"),
        ("DB_PASSWORD=correcthorse", "correct"),
        ("export AWS_SECRET_ACCESS_KEY='wJalrXUtnFEMI/K7MDENG'", "wJalr"),
        ('{"api_key": "a1b2c3d4e5f6"}', "a1b2c3"),
        ("AO_TOKEN=0a1b2c3d", "0a1b"),
        ("DEPLOY_KEY=0a1b2c3d4e5f6a7b8c9d", "0a1b"),
    ],
)
def test_db77_secrets_in_logs_do_not_reach_the_agent(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in masked(text)
    assert HIDDEN in masked(text)
    assert secret not in region(f"{STAMP}\x1b[1m" + text.replace("\n", f"\n{STAMP}"))


@pytest.mark.parametrize(
    "text",
    [
        "SyntaxError: Unexpected token: identifier",
        "key: value",
        "cache-key=linux-node",
        "tokens: 12",
        "https://example.org/a/b?c=d",
        "assert monkey == donkey",
        "commit 0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert masked(text) == text


def test_masking_keeps_the_name_so_that_it_is_seen_what_was_hidden() -> None:
    assert masked("DB_PASSWORD=correcthorse x") == f"DB_PASSWORD={HIDDEN} x"

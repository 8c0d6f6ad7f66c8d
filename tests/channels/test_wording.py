"""What leaves the machine reads as text and gives nothing away."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.channels import wording

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x9b2Jgone", "gone"),
        ("a\x07\x08\x7fb", "ab"),
        ("left\u202eright", "leftright"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("two\nlines\u2028three", "two lines three"),
        ("@everyone look", "\uff20everyone look"),
        ("<!channel> <@U1>", "\u2039!channel\u203a \u2039\uff20U1\u203a"),
        ("[bank](http://evil)", "[bank] (http://evil)"),
        ("```sh```", "'''sh'''"),
    ],
)
def test_a_title_is_one_harmless_line(hostile: str, shown: str) -> None:
    assert wording.title(hostile) == shown


def test_a_body_keeps_its_lines_without_the_empty_ones() -> None:
    assert wording.body("one\r\n\n  two\tx \x1b[1m\nthree") == "one\ntwo x\nthree"


@given(st.text(max_size=4_000))
def test_whatever_comes_the_text_is_bounded_and_inert(text: str) -> None:
    for made, limit in ((wording.title(text), wording.TITLE_LIMIT), (wording.body(text), wording.BODY_LIMIT)):
        assert len(made) <= limit
        assert not any(sign in made for sign in "@<>`")
        assert "](" not in made
        assert all(sign == "\n" or unicodedata.category(sign)[0] not in "C" for sign in made)
        assert "\n" not in wording.title(text)


@pytest.mark.parametrize(
    ("url", "kept", "gone"),
    [
        (SLACK, [], ["T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"]),
        (
            "json://user:pa%20ss@hooks.example.com:8080/k3yk/path",
            ["hooks.example.com", "8080"],
            ["user", "pa ss", "k3yk"],
        ),
        ("pbul://o.gn5kj6nfhv736I7jC3cj3QLRiyhgl98b", [], ["o.gn5kj6nfhv736I7jC3cj3QLRiyhgl98b"]),
        ("ntfy://10.0.0.7/my-topic?token=tk_abc", ["10.0.0.7"], ["my-topic", "tk_abc"]),
    ],
)
def test_no_secret_of_a_url_is_left_in_a_reason(url: str, kept: list[str], gone: list[str]) -> None:
    quoted = f"could not reach {url}; pieces {' '.join(gone)}"
    made = wording.masked(quoted, url)
    for secret in gone:
        assert secret not in made
    shown = wording.masked(f"connecting to {' '.join(kept)} failed", url)
    for part in kept:
        assert part in shown


def test_a_reason_is_one_bounded_line() -> None:
    made = wording.masked("x\n" * 1_000 + "\x1b[31m", SLACK)
    assert len(made) <= wording.REASON_LIMIT
    assert made.isprintable()

"""Branch names against git's own opinion."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ao.model.errors import AoError
from ao.workspaces.branches import check_branch, is_branch

_PIECES = st.sampled_from(
    (
        *(
            "a",
            "B",
            "-",
            ".",
            "..",
            "/",
            "//",
            "@",
            "@{",
            "{",
            ".lock",
            "lock",
            "HEAD",
            "~",
            "^",
            ":",
            "?",
            "*",
            "[",
            "\\",
        ),
        *(
            " ",
            "\t",
            "\n",
            "\x7f",
            "\x01",
            "\u00fc",
            "\u65e5",
            "$(id)",
            "`id`",
            ";id",
            "'",
            '"',
            "|",
            "&",
            "refs/heads/",
        ),
    )
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NAMES = st.one_of(st.lists(_PIECES, max_size=6).map("".join), _TEXTS)


def _git_accepts(name: str) -> bool:
    """git's answer outside of any repository; a name that it would expand to another doesn't count, nor does `@`, which
    means HEAD wherever a revision is read."""
    done = subprocess.run(
        ["git", "check-ref-format", "--branch", name], capture_output=True, cwd="/", timeout=20, check=False
    )
    return done.returncode == 0 and done.stdout == name.encode() + b"\n" and name != "@"


@given(_NAMES)
@example("a/b")
@example("-x")
@example("@")
@example("a.lock/b")
@example("a/.b")
@example("a.")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_s5_a_name_is_accepted_exactly_when_git_accepts_it(name: str) -> None:
    if "\x00" in name:
        assert not is_branch(name)
    else:
        assert is_branch(name) == _git_accepts(name)


@pytest.mark.parametrize(
    "name", ["", "HEAD", "-d", "a b", "a..b", "@{-1}", "x\x00y", "a" * 2000, "\ud800", "--upload-pack=x"], ids=ascii
)
def test_an_invalid_name_is_refused_with_its_code(name: str) -> None:
    with pytest.raises(AoError) as caught:
        check_branch(name)
    assert caught.value.code == "INVALID_BRANCH"


@pytest.mark.parametrize("name", ["main", "feature/x", "ao/demo-1/root", "\u00fcn\u00ef", "v1.2", "a@b", "$(id)"])
def test_a_valid_name_is_returned(name: str) -> None:
    assert check_branch(name) == name

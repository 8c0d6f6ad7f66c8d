"""How people name a pull request."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.model.errors import AoError
from ao.model.pull_reference import parse
from tests.model.hostile import CORPUS

GITHUB = "https://github.com/Owner/repo.name/pull/142"
LOCAL = "ao://local/demo_1/pull/7"


@pytest.mark.parametrize("text", ["142", "#142", "  142\n"])
def test_a_number_is_one_of_the_projects(text: str) -> None:
    assert (parse(text).number, parse(text).url) == (142, "")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (GITHUB, GITHUB),
        ("HTTPS://GitHub.com/Owner/repo.name/pull/142/", GITHUB),
        (f"{GITHUB}?w=1#discussion_r1", GITHUB),
        ("https://github.com/Owner/repo.name.git/pull/142", GITHUB),
        ("https://git.example.org:8443/a/b/pull/9", "https://git.example.org:8443/a/b/pull/9"),
        (LOCAL, LOCAL),
        ("AO://LOCAL/demo_1/pull/7", LOCAL),
        ("ao://local/x.git/pull/7", "ao://local/x.git/pull/7"),
    ],
)
def test_a_url_is_brought_to_its_one_form(text: str, url: str) -> None:
    assert parse(text).url == url
    assert parse(text).number == int(url.rsplit("/", 1)[1])


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_is_asked_for_again(text: str) -> None:
    with pytest.raises(AoError) as refused:
        parse(text)
    assert refused.value.code == "PR_REQUIRED"


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "#0",
        "-1",
        "##1",
        "1.5",
        "007",
        "٣",
        "99999999999",
        "main",
        f"{GITHUB}/files",
        f"{GITHUB}/commits/abc",
        "http://github.com/o/r/pull/1",
        "ssh://github.com/o/r/pull/1",
        "https://github.com/o/r/issues/1",
        "https://github.com/o/r/pull/0",
        "https://github.com/o/r/pull/x",
        "https://github.com/o/pull/1",
        "https://github.com/o/../pull/1",
        "https://github.com/o/.git/pull/1",
        "https://github.com/a/b/c/pull/1",
        "https://me:secret@github.com/o/r/pull/1",
        "https:///o/r/pull/1",
        "https://[::1/o/r/pull/1",
        "https://gíthub.com/o/r/pull/1",
        "ao://local/demo",
        "ao://local/a/b/pull/1",
        "ao://other/demo/pull/1",
        "github.com/o/r/pull/1",
        "o/r#1",
        *(text for text in CORPUS.values() if text.strip()),
    ],
)
def test_anything_else_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(AoError) as refused:
        parse(text)
    assert refused.value.code == "INVALID_PR_REF"
    assert "142" in (refused.value.hint or "")
    assert len(refused.value.message) < 300
    assert "\x1b" not in refused.value.message


names = st.text("abcXYZ019._-", min_size=1, max_size=20)


@given(names, names, st.integers(-5, 10**11), st.sampled_from(["", "?a=b", "#c", "/"]))
def test_a_url_that_is_understood_means_the_same_when_given_back(owner: str, name: str, number: int, end: str) -> None:
    text = f"https://Example.org/{owner}/{name}/pull/{number}{end}"
    sound = 0 < number < 10**10 and owner.strip(".") and name.removesuffix(".git").strip(".")
    with nullcontext() if sound else pytest.raises(AoError, match="does not name a pull request"):
        found = parse(text)
        assert found.number == number
        assert found.url.startswith(f"https://example.org/{owner}/")
        assert parse(found.url) == found or name.endswith(".git.git")


@given(st.text().filter(str.strip))
def test_no_text_is_taken_for_a_url_by_accident(text: str) -> None:
    with nullcontext() if re.fullmatch("#?[1-9][0-9]{0,9}", text.strip()) else pytest.raises(AoError):
        assert not parse(text).url

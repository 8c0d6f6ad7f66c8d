"""Reading git's list of worktrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.workspaces.git import Git, GitError
from ao.workspaces.inspection import describe, read_status
from ao.workspaces.registrations import Registration, parse_porcelain, worktrees

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench

_WORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="\x7f\x85"), min_size=1, max_size=12
)
_PATHS = st.lists(_WORDS, min_size=1, max_size=3).map(lambda words: "/" + " ".join(words))
_REASONS = st.none() | st.just("") | _WORDS
_RECORDS = st.builds(
    Registration,
    path=_PATHS,
    head=st.just("a" * 40),
    branch=_WORDS,
    locked=_REASONS,
    prunable=_REASONS,
) | st.builds(Registration, path=_PATHS, bare=st.just(True))


def _written(entry: Registration) -> list[str]:
    lines = [f"worktree {entry.path}"]
    if entry.bare:
        return [*lines, "bare"]
    lines.append(f"HEAD {entry.head}")
    lines.append(f"branch refs/heads/{entry.branch}")
    for key, value in (("locked", entry.locked), ("prunable", entry.prunable)):
        if value is not None:
            lines.append(f"{key} {value}".rstrip(" "))
    return [*lines, "some-key-of-the-future value"]


@given(st.lists(_RECORDS, max_size=5), st.sampled_from(["\n", "\r\n", "\0"]))
def test_what_git_writes_is_read_back(entries: list[Registration], end: str) -> None:
    text = "".join(end.join([*_written(entry), "", ""]) for entry in entries)
    assert parse_porcelain(text) == entries


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert all(f"worktree {entry.path}" in text for entry in parse_porcelain(text) if entry.path)


def test_records_without_a_blank_line_between_them_stay_apart() -> None:
    found = parse_porcelain("worktree /a\nHEAD 1\ndetached\nworktree /b b\nbare\nlocked\n")
    assert found == [
        Registration(path="/a", head="1", detached=True),
        Registration(path="/b b", bare=True, locked=""),
    ]


async def test_the_list_of_a_real_repository_is_read(bench: Bench) -> None:
    odd = bench.folder / "odd  name\nwith lines"
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(odd))
    bench.git(bench.repo, "worktree", "lock", "--reason", "two\nlines", str(odd))
    main, other = await worktrees(Git(bench.host), str(bench.repo))
    assert (main.path, main.branch, main.locked) == (str(bench.repo), "main", None)
    assert (other.path, other.branch, other.detached, other.locked) == (str(odd), "", True, "two\nlines")


async def test_a_list_that_can_not_be_had_is_an_error_not_an_empty_one(bench: Bench) -> None:
    with pytest.raises(GitError):
        await worktrees(Git(bench.host), str(bench.folder))


def test_every_kind_of_status_entry_is_read() -> None:
    entries = [
        "# branch.oid abc",
        "# branch.head (detached)",
        "1 .M N... 100644 100644 100644 h1 h2 a file.txt",
        "2 R. N... 100644 100644 100644 h1 h2 R100 new name",
        "? looks like an entry",
        "u UU N... 100644 100644 100644 100644 h1 h2 h3 both sides",
        "1 .D N... 100644 100644 000000 h1 h2 gone",
        "? dir/",
        "",
    ]
    modified, untracked, detached = read_status("\0".join(entries))
    assert (modified, untracked, detached) == (["a file.txt", "new name", "both sides", "gone"], ["dir/"], True)
    assert read_status("\0".join(entries), deletions=False)[0] == ["a file.txt", "new name", "both sides"]


@given(st.lists(_WORDS, max_size=8), st.lists(_WORDS, max_size=8))
def test_a_description_counts_everything_and_names_at_most_five(modified: list[str], untracked: list[str]) -> None:
    text = describe(modified, untracked)
    assert bool(text) == bool(modified or untracked)
    for paths, word in ((modified, "modified"), (untracked, "untracked")):
        assert (f"{len(paths)} {word}" in text) == bool(paths)
    hidden = len(modified) + len(untracked) - 5
    assert (f"and {hidden} more" in text) == (hidden > 0)

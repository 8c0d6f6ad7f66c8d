"""The double's merges are git's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.github.trees import CONFLICT, merge_text

OLD = "".join(f"line {number}\n" for number in range(1, 7))
SUCCESSORS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["", "new\n", "other\n", "a\nb\n"])), min_size=1, max_size=2
)


def changed(edits: list[tuple[int, str]]) -> str:
    """The old text with some lines replaced."""
    lines = OLD.splitlines(keepends=True)
    for index, text in edits:
        lines[index] = text
    return "".join(lines)


def git_merges(folder: Path, ours: str, theirs: str) -> str | None:
    """What `git merge-file` makes of it, None for a conflict."""
    for name, text in (("ours", ours), ("old", OLD), ("theirs", theirs)):
        (folder / name).write_text(text)
    done = subprocess.run(
        ["git", "merge-file", "-p", "ours", "old", "theirs"], cwd=folder, capture_output=True, text=True
    )
    return done.stdout if done.returncode == 0 else None


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=SUCCESSORS, theirs=SUCCESSORS)
def test_texts_merge_as_git_merges_them(
    tmp_path: Path, ours: list[tuple[int, str]], theirs: list[tuple[int, str]]
) -> None:
    mine, yours = changed(ours), changed(theirs)
    expected = git_merges(tmp_path, mine, yours)
    merged = merge_text(OLD, mine, yours)
    if expected is None:
        assert merged is CONFLICT
    else:
        assert merged == expected


def test_a_file_that_one_side_left_alone_is_the_other_sides() -> None:
    assert merge_text("a", "a", "b") == "b"
    assert merge_text("a", "b", "a") == "b"
    assert merge_text("a", None, "a") is None
    assert merge_text(None, None, "b") == "b"
    assert merge_text(None, "b", "b") == "b"
    assert merge_text("a", None, "b") is CONFLICT
    assert merge_text(None, "a", "b") is CONFLICT

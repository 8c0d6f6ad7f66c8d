"""The double over a real bare repository: pushes are seen, its merges are real."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.github.mirror import mirror
from tests.github.state import RefusedError, State


def git(folder: Path, *arguments: str) -> str:
    """Git's output in a folder."""
    identity = ("-c", "user.name=T", "-c", "user.email=t@mail.example")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(folder: Path, name: str, text: str) -> None:
    """A commit with this file, pushed to its branch."""
    (folder / name).write_text(text)
    git(folder, "add", name)
    git(folder, "commit", "-m", f"write {name}")
    git(folder, "push", "origin", "HEAD")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of `origin.git` beside it, with a first commit on main pushed."""
    git(tmp_path, "init", "--bare", "--initial-branch=main", "origin.git")
    git(tmp_path, "clone", "origin.git", "clone")
    folder = tmp_path / "clone"
    git(folder, "switch", "-c", "main")
    write(folder, "a.txt", "one\ntwo\n")
    return folder


def test_a_push_is_seen_and_a_merge_is_a_commit_that_can_be_fetched(clone: Path) -> None:
    state = State()
    origin = mirror(state, "octo/widgets", clone.parent / "origin.git")
    git(clone, "switch", "-c", "feature/x")
    write(clone, "b.txt", "new\n")
    origin.read()
    pull = state.open_pull(origin.repo, "feature/x")
    assert pull.head_sha == git(clone, "rev-parse", "HEAD")
    assert state.graph.changes(pull.base_sha, pull.head_sha) == (1, 0, 1)
    write(clone, "a.txt", "one\n2\n")
    origin.read()
    assert pull.head_sha == git(clone, "rev-parse", "HEAD")
    made = state.merge(pull, method="squash", message="Squashed (#1)")
    git(clone, "fetch", "origin")
    assert git(clone, "rev-parse", "origin/main") == made
    assert git(clone, "diff", "origin/main", "feature/x") == ""
    assert git(clone, "log", "-1", "--format=%s", "origin/main") == "Squashed (#1)"


def test_two_that_change_the_same_line_conflict_until_one_is_rebased(clone: Path) -> None:
    state = State()
    origin = mirror(state, "octo/widgets", clone.parent / "origin.git")
    for name in ("mine", "yours"):
        git(clone, "switch", "-c", name, "main")
        write(clone, "a.txt", f"one\n{name}\n")
    origin.read()
    mine, yours = state.open_pull(origin.repo, "mine"), state.open_pull(origin.repo, "yours")
    state.merge(mine)
    with pytest.raises(RefusedError):
        state.merge(yours)
    git(clone, "fetch", "origin")
    git(clone, "rebase", "--strategy-option", "theirs", "origin/main")
    git(clone, "push", "--force", "origin", "yours")
    origin.read()
    state.merge(yours, method="rebase")
    git(clone, "push", "origin", "--delete", "mine")
    origin.read()
    assert git(clone, "ls-remote", "--heads", "origin").count("refs/heads/") == len(origin.repo.branches) == 2

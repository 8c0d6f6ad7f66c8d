"""What keeps a worktree from being removed, one case each (fault W5)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench

Act = Callable[["Bench", Path], None]


def _modified(_bench: Bench, tree: Path) -> None:
    (tree / "README.md").write_text("changed\n")


def _staged(bench: Bench, tree: Path) -> None:
    (tree / "README.md").write_text("changed\n")
    bench.git(tree, "add", "-A")


def _untracked(_bench: Bench, tree: Path) -> None:
    (tree / "notes.txt").write_text("mine\n")


def _untracked_hidden_by_config(bench: Bench, tree: Path) -> None:
    bench.git(tree, "config", "status.showUntrackedFiles", "no")
    (tree / "notes.txt").write_text("mine\n")


def _assumed_unchanged(bench: Bench, tree: Path) -> None:
    bench.git(tree, "update-index", "--assume-unchanged", "README.md")
    (tree / "README.md").write_text("changed\n")


def _skipped(bench: Bench, tree: Path) -> None:
    bench.git(tree, "update-index", "--skip-worktree", "README.md")
    (tree / "README.md").write_text("changed\n")


def _deleted(_bench: Bench, tree: Path) -> None:
    (tree / "README.md").unlink()


def _renamed(bench: Bench, tree: Path) -> None:
    bench.git(tree, "mv", "README.md", "READ ME.md")


def _merging(bench: Bench, tree: Path) -> None:
    _diverge(bench, tree)
    bench.git(tree, "merge", "side", check=False)


def _rebasing(bench: Bench, tree: Path) -> None:
    _diverge(bench, tree)
    bench.git(tree, "rebase", "side", check=False)


def _picking(bench: Bench, tree: Path) -> None:
    _diverge(bench, tree)
    bench.git(tree, "cherry-pick", "side", check=False)


def _reverting(bench: Bench, tree: Path) -> None:
    _diverge(bench, tree)
    bench.git(tree, "revert", "--no-edit", "HEAD~1", check=False)


def _clean_rebase_stop(bench: Bench, tree: Path) -> None:
    bench.commit(tree, "more.txt")
    env = "GIT_SEQUENCE_EDITOR"
    os.environ[env] = "sed -i s/^pick/edit/"
    try:
        bench.git(tree, "rebase", "-i", "HEAD~1")
    finally:
        del os.environ[env]


def _bisecting(bench: Bench, tree: Path) -> None:
    bench.git(tree, "bisect", "start")


def _detached(bench: Bench, tree: Path) -> None:
    bench.git(tree, "checkout", "-q", "--detach")
    bench.commit(tree, "lost.txt")


def _locked(bench: Bench, tree: Path) -> None:
    bench.git(bench.repo, "worktree", "lock", "--reason", "in use by Ann", str(tree))


def _own_git(bench: Bench, tree: Path) -> None:
    (tree / ".git").unlink()
    bench.git(tree, "init", "-q")
    bench.commit(tree, "elsewhere.txt")


def _git_file_gone(_bench: Bench, tree: Path) -> None:
    (tree / ".git").unlink()


def _nested_repository(bench: Bench, tree: Path) -> None:
    (tree / "vendor").mkdir()
    bench.git(tree / "vendor", "init", "-q")
    bench.commit(tree / "vendor", "precious.txt")


def _diverge(bench: Bench, tree: Path) -> None:
    bench.git(tree, "branch", "side")
    bench.commit(tree, "README.md", "ours\n")
    bench.git(tree, "switch", "-q", "side")
    bench.commit(tree, "README.md", "theirs\n")
    bench.git(tree, "switch", "-q", "-")
    bench.commit(tree, "README.md", "ours again\n")


DIRTY = [
    (_modified, "1 modified file: README.md"),
    (_staged, "1 modified file: README.md"),
    (_untracked, "1 untracked file: notes.txt"),
    (_untracked_hidden_by_config, "1 untracked file: notes.txt"),
    (_assumed_unchanged, "1 modified file: README.md"),
    (_skipped, "1 modified file: README.md"),
    (_deleted, "1 modified file: README.md"),
    (_renamed, "1 modified file: READ ME.md"),
    (_merging, "a merge is in progress"),
    (_rebasing, "a rebase is in progress"),
    (_picking, "a cherry-pick is in progress"),
    (_reverting, "a revert is in progress"),
    (_clean_rebase_stop, "a rebase is in progress"),
    (_bisecting, "a bisect is in progress"),
    (_detached, "1 commit on a detached HEAD that no branch holds"),
    (_nested_repository, "1 untracked file: vendor/"),
]
STUCK = [
    (_locked, "it is locked: in use by Ann"),
    (_own_git, "its .git doesn't belong to the repository any more"),
    (_git_file_gone, "its .git doesn't belong to the repository any more"),
]


def _content(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("act", "reason"), DIRTY + STUCK, ids=lambda value: getattr(value, "__name__", ""))
async def test_w5_whatever_could_be_lost_keeps_the_worktree_as_it_is(bench: Bench, act: Act, reason: str) -> None:
    checkout = await bench.spawn()
    tree = bench.at(checkout)
    act(bench, tree)
    before = _content(tree)
    assert reason in (await bench.rooms.examine(checkout)).problem
    removal = await bench.rooms.remove(checkout, force=False)
    assert not removal.removed
    assert reason in removal.preserved_reason
    assert _content(tree) == before
    assert "refs/heads/ao/demo-1/root" in bench.refs()


@pytest.mark.parametrize(("act", "reason"), STUCK, ids=lambda value: getattr(value, "__name__", ""))
async def test_w5_what_no_snapshot_can_keep_stays_even_with_force(bench: Bench, act: Act, reason: str) -> None:
    checkout = await bench.spawn()
    act(bench, bench.at(checkout))
    before = _content(bench.at(checkout))
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert reason in removal.preserved_reason
    assert _content(bench.at(checkout)) == before


async def test_many_names_are_shortened_and_control_characters_shown_as_question_marks(bench: Bench) -> None:
    checkout = await bench.spawn()
    _modified(bench, bench.at(checkout))
    for name in ("a\nb", "c", "d", "e", "f"):
        bench.at(checkout, name).touch()
    problem = (await bench.rooms.examine(checkout)).problem
    assert problem == "1 modified and 5 untracked files: README.md, a?b, c, d, e and 1 more"


async def test_a_submodule_with_commits_of_its_own_keeps_the_worktree(bench: Bench) -> None:
    library = bench.folder / "library"
    library.mkdir()
    bench.git(library, "init", "-q")
    bench.commit(library, "lib.txt")
    bench.git(bench.repo, "submodule", "add", "-q", str(library), "lib")
    bench.git(bench.repo, "commit", "-qm", "add lib")
    clean, busy = await bench.spawn(1), await bench.spawn(2)
    for checkout in (clean, busy):
        bench.git(checkout.path, "submodule", "update", "-q", "--init")
    assert (await bench.rooms.remove(clean, force=False)).removed
    bench.commit(bench.at(busy, "lib"), "own.txt")
    for force in (False, True):
        removal = await bench.rooms.remove(busy, force=force)
        assert not removal.removed
        assert "submodule lib has 1 commit that no remote has" in removal.preserved_reason

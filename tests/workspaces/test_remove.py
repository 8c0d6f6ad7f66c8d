"""Removing worktrees: what goes, what stays and why (decision 5, faults W1, W4, W5, W7, W9, W11, W12)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao.ports import Removal

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
    tree = Path(checkout.path)
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
    act(bench, Path(checkout.path))
    before = _content(Path(checkout.path))
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert reason in removal.preserved_reason
    assert _content(Path(checkout.path)) == before


async def test_a_clean_worktree_goes_with_the_branch_made_for_it(bench: Bench) -> None:
    checkout = await bench.spawn()
    assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
    assert bench.nothing_left(checkout)


async def test_w5_ignored_files_never_block(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "cache/\n")
    checkout = await bench.spawn()
    cache = Path(checkout.path, "cache", "deep")
    cache.mkdir(parents=True)
    (cache / "blob").write_text("x")
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert bench.nothing_left(checkout)


async def test_w5_a_stash_is_the_repositorys_and_is_never_touched(bench: Bench) -> None:
    checkout = await bench.spawn()
    Path(checkout.path, "README.md").write_text("stashed\n")
    bench.git(checkout.path, "stash")
    stash = bench.git(bench.repo, "rev-parse", "refs/stash")
    assert (await bench.rooms.remove(checkout, force=True)).removed
    assert bench.git(bench.repo, "rev-parse", "refs/stash") == stash


async def test_w4_a_branch_with_own_commits_survives_its_worktree(bench: Bench) -> None:
    checkout = await bench.spawn()
    sha = bench.commit(checkout.path, "work.txt")
    assert (await bench.rooms.examine(checkout)).own_commits == 1
    removal = await bench.rooms.remove(checkout, force=False)
    assert (removal.removed, removal.branch_kept) == (True, True)
    assert bench.git(bench.repo, "rev-parse", checkout.branch) == sha
    assert not Path(checkout.path).exists()


async def test_w4_commits_that_only_a_remote_or_another_branch_has_keep_the_branch_too(bench: Bench) -> None:
    checkout = await bench.spawn()
    sha = bench.commit(checkout.path, "work.txt")
    bench.git(bench.repo, "update-ref", "refs/remotes/origin/work", sha)
    bench.git(bench.repo, "branch", "copy", sha)
    assert (await bench.rooms.remove(checkout, force=False)).branch_kept


async def test_a_branch_merged_into_the_default_branch_goes(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.commit(checkout.path, "work.txt")
    bench.git(bench.repo, "merge", "-q", checkout.branch)
    assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
    assert bench.nothing_left(checkout)


async def test_a_branch_the_session_did_not_make_always_stays(bench: Bench) -> None:
    bench.git(bench.repo, "branch", "fix")
    checkout = await bench.spawn(requested="fix")
    removal = await bench.rooms.remove(checkout, force=True)
    assert (removal.removed, removal.branch_kept) == (True, True)
    assert bench.refs("refs/heads/fix") == ["refs/heads/fix"]


async def test_w4_a_base_that_is_unknown_means_every_commit_counts(bench: Bench) -> None:
    checkout = await bench.spawn()
    for base in ("", "0" * 39 + "1"):
        odd = bench.checkout(branch=checkout.branch, base=base or "x")
        assert (await bench.rooms.examine(odd)).own_commits == 1


async def test_a_branch_checked_out_elsewhere_meanwhile_stays(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.git(checkout.path, "checkout", "-q", "--detach")
    bench.git(bench.repo, "switch", "-q", checkout.branch)
    removal = await bench.rooms.remove(checkout, force=False)
    assert (removal.removed, removal.branch_kept) == (True, True)
    assert bench.git(bench.repo, "rev-parse", "HEAD") == bench.first


async def test_commits_on_another_branch_of_the_worktree_stay_with_that_branch(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.git(checkout.path, "switch", "-qc", "feature")
    sha = bench.commit(checkout.path, "work.txt")
    removal = await bench.rooms.remove(checkout, force=False)
    assert (removal.removed, removal.branch_kept) == (True, False)
    assert bench.git(bench.repo, "rev-parse", "feature") == sha


async def test_what_a_push_left_in_the_configuration_goes_with_the_branch(bench: Bench) -> None:
    before = (bench.repo / ".git" / "config").read_bytes()
    checkout = await bench.spawn()
    bench.git(checkout.path, "config", f"branch.{checkout.branch}.remote", "origin")
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert (bench.repo / ".git" / "config").read_bytes() == before


async def test_w9_removal_is_idempotent_and_reports_the_disk(bench: Bench) -> None:
    checkout = await bench.spawn()
    assert await bench.rooms.remove(bench.checkout(2), force=False) == Removal(removed=True)
    for force in (False, False, True):
        assert await bench.rooms.remove(checkout, force=force) == Removal(removed=True)
    state = await bench.rooms.examine(checkout)
    assert (state.exists, state.registered, state.problem, state.own_commits) == (False, False, "", 0)


async def test_w9_a_folder_that_is_gone_loses_only_its_own_record(bench: Bench) -> None:
    checkout, other = await bench.spawn(1), await bench.spawn(2)
    for tree in (checkout, other):
        shutil.rmtree(tree.path)
    assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
    assert bench.registered() == [other.path]
    assert bench.nothing_left(checkout)


async def test_w9_a_folder_whose_record_is_gone_stays_unless_it_is_empty(bench: Bench) -> None:
    checkout = await bench.spawn()
    shutil.rmtree(bench.repo / ".git" / "worktrees" / "demo-1")
    removal = await bench.rooms.remove(checkout, force=True)
    assert (removal.removed, removal.preserved_reason) == (False, "git doesn't know it as a worktree of the repository")
    for path in Path(checkout.path).iterdir():
        path.unlink()
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert bench.nothing_left(checkout)


async def test_w9_a_repository_that_is_gone_keeps_the_folder_and_says_why(bench: Bench) -> None:
    checkout = await bench.spawn()
    shutil.rmtree(bench.repo)
    assert "can't be used" in (await bench.rooms.examine(checkout)).problem
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert "can't be used" in removal.preserved_reason
    assert Path(checkout.path, "README.md").exists()
    shutil.rmtree(checkout.path)
    assert (await bench.rooms.remove(checkout, force=False)).removed


async def test_w9_read_only_folders_of_tool_caches_are_removed(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "mod/\n")
    checkout = await bench.spawn()
    cache = Path(checkout.path, "mod", "pkg")
    cache.mkdir(parents=True)
    (cache / "file").write_text("x")
    for folder in (cache, cache.parent):
        folder.chmod(0o555)
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert bench.nothing_left(checkout)


async def test_s10_links_are_removed_and_never_followed(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "link\n")
    checkout = await bench.spawn()
    outside = bench.folder / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("mine")
    Path(checkout.path, "link").symlink_to(outside)
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert (outside / "precious.txt").read_text() == "mine"


async def test_s10_a_link_in_the_worktrees_place_is_left_alone(bench: Bench) -> None:
    checkout = await bench.spawn()
    moved = bench.folder / "moved"
    shutil.move(checkout.path, moved)
    Path(checkout.path).symlink_to(moved)
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert "is a link" in removal.preserved_reason
    assert (moved / "README.md").exists()


async def test_w11_looking_planning_and_linking_never_remove_anything(bench: Bench) -> None:
    checkout = await bench.spawn()
    tree = Path(checkout.path)
    _untracked(bench, tree)
    _modified(bench, tree)
    before = _content(tree)
    await bench.rooms.examine(checkout)
    await bench.rooms.reopen(checkout)
    await bench.rooms.provision(checkout, ["absent"])
    await bench.plan(number=2)
    assert _content(tree) == before


async def test_an_interrupted_removal_is_taken_up_again(bench: Bench) -> None:
    bench.commit(bench.repo, "sub/file.txt")
    checkout = await bench.spawn()
    (bench.repo / ".git" / "worktrees" / "demo-1" / "ao-removing").touch()
    Path(checkout.path, "sub", "file.txt").unlink()
    Path(checkout.path, ".git").unlink()
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert bench.nothing_left(checkout)


async def test_an_interrupted_removal_keeps_what_was_written_since(bench: Bench) -> None:
    checkout = await bench.spawn()
    (bench.repo / ".git" / "worktrees" / "demo-1" / "ao-removing").touch()
    Path(checkout.path, "README.md").unlink()
    Path(checkout.path, "late.txt").write_text("mine")
    removal = await bench.rooms.remove(checkout, force=False)
    assert removal.preserved_reason == "1 untracked file: late.txt"


async def test_many_names_are_shortened_and_control_characters_shown_as_question_marks(bench: Bench) -> None:
    checkout = await bench.spawn()
    _modified(bench, Path(checkout.path))
    for name in ("a\nb", "c", "d", "e", "f"):
        Path(checkout.path, name).touch()
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
    bench.commit(Path(busy.path, "lib"), "own.txt")
    for force in (False, True):
        removal = await bench.rooms.remove(busy, force=force)
        assert not removal.removed
        assert "submodule lib has 1 commit that no remote has" in removal.preserved_reason


async def test_w12_a_missing_worktree_is_never_the_repository_around_it(bench: Bench) -> None:
    bench.git(bench.folder, "init", "-q")
    (bench.folder / "dirty.txt").write_text("mine")
    checkout = await bench.spawn()
    shutil.rmtree(checkout.path)
    Path(checkout.path).mkdir()
    assert (await bench.rooms.remove(checkout, force=True)).removed
    assert (bench.folder / "dirty.txt").exists()
    assert bench.git(bench.folder, "for-each-ref") == ""

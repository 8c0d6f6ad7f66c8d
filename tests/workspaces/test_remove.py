"""Removing worktrees: what goes, what stays and why (faults W1, W4, W5, W7, W9, W11, W12)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ao.ports import Removal

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench


async def test_a_clean_worktree_goes_with_the_branch_made_for_it(bench: Bench) -> None:
    checkout = await bench.spawn()
    assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
    assert bench.nothing_left(checkout)


async def test_w5_ignored_files_never_block(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "cache/\n")
    checkout = await bench.spawn()
    cache = bench.at(checkout, "cache", "deep")
    cache.mkdir(parents=True)
    (cache / "blob").write_text("x")
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert bench.nothing_left(checkout)


async def test_w5_a_stash_is_the_repositorys_and_is_never_touched(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.at(checkout, "README.md").write_text("stashed\n")
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
    assert not bench.at(checkout).exists()


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
    for path in bench.at(checkout).iterdir():
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
    assert bench.at(checkout, "README.md").exists()
    shutil.rmtree(checkout.path)
    assert (await bench.rooms.remove(checkout, force=False)).removed


async def test_w9_read_only_folders_of_tool_caches_are_removed(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "mod/\n")
    checkout = await bench.spawn()
    cache = bench.at(checkout, "mod", "pkg")
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
    bench.at(checkout, "link").symlink_to(outside)
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert (outside / "precious.txt").read_text() == "mine"


async def test_s10_a_link_in_the_worktrees_place_is_left_alone(bench: Bench) -> None:
    checkout = await bench.spawn()
    moved = bench.folder / "moved"
    shutil.move(checkout.path, moved)
    bench.at(checkout).symlink_to(moved)
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert "is a link" in removal.preserved_reason
    assert (moved / "README.md").exists()


async def test_w11_looking_planning_and_linking_never_remove_anything(bench: Bench) -> None:
    checkout = await bench.spawn()
    tree = bench.at(checkout)
    (tree / "README.md").write_text("changed\n")
    (tree / "notes.txt").write_text("mine\n")
    await bench.rooms.examine(checkout)
    await bench.rooms.reopen(checkout)
    await bench.rooms.provision(checkout, ["absent"])
    await bench.plan(number=2)
    assert sorted(path.name for path in tree.iterdir()) == [".git", "README.md", "notes.txt"]
    assert ((tree / "README.md").read_text(), (tree / "notes.txt").read_text()) == ("changed\n", "mine\n")


async def test_an_interrupted_removal_is_taken_up_again(bench: Bench) -> None:
    bench.commit(bench.repo, "sub/file.txt")
    checkout = await bench.spawn()
    (bench.repo / ".git" / "worktrees" / "demo-1" / "ao-removing").touch()
    bench.at(checkout, "sub", "file.txt").unlink()
    bench.at(checkout, ".git").unlink()
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert bench.nothing_left(checkout)


async def test_an_interrupted_removal_keeps_what_was_written_since(bench: Bench) -> None:
    checkout = await bench.spawn()
    (bench.repo / ".git" / "worktrees" / "demo-1" / "ao-removing").touch()
    bench.at(checkout, "README.md").unlink()
    bench.at(checkout, "late.txt").write_text("mine")
    removal = await bench.rooms.remove(checkout, force=False)
    assert removal.preserved_reason == "1 untracked file: late.txt"


async def test_w12_a_missing_worktree_is_never_the_repository_around_it(bench: Bench) -> None:
    bench.git(bench.folder, "init", "-q")
    (bench.folder / "dirty.txt").write_text("mine")
    checkout = await bench.spawn()
    shutil.rmtree(checkout.path)
    bench.at(checkout).mkdir()
    assert (await bench.rooms.remove(checkout, force=True)).removed
    assert (bench.folder / "dirty.txt").exists()
    assert bench.git(bench.folder, "for-each-ref") == ""

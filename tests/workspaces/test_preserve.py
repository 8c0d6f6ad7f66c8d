"""Removal by force keeps a snapshot first, and the snapshot holds everything (faults W1, W5)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ao.ports import Removal
from ao.workspaces.git import Git
from ao.workspaces.inspection import Tree
from ao.workspaces.preserve import Keeper

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench

REF = "refs/ao/preserved/demo-1/1"


def _files(bench: Bench, revision: str) -> dict[str, str]:
    names = bench.git(bench.repo, "ls-tree", "-r", "--name-only", "-z", revision).split("\0")
    return {name: bench.git(bench.repo, "show", f"{revision}:{name}") for name in names if name}


async def test_w1_force_keeps_modified_staged_untracked_and_ignored_files(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "*.env\ncache/\n")
    bench.commit(bench.repo, "staged.txt", "old\n")
    checkout = await bench.spawn()
    tree = bench.at(checkout)
    (tree / "README.md").write_text("modified\n")
    (tree / "staged.txt").write_text("staged\n")
    bench.git(tree, "add", "staged.txt")
    (tree / "staged.txt").write_text("then modified\n")
    (tree / "new folder").mkdir()
    (tree / "new folder" / "no\u00ebl.txt").write_text("untracked\n")
    (tree / "secret.env").write_text("ignored\n")
    removal = await bench.rooms.remove(checkout, force=True)
    assert removal == Removal(removed=True, snapshot=REF)
    assert bench.nothing_left(checkout)
    kept = {"README.md": "modified", "staged.txt": "then modified", "new folder/no\u00ebl.txt": "untracked"}
    kept[".gitignore"] = "*.env\ncache/"
    assert _files(bench, REF) == kept
    head = bench.git(bench.repo, "rev-parse", f"{REF}^1")
    assert head == bench.git(bench.repo, "rev-parse", "main")
    assert _files(bench, f"{REF}^2")["staged.txt"] == "staged"
    assert _files(bench, f"{REF}^3") == {**kept, "secret.env": "ignored"}


async def test_a_snapshot_needs_no_identity_and_leaves_the_real_index_alone(bench: Bench) -> None:
    checkout = await bench.spawn()
    tree = bench.at(checkout)
    record = bench.repo / ".git" / "worktrees" / "demo-1"
    (tree / "README.md").write_text("modified\n")
    (tree / "new.txt").write_text("new\n")
    bench.git(tree, "add", "README.md")
    before = ((record / "index").read_bytes(), sorted(os.listdir(record)), bench.git(tree, "status", "--porcelain"))
    keeper = Keeper(Git(bench.host))
    assert await keeper.snapshot(Tree(str(tree), str(record)), "demo-1") == REF
    assert ((record / "index").read_bytes(), sorted(os.listdir(record))) == before[:2]
    assert bench.git(tree, "status", "--porcelain") == before[2]
    assert bench.git(bench.repo, "config", "--get", "user.name", check=False) == "Ann"
    assert await keeper.snapshot(Tree(str(tree), str(record)), "demo-1") == "refs/ao/preserved/demo-1/2"
    assert bench.git(bench.repo, "rev-parse", f"{REF}^{{tree}}") == bench.git(
        bench.repo, "rev-parse", "refs/ao/preserved/demo-1/2^{tree}"
    )


async def test_force_on_a_clean_worktree_takes_no_snapshot(bench: Bench) -> None:
    checkout = await bench.spawn()
    assert await bench.rooms.remove(checkout, force=True) == Removal(removed=True)
    assert bench.refs("refs/ao") == []


async def test_w4_force_keeps_own_commits_by_the_branch(bench: Bench) -> None:
    checkout = await bench.spawn()
    sha = bench.commit(checkout.path, "work.txt")
    bench.at(checkout, "work.txt").write_text("more\n")
    removal = await bench.rooms.remove(checkout, force=True)
    assert removal == Removal(removed=True, branch_kept=True, snapshot=REF)
    assert bench.git(bench.repo, "rev-parse", f"{REF}^1") == sha
    assert bench.git(bench.repo, "diff", "--name-only", f"{REF}^1", REF) == "work.txt"


async def test_force_keeps_commits_on_a_detached_head(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.git(checkout.path, "checkout", "-q", "--detach")
    sha = bench.commit(checkout.path, "lost.txt")
    removal = await bench.rooms.remove(checkout, force=True)
    assert removal == Removal(removed=True, snapshot=REF)
    assert bench.git(bench.repo, "rev-parse", f"{REF}^1") == sha


async def test_force_keeps_both_sides_of_a_conflict(bench: Bench) -> None:
    checkout = await bench.spawn()
    tree = checkout.path
    bench.git(tree, "switch", "-qc", "side")
    side = bench.commit(tree, "README.md", "theirs\n")
    bench.git(tree, "switch", "-q", checkout.branch)
    bench.commit(tree, "README.md", "ours\n")
    bench.git(tree, "merge", "side", check=False)
    bench.git(bench.repo, "branch", "-D", "side")
    removal = await bench.rooms.remove(checkout, force=True)
    assert removal == Removal(removed=True, branch_kept=True, snapshot=REF)
    assert "<<<<<<<" in _files(bench, REF)["README.md"]
    assert side in bench.git(bench.repo, "rev-list", REF).split()


async def test_w5_force_sees_through_flags_that_hide_changes(bench: Bench) -> None:
    bench.commit(bench.repo, "local.conf", "default\n")
    bench.commit(bench.repo, "other.conf", "default\n")
    checkout = await bench.spawn()
    bench.git(checkout.path, "update-index", "--assume-unchanged", "local.conf")
    bench.git(checkout.path, "update-index", "--skip-worktree", "other.conf")
    for name in ("local.conf", "other.conf"):
        bench.at(checkout, name).write_text("mine\n")
    assert (await bench.rooms.remove(checkout, force=True)).snapshot == REF
    assert {name: _files(bench, REF)[name] for name in ("local.conf", "other.conf")} == {
        "local.conf": "mine",
        "other.conf": "mine",
    }


async def test_force_refuses_a_repository_inside_that_no_snapshot_can_hold(bench: Bench) -> None:
    checkout = await bench.spawn()
    inner = bench.at(checkout, "vendor")
    inner.mkdir()
    bench.git(inner, "init", "-q")
    bench.commit(inner, "precious.txt")
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert "a repository of its own: vendor/" in removal.preserved_reason
    assert (inner / "precious.txt").exists()
    assert bench.refs("refs/ao") == []


async def test_an_ignored_repository_inside_does_not_stand_in_the_way(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "deps/\n")
    checkout = await bench.spawn()
    for name, filled in (("full", True), ("empty", False)):
        inner = bench.at(checkout, "deps", name)
        inner.mkdir(parents=True)
        bench.git(inner, "init", "-q")
        if filled:
            bench.commit(inner, "file.txt")
    bench.at(checkout, "deps", "plain.txt").write_text("kept\n")
    removal = await bench.rooms.remove(checkout, force=True)
    assert removal == Removal(removed=True, snapshot=REF)
    assert _files(bench, f"{REF}^3")["deps/plain.txt"] == "kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
async def test_w1_a_file_that_can_not_be_read_keeps_the_worktree(bench: Bench) -> None:
    checkout = await bench.spawn()
    locked = bench.at(checkout, "locked.txt")
    locked.write_text("mine")
    locked.chmod(0)
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert "no snapshot could be taken" in removal.preserved_reason
    locked.chmod(0o600)
    assert locked.read_text() == "mine"


async def test_w1_a_snapshot_that_can_not_be_written_keeps_the_worktree(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.at(checkout, "README.md").write_text("mine\n")
    bench.git(bench.repo, "update-ref", "refs/ao/preserved/demo-1", bench.first)
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert "no snapshot could be taken" in removal.preserved_reason
    assert bench.at(checkout, "README.md").read_text() == "mine\n"

"""Opening the worktree of an ended session again, and finishing what a killed git began."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ao.model.errors import AoError
from ao.ports import Checkout, Removal

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench


async def _refused(bench: Bench, checkout: Checkout) -> AoError:
    with pytest.raises(AoError) as caught:
        await bench.rooms.reopen(checkout)
    return caught.value


async def test_w1_reopening_never_touches_uncommitted_untracked_or_ignored_work(bench: Bench) -> None:
    bench.commit(bench.repo, ".gitignore", "*.log\n")
    checkout = await bench.spawn()
    tree = bench.at(checkout)
    for name in ("README.md", "notes.txt", "run.log"):
        (tree / name).write_text("mine\n")
    bench.git(tree, "checkout", "-q", "--detach")
    await bench.rooms.reopen(checkout)
    assert {name: (tree / name).read_text() for name in ("README.md", "notes.txt", "run.log")} == {
        "README.md": "mine\n",
        "notes.txt": "mine\n",
        "run.log": "mine\n",
    }
    assert bench.git(tree, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"


async def test_a_worktree_that_went_comes_back_from_its_branch(bench: Bench) -> None:
    checkout = await bench.spawn()
    sha = bench.commit(checkout.path, "work.txt")
    assert (await bench.rooms.remove(checkout, force=False)).branch_kept
    await bench.rooms.reopen(checkout)
    assert bench.git(checkout.path, "rev-parse", "HEAD") == sha
    assert bench.git(checkout.path, "symbolic-ref", "--short", "HEAD") == checkout.branch


async def test_a_folder_that_was_deleted_by_hand_comes_back_and_other_records_stay(bench: Bench) -> None:
    checkout, other = await bench.spawn(1), await bench.spawn(2)
    for tree in (checkout, other):
        shutil.rmtree(tree.path)
    await bench.rooms.reopen(checkout)
    assert bench.at(checkout, "README.md").exists()
    assert sorted(bench.registered()) == [checkout.path, other.path]


async def test_w12_worktree_and_branch_gone_is_a_typed_error_and_no_other_folder(bench: Bench) -> None:
    checkout = await bench.spawn()
    assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
    assert (await _refused(bench, checkout)).code == "WORKSPACE_MISSING"
    assert not bench.at(checkout).exists()


async def test_w1_a_folder_git_does_not_know_is_refused_and_left_alone(bench: Bench) -> None:
    checkout = await bench.spawn()
    shutil.rmtree(bench.repo / ".git" / "worktrees" / "demo-1")
    bench.at(checkout, "README.md").write_text("mine\n")
    assert (await _refused(bench, checkout)).code == "WORKSPACE_OCCUPIED"
    assert bench.at(checkout, "README.md").read_text() == "mine\n"


async def test_a_branch_checked_out_elsewhere_meanwhile_is_refused(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.commit(checkout.path, "work.txt")
    await bench.rooms.remove(checkout, force=False)
    bench.git(bench.repo, "switch", "-q", checkout.branch)
    error = await _refused(bench, checkout)
    assert (error.code, error.details["path"]) == ("BRANCH_CHECKED_OUT_ELSEWHERE", str(bench.repo))


async def test_a_locked_worktree_whose_folder_is_gone_is_refused(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.git(bench.repo, "worktree", "lock", "--reason", "on a stick", checkout.path)
    shutil.rmtree(checkout.path)
    error = await _refused(bench, checkout)
    assert error.code == "WORKSPACE_LOCKED"
    assert "on a stick" in error.message


async def test_an_interrupted_removal_is_finished_before_reopening(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.commit(checkout.path, "work.txt")
    (bench.repo / ".git" / "worktrees" / "demo-1" / "ao-removing").touch()
    bench.at(checkout, "README.md").unlink()
    await bench.rooms.reopen(checkout)
    assert bench.git(checkout.path, "status", "--porcelain") == ""
    assert bench.at(checkout, "README.md").exists()


@pytest.mark.parametrize("made", [0, 1, 2, 3, 4])
async def test_w13_every_half_made_record_is_cleared(bench: Bench, made: int) -> None:
    """The states a `git worktree add` passes through, as a kill between any two of its writes leaves them."""
    checkout = bench.checkout()
    record = bench.repo / ".git" / "worktrees" / "demo-1"
    tree = bench.at(checkout)
    bench.git(bench.repo, "branch", checkout.branch)
    record.mkdir(parents=True)
    (record / "locked").write_text("initializing")
    steps: list[Callable[[], object]] = [
        lambda: tree.mkdir(parents=True),
        lambda: (record / "gitdir").write_text(f"{tree}/.git\n"),
        lambda: (tree / ".git").write_text(f"gitdir: {record}\n"),
        lambda: (record / "HEAD").write_text("0" * 40 + "\n"),
    ]
    for step in steps[:made]:
        step()
    await bench.rooms.reopen(checkout)
    assert bench.git(checkout.path, "status", "--porcelain") == ""
    shutil.rmtree(tree)
    shutil.rmtree(record)
    record.mkdir(parents=True)
    (record / "locked").write_text("initializing")
    for step in steps[:made]:
        step()
    assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
    assert bench.nothing_left(checkout)


@pytest.mark.parametrize("again", ["reopen", "remove"])
async def test_w13_a_git_killed_in_the_middle_of_a_checkout_is_recovered_from(bench: Bench, again: str) -> None:
    gate = bench.folder / "gate"
    (bench.repo / ".gitattributes").write_text("*.bin filter=gate\n")
    bench.git(bench.repo, "add", ".gitattributes")
    bench.commit(bench.repo, "a.txt", "data")
    bench.commit(bench.repo, "b.bin", "data")
    # The smudge filter says that the checkout has begun, and holds it until the gate is open.
    script = f"echo yes > {gate}.reached; if [ ! -e {gate} ]; then exec tail -f /dev/null; fi; cat"
    bench.git(bench.repo, "config", "filter.gate.smudge", script)
    plan = await bench.plan()
    checkout = bench.checkout(base=plan.base_sha)
    bench.at(checkout).parent.mkdir(parents=True)
    child = await asyncio.create_subprocess_exec(
        *("git", "-C", str(bench.repo), "worktree", "add", "-b", plan.branch, checkout.path, plan.start),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert await bench.host.await_file(f"{gate}.reached", timeout_s=30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
    gate.touch()
    assert bench.at(checkout, ".git").exists()
    if again == "reopen":
        await bench.rooms.reopen(checkout)
        assert bench.git(checkout.path, "status", "--porcelain") == ""
        assert bench.at(checkout, "b.bin").read_text() == "data"
    else:
        assert await bench.rooms.remove(checkout, force=False) == Removal(removed=True)
        assert bench.nothing_left(checkout)

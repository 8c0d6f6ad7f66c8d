"""Making worktrees: beside each other, on the right branch, and leaving nothing when it fails."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from ao.model.errors import AoError
from ao.ports import BranchPlan, Checkout
from ao.workspaces import Worktrees

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench


def _hook(bench: Bench, script: str) -> None:
    hook = bench.repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n" + script)
    hook.chmod(0o755)


async def _refused(bench: Bench, plan: BranchPlan, checkout: Checkout) -> AoError:
    with pytest.raises(AoError) as caught:
        await bench.rooms.create(plan, checkout)
    return caught.value


async def test_a_fresh_worktree_is_clean_untracked_by_any_remote_and_holds_nothing_of_ours(bench: Bench) -> None:
    bench.git(bench.repo, "update-ref", "refs/remotes/origin/main", bench.first)
    config = (bench.repo / ".git" / "config").read_bytes()
    checkout = await bench.spawn()
    assert sorted(os.listdir(checkout.path)) == [".git", "README.md"]
    assert bench.git(checkout.path, "status", "--porcelain", "--ignored") == ""
    assert bench.git(checkout.path, "symbolic-ref", "HEAD") == "refs/heads/ao/demo-1/root"
    assert bench.git(checkout.path, "rev-parse", "HEAD") == bench.first
    assert (bench.repo / ".git" / "config").read_bytes() == config
    state = await bench.rooms.examine(checkout)
    assert (state.exists, state.registered, state.problem, state.own_commits) == (True, True, "", 0)


async def test_another_branch_can_stack_on_a_sessions_branch(bench: Bench) -> None:
    checkout = await bench.spawn()
    bench.git(checkout.path, "switch", "-qc", "ao/demo-1/more")


async def test_w13_twenty_concurrent_spawns_all_succeed(bench: Bench) -> None:
    numbers = range(1, 21)
    checkouts = await asyncio.gather(*(bench.spawn(number) for number in numbers))
    assert len(bench.registered()) == 20
    for checkout in checkouts:
        assert bench.git(checkout.path, "status", "--porcelain") == ""
    removals = await asyncio.gather(*(bench.rooms.remove(checkout, force=False) for checkout in checkouts))
    assert all(removal.removed and not removal.branch_kept for removal in removals)
    assert bench.registered() == []
    assert bench.refs() == []


async def test_w13_spawns_succeed_beside_other_gits_that_take_the_locks(bench: Bench) -> None:
    def elsewhere(number: int) -> None:
        """Other people's git may lose a race; ours must not."""
        path = str(bench.folder / f"other-{number}")
        bench.git(bench.repo, "worktree", "add", "-q", "-b", f"other-{number}", path, check=False)
        bench.git(bench.repo, "pack-refs", "--all", check=False)

    async with asyncio.TaskGroup() as group:
        for number in range(1, 6):
            group.create_task(bench.spawn(number))
            group.create_task(asyncio.to_thread(elsewhere, number))
    assert {str(bench.root / "demo" / f"demo-{number}") for number in range(1, 6)} <= set(bench.registered())


async def test_w13_a_lock_file_is_waited_for(bench: Bench) -> None:
    lock = bench.repo / ".git" / "refs" / "heads" / "ao" / "demo-1" / "root.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    taken_back = bench.host.when_run("update-ref")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        spawn = group.create_task(bench.spawn())
        await taken_back.wait()
        lock.unlink()
    assert bench.at(spawn.result(), "README.md").exists()


async def test_two_paths_to_one_repository_share_its_lock(bench: Bench) -> None:
    rooms = Worktrees(bench.host, str(bench.root), lock_wait_s=0.05)
    common = await rooms._refs.common(str(bench.repo))
    link = bench.folder / "link"
    link.symlink_to(bench.repo)
    plan = await bench.plan()
    async with rooms._locks.hold(common):
        checkout = Checkout(
            session_id="demo-1",
            repo_path=str(link),
            path=str(bench.root / "demo" / "demo-1"),
            branch=plan.branch,
            branch_created=True,
            base_sha=plan.base_sha,
        )
        with pytest.raises(AoError) as caught:
            await rooms.create(plan, checkout)
    assert caught.value.code == "REPOSITORY_BUSY"
    await rooms.create(plan, checkout)


async def test_an_occupied_path_is_refused_and_left_alone(bench: Bench) -> None:
    plan, checkout = await bench.plan(), bench.checkout()
    kept = bench.at(checkout, "precious.txt")
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    error = await _refused(bench, plan, checkout)
    assert error.code == "WORKSPACE_OCCUPIED"
    assert kept.read_text() == "mine"
    assert bench.refs() == []
    kept.unlink()
    await bench.rooms.create(plan, checkout)


async def test_w3_a_path_in_use_by_a_session_is_never_given_to_another_branch(bench: Bench) -> None:
    checkout = await bench.spawn()
    plan = await bench.plan("other")
    assert (await _refused(bench, plan, checkout)).code == "WORKSPACE_OCCUPIED"
    assert bench.git(checkout.path, "symbolic-ref", "--short", "HEAD") == "ao/demo-1/root"


async def test_a_branch_taken_between_plan_and_create_is_refused_with_its_place(bench: Bench) -> None:
    bench.git(bench.repo, "branch", "fix")
    plan = await bench.plan("fix")
    bench.git(bench.repo, "switch", "-q", "fix")
    error = await _refused(bench, plan, bench.checkout(branch="fix", created=False))
    assert (error.code, error.details["path"]) == ("BRANCH_CHECKED_OUT_ELSEWHERE", str(bench.repo))
    assert bench.refs("refs/heads/fix") == ["refs/heads/fix"]
    assert not bench.at(bench.checkout()).exists()


async def test_a_branch_made_by_someone_else_meanwhile_is_not_taken_back(bench: Bench) -> None:
    plan = await bench.plan()
    bench.git(bench.repo, "branch", plan.branch)
    error = await _refused(bench, plan, bench.checkout())
    assert error.code == "WORKSPACE_FAILED"
    assert bench.refs() == ["refs/heads/ao/demo-1/root"]
    assert bench.registered() == []


async def test_a_branch_called_ao_in_the_way_is_named(bench: Bench) -> None:
    plan = await bench.plan()
    bench.git(bench.repo, "branch", "ao")
    error = await _refused(bench, plan, bench.checkout())
    assert error.code == "INVALID_BRANCH"
    assert "refs/heads/ao" in error.message
    assert bench.nothing_left(bench.checkout())


async def test_w13_a_checkout_that_fails_takes_back_folder_record_and_branch(bench: Bench) -> None:
    (bench.repo / ".gitattributes").write_text("*.bin filter=broken\n")
    bench.git(bench.repo, "add", ".gitattributes")
    bench.commit(bench.repo, "a.bin", "data")
    bench.git(bench.repo, "config", "filter.broken.smudge", "false")
    bench.git(bench.repo, "config", "filter.broken.required", "true")
    plan = await bench.plan()
    error = await _refused(bench, plan, bench.checkout())
    assert error.code == "WORKSPACE_FAILED"
    assert bench.nothing_left(bench.checkout())
    assert bench.registered() == []


async def test_a_failing_post_checkout_hook_does_not_undo_the_checkout(bench: Bench) -> None:
    _hook(bench, "echo no; exit 3\n")
    checkout = await bench.spawn()
    assert bench.git(checkout.path, "status", "--porcelain") == ""


async def test_a_hanging_post_checkout_hook_ends_in_time_and_the_worktree_is_used(bench: Bench) -> None:
    _hook(bench, "exec tail -f /dev/null\n")
    bench.rooms = Worktrees(bench.host, str(bench.root), create_timeout_s=2.0)
    checkout = await bench.spawn()
    assert bench.git(checkout.path, "status", "--porcelain") == ""


async def test_a_checkout_that_takes_too_long_leaves_nothing(bench: Bench) -> None:
    (bench.repo / ".gitattributes").write_text("*.bin filter=slow\n")
    bench.git(bench.repo, "add", ".gitattributes")
    bench.commit(bench.repo, "a.bin", "data")
    bench.git(bench.repo, "config", "filter.slow.smudge", "tail -f /dev/null")
    bench.rooms = Worktrees(bench.host, str(bench.root), create_timeout_s=1.0)
    plan = await bench.plan()
    error = await _refused(bench, plan, bench.checkout())
    assert error.code == "WORKSPACE_FAILED"
    assert "took longer" in error.message
    assert bench.nothing_left(bench.checkout())


async def test_a_cancelled_spawn_leaves_nothing(bench: Bench) -> None:
    started = bench.folder / "started"
    _hook(bench, f"echo yes > {started}; exec tail -f /dev/null\n")
    plan = await bench.plan()
    task = asyncio.ensure_future(bench.rooms.create(plan, bench.checkout()))
    assert await bench.host.await_file(str(started), timeout_s=30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.nothing_left(bench.checkout())


@pytest.mark.parametrize("name", ["$(touch$IFS'pwned')", "`touch$IFS''pwned`", ";touch$IFS''pwned", "a|b", "x'y\"z&"])
async def test_s5_a_hostile_branch_is_a_name_and_never_run(bench: Bench, name: str) -> None:
    checkout = await bench.spawn(requested=name)
    assert bench.git(checkout.path, "symbolic-ref", "--short", "HEAD") == name
    assert (await bench.rooms.remove(checkout, force=False)).removed
    assert not [path for path in bench.folder.rglob("pwned*") if path.is_file()]


@pytest.mark.parametrize("name", ["--help", "-b", "--upload-pack=touch", "a b", "a\nb"])
async def test_s5_a_branch_that_could_be_an_option_never_reaches_git(bench: Bench, name: str) -> None:
    with pytest.raises(AoError) as caught:
        await bench.plan(name)
    assert caught.value.code == "INVALID_BRANCH"
    assert bench.host.argvs == []


@pytest.mark.parametrize(
    "tail",
    ["../demo-1", "demo/../../x", "demo", "demo/a/b", "demo/.", "demo/..", "/demo/demo-1", ".hidden/x", "demo/a b"],
)
async def test_s10_a_path_that_is_not_a_sessions_is_refused(bench: Bench, tail: str) -> None:
    plan = await bench.plan()
    checkout = Checkout(
        session_id="demo-1",
        repo_path=str(bench.repo),
        path=f"{bench.root}/{tail}",
        branch=plan.branch,
        branch_created=True,
        base_sha=plan.base_sha,
    )
    assert (await _refused(bench, plan, checkout)).code == "WORKSPACE_FAILED"
    removal = await bench.rooms.remove(checkout, force=True)
    assert not removal.removed
    assert (await bench.rooms.examine(checkout)).problem
    assert bench.registered() == []
    assert bench.refs() == []


async def test_s10_a_project_folder_that_is_a_link_is_refused(bench: Bench) -> None:
    elsewhere = bench.folder / "elsewhere"
    (elsewhere / "demo-1").mkdir(parents=True)
    (elsewhere / "demo-1" / "precious.txt").write_text("mine")
    bench.root.mkdir(parents=True)
    (bench.root / "demo").symlink_to(elsewhere)
    plan = await bench.plan()
    for number in (1, 2):
        assert (await _refused(bench, plan, bench.checkout(number))).code == "WORKSPACE_FAILED"
        assert not (await bench.rooms.remove(bench.checkout(number), force=True)).removed
    assert sorted(path.name for path in elsewhere.rglob("*")) == ["demo-1", "precious.txt"]


async def test_a_root_behind_a_link_is_fine(bench: Bench) -> None:
    real = bench.folder / "real"
    real.mkdir()
    link = bench.folder / "link"
    link.symlink_to(real)
    bench.root = link / "worktrees"
    bench.rooms = Worktrees(bench.host, str(bench.root))
    first, second = await bench.spawn(1), await bench.spawn(2)
    assert (await bench.rooms.examine(first)).registered
    for checkout in (first, second):
        assert (await bench.rooms.remove(checkout, force=False)).removed
    assert bench.registered() == []

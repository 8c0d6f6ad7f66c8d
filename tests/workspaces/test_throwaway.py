"""Worktrees for the length of a block: gone after it whatever happened, and nothing else gone with them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao.model.errors import AoError
from ao.workspaces import Trees
from ao.workspaces.throwaway import MARK
from tests.workspaces.conftest import CountingHost

if TYPE_CHECKING:
    from tests.workspaces.conftest import Bench


async def test_a_commit_is_checked_out_for_the_length_of_the_block(bench: Bench) -> None:
    bench.commit(bench.repo, "b.txt")
    path = bench.checks / "demo.1"
    refs = bench.refs("refs")
    async with bench.trees.checked_out(str(bench.repo), bench.first, str(path)):
        assert bench.git(path, "rev-parse", "HEAD") == bench.first
        assert bench.git(path, "branch", "--show-current") == ""
        assert not (path / "b.txt").exists()
    assert bench.registered() == []
    assert list(bench.checks.iterdir()) == []
    assert bench.refs("refs") == refs


async def test_it_is_removed_whatever_was_written_there(bench: Bench) -> None:
    path = bench.checks / "demo.1"
    outside = bench.folder / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")

    async def check() -> None:
        async with bench.trees.checked_out(str(bench.repo), bench.first, str(path)):
            (path / "README.md").write_text("changed")
            (path / "link").symlink_to(outside)
            (path / "deep").mkdir()
            (path / "deep" / "file").write_text("x")
            (path / "deep").chmod(0o500)
            (path / ".git").unlink()
            raise RuntimeError("the check broke")

    with pytest.raises(RuntimeError, match="the check broke"):
        await check()
    assert list(bench.checks.iterdir()) == []
    assert bench.registered() == []
    assert (outside / "kept").read_text() == "kept"
    assert bench.git(bench.repo, "status", "--porcelain") == ""


async def test_it_is_removed_also_when_the_block_is_cancelled_twice(bench: Bench) -> None:
    path = bench.checks / "demo.1"
    inside = asyncio.Event()

    async def hold() -> None:
        async with bench.trees.checked_out(str(bench.repo), bench.first, str(path)):
            inside.set()
            await asyncio.get_running_loop().create_future()

    holding = asyncio.create_task(hold())
    await asyncio.wait_for(inside.wait(), 20)
    holding.cancel()
    await asyncio.sleep(0)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert list(bench.checks.iterdir()) == []
    assert bench.registered() == []


async def test_it_is_removed_also_when_its_making_is_cancelled(bench: Bench) -> None:
    started = bench.folder / "started"
    bench.git(bench.repo, "config", "filter.slow.smudge", f"sh -c 'echo x >{started}; exec sleep 600'")
    bench.git(bench.repo, "config", "filter.slow.required", "true")
    head = bench.commit(bench.repo, ".gitattributes", "*.slow filter=slow\n")
    bench.git(bench.repo, "config", "filter.slow.clean", "cat")
    head = bench.commit(bench.repo, "a.slow")
    entering = asyncio.create_task(
        bench.trees.checked_out(str(bench.repo), head, str(bench.checks / "demo.1")).__aenter__()
    )
    assert await bench.host.await_file(str(started), timeout_s=20)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert list(bench.checks.iterdir()) == []
    assert bench.registered() == []


async def test_hooks_of_the_repository_do_not_run_in_it(bench: Bench) -> None:
    hook = bench.repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {bench.folder}/ran\nexit 1\n")
    hook.chmod(0o755)
    async with bench.trees.checked_out(str(bench.repo), bench.first, str(bench.checks / "demo.1")):
        assert (bench.checks / "demo.1" / "README.md").exists()
    assert not (bench.folder / "ran").exists()


@pytest.mark.parametrize(
    "path",
    [
        "checks/../x",
        "checks",
        "elsewhere/x",
        "checks/.x",
        "checks/-x",
        "checks/a/../b",
        "checks/a/b",
        "worktrees/demo/x",
    ],
)
async def test_s10_only_below_the_managed_root(bench: Bench, path: str) -> None:
    with pytest.raises(AoError) as caught:
        async with bench.trees.checked_out(str(bench.repo), bench.first, f"{bench.folder}/data/{path}"):
            pytest.fail("it was made")
    assert caught.value.code == "WORKSPACE_FAILED"
    assert bench.registered() == []


async def test_s10_a_root_that_is_a_link_is_not_followed(bench: Bench) -> None:
    victim = bench.folder / "victim"
    (victim / "work").mkdir(parents=True)
    bench.checks.parent.mkdir()
    bench.checks.symlink_to(victim)
    with pytest.raises(AoError) as caught:
        async with bench.trees.checked_out(str(bench.repo), bench.first, str(bench.checks / "demo.1")):
            pytest.fail("it was made")
    assert caught.value.code == "WORKSPACE_FAILED"
    assert await bench.trees.sweep([str(bench.repo)]) == []
    assert [entry.name for entry in victim.iterdir()] == ["work"]


async def test_a_data_folder_behind_a_link_is_fine(bench: Bench) -> None:
    (bench.folder / "real").mkdir()
    bench.checks.parent.symlink_to(bench.folder / "real")
    async with bench.trees.checked_out(str(bench.repo), bench.first, str(bench.checks / "demo.1")):
        assert await bench.trees.sweep([str(bench.repo)]) == []
        assert len(bench.registered()) == 1
    assert bench.registered() == []
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(bench.checks / "demo.2"))
    assert await bench.trees.sweep([str(bench.repo)]) == [str(bench.checks / "demo.2")]
    assert bench.registered() == []


async def test_what_is_there_already_is_neither_used_nor_removed(bench: Bench) -> None:
    path = bench.checks / "demo.1"
    path.mkdir(parents=True)
    (path / "mine").write_text("mine")
    with pytest.raises(AoError) as caught:
        async with bench.trees.checked_out(str(bench.repo), bench.first, str(path)):
            pytest.fail("it was made")
    assert caught.value.code == "WORKSPACE_OCCUPIED"
    assert (path / "mine").exists()


async def test_many_at_once_do_not_disturb_each_other_or_the_sessions(bench: Bench) -> None:
    session = await bench.spawn()

    async def check(number: int) -> str:
        path = bench.checks / f"demo.{number}"
        async with bench.trees.checked_out(str(bench.repo), bench.first, str(path)):
            return bench.git(path, "status", "--porcelain")

    assert await asyncio.gather(*map(check, range(8)), bench.spawn(2)) == [""] * 8 + [bench.checkout(2)]
    assert sorted(bench.registered()) == sorted([session.path, bench.checkout(2).path])


async def test_s10_a_sweep_removes_what_a_killed_daemon_left_and_nothing_else(bench: Bench) -> None:
    session = await bench.spawn()
    bench.checks.mkdir(parents=True)
    left, half = bench.checks / "demo.1", bench.checks / "demo.2"
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(left))
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(half))
    (left / "junk").write_text("x")
    (half / ".git").unlink()
    (bench.checks / "without-record").mkdir()
    gone = bench.checks / "demo.3"
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(gone))
    gone.rename(bench.folder / "moved")
    beside = bench.folder / "data" / "checks-not"
    bench.git(bench.repo, "worktree", "add", "-q", "--detach", str(beside))
    outside = bench.folder / "outside"
    outside.mkdir()
    (bench.checks / "link").symlink_to(outside)
    used = bench.checks / "demo.4"
    async with bench.trees.checked_out(str(bench.repo), bench.first, str(used)):
        found = await bench.trees.sweep([str(bench.repo), str(bench.repo), str(bench.folder / "no-repository")])
        assert (used / "README.md").exists()
        assert sorted(bench.registered()) == sorted([session.path, str(beside), str(used)])
    assert [Path(path).name for path in found] == ["demo.1", "demo.2", "link", "without-record"]
    assert list(bench.checks.iterdir()) == []
    assert outside.exists()
    assert Path(session.path, "README.md").exists()
    assert (bench.folder / "moved" / "README.md").exists()


async def test_a_sweep_without_a_root_finds_nothing(bench: Bench) -> None:
    assert await bench.trees.sweep([str(bench.repo)]) == []


async def test_a_sweep_ends_a_git_that_a_killed_daemon_left_at_work(bench: Bench) -> None:
    mark = {MARK: str(bench.checks), "AO_TEST": str(bench.folder)}
    left = await bench.host.connect(["sleep", "600"], env=mark)
    other = await bench.host.connect(["sleep", "600"], env={**mark, MARK: str(bench.folder)})
    assert len(await bench.host.find({"AO_TEST": str(bench.folder)})) == 2
    await Trees(CountingHost(), str(bench.checks)).sweep([])
    assert len(await bench.host.find({"AO_TEST": str(bench.folder)})) == 1
    for connection in (left, other):
        await connection.close()

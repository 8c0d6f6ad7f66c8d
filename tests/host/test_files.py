"""Files: atomic private writes, bounded reads, stamps, removal that follows no link, and waiting without polling."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao.host import LocalHost
from ao.host.watch import FolderWatch, Tell


def _program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_which_searches_the_path_then_the_extra_folders(host: LocalHost, tmp_path: Path) -> None:
    first, second = _program(tmp_path / "a" / "tool"), _program(tmp_path / "b" / "tool")
    extra = _program(tmp_path / ".local" / "bin" / "other")
    _program(tmp_path / "a" / "data", mode=0o644)
    path = f"{first.parent}:{second.parent}"
    assert host.which("tool", path=path) == str(first)
    assert host.which("tool", path=str(second.parent)) == str(second)
    assert host.which("other", path=path) is None
    assert host.which("other", path=path, extra=["~/.local/bin"]) == str(extra)
    assert host.which("data", path=path) is None
    assert host.which("a", path=str(tmp_path)) is None
    assert host.which(str(extra), path="") == str(extra)
    assert host.which(str(tmp_path / "none"), path=path) is None


def test_which_never_searches_a_relative_folder(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "tool")
    monkeypatch.chdir(tmp_path)
    assert host.which("tool", path=":.:") is None


def test_a_stamp_changes_with_the_file_and_is_none_without_one(host: LocalHost, tmp_path: Path) -> None:
    file = tmp_path / "f"
    assert host.stamp([str(file), str(file / "below")]) == (None, None)
    file.write_text("1")
    first = host.stamp([str(file)])
    assert first == host.stamp([str(file)])
    replacement = tmp_path / "g"
    replacement.write_text("1")
    os.utime(replacement, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    replacement.replace(file)
    assert host.stamp([str(file)]) != first
    assert host.stamp([str(file / "below")]) == (None,)


async def test_reading_is_bounded_and_none_without_a_file(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert await host.read(str(tmp_path / "f")) == b"12345"
    assert await host.read(str(tmp_path / "f"), limit=2) == b"12"
    assert await host.read(str(tmp_path / "none")) is None


async def test_a_private_file_replaces_the_old_one_in_one_step(host: LocalHost, tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "f"
    await host.write_private(str(path), b"one")
    first = path.stat()
    await host.write_private(str(path), b"two", mode=0o700)
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != first.st_ino
    assert [stat.S_IMODE(mode) for mode in (first.st_mode, path.stat().st_mode)] == [0o600, 0o700]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]
    assert os.listdir(path.parent) == ["f"]


async def test_a_write_that_fails_leaves_the_old_file_and_no_draft(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        await host.write_private(str(tmp_path / "folder"), b"x")
    assert os.listdir(tmp_path) == ["folder"]


async def test_a_link_to_a_file_elsewhere_is_replaced_and_not_written_through(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "f").symlink_to("victim")
    await host.write_private(str(tmp_path / "f"), b"new")
    assert (tmp_path / "victim").read_text() == "untouched"
    assert (tmp_path / "f").read_text() == "new"


async def test_removing_a_tree_follows_no_link(host: LocalHost, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "link").symlink_to(outside)
    await host.remove_tree(str(tree))
    (tmp_path / "alias").symlink_to(outside)
    await host.remove_tree(str(tmp_path / "alias"))
    await host.remove_tree(str(tmp_path / "none"))
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert (outside / "kept").exists()


async def test_removing_a_tree_gets_past_read_only_folders(host: LocalHost, tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / "tree" / name / "deep"
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
        (folder / "file").chmod(0o400)
        folder.chmod(0o500)
        folder.parent.chmod(0o500 if name == "one" else 0o000)
    await host.remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []


async def test_listing_is_sorted_and_empty_without_a_folder(host: LocalHost, tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / name).touch()
    assert await host.list_dir(str(tmp_path)) == ["a", "b", "c"]
    assert await host.list_dir(str(tmp_path / "none")) == []


async def test_a_file_that_is_there_is_returned_at_once(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("here")
    assert await host.await_file(str(tmp_path / "f"), timeout_s=0) == b"here"


async def test_a_file_renamed_into_place_wakes_the_waiter(host: LocalHost, tmp_path: Path) -> None:
    async def appear() -> None:
        (tmp_path / "other").write_text("noise")
        (tmp_path / "f").touch()  # empty counts as not there
        await asyncio.sleep(0)
        (tmp_path / "draft").write_text("there")
        (tmp_path / "draft").rename(tmp_path / "f")

    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(host.await_file(str(tmp_path / "f"), timeout_s=10)) for _ in range(3)]
        await asyncio.sleep(0)
        await appear()
    assert [waiter.result() for waiter in waiters] == [b"there"] * 3


async def test_waiting_for_a_file_ends_in_time_or_with_its_folder(host: LocalHost, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    assert await host.await_file(str(folder / "f"), timeout_s=0.01) is None
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(host.await_file(str(folder / "f"), timeout_s=30))
        await asyncio.sleep(0)
        folder.rmdir()
    assert waiter.result() is None
    with pytest.raises(FileNotFoundError):
        await host.await_file(str(folder / "f"), timeout_s=1)


async def test_p10_two_hundred_waiters_share_one_descriptor_and_close_it(host: LocalHost, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            (tmp_path / str(number)).mkdir()
            group.create_task(host.await_file(str(tmp_path / str(number) / "f"), timeout_s=20))
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) == before + 1
        for number in range(200):
            (tmp_path / str(number) / "f").write_text("x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_place_that_cannot_be_looked_at_has_no_stamp(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert host.stamp([str(tmp_path / "a" / "x")]) == (None,)


async def test_a_file_is_awaited_also_when_inotify_is_used_up(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def used_up(_self: FolderWatch, folder: str, _tell: Tell) -> Iterator[None]:
        raise OSError(errno.EMFILE, "Too many open files", folder)
        yield

    monkeypatch.setattr(FolderWatch, "watch", used_up)
    waiting = asyncio.ensure_future(host.await_file(str(tmp_path / "f"), timeout_s=10))
    await asyncio.sleep(0)
    assert not waiting.done()
    (tmp_path / "f").write_text("here")
    assert await waiting == b"here"
    assert await host.await_file(str(tmp_path / "never"), timeout_s=0.05) is None

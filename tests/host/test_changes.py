"""Waiting for files to change: told by the kernel, whatever the change and wherever on the way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ao.host import LocalHost
from ao.host.watch import FolderWatch, Tell


async def _wakes(host: LocalHost, paths: list[Path], act: Callable[[], object]) -> bool:
    """Whether a wait for `paths` that has begun ends because of `act`."""
    waiting = asyncio.ensure_future(host.changed([str(path) for path in paths], timeout_s=10))
    await asyncio.sleep(0)  # the wait has set its watches when it first gives way
    assert not waiting.done()
    act()
    return await waiting


@pytest.mark.parametrize("change", ["write", "append", "replace", "remove", "move away"])
async def test_every_way_to_change_a_file_ends_the_wait(host: LocalHost, tmp_path: Path, change: str) -> None:
    file, other = tmp_path / "f", tmp_path / "other"
    file.write_text("old")
    other.write_text("new")

    def append() -> None:
        with file.open("a") as stream:
            stream.write("x")

    acts: dict[str, Callable[[], object]] = {
        "write": lambda: file.write_text("abc"),
        "append": append,
        "replace": lambda: other.replace(file),
        "remove": file.unlink,
        "move away": lambda: file.rename(tmp_path / "g"),
    }
    assert await _wakes(host, [tmp_path / "x", file], acts[change])


async def test_a_write_that_leaves_size_and_time_as_they_were_ends_the_wait(host: LocalHost, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("old")
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)

    def act() -> None:
        file.write_text("new")
        os.utime(file, ns=times)

    assert await _wakes(host, [file], act)


async def test_other_files_of_the_folder_do_not_end_the_wait(host: LocalHost, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    waiting = asyncio.ensure_future(host.changed([str(tmp_path / "f")], timeout_s=0.2))
    await asyncio.sleep(0)
    (tmp_path / "f.lock").write_text("x")
    (tmp_path / "f.lock").rename(tmp_path / "g")
    assert await waiting is False


async def test_a_file_is_seen_to_appear_in_folders_that_do_not_exist_yet(host: LocalHost, tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "f"

    def act() -> None:
        file.parent.mkdir(parents=True)
        file.write_text("x")

    assert await _wakes(host, [file], act)


async def test_folders_that_appear_one_by_one_are_followed(host: LocalHost, tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "f"
    waiting = asyncio.ensure_future(host.changed([str(file)], timeout_s=10))
    for folder in (file.parent.parent, file.parent):
        await asyncio.sleep(0)
        folder.mkdir()
        (folder / "other").write_text("x")
        for _ in range(5):  # turns of the loop: the event is read, the waiter goes on, watches again
            await asyncio.sleep(0)
        assert not waiting.done()
    file.write_text("x")
    assert await waiting


async def test_a_file_whose_folder_is_removed_and_made_again_is_seen(host: LocalHost, tmp_path: Path) -> None:
    file = tmp_path / "a" / "f"
    file.parent.mkdir()
    waiting = asyncio.ensure_future(host.changed([str(file)], timeout_s=10))
    await asyncio.sleep(0)
    file.parent.rmdir()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    file.parent.mkdir()
    file.write_text("x")
    assert await waiting


async def test_a_change_between_the_first_look_and_the_watch_is_seen(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_text("old")
    watch = FolderWatch.watch

    @contextlib.contextmanager
    def late(self: FolderWatch, folder: str, tell: Tell) -> Iterator[None]:
        file.write_text("longer than before")
        with watch(self, folder, tell):
            yield

    monkeypatch.setattr(FolderWatch, "watch", late)
    assert await host.changed([str(file)], timeout_s=10)


async def test_waiting_for_a_change_ends_in_time_and_leaves_no_descriptor(host: LocalHost, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    paths = [str(tmp_path / "none" / "f"), str(tmp_path / "f")]
    assert await host.changed(paths, timeout_s=0.05) is False
    assert await host.changed([], timeout_s=0) is False
    waiting = asyncio.ensure_future(host.changed(paths, timeout_s=30))
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_change_is_seen_also_when_inotify_is_used_up(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def used_up(_self: FolderWatch, folder: str, _tell: Tell) -> Iterator[None]:
        raise OSError(errno.ENOSPC, "No space left on device", folder)
        yield

    monkeypatch.setattr(FolderWatch, "watch", used_up)
    assert await _wakes(host, [tmp_path / "f"], lambda: (tmp_path / "f").write_text("x"))
    assert await host.changed([str(tmp_path / "f")], timeout_s=0.05) is False


async def test_lost_events_make_the_wait_look_again(host: LocalHost, tmp_path: Path) -> None:
    told: list[str] = []
    folders = FolderWatch()
    # inotify(7): IN_Q_OVERFLOW comes with watch descriptor -1 and concerns every watch.
    with folders.watch(str(tmp_path), told.append):
        folders.take(b"\xff\xff\xff\xff\x00\x40\x00\x00" + b"\0" * 8)
    assert told == [""]

"""Files of this machine: private durable writes, bounded reads, cache stamps, waiting for a file to appear or change.

What may take more than a moment (a flush to disk, a tree) runs in a thread; the rest is a system call or two.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ao.host.changes import USED_UP, Changes
from ao.host.watch import FolderWatch

_LOOK_EVERY_S: Final = 0.02


class Files:
    """The third of `ao.ports.Host` that looks after files."""

    _environ: Mapping[str, str]
    _folders: FolderWatch | None = None

    def which(self, name: str, *, path: str, extra: Sequence[str] = ()) -> str | None:
        """Absolute path of an executable file called `name` in `path` (colon-separated), else in the folders `extra`
        (`~` expanded); an absolute `name` is checked as it is. A relative entry of `path` is never searched."""
        if os.path.isabs(name):
            return name if _is_program(name) else None
        home = self._environ.get("HOME", "")
        folders = [*path.split(":"), *(home + folder[1:] if folder.startswith("~/") else folder for folder in extra)]
        candidates = (os.path.join(folder, name) for folder in folders if os.path.isabs(folder))
        return next(filter(_is_program, candidates), None)

    def stamp(self, paths: Sequence[str]) -> tuple[tuple[int, int, int] | None, ...]:
        """(mtime in ns, size, inode) of each path, None where there is none. The key of a cache; no process runs."""
        return tuple(map(_stamp, paths))

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        """The first `limit` bytes of a file, None when there is none. Raises OSError for what is no regular file or
        can't be read."""
        return _read(path, limit)

    async def write_private(self, path: str, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
        """Write a file atomically (temporary file, rename), to the disk when `durable`; its folder gets mode 0700."""
        if durable:
            await asyncio.to_thread(_write, path, data, mode, durable=True)
        else:
            _write(path, data, mode, durable=False)

    async def make_dir(self, path: str) -> None:
        """Make a folder (0700) and its parents."""
        _make_dir(path)

    async def remove_tree(self, path: str) -> None:
        """Remove a folder and all in it without following links; nothing happens when there is none."""
        await asyncio.to_thread(_remove_tree, path)

    async def list_dir(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty when there is none."""
        return _list_dir(path)

    async def await_file(self, path: str, *, timeout_s: float) -> bytes | None:
        """The content of a file as soon as it exists and isn't empty (woken by the kernel, not polled), None when it
        doesn't appear in time or its folder is gone. Raises FileNotFoundError when there never was a folder."""
        news = asyncio.Event()
        try:
            with self._watches().watch(os.path.dirname(path), lambda _: news.set()):
                return await _appears(path, news, timeout_s)
        except OSError as error:
            if error.errno not in USED_UP:
                raise
        # The user's other programs have used up inotify (128 instances are allowed): then look every so often.
        return await _appears(path, None, timeout_s)

    async def changed(self, paths: Sequence[str], *, timeout_s: float) -> bool:
        """Return True as soon as one of these files is written, made, replaced or removed (woken by the kernel, not
        polled), False after `timeout_s`. Files whose folder doesn't exist are watched from where it would appear."""
        return await Changes(self._watches(), self.stamp, paths).come(timeout_s=timeout_s)

    def _watches(self) -> FolderWatch:
        if self._folders is None:
            self._folders = FolderWatch()
        return self._folders


async def _appears(path: str, news: asyncio.Event | None, timeout_s: float) -> bytes | None:
    """The file's content once it has some; None when time is up or its folder is gone."""
    folder = os.path.dirname(path)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not (content := _read(path, 1 << 20)) and os.path.isdir(folder):  # noqa: ASYNC240
                await _news(news)
            return content or None
    return None


async def _news(news: asyncio.Event | None) -> None:
    if news is None:
        await asyncio.sleep(_LOOK_EVERY_S)
        return
    news.clear()
    await news.wait()


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:  # absent, or somewhere we may not look: PATH may name folders of other users
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _read(path: str, limit: int) -> bytes | None:
    try:
        # Opening a pipe would wait for somebody to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return file.read(limit)


def _make_dir(path: str) -> None:
    missing: list[str] = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):  # os.makedirs gives its mode to the last one only
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise


def _write(path: str, data: bytes, mode: int, *, durable: bool) -> None:
    folder = os.path.dirname(path)
    _make_dir(folder)
    draft = os.path.join(folder, f".{os.path.basename(path)[:64]}-{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(descriptor)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _list_dir(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_tree(path: str) -> None:
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
    except FileNotFoundError:
        return
    shutil.rmtree(path, onerror=_insist)


def _insist(function: Callable[..., Any], path: str, error: Any) -> None:
    """Give ourselves write access to a read-only folder (tool caches have those) and try once more."""
    if isinstance(error[1], FileNotFoundError):
        return
    if not isinstance(error[1], PermissionError):
        raise error[1]
    os.chmod(os.path.dirname(path), 0o700)
    if function in (os.unlink, os.rmdir):
        function(path)
    else:
        os.chmod(path, 0o700)
        shutil.rmtree(path, onerror=_insist)

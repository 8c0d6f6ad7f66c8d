"""inotify(7) through ctypes: be told when something is written, appears or goes in a folder.

One inotify descriptor serves all watches at a time (a user may have only 128 of them) and is closed with the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

# Values of <sys/inotify.h>, the same on every Linux architecture.
_IN_CLOSE_WRITE: Final = 0x008
_IN_MOVED_FROM: Final = 0x040
_IN_MOVED_TO: Final = 0x080
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_IN_DELETE_SELF: Final = 0x400
_IN_MOVE_SELF: Final = 0x800
_IN_Q_OVERFLOW: Final = 0x4000
_INTERESTING: Final = (
    _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_DELETE_SELF | _IN_MOVE_SELF
)
# struct inotify_event: int wd; uint32_t mask, cookie, len; char name[len].
_EVENT: Final = struct.Struct("iIII")

Tell = Callable[[str], object]
"""Told the name of what was touched in a folder, "" when it is the folder itself or events were lost."""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class FolderWatch:
    """Watches of folders on the running loop."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._waiting: dict[int, list[Tell]] = {}

    @contextlib.contextmanager
    def watch(self, folder: str, tell: Tell) -> Iterator[None]:
        """Call `tell` whenever something in `folder` is written, linked, renamed or removed, or it goes away itself,
        until the block ends. Raises FileNotFoundError when there is no such folder."""
        loop = asyncio.get_running_loop()
        if self._descriptor < 0:
            self._descriptor = _check(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
            loop.add_reader(self._descriptor, self._drain)
        number = -1
        try:
            number = _check(_libc().inotify_add_watch(self._descriptor, os.fsencode(folder), _INTERESTING), folder)
            self._waiting.setdefault(number, []).append(tell)
            yield
        finally:
            self._forget(number, tell)
            if not self._waiting:
                loop.remove_reader(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = -1

    def _forget(self, number: int, tell: Tell) -> None:
        waiting = self._waiting.get(number, [])
        if tell in waiting:
            waiting.remove(tell)
            if not waiting:
                del self._waiting[number]
                _libc().inotify_rm_watch(self._descriptor, number)

    def _drain(self) -> None:
        self.take(os.read(self._descriptor, 65536))

    def take(self, data: bytes) -> None:
        """Tell of the events in `data`, as the kernel writes them."""
        position = 0
        while position < len(data):
            number, mask, _cookie, length = _EVENT.unpack_from(data, position)
            start = position + _EVENT.size
            name = os.fsdecode(data[start : start + length].rstrip(b"\0"))
            position = start + length
            lost = mask & _IN_Q_OVERFLOW
            for told in list(self._waiting.values()) if lost else [self._waiting.get(number, [])]:
                for tell in told:
                    tell("" if lost else name)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result

"""Waiting until one of several files changes, wherever on the way to them something happens.

A file counts as changed when the kernel names it in an event, or when its stamp differs from the one taken before any
watch was set up: so nothing that happens in between is missed. While its folder doesn't exist, the nearest folder above
that does is watched for the next name on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ao.host.watch import FolderWatch

USED_UP: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM})
"""Errors of inotify when the user's other programs have taken all of it."""
# Folders that may be searched but not listed can't be watched either.
_UNWATCHABLE: Final = USED_UP | {errno.EACCES}
_LOOK_EVERY_S: Final = 0.5

_Stamps = tuple[tuple[int, int, int] | None, ...]


class Changes:
    """One wait for a change of `paths`; their stamps count from the moment this is made."""

    def __init__(self, folders: FolderWatch, stamp: Callable[[Sequence[str]], _Stamps], paths: Sequence[str]) -> None:
        self._folders = folders
        self._paths = paths
        self._stamp = stamp
        self._before = stamp(paths)
        self._news = asyncio.Event()
        self._touched = False

    async def come(self, *, timeout_s: float) -> bool:
        """Whether one of them changes within `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not await self._round():
                    pass
                return True
        return False

    async def _round(self) -> bool:
        """Watch until something happens on the way to the files; whether it was a change of one of them."""
        self._news.clear()
        try:
            with contextlib.ExitStack() as watches:
                for folder, names in self._anchors().items():
                    watches.enter_context(self._folders.watch(folder, partial(self._hear, names)))
                if not self._differ():
                    await self._news.wait()
        except FileNotFoundError:  # a folder went between the look and the watch
            return self._differ()
        except OSError as error:
            if error.errno not in _UNWATCHABLE:
                raise
            await asyncio.sleep(_LOOK_EVERY_S)
        return self._touched or self._differ()

    def _differ(self) -> bool:
        return self._stamp(self._paths) != self._before

    def _hear(self, names: dict[str, bool], name: str) -> None:
        """`names` maps those that matter in a folder to whether they are the files themselves."""
        if name and name not in names:
            return
        self._touched = self._touched or names.get(name, False)
        self._news.set()

    def _anchors(self) -> dict[str, dict[str, bool]]:
        """The folders to watch, and the names that matter in each."""
        anchors: dict[str, dict[str, bool]] = {}
        for path in self._paths:
            folder, name = os.path.split(path)
            itself = True
            while not os.path.isdir(folder) and folder != os.path.dirname(folder):
                folder, name = os.path.split(folder)
                itself = False
            names = anchors.setdefault(folder, {})
            names[name] = itself or names.get(name, False)
        return anchors

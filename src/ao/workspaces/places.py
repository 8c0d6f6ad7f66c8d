"""Where session worktrees may lie: `<root>/<project>/<session>`, really there and nowhere else.

A path is first checked as text, then against the disk: its folder, links resolved, must be the project's folder below
the real root, and the path itself must not be a link. Both are asked of the host, by one POSIX shell script that gets
the paths as arguments.
"""

from __future__ import annotations

import posixpath
from enum import StrEnum
from typing import Final

import msgspec

from ao.model.errors import AoError
from ao.model.ids import is_id
from ao.ports import Host

_LOOK: Final = """
cd -P -- "$1" 2>/dev/null && pwd -P || echo
cd -P -- "$2" 2>/dev/null && pwd -P || echo
if [ -h "$3" ]; then echo link; elif [ -d "$3" ]; then echo folder; elif [ -e "$3" ]; then echo file; else echo none; fi
"""


class Thing(StrEnum):
    """What is at a path."""

    NONE = "none"
    FOLDER = "folder"
    FILE = "file"
    LINK = "link"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A checked path: `real` is it with its folder's links resolved, the way git records it."""

    real: str
    thing: Thing


class Places:
    """The managed root on a host."""

    def __init__(self, host: Host, root: str) -> None:
        self._host = host
        self.root = posixpath.normpath(root)
        self._known: dict[str, tuple[tuple[int, int], str]] = {}

    async def look(self, path: str) -> Place:
        """What is at `path`. Raises `WORKSPACE_FAILED` when it isn't a session's path below the managed root."""
        self._check_text(path)
        parent, name = posixpath.split(path)
        if (real := self._remembered(path)) is not None:
            return Place(real=real, thing=Thing.NONE)
        done = await self._host.run(["sh", "-c", _LOOK, "sh", self.root, parent, path])
        lines = done.out.split("\n")
        if done.code != 0 or len(lines) < 3:
            raise _unsafe(path, done.err.strip() or "it can't be looked at")
        root, folder, thing = lines[:3]
        if folder and folder != posixpath.join(root, posixpath.basename(parent)):
            raise _unsafe(path, f"its folder is really {folder}")
        self._remember(parent, folder)
        return Place(real=posixpath.join(folder or parent, name), thing=Thing(thing))

    def _check_text(self, path: str) -> None:
        project, name = posixpath.split(posixpath.relpath(path, self.root)) if posixpath.isabs(path) else ("", "")
        if posixpath.normpath(path) != path or not is_id(project) or not is_id(name):
            raise _unsafe(path, f"sessions live in {self.root}/PROJECT/SESSION")

    def _remembered(self, path: str) -> str | None:
        """The real path when nothing is there and its folder is one already looked at: the usual case of a new session,
        answered by three calls of stat instead of a process."""
        parent, name = posixpath.split(path)
        known = self._known.get(parent)
        if known is None or self._host.stamp([path]) != (None,):
            return None
        return posixpath.join(known[1], name) if known[0] == self._inodes(parent) else None

    def _remember(self, parent: str, real: str) -> None:
        inodes = self._inodes(parent)
        if real and inodes is not None:
            self._known[parent] = (inodes, real)

    def _inodes(self, parent: str) -> tuple[int, int] | None:
        root, folder = self._host.stamp([self.root, parent])
        return None if root is None or folder is None else (root[2], folder[2])


def _unsafe(path: str, reason: str) -> AoError:
    return AoError("WORKSPACE_FAILED", f"{path!r} is not a place for a session: {reason}", details={"path": path})

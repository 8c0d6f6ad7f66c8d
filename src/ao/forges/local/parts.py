"""What the local forge works with."""

from __future__ import annotations

import asyncio
import posixpath
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from ao.model.project import ProjectConfig
from ao.ports import Host
from ao.ports.forge import PullBook
from ao.ports.trees import Trees


@dataclass(frozen=True, kw_only=True)
class LocalParts:
    """Collaborators of the local forge. `settings` is a project's configuration now; `folder` is the managed root of
    throw-away worktrees, `<dataDir>/checks`; `environ` is the daemon's own environment; `start` runs a coroutine as a
    task of the daemon's group; `news` is told the key of a repository in which something happened."""

    host: Host
    trees: Trees
    book: PullBook
    settings: Callable[[str], ProjectConfig]
    folder: str
    environ: Mapping[str, str]
    now: Callable[[], int]
    start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
    news: Callable[[str], None]

    @property
    def person(self) -> str:
        """The login shown for the person at this machine."""
        return self.environ.get("USER") or self.environ.get("LOGNAME") or "you"

    def worktree(self, project_id: str) -> str:
        """A place for one run of a project's checks; a new one each time, so nothing left behind is in the way."""
        return posixpath.join(self.folder, f"{project_id}.{secrets.token_hex(4)}")

    def marks(self, project_id: str) -> dict[str, str]:
        """The variables by which the processes of a project's checks are found, whoever their parent is."""
        return {"AO_CHECK": project_id, "AO_DATA_DIR": posixpath.dirname(self.folder)}

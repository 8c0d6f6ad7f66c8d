"""What the local forge asks git about commits, beside what every part of the daemon asks (`ao.ports.trees`).

All questions are of full commit ids and only read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ao.model.errors import AoError
from ao.ports import CommandTimeoutError, Completed, Host

TRAILER: Final = "Ao-Pull"
"""The line at the end of a merge's message that says which pull request it was."""
DEPTH: Final = 50
"""How many commits of the target are searched for a merge whose end nobody recorded."""
_LIMIT: Final = 4 << 20
_PINS: Final = {"GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1", "GIT_PAGER": "cat"}


class History:
    """Questions about commits of a repository. Raises `PROJECT_NOT_RESOLVABLE` when git can't answer."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def files_among(self, root: str, commit: str, paths: Collection[str]) -> set[str]:
        """Which of these paths are files in a commit."""
        if not paths:
            return set()
        done = await self._git(root, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit, "--", *paths)
        return set(done.out.split("\0")) & set(paths)

    async def merge_marked(self, root: str, mark: str, *, base: str, head: str) -> str:
        """The newest commit of the last `DEPTH` of `base` whose trailer is `mark`, "" when there is none. Only what was
        committed on the target itself counts: not what its merges brought in, and no commit of `head`."""
        form = f"--format=%H%x00%(trailers:key={TRAILER},valueonly,separator=%x00)%x1e"
        done = await self._git(root, "log", "-n", str(DEPTH), "--first-parent", form, base, "--not", head, "--")
        for record in done.out.split("\x1e"):
            commit, *marks = record.strip("\n").split("\0")
            if mark in (text.strip() for text in marks):
                return commit
        return ""

    async def is_contained(self, root: str, tree: str, *, base: str, head: str) -> bool:
        """Whether the target at `base`, whose tree is `tree`, has every change of `head` under other commits, as a
        rebase leaves them: merging would change nothing, and each commit has a twin there."""
        merged = await self._run(root, "merge-tree", "--write-tree", base, head)
        if merged.code != 0 or merged.out.split("\n", 1)[0] != tree:
            return False
        marks = (await self._git(root, "cherry", base, head)).out.splitlines()
        return bool(marks) and all(line.startswith("-") for line in marks)

    async def _git(self, root: str, *args: str) -> Completed:
        done = await self._run(root, *args)
        if done.code != 0:
            raise _unanswered(root, done.err.strip().rpartition("\n")[2] or f"git {args[0]} failed")
        return done

    async def _run(self, root: str, *args: str) -> Completed:
        try:
            return await self._host.run(("git", "-C", root, *args), env=_PINS, timeout_s=60.0, limit=_LIMIT)
        except (CommandTimeoutError, FileNotFoundError) as error:
            raise _unanswered(root, str(error)) from error


def _unanswered(root: str, why: str) -> AoError:
    return AoError(
        "PROJECT_NOT_RESOLVABLE", f"git has no answer about {root}: {why}", hint="look at it with git status"
    )

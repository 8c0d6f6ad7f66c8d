"""Running git: one pinned way, and the words of its failures.

git speaks English here, never prompts, never opens a pager or an editor, takes no optional locks and never looks for a
repository above the folder it is sent to (a worktree that is gone must not become the repository around it). Nothing of
the daemon's own `GIT_*` environment reaches it: the host's environment is minimal.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Final

from ao.model.errors import AoError
from ao.ports import CommandTimeoutError, Completed, Host

LISTING_LIMIT: Final = 256 << 20
"""Bytes of output for commands that list files."""

_ENVIRONMENT: Final[Mapping[str, str]] = {
    "LC_ALL": "C",
    "LANG": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": ":",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
}
_IDENTITY: Final[Mapping[str, str]] = {
    "GIT_AUTHOR_NAME": "Agent Orchestrator",
    "GIT_AUTHOR_EMAIL": "ao@localhost",
    "GIT_COMMITTER_NAME": "Agent Orchestrator",
    "GIT_COMMITTER_EMAIL": "ao@localhost",
}
# A file system monitor may be absent, stale or a program of the repository's choosing: what decides over deletion asks
# the disk itself.
_PINS: Final = ("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false")
# The last is a `git worktree add` of someone else's being under way: git reads the records of all worktrees, and finds
# one half written.
_LOCKED: Final = re.compile(
    r"unable to create '[^']*\.lock': File exists|could not lock config file|another git process seems to be running"
    r"|failed to read \S*/worktrees/\S*",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"(?<=://)[^/\s@']+@")


class GitError(Exception):
    """git ended with an error or didn't end in time. `text` is what it said, without credentials."""

    def __init__(self, command: str, text: str, *, code: int | None) -> None:
        super().__init__(f"git {command}: {text}")
        self.command = command
        self.text = text
        self.code = code

    @property
    def timed_out(self) -> bool:
        """Whether it was ended because it was late."""
        return self.code is None

    @property
    def lock_held(self) -> bool:
        """Whether it gave up because another git was at work there; worth another try."""
        return _LOCKED.search(self.text) is not None

    @property
    def line(self) -> str:
        """Its most telling line."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
        return (telling or lines or ["no message"])[-1].removeprefix("fatal:").removeprefix("error:").strip()


class Git:
    """git on a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def run(
        self,
        where: str,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout_s: float = 60.0,
        limit: int | None = None,
    ) -> Completed:
        """Run `git -C where args`, whatever it answers. Raises GitError when it is late or says too much; with a
        `limit` its output may be cut to that many bytes instead."""
        pinned = {**_ENVIRONMENT, "GIT_CEILING_DIRECTORIES": posixpath.dirname(where), **(env or {})}
        argv = ("git", *_PINS, "-C", where, *args)
        command = next((word for word in args if not word.startswith("-") and "=" not in word), "")
        try:
            done = await self.host.run(argv, env=pinned, stdin=stdin, timeout_s=timeout_s, limit=limit or LISTING_LIMIT)
        except CommandTimeoutError as exc:
            raise GitError(command, f"took longer than {timeout_s:g} s", code=None) from exc
        except FileNotFoundError as exc:
            raise AoError(
                "RUNTIME_PREREQUISITE_MISSING", "git is not installed", hint="install git, e.g. apt install git"
            ) from exc
        if done.cut and limit is None:
            raise GitError(command, "its output is too long to be trusted", code=done.code)
        return done

    async def output(
        self,
        where: str,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout_s: float = 60.0,
    ) -> str:
        """Like `run`, but what it printed. Raises GitError when it fails."""
        done = await self.run(where, *args, env=env, stdin=stdin, timeout_s=timeout_s)
        if done.code != 0:
            command = next((word for word in args if not word.startswith("-") and "=" not in word), "")
            raise GitError(command, redacted(done.err or done.out), code=done.code)
        return done.out


def with_identity(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with an author for commits of our own, so that they don't need one configured."""
    return {**env, **_IDENTITY}


def redacted(text: str) -> str:
    """`text` without the user and password parts of the URLs in it."""
    return _USERINFO.sub("", text)


def public_url(url: str) -> str:
    """A remote's URL without credentials: no password anywhere, no user either over http, no query.

    The login name of an ssh URL (`git@`) is part of the address and stays. Paths and scp-like addresses are returned
    as they are.
    """
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:([^/@]*)@)?(.*)", url, re.DOTALL)
    if match is None:
        return url
    scheme, userinfo, rest = match[1], match[2], match[3]
    user = (userinfo or "").partition(":")[0] if scheme.lower() in ("ssh", "git+ssh", "ssh+git") else ""
    return f"{scheme}://{user + '@' if user else ''}{re.split('[?#]', rest, maxsplit=1)[0]}"

"""Remotes: their public addresses; fetching a branch from `origin` and pushing one to it, within bounds."""

from __future__ import annotations

import re
from typing import Final

from ao.model.errors import AoError
from ao.workspaces.branches import is_branch
from ao.workspaces.git import Git, GitError, public_url, redacted

# The branch alone: no tags, no FETCH_HEAD, no submodules, no housekeeping that outlives the call.
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance")
# The branch alone, whatever `push.*` says; by force never.
_PUSH = ("push", "--no-follow-tags", "--no-force", "--no-mirror")
# What git and its servers say, by the kind of trouble, and what helps.
_TROUBLE: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\(non-fast-forward\)|\(fetch first\)"), "git pull --rebase origin {branch}, then push again"),
    (re.compile(r"\[remote rejected\]"), "the server refuses this branch; see its rules for it"),
    (
        re.compile(
            r"(?i)authentication failed|could not read (?:username|password)|permission denied|returned error: 40"
        ),
        "git can't log in without asking: gh auth setup-git, or load the key into ssh-agent",
    ),
    (
        re.compile(r"does not appear to be a git repository|(?i:repository .*not found)"),
        "git remote -v shows where origin is",
    ),
    (
        re.compile(
            r"(?i)could not resolve host|connection (?:refused|timed out|reset)|unable to access|took longer than"
        ),
        "check the network and try again",
    ),
)


async def origin_of(git: Git, repo_path: str) -> str:
    """The URL of `origin` as configured, without credentials; "" when there is none."""
    done = await git.run(repo_path, "config", "--get", "remote.origin.url")
    return public_url(done.out.strip()) if done.code == 0 else ""


async def remotes_of(git: Git, repo_path: str) -> dict[str, str]:
    """The first URL of each remote as configured, without credentials. Raises GitError."""
    done = await git.run(repo_path, "config", "--null", "--get-regexp", r"^remote\..*\.url$")
    if done.code > 1:
        raise GitError("config", redacted(done.err), code=done.code)
    found: dict[str, str] = {}
    for entry in filter(None, done.out.split("\0")):
        key, _, url = entry.partition("\n")
        found.setdefault(key.removeprefix("remote.").removesuffix(".url"), public_url(url))
    return found


async def push(git: Git, repo_path: str, branch: str, *, timeout_s: float) -> None:
    """Push `refs/heads/<branch>` to the same name at origin. Raises `PUSH_FAILED`."""
    if not await origin_of(git, repo_path):
        raise AoError(
            "PUSH_FAILED",
            f"{branch!r} can't be pushed: the repository has no remote 'origin'",
            hint="git remote add origin URL, or set the project's forge to local",
            details={"branch": branch},
        )
    spec = f"refs/heads/{branch}:refs/heads/{branch}"
    try:
        await git.output(repo_path, *_PUSH, "origin", spec, timeout_s=timeout_s)
    except GitError as exc:
        rejected = [line.strip() for line in exc.text.splitlines() if line.startswith(" ! ")]
        hint = next((hint for pattern, hint in _TROUBLE if pattern.search(exc.text)), "git push origin shows more")
        raise AoError(
            "PUSH_FAILED",
            f"{branch!r} was not pushed: {(rejected or [exc.line])[0][:300]}",
            hint=hint.format(branch=branch),
            details={"branch": branch, "git": exc.text[:2000]},
        ) from exc


async def fetch(git: Git, repo_path: str, branch: str, *, timeout_s: float) -> str:
    """Bring `refs/remotes/origin/<branch>` up to date; "" or one line that says why not. Nothing without a remote."""
    if not is_branch(branch):
        return f"{branch[:80]!r} is not a branch name; nothing was fetched"
    try:
        if not await origin_of(git, repo_path):
            return ""
        spec = f"+refs/heads/{branch}:refs/remotes/origin/{branch}"
        await git.output(repo_path, *_FETCH, "origin", spec, timeout_s=timeout_s)
    except GitError as exc:
        return f"couldn't fetch {branch} from origin: {exc.line[:300]}"
    return ""

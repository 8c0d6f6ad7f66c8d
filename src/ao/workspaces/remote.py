"""The remote `origin`: its public address, and fetching one branch within bounds."""

from __future__ import annotations

from ao.workspaces.branches import is_branch
from ao.workspaces.git import Git, GitError, public_url

# The branch alone: no tags, no FETCH_HEAD, no submodules, no housekeeping that outlives the call.
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance")


async def origin_of(git: Git, repo_path: str) -> str:
    """The URL of `origin` as configured, without credentials; "" when there is none."""
    done = await git.run(repo_path, "config", "--get", "remote.origin.url")
    return public_url(done.out.strip()) if done.code == 0 else ""


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

"""What registration asks of a folder: is it a repository's top level, and what should new work start from."""

from __future__ import annotations

import posixpath

from ao.model.errors import AoError
from ao.ports import Repository
from ao.workspaces.git import Git, GitError
from ao.workspaces.remote import origin_of


async def inspect_repository(git: Git, path: str) -> Repository:
    """Facts of the repository whose top level is `path`. Raises `NOT_A_GIT_REPO`."""
    if not posixpath.isabs(path) or "\0" in path:
        raise _no_repository(path, "it is not an absolute path")
    questions = ("--is-bare-repository", "--is-inside-work-tree", "--show-prefix")
    try:
        answers = (await git.output(path, "rev-parse", *questions)).split("\n")
        if answers[0] == "true":
            raise _no_repository(path, "it is a bare repository")
        if answers[1] != "true":
            raise _no_repository(path, "it is the inside of a .git folder")
        top = (await git.output(path, "rev-parse", "--show-toplevel")).removesuffix("\n")
        if answers[2]:
            raise _no_repository(path, f"it lies inside the repository at {top}")
        return Repository(
            path=top,
            origin=await origin_of(git, path),
            default_branch=await _default_branch(git, path),
        )
    except GitError as exc:
        raise _no_repository(path, exc.line) from exc


async def _default_branch(git: Git, path: str) -> str:
    """What origin calls its HEAD, else the branch checked out here, else `main`."""
    for name, prefix in (("refs/remotes/origin/HEAD", "refs/remotes/origin/"), ("HEAD", "refs/heads/")):
        done = await git.run(path, "symbolic-ref", "--quiet", name)
        target = done.out.strip()
        if done.code == 0 and target.startswith(prefix):
            return target.removeprefix(prefix)
    return "main"


def _no_repository(path: str, reason: str) -> AoError:
    hint = "give the top level of a git work tree"
    if "dubious ownership" in reason:
        hint = f"git config --global --add safe.directory {path}"
    return AoError("NOT_A_GIT_REPO", f"{path} can't be registered: {reason}", hint=hint, details={"path": path})

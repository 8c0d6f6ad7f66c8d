"""From a request to a branch and its start, changing nothing.

A requested B is the branch here, else origin's of that name, else a tag (the session's own branch then starts at it),
else a new branch from the base. The base is what the default branch is, see `Refs.base`.

A request that names a commit gets the session's own branch at that commit.

Everything is resolved to full refs and commits, so that nothing a person names can mean a tag here, a revision
expression there. What is found is fixed as a commit: the branch that `create` makes starts there, whatever moves
meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping

from ao.model.errors import AoError
from ao.ports import BranchPlan, BranchRequest
from ao.workspaces.branches import check_branch, is_commit_id
from ao.workspaces.git import Git, GitError
from ao.workspaces.refs import Base, Refs, unresolvable
from ao.workspaces.registrations import Registration, worktrees


async def plan(git: Git, refs: Refs, request: BranchRequest) -> BranchPlan:
    """Answer a request. Raises what `ao.ports.Workspaces.plan` says."""
    for name in (request.requested or request.own, request.own, request.default):
        check_branch(name)
    try:
        if request.commit:
            return _new(request.own, await _commit(refs, request))
        if request.requested:
            return await _requested(git, refs, request)
        return _new(request.own, await _base(git, refs, request))
    except GitError as exc:
        raise unresolvable(request.repo_path, exc.line) from exc


async def _requested(git: Git, refs: Refs, request: BranchRequest) -> BranchPlan:
    name, repo = request.requested, request.repo_path
    await refs.common(repo)  # a repository that is gone is told apart from a branch that isn't there
    parts = name.split("/")
    parents = [f"refs/heads/{'/'.join(parts[:count])}" for count in range(1, len(parts))]
    local, remote, tag = f"refs/heads/{name}", f"refs/remotes/origin/{name}", f"refs/tags/{name}"
    tips = await refs.tips(repo, [local, remote, tag, *parents])
    if local in tips:
        await _check_free(git, repo, name)
        tip = tips[local]
        return BranchPlan(
            branch=name, create=False, start="", base_ref=local, base_sha=tip.sha, base_at=tip.at, warnings=()
        )
    if remote in tips:
        _check_room(name, tips, parents)
        return _new(name, tips[remote])
    if tag in tips:
        commit = await refs.commit(repo, tag)
        if commit is None:
            raise _not_fetched(f"tag {name!r} doesn't point to a commit", name)
        return _new(request.own, commit)
    _check_room(name, tips, parents)
    return _new(name, await _base(git, refs, request))


async def _commit(refs: Refs, request: BranchRequest) -> Base:
    repo, commit = request.repo_path, request.commit
    await refs.common(repo)
    if is_commit_id(commit) and await refs.find(repo, commit) == commit:
        found = await refs.commit(repo, commit)
        if found is not None:
            return found
    raise AoError(
        "BRANCH_NOT_FETCHED",
        f"commit {commit[:80]!r} is not in the repository at {repo}",
        hint="fetch the branch that holds it; a full commit id is needed",
        details={"commit": commit[:80]},
    )


def _new(branch: str, base: Base) -> BranchPlan:
    return BranchPlan(
        branch=branch,
        create=True,
        start=base.sha,
        base_ref=base.ref,
        base_sha=base.sha,
        base_at=base.at,
        warnings=base.warnings,
    )


def _check_room(name: str, tips: Mapping[str, Base], parents: list[str]) -> None:
    """A branch can't lie below another's name, nor have others below its own (git keeps them as files and folders)."""
    clash = next((ref for ref in tips if ref in parents or ref.startswith(f"refs/heads/{name}/")), None)
    if clash:
        other = clash.removeprefix("refs/heads/")
        raise AoError(
            "INVALID_BRANCH",
            f"branch {name!r} can't exist beside branch {other!r}",
            hint="choose a name that is no prefix or extension of an existing branch",
            details={"branch": name, "conflictsWith": other},
        )


async def _base(git: Git, refs: Refs, request: BranchRequest) -> Base:
    base = await refs.base(request.repo_path, request.default)
    if base is not None:
        return base
    head = await git.run(request.repo_path, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head.code != 0:
        raise AoError(
            "BRANCH_NOT_FETCHED",
            f"the repository at {request.repo_path} has no commit to start from",
            hint="make a first commit",
            details={"branch": request.default},
        )
    raise _not_fetched(f"there is no branch {request.default!r} to start from, here or at origin", request.default)


def _not_fetched(message: str, branch: str) -> AoError:
    return AoError(
        "BRANCH_NOT_FETCHED",
        message,
        hint=f"git fetch origin {branch}, or set the project's defaultBranch",
        details={"branch": branch},
    )


async def _check_free(git: Git, repo_path: str, branch: str) -> None:
    for entry in await worktrees(git, repo_path):
        if entry.branch == branch:
            raise checked_out_elsewhere(branch, entry)


def checked_out_elsewhere(branch: str, entry: Registration) -> AoError:
    """`BRANCH_CHECKED_OUT_ELSEWHERE`, naming the worktree that has it."""
    gone = entry.prunable is not None
    return AoError(
        "BRANCH_CHECKED_OUT_ELSEWHERE",
        f"branch {branch!r} is checked out at {entry.path}" + (", whose folder is gone" if gone else ""),
        hint=f"git worktree remove {entry.path}" if gone else "ask for another branch, or switch that worktree first",
        details={"branch": branch, "path": entry.path},
    )

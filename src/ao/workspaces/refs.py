"""What branches a repository has, remembered for as long as its files are untouched.

A spawn that asks for no branch runs no git before it is accepted: the base of new work and the names taken are kept
with the stamps of every file they could be read from (the loose refs concerned, `packed-refs`, the reftable's list) and
read anew once one differs. Every writer of a ref replaces one of those files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Final

import msgspec

from ao.model.errors import AoError
from ao.model.ids import PRESERVED_PREFIX, session_num
from ao.workspaces.git import Git, GitError

_Stamp = tuple[int, int, int] | None
_Stamps = tuple[_Stamp, ...]
_SESSIONS: Final = "refs/heads/ao/"
_TIP_FORMAT: Final = "%(refname)%00%(objectname)%00%(committerdate:unix)"


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """Where new work starts: a full ref, its commit, the commit's time in milliseconds."""

    ref: str
    sha: str
    at: int | None
    warnings: tuple[str, ...] = ()


class Refs:
    """The refs of repositories on one host."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._host = git.host
        self._commons: dict[str, tuple[_Stamp, str]] = {}
        self._bases: dict[tuple[str, str], tuple[_Stamps, Base | None]] = {}
        self._taken: dict[str, tuple[_Stamps, frozenset[str]]] = {}

    async def common(self, repo_path: str) -> str:
        """The real path of the repository's common directory. Raises `PROJECT_NOT_RESOLVABLE`."""
        dot_git = posixpath.join(repo_path, ".git")
        try:
            (stamp,) = self._host.stamp([dot_git])
        except OSError as exc:
            raise unresolvable(repo_path, exc.strerror or str(exc)) from exc
        if stamp is None:
            raise unresolvable(repo_path, "there is no repository any more")
        known = self._commons.get(repo_path)
        if known and self._still(dot_git, known, stamp):
            return known[1]
        try:
            out = await self._git.output(repo_path, "rev-parse", "--path-format=absolute", "--git-common-dir")
        except GitError as exc:
            raise unresolvable(repo_path, exc.line) from exc
        common = out.removesuffix("\n")
        self._commons[repo_path] = (stamp, common)
        return common

    def common_if_known(self, repo_path: str) -> str:
        """The common directory without asking git: as last found, else where it is in an ordinary repository."""
        known = self._commons.get(repo_path)
        return known[1] if known else posixpath.join(repo_path, ".git")

    def _still(self, dot_git: str, known: tuple[_Stamp, str], stamp: _Stamp) -> bool:
        """A `.git` folder changes its time whenever a file comes or goes in it; only its inode identifies it."""
        before, common = known
        (head,) = self._host.stamp([posixpath.join(common, "HEAD")])
        if head is None or before is None or stamp is None:
            return False
        return before[2] == stamp[2] if posixpath.basename(common) == ".git" and common == dot_git else before == stamp

    async def base(self, repo_path: str, branch: str) -> Base | None:
        """The base of new work when the default branch is `branch`; None when there is none.

        Of `refs/heads/B` and `refs/remotes/origin/B` the one that contains the other; when they have diverged the
        remote's, with a warning; a `B` that names another remote's branch (`upstream/main`) stands for itself.
        """
        common = await self.common(repo_path)
        names = [f"refs/heads/{branch}", f"refs/remotes/origin/{branch}", f"refs/remotes/{branch}"]
        files = [posixpath.join(common, name) for name in names]
        known = self._bases.get((common, branch))
        stamps = self._stamps(common, files)
        if known and known[0] == stamps:
            return known[1]
        found = await self._find_base(repo_path, branch, names)
        if self._stamps(common, files) == stamps:
            self._bases[common, branch] = (stamps, found)
        return found

    async def _find_base(self, repo_path: str, branch: str, names: Sequence[str]) -> Base | None:
        tips = await self.tips(repo_path, names)
        local, remote, other = (tips.get(name) for name in names)
        if local is None or remote is None:
            return local or remote or other
        if local.sha == remote.sha:
            return remote
        counts = await self._git.output(
            repo_path, "rev-list", "--left-right", "--count", f"{local.sha}...{remote.sha}", "--"
        )
        ahead, behind = map(int, counts.split())
        if not behind:
            return local
        if not ahead:
            return remote
        warning = (
            f"{branch} and origin/{branch} have diverged ({ahead} and {behind} commits); started from origin/{branch}"
        )
        return msgspec.structs.replace(remote, warnings=(warning,))

    async def tips(self, repo_path: str, names: Sequence[str]) -> dict[str, Base]:
        """Those of the full ref `names` that exist and refs below them, with their commits."""
        out = await self._git.output(repo_path, "for-each-ref", f"--format={_TIP_FORMAT}", *names)
        rows = (line.split("\0") for line in out.splitlines())
        return {ref: Base(ref=ref, sha=sha, at=int(at) * 1000 if at else None) for ref, sha, at in rows}

    async def commit(self, repo_path: str, revision: str) -> Base | None:
        """The commit that a full ref points to, tags peeled; None when it points to none."""
        done = await self._git.run(
            repo_path, "rev-list", "--max-count=1", "--timestamp", f"{revision}^{{commit}}", "--"
        )
        if done.code != 0 or not done.out.strip():
            return None
        at, sha = done.out.split()
        return Base(ref=revision, sha=sha, at=int(at) * 1000)

    async def find(self, repo_path: str, revision: str) -> str | None:
        """The commit of exactly this full ref or commit id, tags peeled; None when there is none.

        A ref is looked up as it stands, never by git's rules for short names, by which a tag `refs/heads/x` could pass
        for a branch `x` that is gone.
        """
        named = revision
        if revision.startswith("refs/"):
            done = await self._git.run(repo_path, "show-ref", "--verify", "--hash", "--", revision)
            named = done.out.strip()
            if done.code != 0 or revision.startswith("refs/heads/"):
                return named if done.code == 0 else None
        peeled = await self._git.run(repo_path, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
        commit = peeled.out.strip()
        # A commit id that git doesn't know could be the name of a branch to it.
        return commit if peeled.code == 0 and (commit == revision or named != revision) else None

    async def taken(self, repo_path: str, session_id: str) -> bool:
        """Whether a branch or a preserved snapshot bears this session's name."""
        common = await self.common(repo_path)
        loose = [posixpath.join(common, prefix + session_id) for prefix in (_SESSIONS, PRESERVED_PREFIX)]
        if self._host.stamp(loose) == (None, None):
            known = self._taken.get(common)
            stamps = self._stamps(common, ())
            if not known or known[0] != stamps:
                known = (stamps, frozenset(await self.session_names(repo_path)))
                self._taken[common] = known
            # A loose ref that has gone since may still be among the names; one that came would have a file now.
            if session_id not in known[1]:
                return False
        return bool(await self.tips(repo_path, [prefix + session_id for prefix in (_SESSIONS, PRESERVED_PREFIX)]))

    async def session_names(self, repo_path: str) -> set[str]:
        """First parts of all names below `refs/heads/ao` and `refs/ao/preserved`."""
        out = await self._git.output(repo_path, "for-each-ref", "--format=%(refname)", _SESSIONS, PRESERVED_PREFIX)
        rest = (line.removeprefix(_SESSIONS).removeprefix(PRESERVED_PREFIX) for line in out.splitlines())
        return {name.partition("/")[0] for name in rest}

    async def top_number(self, repo_path: str, project_id: str) -> int:
        """The highest number among the project's session names; 0 when there is none."""
        numbers = (session_num(project_id, name) for name in await self.session_names(repo_path))
        return max((number for number in numbers if number is not None), default=0)

    def _stamps(self, common: str, files: Sequence[str]) -> _Stamps:
        packed = [posixpath.join(common, "packed-refs"), posixpath.join(common, "reftable", "tables.list")]
        return self._host.stamp([*packed, *files])


def unresolvable(repo_path: str, reason: str) -> AoError:
    """`PROJECT_NOT_RESOLVABLE` of the repository at `repo_path`."""
    hint = "register the project again with the repository's new path"
    if "dubious ownership" in reason:
        hint = f"git config --global --add safe.directory {repo_path}"
    return AoError(
        "PROJECT_NOT_RESOLVABLE",
        f"the repository at {repo_path} can't be used: {reason}",
        hint=hint,
        details={"path": repo_path},
    )

"""Making commits without a worktree: who signs them, what they say, and the three ways to put a branch onto another.

Only objects are made here; nothing points to them until a ref is moved, so whoever is killed half-way has changed
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

import msgspec

from ao.model.errors import AoError
from ao.model.text import sanitise
from ao.ports.trees import TreeMerge
from ao.workspaces.comparing import Comparer
from ao.workspaces.git import Git, with_identity

REBASE_LIMIT: Final = 500
"""Commits that a rebase makes again, at most."""
_AUTHOR: Final = re.compile(r"\s*(?P<name>[^<>\x00-\x1f]*?)\s*<(?P<mail>[^<>\x00-\x1f]*)>\s*")
_PLAIN: Final = ("-c", "i18n.commitEncoding=UTF-8", "-c", "i18n.logOutputEncoding=UTF-8")
# Author, mail, time (git-log(1), --date=raw), parents, message.
_FORMAT: Final = "--format=%an%x00%ae%x00%ad%x00%P%x00%B"


class _Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit as it is made again."""

    name: str
    mail: str
    date: str
    parent: str
    message: str

    def env(self, *, dated: bool) -> dict[str, str]:
        """The environment that makes its author the author."""
        found = {"GIT_AUTHOR_NAME": self.name or self.mail or "unknown", "GIT_AUTHOR_EMAIL": self.mail}
        return {**found, "GIT_AUTHOR_DATE": f"@{self.date}"} if dated else found


class Smith:
    """Makes the commits of merges."""

    def __init__(self, git: Git, comparer: Comparer) -> None:
        self._git = git
        self._comparer = comparer

    async def make(self, repo: str, order: TreeMerge) -> str:
        """The commit that the target is to be moved to; a descendant of `order.base`. Raises `PR_NOT_MERGEABLE`,
        GitError."""
        identity = await self._identity(repo)
        if order.method == "rebase":
            return await self._rebase(repo, order, identity)
        merged = await self._comparer.merge(repo, order.base, order.head)
        if merged.conflicts:
            refuse(order, f"it conflicts in {_some(merged.conflicts)}", files=merged.conflicts)
        author: Mapping[str, str] = {}
        if order.author:
            author = author_env(order.author)
        elif order.method == "squash":
            author = (await self._read(repo, order.head)).env(dated=False)
        parents = [order.base, order.head] if order.method == "merge" else [order.base]
        return await self._commit(repo, merged.tree, parents, sanitise(order.message), {**identity, **author})

    async def _rebase(self, repo: str, order: TreeMerge, identity: Mapping[str, str]) -> str:
        """Each commit made again on top of the base, with its author and message. As `git rebase` does: merges are
        left out, and so is what the base has already; a commit that lies where it should is kept as it is."""
        options = ("--reverse", "--topo-order", "--no-merges", "--cherry-pick", "--right-only")
        listing = await self._git.output(repo, "rev-list", *options, f"{order.base}...{order.head}", "--")
        commits = listing.split()
        if len(commits) > REBASE_LIMIT:
            refuse(order, f"{len(commits)} commits are too many for a rebase; squash or merge it")
        tip = order.base
        for commit in commits:
            tip = await self._again(repo, order, tip, commit, identity)
        if tip == order.base:
            refuse(order, f"{order.target!r} has all its changes already")
        return tip

    async def _again(self, repo: str, order: TreeMerge, tip: str, commit: str, identity: Mapping[str, str]) -> str:
        """`commit` on top of `tip`; `tip` itself when it would change nothing."""
        found = await self._read(repo, commit)
        if found.parent == tip:
            return commit
        before = await self.tree_of(repo, tip)
        # `git merge-tree --merge-base` came with 2.40. A commit with the tip's tree and the parent of the one to be
        # made again has that parent in common with it, which is the same.
        parents = [found.parent] if found.parent else []
        stand_in = await self._commit(repo, before, parents, "", with_identity({}))
        merged = await self._comparer.merge(repo, stand_in, commit, unrelated=not parents)
        if merged.conflicts:
            refuse(order, f"commit {commit[:12]} conflicts in {_some(merged.conflicts)}", files=merged.conflicts)
        if merged.tree == before:
            return tip
        return await self._commit(repo, merged.tree, [tip], found.message, {**identity, **found.env(dated=True)})

    async def _read(self, repo: str, commit: str) -> _Commit:
        out = await self._git.output(
            repo, *_PLAIN, "log", "-1", "--no-show-signature", "--date=raw", _FORMAT, commit, "--"
        )
        name, mail, date, parents, message = out.split("\0", 4)
        return _Commit(
            name=name, mail=mail, date=date, parent=parents.partition(" ")[0], message=message.removesuffix("\n")
        )

    async def tree_of(self, repo: str, commit: str) -> str:
        """The tree of a commit. Raises GitError."""
        return (await self._git.output(repo, "rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}")).strip()

    async def _commit(self, repo: str, tree: str, parents: Sequence[str], message: str, env: Mapping[str, str]) -> str:
        links = [word for parent in parents for word in ("-p", parent)]
        args = (*_PLAIN, "commit-tree", *links, "-F", "-", tree)
        return (await self._git.output(repo, *args, env=env, stdin=message.encode(errors="replace"))).strip()

    async def _identity(self, repo: str) -> dict[str, str]:
        """Nothing when the repository has an identity configured, else ours."""
        args = ("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        return {} if (await self._git.run(repo, *args)).code == 0 else with_identity({})


def author_env(author: str) -> dict[str, str]:
    """The environment for an author "Name <mail>". Raises ValueError for anything else."""
    match = _AUTHOR.fullmatch(author)
    if match is None:
        raise ValueError(f"{author!r} is no author")
    return {"GIT_AUTHOR_NAME": match["name"] or match["mail"], "GIT_AUTHOR_EMAIL": match["mail"]}


def refuse(order: TreeMerge, reason: str, *, files: Sequence[str] = ()) -> NoReturn:
    """Raise `PR_NOT_MERGEABLE`."""
    raise AoError(
        "PR_NOT_MERGEABLE",
        f"{order.head[:12]} can't be merged into {order.target!r}: {reason}",
        hint="merge or rebase the target into the branch, settle the conflict there, and try again" if files else None,
        details={"files": list(files), "reason": reason},
    )


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join("".join(c if c.isprintable() else "?" for c in path[:200]) for path in paths[:5])
    return f"{shown} and {len(paths) - 5} more" if len(paths) > 5 else shown

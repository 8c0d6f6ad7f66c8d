"""What a session's worktree has produced: its branches, and the commits made there since its base.

A commit counts when a branch of the session holds it beyond the base and beyond what the repository's default branch
has, or when a reflog says that it was made there: committed, amended, picked, re-made by a rebase. What merely came by
(a checkout, a reset, a pull) does not, or a colleague's commit would pass for the session's own.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Final

from ao.ports import Checkout
from ao.ports.trees import History
from ao.workspaces.branches import is_branch, is_commit_id
from ao.workspaces.git import Git
from ao.workspaces.refs import Refs

LIMIT: Final = 5_000
"""Commits, at most."""
# Messages that git gives to reflog entries of commits it has just made (builtin/commit.c, sequencer.c, builtin/am.c).
_MADE: Final = re.compile(
    r"commit(?: \([\w-]+\))?: |am: |(?:cherry-pick|revert): (?!fast-forward$)"
    r"|(?:rebase|pull)\b.*\((?:pick|reword|edit|squash|fixup|continue|merge)\): |(?:merge|pull)\b.*: Merge made by "
)
_UPSTREAM: Final = ("refs/remotes/origin/HEAD", "HEAD")


class Historian:
    """Reads what worktrees have produced."""

    def __init__(self, git: Git, refs: Refs) -> None:
        self._git = git
        self._refs = refs

    async def history(self, common: str, checkout: Checkout) -> History:
        """Branches, the one checked out first, and commits. Raises GitError."""
        folder = await self._folder(common, checkout)
        branches = await self._branches(folder, checkout)
        refs = [f"refs/heads/{branch}" for branch in branches]
        heads = ["HEAD", *refs] if folder else refs
        if not heads:
            return History()
        # From inside the worktree's own record, HEAD is the worktree's.
        inside = (f"--git-dir={folder}",) if folder else ()
        base = checkout.base_sha if is_commit_id(checkout.base_sha) else ""
        made = await self._made(checkout.repo_path, inside, heads)
        held: set[str] = set()
        if base:
            without = [base, *await self._upstream(checkout.repo_path, branches)]
            held = await self._list(checkout.repo_path, inside, heads, without)
        since = await self._list(checkout.repo_path, inside, made, [base] if base else [])
        return History(branches=tuple(branches), commits=frozenset([*held, *(c for c in made if c in since)][:LIMIT]))

    async def _folder(self, common: str, checkout: Checkout) -> str:
        """The administrative folder of the session's worktree, "" when git has none. The worktree's own `.git` is not
        asked: an agent may have replaced it."""
        host = self._git.host
        shelf = posixpath.join(common, "worktrees")
        dot_git = posixpath.join(checkout.path, ".git")
        (here,) = host.stamp([dot_git])
        for name in await host.list_dir(shelf):
            if not name.startswith(posixpath.basename(checkout.path)):
                continue
            content = await host.read(posixpath.join(shelf, name, "gitdir"), limit=1 << 16)
            target = (content or b"").decode(errors="surrogateescape").strip()
            full = posixpath.normpath(posixpath.join(shelf, name, target))
            if target and (full == dot_git or (here is not None and host.stamp([full]) == (here,))):
                return posixpath.join(shelf, name)
        return ""

    async def _branches(self, folder: str, checkout: Checkout) -> list[str]:
        repo, session = checkout.repo_path, checkout.session_id
        found: list[str] = []
        if folder:
            done = await self._git.run(repo, f"--git-dir={folder}", "symbolic-ref", "--quiet", "HEAD")
            found.append(done.out.strip())
        wanted = [f"refs/heads/{checkout.branch}"] if is_branch(checkout.branch) else []
        if checkout.branch == f"ao/{session}/root":
            wanted.append(f"refs/heads/ao/{session}/")
        tips = await self._refs.tips(repo, [*wanted, *found]) if wanted or any(found) else {}
        ordered = [*found, *wanted, *sorted(tips)]
        return [ref.removeprefix("refs/heads/") for ref in dict.fromkeys(ordered) if ref in tips]

    async def _made(self, repo: str, inside: Sequence[str], heads: Sequence[str]) -> list[str]:
        """Commits that the reflogs say were made here, the newest first."""
        options = ("--no-show-signature", f"--max-count={LIMIT}", "--format=%H %gs")
        done = await self._git.run(repo, *inside, "log", "--walk-reflogs", *options, *heads, "--")
        entries = (line.partition(" ") for line in done.out.splitlines())
        return list(dict.fromkeys(commit for commit, _, what in entries if _MADE.match(what)))

    async def _upstream(self, repo: str, branches: Sequence[str]) -> list[str]:
        """Tips of the default branch, here and at origin, unless it is one of the session's own."""
        found: list[str] = []
        for name in _UPSTREAM:
            target = (await self._git.run(repo, "symbolic-ref", "--quiet", name)).out.strip()
            if target and target.removeprefix("refs/heads/") not in branches:
                tip = await self._refs.find(repo, target)
                found += [tip] if tip else []
        return found

    async def _list(self, repo: str, inside: Sequence[str], tips: Sequence[str], without: Sequence[str]) -> set[str]:
        """Commits reachable from `tips` and not from `without`."""
        if not tips:
            return set()
        lines = [*tips, *(f"^{commit}" for commit in without)]
        args = ("rev-list", "--ignore-missing", f"--max-count={LIMIT}", "--stdin")
        out = await self._git.output(repo, *inside, *args, stdin="\n".join([*lines, ""]).encode())
        return set(out.split())

"""Keeping what a worktree holds and no branch does, before it is removed by force.

A snapshot is a commit at `refs/ao/preserved/<session>/<n>`, numbers going up, none ever overwritten:
its tree is the folder as it was, untracked files included; its first parent is HEAD, its second a commit of the index
(staged or not stays apart; left out while the index has conflicts), then, when there were ignored files, a commit whose
tree has those too, then commits that an unfinished merge, pick or autostash pointed to. `git diff REF^1 REF` shows the
work, `git restore --source=REF :/` brings it back. The real index and the folder aren't touched.

Objects are flushed to disk before the ref exists, and every one is found again before the ref is trusted.
"""

from __future__ import annotations

import posixpath
from typing import Final

from ao.model.ids import PRESERVED_PREFIX
from ao.workspaces.git import LISTING_LIMIT, Git, with_identity
from ao.workspaces.inspection import Tree, scratch_index

# Loose objects aren't flushed by default; one flush for all that a command wrote (git-config(1), core.fsyncMethod).
_DURABLE: Final = ("-c", "core.fsync=committed,loose-object,reference", "-c", "core.fsyncMethod=batch")
_PLAIN: Final = ("-c", "core.sparseCheckout=false", "-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false")
_POINTERS: Final = (
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "MERGE_AUTOSTASH",
    "rebase-merge/autostash",
    "rebase-apply/autostash",
    "rebase-merge/orig-head",
)
_LINK_MODE: Final = "160000"
_SNAPSHOT_TIMEOUT_S: Final = 600.0


class CannotPreserveError(Exception):
    """The worktree holds something that a snapshot can't keep; the text says what."""


class Keeper:
    """Takes snapshots of worktrees."""

    def __init__(self, git: Git) -> None:
        self._git = git

    async def snapshot(self, tree: Tree, session_id: str) -> str:
        """Keep what is in `tree` and return the ref, "" when there is nothing to keep. Raises CannotPreserveError,
        GitError."""
        nested, ignored_nested = await self._nested(tree)
        if nested:
            raise CannotPreserveError(f"it holds a repository of its own: {', '.join(nested[:3])}")
        head = await self._commit_of(tree, "HEAD")
        index_tree = await self._index_tree(tree)
        work_tree, whole_tree = await self._work_trees(tree, head, ignored_nested)
        head_tree = await self._tree_of(tree, head)
        pointers = await self._pointers(tree)
        detached = (await self._run(tree, "symbolic-ref", "-q", "HEAD")) is None
        same = {work_tree, whole_tree, index_tree or work_tree} == {head_tree}
        if same and not pointers and not detached:
            return ""
        parents = [head] if head else []
        note = f"ao preserved {session_id}"
        parents.append(await self._commit(tree, index_tree or work_tree, parents[:1], f"{note}: index"))
        if whole_tree != work_tree:
            parents.append(await self._commit(tree, whole_tree, [], f"{note}: with ignored files"))
        parents += [commit for commit in pointers if commit not in parents]
        commit = await self._commit(tree, work_tree, parents, note)
        await self._verify(tree, commit, head)
        return await self._publish(tree, session_id, commit)

    async def _nested(self, tree: Tree) -> tuple[list[str], list[str]]:
        """Untracked folders that are repositories themselves: those git sees, those it ignores."""
        seen = await self._listed(tree, "--exclude-standard")
        return seen, [name for name in await self._listed(tree) if name not in seen]

    async def _listed(self, tree: Tree, *options: str) -> list[str]:
        out = await self._output(tree, "ls-files", "--others", "-z", *options)
        return [name for name in out.split("\0") if name.endswith("/")]

    async def _index_tree(self, tree: Tree) -> str | None:
        """The tree of a copy of the real index; None while it has conflicts."""
        content = await self._git.host.read(posixpath.join(tree.folder, "index"), limit=LISTING_LIMIT)
        if content is None or len(content) == LISTING_LIMIT:
            raise CannotPreserveError("its index can't be read")
        async with scratch_index(self._git.host, tree) as index:
            await self._git.host.write_private(index["GIT_INDEX_FILE"], content)
            return await self._run(tree, "write-tree", env=index)

    async def _work_trees(self, tree: Tree, head: str, without: list[str]) -> tuple[str, str]:
        """Trees of the folder, without and with the ignored files. The index starts from HEAD, not from the real one:
        no cached time and no flag that hides a file from git is believed."""
        async with scratch_index(self._git.host, tree) as index:
            await self._output(tree, "read-tree", *([head] if head else ["--empty"]), env=index)
            await self._output(tree, "add", "--all", "--", ".", env=index)
            await self._check_links(tree, head, index)
            work = (await self._output(tree, "write-tree", env=index)).strip()
            apart = [f":(exclude,literal){name}" for name in without]
            await self._output(tree, "add", "--all", "--force", "--", ".", *apart, env=index)
            return work, (await self._output(tree, "write-tree", env=index)).strip()

    async def _check_links(self, tree: Tree, head: str, index: dict[str, str]) -> None:
        """A link to a commit of another repository keeps nothing of that repository."""
        if head:
            out = await self._output(tree, "diff-index", "--cached", "--raw", "-z", head, env=index)
            fields = out.split("\0")
            pairs = zip(fields[::2], fields[1::2], strict=False)
            changed = [path for meta, path in pairs if meta.split(" ")[1] == _LINK_MODE]
        else:
            out = await self._output(tree, "ls-files", "--stage", "-z", env=index)
            changed = [entry.partition("\t")[2] for entry in out.split("\0") if entry.startswith(_LINK_MODE)]
        if changed:
            raise CannotPreserveError(f"its submodules have changed: {', '.join(changed[:3])}")

    async def _pointers(self, tree: Tree) -> list[str]:
        found: list[str] = []
        for name in _POINTERS:
            content = await self._git.host.read(posixpath.join(tree.folder, name), limit=1 << 16)
            for line in (content or b"").decode(errors="replace").split():
                commit = await self._commit_of(tree, line) if line.isalnum() else ""
                if commit and commit not in found:
                    found.append(commit)
        return found

    async def _commit(self, tree: Tree, content: str, parents: list[str], message: str) -> str:
        links = [word for parent in parents for word in ("-p", parent)]
        args = ("commit-tree", *links, "-m", message, content)
        return (await self._output(tree, *args, env=with_identity({}))).strip()

    async def _verify(self, tree: Tree, commit: str, head: str) -> None:
        """Find every object that the snapshot needs and HEAD doesn't have. Raises CannotPreserveError."""
        known = [f"^{head}"] if head else []
        objects = await self._output(tree, "rev-list", "--objects", "--no-object-names", commit, *known, "--")
        out = await self._output(tree, "cat-file", "--batch-check", stdin=objects.encode())
        lines = out.splitlines()
        if len(lines) != len(objects.splitlines()) or any(line.endswith(" missing") for line in lines):
            raise CannotPreserveError("the snapshot couldn't be read back")

    async def _publish(self, tree: Tree, session_id: str, commit: str) -> str:
        prefix = f"{PRESERVED_PREFIX}{session_id}/"
        out = await self._output(tree, "for-each-ref", "--format=%(refname)", prefix)
        numbers = [int(tail) for line in out.splitlines() if (tail := line.removeprefix(prefix)).isdigit()]
        ref = f"{prefix}{max(numbers, default=0) + 1}"
        await self._output(tree, "update-ref", ref, commit, "")  # "": only if it is new
        return ref

    async def _commit_of(self, tree: Tree, revision: str) -> str:
        return await self._run(tree, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or ""

    async def _tree_of(self, tree: Tree, commit: str) -> str:
        return (await self._run(tree, "rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}") or "") if commit else ""

    async def _run(self, tree: Tree, *args: str, env: dict[str, str] | None = None) -> str | None:
        done = await self._git.run(tree.path, *_DURABLE, *_PLAIN, *tree.args(*args), env=env)
        return done.out.strip() if done.code == 0 else None

    async def _output(
        self, tree: Tree, *args: str, env: dict[str, str] | None = None, stdin: bytes | None = None
    ) -> str:
        full = (*_DURABLE, *_PLAIN, *tree.args(*args))
        return await self._git.output(tree.path, *full, env=env, stdin=stdin, timeout_s=_SNAPSHOT_TIMEOUT_S)

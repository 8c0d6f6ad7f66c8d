"""Looking at a worktree before it may go: what would be lost.

Everything is asked with the repository's own record of the worktree (`--git-dir`), so that a `.git` an agent has
replaced can't answer in its place. Not knowing is a reason to stay.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from ao.ports import Host
from ao.workspaces.git import Git, GitError
from ao.workspaces.places import Place, Thing
from ao.workspaces.registrations import Record

REMOVING: Final = "ao-removing"
"""File in a worktree's administrative folder: it was found clean and its removal has begun."""
_SHOWN: Final = 5
# Files and folders in the administrative folder that mark an operation the person or agent hasn't finished
# (git-rebase(1), git-merge(1), git-cherry-pick(1), git-revert(1), git-bisect(1)).
_OPERATIONS: Final = (
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or `git am`"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("BISECT_LOG", "a bisect"),
    ("sequencer", "a series of cherry-picks or reverts"),
)


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """`dirt` can be kept in a snapshot, `obstacle` can't. Both are texts for people, "" for none."""

    dirt: str = ""
    obstacle: str = ""

    @property
    def problem(self) -> str:
        """Why the worktree must stay."""
        return "; ".join(filter(None, (self.obstacle, self.dirt)))


class Tree(msgspec.Struct, frozen=True):
    """A worktree on disk and its administrative folder."""

    path: str
    folder: str

    def args(self, *args: str) -> tuple[str, ...]:
        """Arguments of a git command on it that trusts nothing inside it."""
        return (f"--git-dir={self.folder}", f"--work-tree={self.path}", *args)


async def inspect_tree(git: Git, place: Place, record: Record | None) -> Findings:
    """What stands against removing what is at `place`; nothing is changed."""
    if place.thing in (Thing.FILE, Thing.LINK):
        return Findings(obstacle=f"{place.real} is a {place.thing.value}, not a worktree")
    if record is not None and record.locked is not None:
        return Findings(obstacle=f"it is locked: {record.locked or 'no reason given'}")
    if place.thing is Thing.NONE or not await git.host.list_dir(place.real):
        return Findings()
    if record is None:
        return Findings(obstacle="git doesn't know it as a worktree of the repository")
    if not record.whole:
        return Findings()
    tree = Tree(place.real, record.folder)
    half_gone = git.host.stamp([posixpath.join(record.folder, REMOVING)]) != (None,)
    try:
        return await _inspect_whole(git, tree, half_gone=half_gone)
    except GitError as exc:
        return Findings(obstacle=f"it can't be read: {exc.line}")


async def _inspect_whole(git: Git, tree: Tree, *, half_gone: bool) -> Findings:
    if not half_gone and not await _points_back(git.host, tree):
        return Findings(obstacle="its .git doesn't belong to the repository any more")
    status = await git.output(
        tree.path,
        *tree.args(
            "status", "--porcelain=v2", "-z", "--branch", "--untracked-files=normal", "--ignore-submodules=none"
        ),
    )
    modified, untracked, detached = read_status(status, deletions=not half_gone)
    if not half_gone:
        modified += await hidden_changes(git, tree)
    dirt = [text for text in (describe(modified, untracked), operation(git.host, tree)) if text]
    if detached and (count := await _lost_commits(git, tree)):
        dirt.append(f"{_plural(count, 'commit')} on a detached HEAD that no branch holds")
    return Findings(dirt="; ".join(dirt), obstacle=await _submodule_work(git, tree.folder))


async def _points_back(host: Host, tree: Tree) -> bool:
    try:
        content = await host.read(posixpath.join(tree.path, ".git"), limit=1 << 16)
    except OSError:
        return False
    target = (content or b"").decode(errors="surrogateescape").strip().removeprefix("gitdir: ")
    return posixpath.normpath(posixpath.join(tree.path, target)) == posixpath.normpath(tree.folder)


def read_status(text: str, *, deletions: bool = True) -> tuple[list[str], list[str], bool]:
    """Modified and untracked paths, and whether HEAD is detached, of `git status --porcelain=v2 -z --branch`.

    Without `deletions`, files that are only missing from the folder don't count (their removal has begun).
    """
    modified: list[str] = []
    untracked: list[str] = []
    detached = False
    fields = iter(text.split("\0"))
    for field in fields:
        kind = field[:1]
        if field == "# branch.head (detached)":
            detached = True
        elif kind == "?":
            untracked.append(field[2:])
        elif kind in ("1", "2", "u"):
            # See git-status(1): so many blank-separated fields stand before the path; a rename has its origin behind.
            path = field.split(" ", {"1": 8, "2": 9, "u": 10}[kind])[-1]
            if kind == "2":
                next(fields, None)
            if deletions or field[2:4] != ".D":
                modified.append(path)
    return modified, untracked, detached


def describe(modified: Sequence[str], untracked: Sequence[str]) -> str:
    """ "2 modified and 1 untracked file: a.py, b.py, c.txt"; "" for none. At most five names."""
    counts = [f"{len(paths)} {word}" for paths, word in ((modified, "modified"), (untracked, "untracked")) if paths]
    if not counts:
        return ""
    names = [*modified, *untracked]
    last = len(untracked or modified)
    shown = ", ".join("".join(c if c.isprintable() else "?" for c in name[:200]) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{' and '.join(counts)} {'file' if last == 1 else 'files'}: {shown}{more}"


async def hidden_changes(git: Git, tree: Tree) -> list[str]:
    """Changed files that `git status` was told not to look at (assume-unchanged, skip-worktree)."""
    listing = await git.output(tree.path, *tree.args("ls-files", "-v", "-z"))
    flagged = [entry[2:] for entry in listing.split("\0") if entry and (entry[0].islower() or entry[0] == "S")]
    stamps = git.host.stamp([posixpath.join(tree.path, name) for name in flagged])
    present = {name for name, stamp in zip(flagged, stamps, strict=True) if stamp is not None}
    if not present:
        return []
    async with scratch_index(git.host, tree) as index:
        await git.output(tree.path, *tree.args("-c", "core.sparseCheckout=false", "read-tree", "HEAD"), env=index)
        await git.run(tree.path, *tree.args("update-index", "-q", "--refresh"), env=index)
        changed = await git.output(tree.path, *tree.args("diff-files", "--name-only", "-z"), env=index)
    return sorted(present & set(changed.split("\0")))


@asynccontextmanager
async def scratch_index(host: Host, tree: Tree) -> AsyncIterator[dict[str, str]]:
    """An index file of our own beside the real one, for as long as the block lasts; gives the environment that
    selects it."""
    folder = posixpath.join(tree.folder, f"ao-index-{os.urandom(8).hex()}")
    await host.make_dir(folder)
    try:
        yield {"GIT_INDEX_FILE": posixpath.join(folder, "index")}
    finally:
        await host.remove_tree(folder)


def operation(host: Host, tree: Tree) -> str:
    """ "a rebase is in progress", or what else was begun and not finished; "" for nothing."""
    stamps = host.stamp([posixpath.join(tree.folder, name) for name, _ in _OPERATIONS])
    found = [words for (_, words), stamp in zip(_OPERATIONS, stamps, strict=True) if stamp is not None]
    return f"{found[0]} is in progress" if found else ""


async def _lost_commits(git: Git, tree: Tree) -> int:
    held = ("--not", "--branches", "--tags", "--remotes", "--glob=refs/ao/")
    done = await git.run(tree.path, *tree.args("rev-list", "--count", "HEAD", *held, "--"))
    if done.code != 0:
        raise GitError("rev-list", done.err, code=done.code)
    return int(done.out)


async def _submodule_work(git: Git, folder: str) -> str:
    """A worktree's submodules keep their repositories in its administrative folder and would go with it."""
    for name in await _module_dirs(git.host, posixpath.join(folder, "modules")):
        held = ("rev-list", "--count", "HEAD", "--all", "--not", "--remotes", "--")
        done = await git.run(name, f"--git-dir={name}", "--bare", *held)
        label = posixpath.relpath(name, posixpath.join(folder, "modules"))
        if done.code != 0:
            return f"submodule {label} can't be read"
        if count := int(done.out):
            return f"submodule {label} has {_plural(count, 'commit')} that no remote has"
    return ""


async def _module_dirs(host: Host, top: str) -> list[str]:
    found: list[str] = []
    for name in await host.list_dir(top):
        path = posixpath.join(top, name)
        if host.stamp([posixpath.join(path, "HEAD"), posixpath.join(path, "objects")])[0] is not None:
            found += [path, *await _module_dirs(host, posixpath.join(path, "modules"))]
        else:  # a submodule's name may contain slashes
            found += await _module_dirs(host, path)
    return found


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

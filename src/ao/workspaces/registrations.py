"""What git has on record of worktrees: its list, and the administrative folder of one of ours.

The list is read through git. One worktree's record is read from its files, `worktrees/<name>/{gitdir,locked}` below the
common directory (gitrepository-layout(5)), because git's list leaves out records that a killed `git worktree add` left
half written, and those are the ones clean-up is about.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

import msgspec

from ao.ports import Host
from ao.workspaces.git import Git, GitError

# The reason `git worktree add` locks a worktree with while it makes it (builtin/worktree.c), in the C locale.
_UNDER_WAY: Final = "initializing"
_USAGE_ERROR: Final = 129


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `git worktree list --porcelain`. `locked` and `prunable` are reasons, None when it is neither."""

    path: str
    head: str = ""
    branch: str = ""
    bare: bool = False
    detached: bool = False
    locked: str | None = None
    prunable: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The administrative folder of one worktree of ours. `whole` = git finished making the worktree."""

    folder: str
    locked: str | None
    whole: bool


def parse_porcelain(text: str) -> list[Registration]:
    """Records of `git worktree list --porcelain`, with or without `-z`. Unknown keys are skipped."""
    return [_registration(fields) for fields in _records(text)]


def _records(text: str) -> Iterator[list[tuple[str, str]]]:
    nul = "\0" in text
    fields: list[tuple[str, str]] = []
    for line in text.split("\0") if nul else (line.removesuffix("\r") for line in text.split("\n")):
        key, _, value = line.partition(" ")
        if key == "worktree" and fields:
            yield fields
            fields = []
        if key == "worktree" or (key and fields):
            fields.append((key, value))
        elif not key and fields:
            yield fields
            fields = []
    if fields:
        yield fields


def _registration(fields: list[tuple[str, str]]) -> Registration:
    found = dict(fields)
    return Registration(
        path=found["worktree"],
        head=found.get("HEAD", ""),
        branch=found.get("branch", "").removeprefix("refs/heads/"),
        bare="bare" in found,
        detached="detached" in found,
        locked=found.get("locked"),
        prunable=found.get("prunable"),
    )


async def worktrees(git: Git, repo_path: str) -> list[Registration]:
    """All worktrees of a repository, the main one first. Raises GitError."""
    done = await git.run(repo_path, "worktree", "list", "--porcelain", "-z")
    if done.code == _USAGE_ERROR:  # git before 2.36
        return parse_porcelain(await git.output(repo_path, "worktree", "list", "--porcelain"))
    if done.code != 0:
        raise GitError("worktree list", done.err, code=done.code)
    return parse_porcelain(done.out)


async def find_record(host: Host, common: str, path: str) -> Record | None:
    """The record of the worktree whose real path is `path`, None when git has none.

    git names the folder after the last part of the path, with digits behind it when that name is taken.
    """
    name = posixpath.basename(path)
    shelf = posixpath.join(common, "worktrees")
    for entry in await host.list_dir(shelf):
        if entry != name and not (entry.startswith(name) and entry[len(name) :].isdigit()):
            continue
        folder = posixpath.join(shelf, entry)
        target = await _text(host, posixpath.join(folder, "gitdir"))
        locked = await _text(host, posixpath.join(folder, "locked"))
        half = locked == _UNDER_WAY
        if target and posixpath.normpath(posixpath.join(folder, target)) == posixpath.join(path, ".git"):
            return Record(folder=folder, locked=None if half else locked, whole=not half)
        if half and not target and entry == name:
            return Record(folder=folder, locked=None, whole=False)
    return None


async def _text(host: Host, path: str) -> str | None:
    content = await host.read(path, limit=1 << 16)
    return None if content is None else content.decode(errors="surrogateescape").strip()

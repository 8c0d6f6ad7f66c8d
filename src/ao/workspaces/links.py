"""Linking a repository's own files (`.env`, `node_modules`) into a worktree, and hiding the links from git.

A link may lead only into the repository and lie only in the worktree, links on the way resolved. It is kept from
`git status` by one managed block in the common directory's `info/exclude`, which every worktree shares; patterns are
anchored, so a tracked file is never affected.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Final

from ao.model.project import is_inside
from ao.ports import Host

_BEGIN: Final = "# begin: links made by Agent Orchestrator"
_END: Final = "# end: links made by Agent Orchestrator"
_BLOCK: Final = re.compile(rf"^{re.escape(_BEGIN)}\n(.*?)^{re.escape(_END)}\n?", re.DOTALL | re.MULTILINE)
_SPECIAL: Final = re.compile(r"([\\*?\[ ])")

# Arguments: repository, worktree, path. One word about it is printed.
_LINK: Final = """
repo=$(cd -P -- "$1" && pwd -P) && tree=$(cd -P -- "$2" && pwd -P) || { echo failed; exit; }
[ -e "$1/$3" ] || { echo missing; exit; }
source=$(readlink -f -- "$1/$3") || { echo missing; exit; }
case $source in "$repo"/.git|"$repo"/.git/*) echo outside; exit;; "$repo"/*) ;; *) echo outside; exit;; esac
if [ -e "$2/$3" ] || [ -h "$2/$3" ]; then echo present; exit; fi
folder=$tree
case $3 in */*) folder=$tree/${3%/*};; esac
mkdir -p -- "$folder" && folder=$(cd -P -- "$folder" && pwd -P) || { echo failed; exit; }
case $folder/ in "$tree"/*) ;; *) echo outside; exit;; esac
ln -s -- "$repo/$3" "$folder/${3##*/}" && echo linked || echo failed
"""
_WARNINGS: Final = {
    "outside": "leads out of the repository and was not linked",
    "failed": "couldn't be linked",
}


async def provision(host: Host, common: str, repo_path: str, tree_path: str, paths: Sequence[str]) -> list[str]:
    """Make the links and hide them; warnings about those that couldn't be made."""
    warnings: list[str] = []
    linked: list[str] = []
    for path in (path.rstrip("/") for path in paths):
        if not is_inside(path) or not path.isprintable() or posixpath.normpath(path) != path or path == ".":
            warnings.append(f"symlinks: {path[:200]!r} is not a path in the repository")
            continue
        done = await host.run(["sh", "-c", _LINK, "sh", repo_path, tree_path, path])
        outcome = done.out.strip() if done.code == 0 else "failed"
        if outcome in _WARNINGS:
            warnings.append(f"symlinks: {path!r} {_WARNINGS[outcome]}")
        elif outcome == "linked":
            linked.append(path)
    if linked:
        await _hide(host, posixpath.join(common, "info", "exclude"), linked)
    return warnings


async def _hide(host: Host, file: str, paths: Sequence[str]) -> None:
    before = (await host.read(file) or b"").decode(errors="surrogateescape")
    after = with_excluded(before, paths)
    if after != before:
        await host.write_private(file, after.encode(errors="surrogateescape"), mode=0o644)


def with_excluded(text: str, paths: Sequence[str]) -> str:
    """The content of an exclude file with `paths` added to its managed block; the rest stays as it is."""
    block = _BLOCK.search(text)
    listed = block[1].splitlines() if block else []
    patterns = ["/" + _SPECIAL.sub(r"\\\1", path) for path in paths]
    lines = [*listed, *(pattern for pattern in dict.fromkeys(patterns) if pattern not in listed)]
    managed = "\n".join([_BEGIN, *lines, _END, ""])
    if block:
        return text[: block.start()] + managed + text[block.end() :]
    return text + ("\n" if text and not text.endswith("\n") else "") + managed

"""A repository of the double over a real bare git repository: pushes to it are seen, merges and commits of the double
are real commits in it.

`mirror(github.state, "octo/widgets", path)` makes the bare repository the one behind that name. With its `read` as
`github.before`, every request sees the branches as they are at that moment.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.github.records import Repo
from tests.github.state import State
from tests.github.trees import Tree

_IDENTITY = ("-c", "user.name=GitHub", "-c", "user.email=noreply@github.example")


@dataclass(frozen=True)
class Mirror:
    """One bare repository."""

    state: State
    repo: Repo
    path: Path

    def read(self) -> None:
        """Take over what was pushed since the last time."""
        listed = self._git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
        heads = {name: sha for sha, _, name in (line.partition(" ") for line in listed)}
        for name, sha in heads.items():
            if self.repo.branches.get(name) != sha:
                self._learn(sha)
                self.state.move(self.repo, name, sha, told=True)
        for name in [name for name in self.repo.branches if name not in heads]:
            self.state.delete_branch(self.repo, name)

    def _learn(self, head: str) -> None:
        for line in self._git("log", "--topo-order", "--reverse", "--format=%H %ct %P", head).splitlines():
            sha, at, *parents = line.split(" ")
            if self.state.graph.get(sha) is None:
                message = self._git("log", "-1", "--format=%B", sha).strip()
                known = tuple(parent for parent in parents if parent)
                self.state.graph.learn(self.repo, known, self._tree(sha), message, at=float(at), sha=sha)

    def _tree(self, sha: str) -> Tree:
        listed = self._git("ls-tree", "-r", "-z", sha).split("\0")
        entries = [entry.partition("\t") for entry in listed if entry]
        return {path: self._git("cat-file", "blob", facts.split(" ")[2]) for facts, _, path in entries}

    def commit(self, parents: tuple[str, ...], tree: Tree, message: str) -> str:
        """Make a real commit of a tree; its hash."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            for path, text in tree.items():
                blob = self._git("hash-object", "-w", "--stdin", given=text).strip()
                self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
            written = self._git("write-tree", **index).strip()
        sides = [word for parent in parents for word in ("-p", parent)]
        return self._git(*_IDENTITY, "commit-tree", written, *sides, given=message).strip()

    def point(self, branch: str, sha: str) -> None:
        """Move a branch."""
        self._git("update-ref", f"refs/heads/{branch}", sha)

    def _git(self, *arguments: str, given: str | None = None, **environ: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path, input=given, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=30,
            env={**os.environ, **environ},
        )  # fmt: skip
        return done.stdout


def mirror(state: State, full_name: str, path: Path) -> Mirror:
    """Stand a repository of that name on a bare one that holds at least its default branch."""
    repo = state.repo(full_name) or state.add_repo(full_name)
    repo.branches.clear()
    made = Mirror(state, repo, path)
    repo.git = made
    made.read()
    return made

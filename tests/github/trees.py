"""As much of git as pull requests need: commits with whole trees, their history, three-way merges and diffs."""

from __future__ import annotations

import difflib
import enum
import hashlib
from collections.abc import Iterator

from tests.github.records import Commit, Repo

Tree = dict[str, str]


class Conflict(enum.Enum):
    """What merging texts gives when it gives no text."""

    HERE = enum.auto()


CONFLICT = Conflict.HERE


def merge_text(old: str | None, ours: str | None, theirs: str | None) -> str | Conflict | None:
    """Merge two successors of a text by lines; None is a file that isn't there. Changes that touch each other conflict,
    as in git."""
    if theirs in (old, ours):
        return ours
    if ours == old:
        return theirs
    if old is None or ours is None or theirs is None:
        return CONFLICT
    lines = old.splitlines(keepends=True)
    mine, others = _edits(lines, ours), _edits(lines, theirs)
    for edit in mine:
        if any(edit != other and edit[0] <= other[1] and other[0] <= edit[1] for other in others):
            return CONFLICT
    for start, stop, new in sorted({*mine, *others}, reverse=True):
        lines[start:stop] = new
    return "".join(lines)


def _edits(lines: list[str], text: str) -> list[tuple[int, int, tuple[str, ...]]]:
    """How the lines became the text: ranges and what stands there now."""
    new = text.splitlines(keepends=True)
    steps = difflib.SequenceMatcher(None, lines, new, autojunk=False).get_opcodes()
    return [(i1, i2, tuple(new[j1:j2])) for tag, i1, i2, j1, j2 in steps if tag != "equal"]


class Graph:
    """All commits of the double, of all repositories, by hash."""

    def __init__(self) -> None:
        self._commits: dict[str, Commit] = {}
        self._changes: dict[tuple[str, str], tuple[int, int, int]] = {}

    def __getitem__(self, sha: str) -> Commit:
        return self._commits[sha]

    def get(self, sha: str) -> Commit | None:
        """A commit by hash."""
        return self._commits.get(sha)

    def add(self, repo: Repo, parents: tuple[str, ...], tree: Tree, message: str, *, at: float, sha: str = "") -> str:
        """Make a commit; its hash, which is `sha` when given."""
        if repo.git is not None:
            return self.learn(repo, parents, tree, message, at=at, sha=repo.git.commit(parents, tree, message))
        body = repr((parents, sorted(tree.items()), message, len(self._commits)))
        made = sha or hashlib.sha1(body.encode()).hexdigest()
        return self.learn(repo, parents, tree, message, at=at, sha=made)

    def learn(self, repo: Repo, parents: tuple[str, ...], tree: Tree, message: str, *, at: float, sha: str) -> str:
        """Know a commit that was made elsewhere; its hash."""
        self._commits[sha] = Commit(sha, parents, dict(tree), message, at, repo)
        return sha

    def history(self, sha: str) -> Iterator[str]:
        """A commit and all its ancestors, each once, nearest first."""
        seen: set[str] = set()
        queue = [sha]
        while queue:
            now = queue.pop(0)
            if now in seen or now not in self._commits:
                continue
            seen.add(now)
            yield now
            queue += self._commits[now].parents

    def merge_base(self, one: str, other: str) -> str | None:
        """The nearest common ancestor."""
        known = set(self.history(one))
        return next((sha for sha in self.history(other) if sha in known), None)

    def only_in(self, head: str, base: str) -> list[Commit]:
        """Commits of `head` that `base` lacks, oldest first."""
        known = set(self.history(base))
        return [self._commits[sha] for sha in self.history(head) if sha not in known][::-1]

    def conflicts(self, base: str, head: str) -> list[str]:
        """Files that both sides changed in the same place since they parted."""
        return [path for path, text in self._merge(base, head).items() if text is CONFLICT]

    def merged(self, base: str, head: str) -> Tree:
        """The tree that merging `head` into `base` gives. There must be no conflict."""
        return {path: text for path, text in self._merge(base, head).items() if isinstance(text, str)}

    def _merge(self, base: str, head: str) -> dict[str, str | Conflict | None]:
        old, ours, theirs = self._tree(self.merge_base(base, head)), self._tree(base), self._tree(head)
        return {
            path: merge_text(old.get(path), ours.get(path), theirs.get(path)) for path in sorted({*old, *ours, *theirs})
        }

    def changes(self, base: str, head: str) -> tuple[int, int, int]:
        """Lines added, lines deleted, files changed since the two parted."""
        if (known := self._changes.get((base, head))) is not None:
            return known
        lines = self.diff(base, head).splitlines()
        added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
        deleted = sum(line.startswith("-") and not line.startswith("---") for line in lines)
        counted = (added, deleted, len(self.changed_paths(base, head)))
        self._changes[base, head] = counted
        return counted

    def changed_paths(self, base: str, head: str) -> list[str]:
        """Files that `head` changed since it parted from `base`."""
        old, new = self._tree(self.merge_base(base, head)), self._tree(head)
        return sorted(path for path in {*old, *new} if old.get(path) != new.get(path))

    def diff(self, base: str, head: str) -> str:
        """A unified diff of what `head` changed since it parted from `base`."""
        old, new = self._tree(self.merge_base(base, head)), self._tree(head)
        parts: list[str] = []
        for path in self.changed_paths(base, head):
            was, now = old.get(path), new.get(path)
            parts.append(f"diff --git a/{path} b/{path}\n")
            parts += difflib.unified_diff(
                (was or "").splitlines(keepends=True),
                (now or "").splitlines(keepends=True),
                "/dev/null" if was is None else f"a/{path}",
                "/dev/null" if now is None else f"b/{path}",
            )
        return "".join(part if part.endswith("\n") else part + "\n" for part in parts)

    def _tree(self, sha: str | None) -> Tree:
        return self._commits[sha].tree if sha in self._commits else {}

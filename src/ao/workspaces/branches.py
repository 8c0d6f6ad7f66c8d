"""Names of branches and commits: git's grammar, checked here so that a hostile name never reaches an argument list.

The rules are those of git-check-ref-format(1) for `refs/heads/NAME`, plus what `git check-ref-format --branch` refuses
or would expand (`-x`, `HEAD`, `@{-1}`).
"""

from __future__ import annotations

import re
from typing import Final

from ao.model.errors import AoError

# Together with refs/heads/ and .lock the name must fit a path; components must fit a file name.
_LONGEST: Final = 1000
_LONGEST_COMPONENT: Final = 240
_COMMIT_ID: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def is_branch(name: str) -> bool:
    """Whether `name` can be the short name of a branch."""
    if not name or name in ("@", "HEAD") or name.startswith(("-", "/")) or name.endswith(("/", ".")):
        return False
    if _FORBIDDEN.search(name) or not _is_text(name):
        return False
    parts = name.split("/")
    return not any(part.startswith(".") or part.endswith(".lock") or _size(part) > _LONGEST_COMPONENT for part in parts)


def check_branch(name: str) -> str:
    """Return `name`, or raise `INVALID_BRANCH`."""
    if is_branch(name):
        return name
    raise AoError(
        "INVALID_BRANCH",
        f"{name[:200]!r} is not a valid branch name",
        hint="use letters, digits, '/', '.', '_' and '-'; see `git help check-ref-format`",
        details={"branch": name[:200]},
    )


def is_commit_id(text: str) -> bool:
    """Whether `text` is a full commit id, of SHA-1 or SHA-256."""
    return _COMMIT_ID.fullmatch(text) is not None


def is_revision(text: str) -> bool:
    """Whether `text` is a full commit id or a full ref name: nothing that git would expand or take for an option."""
    return is_commit_id(text) or (text.startswith("refs/") and is_branch(text.removeprefix("refs/heads/")))


def check_revision(text: str) -> str:
    """Return `text`, or raise `INVALID_BRANCH`."""
    if is_revision(text):
        return text
    raise AoError(
        "INVALID_BRANCH",
        f"{text[:200]!r} is neither a full commit id nor a full ref name",
        details={"branch": text[:200]},
    )


def _is_text(name: str) -> bool:
    """Encodable (no lone surrogates), and short enough for a path."""
    try:
        return len(name.encode()) <= _LONGEST
    except UnicodeEncodeError:
        return False


def _size(part: str) -> int:
    return len(part.encode())

"""Branch names: git's grammar, checked here so that a hostile name never reaches an argument list.

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


def _is_text(name: str) -> bool:
    """Encodable (no lone surrogates), and short enough for a path."""
    try:
        return len(name.encode()) <= _LONGEST
    except UnicodeEncodeError:
        return False


def _size(part: str) -> int:
    return len(part.encode())

"""Identifiers, and every name that is a pure function of one.

A session's worktree path, branch, tmux session and launch folder all follow from its id, so clean-up never has to
search. One grammar serves projects, sessions, hooks and tmux.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from ao.model.errors import AoError

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HANDLE_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")
_SESSION_PATTERN: Final = re.compile(r"(.+)-([1-9][0-9]*)")
PRESERVED_PREFIX: Final = "refs/ao/preserved/"


def is_id(text: str) -> bool:
    """Whether `text` is a well-formed project or session id."""
    return ID_PATTERN.fullmatch(text) is not None and ".." not in text


def check_project_id(text: str) -> str:
    """Return `text`, or raise `INVALID_PROJECT_ID`."""
    if is_id(text):
        return text
    raise AoError(
        "INVALID_PROJECT_ID",
        f"{text!r} is not a valid project id",
        hint="use letters, digits, '.', '_' and '-', starting with a letter or digit, without '..'",
    )


def project_id_for(path: str) -> str:
    """The default id of the project at `path`: its lower-cased base name, blanks as '-'. Not validated."""
    return path.rstrip("/").rpartition("/")[2].lower().replace(" ", "-")


def session_id(project_id: str, num: int) -> str:
    """The id of the `num`-th session of a project."""
    return f"{project_id}-{num}"


def session_num(project_id: str, text: str) -> int | None:
    """The number in a session id of this project, or None when `text` isn't one."""
    match = _SESSION_PATTERN.fullmatch(text)
    return int(match[2]) if match and match[1] == project_id else None


def default_branch(session: str) -> str:
    """The branch of a session that asked for none; `ao/<id>/x` can stack on it."""
    return f"ao/{session}/root"


def handle_for(session: str) -> str:
    """The tmux session name of a session.

    The id itself when it has at most 48 characters of `[A-Za-z0-9_-]`; otherwise every other run becomes '-', the ends
    are trimmed, at most 32 characters stay (`session` if none), and the first 8 hex digits of the id's SHA-256 follow.
    """
    if _HANDLE_PATTERN.fullmatch(session):
        return session
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", session).strip("-")[:32].strip("-") or "session"
    return f"{stem}-{hashlib.sha256(session.encode()).hexdigest()[:8]}"

"""Whose pull request is it? Decided by where its branch lives, what it is called and which commit it shows. Pure.

A name alone proves nothing: a stranger's fork may use any. A commit that a session's worktree made does.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ao.model.pull import Facts


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A session that may own a pull request: its branches, and the commits these hold or held since its base."""

    session_id: str
    branches: frozenset[str]
    commits: frozenset[str]


def owner(facts: Facts, candidates: Sequence[Candidate], *, repos: frozenset[str]) -> str | None:
    """The session that opened a pull request, None when no one session surely did.

    `repos` are the keys of repositories that our side pushes to. Its head commit must come from the session's worktree;
    with that the branch's name decides between sessions, and a renamed branch is still found.
    """
    if facts.head_repo not in repos:
        return None
    makers = [candidate for candidate in candidates if facts.head_sha in candidate.commits]
    named = [candidate for candidate in makers if facts.source_branch in candidate.branches]
    for group in (named, makers):
        if len(group) == 1:
            return group[0].session_id
    return None


def may_own(facts: Facts, branch: str, session_id: str) -> bool:
    """Whether the name of its branch is one this session would use: only then, or when nobody else would, is it worth
    asking git which commits the session made."""
    return facts.source_branch == branch or facts.source_branch.startswith(f"ao/{session_id}/")

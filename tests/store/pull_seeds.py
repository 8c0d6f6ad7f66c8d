"""The pull requests that the store's tests observe."""

from __future__ import annotations

import json
from typing import Any

from ao.model.change import Change
from ao.model.pull import Author, Check, Comment, Facts, Observation, Picture, PullRef, Repo, Thread
from ao.store import pulls
from ao.store.database import Database
from ao.store.pulls import Recorded

URL = "https://github.com/acme/app/pull/7"
REPO = Repo(forge="github", host="github.com", path="acme/app")
REF = PullRef(repo=REPO, number=7)
HEAD, NEXT, LAST = "a" * 40, "b" * 40, "c" * 40


def facts(**changes: Any) -> Facts:
    """An open pull request."""
    values: dict[str, Any] = {
        "url": URL,
        "number": 7,
        "repo": REPO.key,
        "title": "Add it",
        "head_sha": HEAD,
        "target_branch": "main",
    }
    return Facts(**values | changes)


def thread(thread_id: str, *bodies: str, resolved: bool = False, is_bot: bool = False) -> Thread:
    """A conversation on line 3 of a file."""
    comments = tuple(
        Comment(
            comment_id=f"{thread_id}-{number}",
            thread_id=thread_id,
            author=Author(login="ann", association="member"),
            body=body,
            reply=number > 0,
            created_at=100 + number,
        )
        for number, body in enumerate(bodies or ("why?",))
    )
    return Thread(thread_id=thread_id, path="a.py", line=3, resolved=resolved, is_bot=is_bot, comments=comments)


def check(name: str = "unit", status: Any = "failed", *, commit: str = HEAD, **changes: Any) -> Check:
    """A check."""
    return Check(**{"name": name, "commit_sha": commit, "status": status, "provider_id": "1"} | changes)


async def recorded(
    database: Database, seen: Observation, *, owner: str = "app-1", now: int = 50, ref: PullRef = REF
) -> Recorded:
    """What recording did."""
    return await database.write(lambda conn: pulls.record(conn, (owner, "app"), ref, seen, now=now))


def told(published: list[Change]) -> list[tuple[str, Any]]:
    """Types and payloads of the changes since the last call."""
    found = [(change.type, json.loads(change.payload)) for change in published]
    published.clear()
    return found


def types(published: list[Change]) -> list[str]:
    """Their types alone."""
    return [kind for kind, _ in told(published)]


def stored(database: Database, url: str = URL) -> Picture:
    """Everything stored."""
    found = pulls.picture(database.read, url)
    assert found is not None
    return found

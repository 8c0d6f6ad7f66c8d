"""Pull requests: an observation is stored whole, in place, and tells of each real change once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.pull import Author, Check, Comment, Facts, Observation, Picture, PullRef, Repo, Review, Thread
from ao.model.session import Phase
from ao.store import projects, pulls, sessions
from ao.store.database import Database
from ao.store.pulls import ClaimedByOther, Recorded
from tests.store.seeds import project, seeded

URL = "https://github.com/acme/app/pull/7"
REPO = Repo(forge="github", host="github.com", path="acme/app")
REF = PullRef(repo=REPO, number=7)
HEAD, NEXT, LAST = "a" * 40, "b" * 40, "c" * 40


def facts(**changes: Any) -> Facts:
    """An open pull request."""
    values = {"url": URL, "number": 7, "repo": REPO.key, "title": "Add it", "head_sha": HEAD, "target_branch": "main"}
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


async def test_bug5_replacing_threads_tells_of_each_real_change_once_and_of_nothing_else(
    database: Database, published: list[Change]
) -> None:
    session = await seeded(database)
    before = (thread("t1"), thread("t2"), thread("t3", "one", "two"), thread("t4", resolved=True))
    await recorded(database, Observation(facts=facts(), threads=before))
    told(published)

    after = (thread("t1", resolved=True), thread("t3", "one", "two"), thread("t4", resolved=True), thread("t5"))
    revision = stored(database).pull.revision
    outcome = await recorded(database, Observation(facts=facts(), threads=after), now=60)

    where = {"pr": URL, "path": "a.py", "line": 3}
    assert [(change.project_id, change.session_id) for change in published] == [("app", session.id)] * 3
    assert told(published) == [
        ("pr_review_thread_resolved", {**where, "thread": "t1", "resolved": True}),
        ("pr_review_thread_added", {**where, "thread": "t5", "resolved": False, "isBot": False}),
        ("pr_updated", {"url": URL, "session": session.id, "state": "open", "ci": "unknown", "review": "none",
                        "mergeability": "unknown"}),
    ]  # fmt: skip
    assert outcome.pull.unresolved == 2
    assert outcome.pull.revision == revision + 1
    assert stored(database).threads == (after[0], after[1], after[2], after[3])

    again = await recorded(database, Observation(facts=facts(), threads=after), now=70)
    assert told(published) == []
    assert not again.changed
    assert (again.pull.revision, again.pull.updated_at) == (revision + 1, 60)

    await recorded(database, Observation(facts=facts(), threads=(thread("t1"), *after[1:])), now=80)
    kinds = dict(told(published))
    assert kinds["pr_review_thread_resolved"] == {**where, "thread": "t1", "resolved": False}
    assert set(kinds) == {"pr_review_thread_resolved", "pr_updated"}

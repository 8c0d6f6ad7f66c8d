"""Checks, threads, comments and reviews: replaced in place, each real change told once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.pull import Check, Comment, Observation, Review
from ao.store import pulls
from ao.store.database import Database
from tests.store.pull_seeds import HEAD, LAST, NEXT, URL, check, facts, recorded, stored, thread, told, types
from tests.store.seeds import seeded


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


async def test_parts_that_were_not_asked_for_stay(database: Database) -> None:
    await seeded(database)
    whole = Observation(
        facts=facts(),
        checks=(check(),),
        threads=(thread("t1"),),
        comments=(Comment(comment_id="c1"),),
        reviews=(Review(review_id="r1"),),
    )
    await recorded(database, whole)
    before = stored(database)
    await recorded(database, Observation(facts=facts(title="Other")), now=60)
    after = stored(database)
    assert (after.checks, after.threads, after.comments, after.reviews) == (
        before.checks, before.threads, before.comments, before.reviews,
    )  # fmt: skip
    assert after.pull.unresolved == 1
    await recorded(database, Observation(facts=facts(), checks=(), threads=(), comments=(), reviews=()), now=70)
    emptied = stored(database)
    assert (emptied.checks, emptied.threads, emptied.comments, emptied.reviews) == ((), (), (), ())
    assert emptied.pull.unresolved == 0


async def test_threads_beyond_those_shown_stay_with_their_comments(database: Database) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts(), threads=(thread("t1", "a", "b"), thread("t2"))))
    seen = Observation(facts=facts(), threads=(thread("t1", "a"),), whole_threads=False)
    outcome = await recorded(database, seen, now=60)
    assert stored(database).threads == (thread("t1", "a"), thread("t2"))
    assert outcome.pull.unresolved == 2
    await recorded(database, replace(seen, whole_threads=True), now=70)
    assert stored(database).threads == (thread("t1", "a"),)
    left = database.read.execute("SELECT comment_id FROM pr_comment").fetchall()
    assert left == [("t1-0",)]


async def test_an_edited_comment_is_a_reason_to_decide_and_no_event(
    database: Database, published: list[Change]
) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts(), threads=(thread("t1", "a"),)))
    told(published)
    outcome = await recorded(database, Observation(facts=facts(), threads=(thread("t1", "A!"),)), now=60)
    assert told(published) == []
    assert (outcome.changed, outcome.pull.revision) == (True, 2)
    moved = database.read.execute("SELECT updated_at FROM pr_review_threads").fetchone()
    assert moved == (60,)


async def test_checks_are_kept_for_the_last_two_heads_and_shown_for_the_present_one(
    database: Database, published: list[Change]
) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts(), checks=(check(), check("lint"))))
    pushed = await recorded(
        database, Observation(facts=facts(head_sha=NEXT), checks=(check("unit", "queued", commit=NEXT),)), now=60
    )
    assert (pushed.head_changed, pushed.pull.head_at, pushed.pull.revision) == (True, 60, 2)
    assert [one.commit_sha for one in stored(database).checks] == [NEXT]
    assert commits(database) == {HEAD, NEXT}
    await recorded(database, Observation(facts=facts(head_sha=LAST)), now=70)
    assert commits(database) == {NEXT}
    assert stored(database).checks == ()
    told(published)
    await recorded(database, Observation(facts=facts(head_sha=LAST), checks=(check(commit=LAST),)), now=80)
    assert types(published) == ["pr_check_recorded"]
    gone = await recorded(database, Observation(facts=facts(head_sha=LAST), checks=()), now=90)
    assert (gone.changed, stored(database).checks) == (True, ())


def commits(database: Database) -> set[str]:
    """The commits that checks are stored of."""
    return {row[0] for row in database.read.execute("SELECT commit_sha FROM pr_checks").fetchall()}


@pytest.mark.parametrize(
    ("after", "kept", "events", "counts"),
    [
        (check(), True, [], False),
        (check(url="https://ci/2"), True, [], False),
        (check(status="cancelled"), True, ["pr_check_recorded"], True),
        (check(status="passed"), False, ["pr_check_recorded"], True),
        (check(provider_id="2"), False, [], False),
        (check(log_tail="other"), False, [], False),
    ],
    ids=["same", "moved", "cancelled", "passed", "run again", "with a log"],
)
async def test_a_log_stays_with_the_failure_it_is_of(
    database: Database, published: list[Change], after: Check, kept: bool, events: list[str], counts: bool
) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts(), checks=(check(),)))
    await database.write(lambda conn: pulls.set_log(conn, URL, "unit", HEAD, "boom"))
    told(published)
    outcome = await recorded(database, Observation(facts=facts(), checks=(after,)), now=60)
    [found] = stored(database).checks
    assert found.log_tail == ("boom" if kept else after.log_tail)
    assert found.created_at == 50
    assert types(published) == events
    assert outcome.pull.revision == 1 + counts

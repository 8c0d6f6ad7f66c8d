"""Pull requests: an observation is stored whole and tells of each real change once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.pull import Author, Comment, Observation, Repo, Review
from ao.store import projects, pulls
from ao.store.database import Database
from ao.store.pulls import Recorded
from tests.store.pull_seeds import HEAD, NEXT, REF, URL, check, facts, recorded, stored, thread, told, types
from tests.store.seeds import project, seeded


async def test_a_new_pull_request_is_told_once_with_its_parts(database: Database, published: list[Change]) -> None:
    session = await seeded(database)
    told(published)
    seen = Observation(
        facts=facts(ci="failing", review="changes_requested", mergeability="blocked", reasons=("ci_failing",)),
        stamp="s1",
        checks=(check(), check("lint", "passed")),
        threads=(thread("t1", is_bot=True),),
        comments=(Comment(comment_id="c1", body="hm", created_at=5),),
        reviews=(Review(review_id="r1", author=Author(login="ann", is_bot=True), state="changes_requested"),),
    )
    outcome = await recorded(database, seen)
    assert told(published) == [
        ("pr_created", {"url": URL, "session": session.id, "state": "open", "ci": "failing",
                        "review": "changes_requested", "mergeability": "blocked"}),
        ("pr_check_recorded", {"pr": URL, "name": "unit", "commit": HEAD, "status": "failed"}),
        ("pr_check_recorded", {"pr": URL, "name": "lint", "commit": HEAD, "status": "passed"}),
        ("pr_review_thread_added", {"pr": URL, "thread": "t1", "path": "a.py", "line": 3, "resolved": False,
                                    "isBot": True}),
    ]  # fmt: skip
    assert outcome == Recorded(pull=stored(database).pull, created=True, changed=True, head_changed=True)
    pull = outcome.pull
    assert (pull.session_id, pull.project_id, pull.ref) == (session.id, "app", REF)
    assert (pull.revision, pull.acked, pull.unresolved, pull.stamp) == (1, 0, 0, "s1")
    assert (pull.head_at, pull.observed_at, pull.ci_observed_at, pull.review_observed_at) == (50, 50, 50, 50)
    assert pull.reason_list == ["ci_failing"]
    shown = stored(database)
    assert shown.checks == tuple(replace(one, created_at=50) for one in seen.checks or ())
    assert (shown.threads, shown.comments, shown.reviews) == (seen.threads, seen.comments, seen.reviews)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"state": "draft"}, True),
        ({"ci": "failing"}, True),
        ({"review": "approved"}, True),
        ({"mergeability": "conflicting"}, True),
        ({"target_branch": "next"}, True),
        ({"title": "Add more"}, False),
        ({"reasons": ("behind_base",)}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_fact_that_clients_see_is_told_and_one_to_decide_upon_counts(
    database: Database, published: list[Change], changes: dict[str, Any], counts: bool
) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts()))
    told(published)
    outcome = await recorded(database, Observation(facts=facts(**changes)), now=60)
    assert types(published) == ["pr_updated"]
    assert (outcome.changed, outcome.head_changed, outcome.pull.updated_at) == (True, False, 60)
    assert outcome.pull.revision == 1 + counts


async def test_what_says_when_it_was_seen_is_kept_and_told_to_nobody(
    database: Database, published: list[Change]
) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts(), checks=(check(),)))
    told(published)
    outcome = await recorded(database, Observation(facts=facts(changed_at=9), stamp="s2", threads=()), now=60)
    await database.write(lambda conn: pulls.ack(conn, URL, 1))
    assert await database.write(lambda conn: pulls.set_log(conn, URL, "unit", HEAD, "boom"))
    assert not await database.write(lambda conn: pulls.set_log(conn, URL, "unit", NEXT, "boom"))
    assert told(published) == []
    assert not outcome.changed
    pull = stored(database).pull
    assert (pull.stamp, pull.provider_changed_at, pull.observed_at, pull.updated_at) == ("s2", 9, 60, 50)
    assert (pull.ci_observed_at, pull.review_observed_at, pull.acked, pull.revision) == (50, 60, 1, 1)
    assert stored(database).checks[0].log_tail == "boom"


async def test_the_present_owner_stays_whoever_reports(database: Database) -> None:
    first, second = await seeded(database), await seeded(database)
    await recorded(database, Observation(facts=facts()), owner=first.id)
    await recorded(database, Observation(facts=facts(ci="passing")), owner=second.id, now=60)
    assert stored(database).pull.session_id == first.id


async def test_a_pull_request_needs_a_session(database: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await recorded(database, Observation(facts=facts()), owner="app-9")
    assert pulls.get(database.read, URL) is None


async def test_pull_requests_are_found_by_number_session_and_project(database: Database) -> None:
    await database.write(lambda conn: projects.put(conn, project("web")))
    one, web = await seeded(database), await seeded(database, "web")
    for number, state, owner, now in [(1, "merged", one, 90), (2, "open", one, 60), (3, "draft", one, 70)]:
        seen = Observation(facts=facts(url=f"u{number}", number=number, state=state))
        await recorded(database, seen, owner=owner.id, now=now)
    elsewhere = replace(REF, repo=Repo(forge="local", path="web"))
    await database.write(
        lambda conn: pulls.record(
            conn, (web.id, "web"), elsewhere, Observation(facts=facts(url="w2", number=2)), now=80
        )
    )
    read = database.read

    def urls(found: list[Any]) -> list[str]:
        return [pull.url for pull in found]

    assert urls(pulls.of_session(read, one.id)) == ["u3", "u2", "u1"]
    assert {key: urls(found) for key, found in pulls.grouped(read).items()} == {
        one.id: ["u3", "u2", "u1"], web.id: ["w2"],
    }  # fmt: skip
    assert urls(pulls.of_project(read, "app", open_only=False)) == ["u1", "u2", "u3"]
    assert urls(pulls.of_project(read, "app", open_only=True)) == ["u2", "u3"]
    assert urls(pulls.by_number(read, "app", 2)) == ["u2"]
    assert urls(pulls.numbered(read, 2)) == ["u2", "w2"]
    assert urls(pulls.open_pulls(read)) == ["u2", "u3", "w2"]
    assert pulls.count_open(read) == 3
    await database.write(lambda conn: projects.archive(conn, "web", 95))
    assert urls(pulls.open_pulls(read)) == ["u2", "u3"]
    assert pulls.picture(read, "nowhere") is None


async def test_what_is_not_decided_upon_is_due_until_it_is(database: Database) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts()))
    assert pulls.undecided(database.read) == [URL]
    await database.write(lambda conn: pulls.ack(conn, URL, 1))
    assert pulls.undecided(database.read) == []
    await recorded(database, Observation(facts=facts(state="merged")), now=60)
    assert pulls.undecided(database.read) == [URL]
    await database.write(lambda conn: pulls.ack(conn, URL, 2))
    await database.write(lambda conn: pulls.ack(conn, URL, 1))
    assert stored(database).pull.acked == 2


async def test_a_pull_request_that_is_gone_is_closed_once(database: Database, published: list[Change]) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts()))
    told(published)
    assert await database.write(lambda conn: pulls.mark_gone(conn, URL, 60))
    assert not await database.write(lambda conn: pulls.mark_gone(conn, URL, 70))
    assert not await database.write(lambda conn: pulls.mark_gone(conn, "nowhere", 70))
    assert types(published) == ["pr_updated"]
    pull = stored(database).pull
    assert (pull.state, pull.closed_at, pull.revision) == ("closed", 60, 2)


async def test_a_picture_is_of_one_moment(database: Database) -> None:
    await seeded(database)
    await recorded(database, Observation(facts=facts(), threads=(thread("t1"),)))

    async def flip() -> None:
        for turn in range(60):
            threads = (thread("t1", resolved=turn % 2 == 0),)
            await recorded(database, Observation(facts=facts(), threads=threads), now=100 + turn)

    flipping = asyncio.gather(flip())
    while not flipping.done():
        shown = stored(database)
        assert shown.pull.unresolved == sum(not one.resolved for one in shown.threads)
        await asyncio.sleep(0)
    await flipping
    assert not database.read.in_transaction

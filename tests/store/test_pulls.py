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


async def test_the_present_owner_stays_whoever_reports(database: Database) -> None:
    first, second = await seeded(database), await seeded(database)
    await recorded(database, Observation(facts=facts()), owner=first.id)
    await recorded(database, Observation(facts=facts(ci="passing")), owner=second.id, now=60)
    assert stored(database).pull.session_id == first.id


async def test_a_pull_request_needs_a_session(database: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await recorded(database, Observation(facts=facts()), owner="app-9")
    assert pulls.get(database.read, URL) is None


async def claimed(database: Database, session_id: str, *, allow_takeover: bool, now: int = 60) -> tuple[Recorded, str]:
    """What claiming did."""
    seen = Observation(facts=facts())
    return await database.write(
        lambda conn: pulls.claim(conn, (session_id, "app"), REF, seen, allow_takeover=allow_takeover, now=now)
    )


async def test_a_claim_takes_over_only_when_it_may(database: Database, published: list[Change]) -> None:
    first, second = await seeded(database), await seeded(database)
    outcome, previous = await claimed(database, first.id, allow_takeover=False)
    assert (outcome.created, previous, outcome.pull.session_id) == (True, "", first.id)
    told(published)
    again, previous = await claimed(database, first.id, allow_takeover=False)
    assert (again.created, again.changed, previous) == (False, False, "")
    with pytest.raises(ClaimedByOther) as refused:
        await claimed(database, second.id, allow_takeover=False)
    assert refused.value.session_id == first.id
    assert told(published) == []
    taken, previous = await claimed(database, second.id, allow_takeover=True)
    assert (taken.changed, taken.pull.session_id, previous) == (True, second.id, first.id)
    assert taken.pull.revision == again.pull.revision + 1
    assert [change.session_id for change in published] == [second.id]
    assert told(published) == [("pr_session_changed", {"url": URL, "fromSession": first.id, "toSession": second.id})]


async def test_an_ended_session_s_pull_request_is_free(database: Database) -> None:
    first, second = await seeded(database), await seeded(database)
    await claimed(database, first.id, allow_takeover=False)
    await database.write(
        lambda conn: sessions.change(conn, first.id, lambda row: replace(row, phase=Phase.ENDED), now=55)
    )
    outcome, previous = await claimed(database, second.id, allow_takeover=False)
    assert (outcome.pull.session_id, previous) == (second.id, first.id)


async def test_of_many_claims_at_once_one_wins(database: Database) -> None:
    owners = [await seeded(database) for _ in range(8)]
    results = await asyncio.gather(
        *(claimed(database, owner.id, allow_takeover=False) for owner in owners), return_exceptions=True
    )
    won = [result for result in results if not isinstance(result, BaseException)]
    lost = [result for result in results if isinstance(result, ClaimedByOther)]
    assert (len(won), len(lost)) == (1, 7)
    assert {one.session_id for one in lost} == {won[0][0].pull.session_id} == {stored(database).pull.session_id}


async def test_a_failed_spawn_takes_its_pull_requests_along_and_gives_back_what_it_took(
    database: Database, published: list[Change]
) -> None:
    owner, failed = await seeded(database), await seeded(database)
    other = replace(REF, number=8)
    await recorded(database, Observation(facts=facts()), owner=owner.id)
    await claimed(database, failed.id, allow_takeover=True)
    own = Observation(facts=facts(url=URL[:-1] + "8", number=8), checks=(check(),), threads=(thread("t1"),))
    await recorded(database, own, owner=failed.id, ref=other)
    told(published)
    await database.write(lambda conn: sessions.forget_failed(conn, failed.id))
    assert told(published) == [
        ("pr_session_changed", {"url": URL, "fromSession": failed.id, "toSession": owner.id}),
        ("session_deleted", {"id": failed.id}),
    ]
    assert [pull.url for found in pulls.grouped(database.read).values() for pull in found] == [URL]
    assert stored(database).pull.session_id == owner.id
    for table in ("pr_checks", "pr_review_threads", "pr_comment"):
        assert database.read.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


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


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
authors = st.builds(Author, login=words, is_bot=st.booleans(), is_viewer=st.booleans(), session=words)
comments = st.builds(
    Comment, comment_id=st.sampled_from(["c1", "c2", "c3"]), author=authors, body=words, created_at=st.integers(0, 9)
)


@st.composite
def threads(draw: st.DrawFn) -> tuple[Thread, ...]:
    """Threads with ids and comment ids of their own."""
    made = []
    for thread_id in draw(st.sets(st.sampled_from(["t1", "t2", "t3"]))):
        bodies = draw(st.lists(words, min_size=1, max_size=3))
        one = thread(thread_id, *bodies, resolved=draw(st.booleans()), is_bot=draw(st.booleans()))
        made.append(replace(one, line=draw(st.integers(0, 3))))
    return tuple(made)


def unique(values: st.SearchStrategy[Any], key: Any) -> st.SearchStrategy[Any]:
    """None, or a tuple of values with different keys."""
    return st.none() | st.lists(values, max_size=3, unique_by=key).map(tuple)


observations = st.builds(
    Observation,
    facts=st.builds(
        facts,
        state=st.sampled_from(["open", "draft", "merged", "closed"]),
        ci=st.sampled_from(["passing", "failing"]),
        head_sha=st.sampled_from([HEAD, NEXT, LAST]),
        title=words,
        reasons=st.lists(st.sampled_from(["draft", "conflicts"]), unique=True).map(tuple),
        merged_at=st.none() | st.integers(0, 9),
    ),
    stamp=words,
    checks=unique(
        st.builds(
            check,
            st.sampled_from(["unit", "lint"]),
            st.sampled_from(["failed", "passed", "queued"]),
            commit=st.sampled_from([HEAD, NEXT]),
            log_tail=words,
        ),
        lambda one: (one.name, one.commit_sha),
    ),
    threads=st.none() | threads(),
    whole_threads=st.booleans(),
    comments=unique(comments, lambda one: one.comment_id),
    reviews=unique(
        st.builds(Review, review_id=st.sampled_from(["r1", "r2"]), author=authors, body=words),
        lambda one: one.review_id,
    ),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=st.lists(observations, min_size=1, max_size=4))
async def test_an_observation_told_again_changes_nothing(
    database: Database, published: list[Change], seen: list[Observation]
) -> None:
    session = await seeded(database)
    for now, one in enumerate(seen, 100):
        first = await recorded(database, one, owner=session.id, now=now)
        before = stored(database)
        told(published)
        again = await recorded(database, one, owner=session.id, now=now)
        assert told(published) == []
        assert (again.created, again.changed, again.head_changed) == (False, False, False)
        assert stored(database) == before
        assert before.pull == first.pull
        assert before.pull.unresolved == sum(not one.resolved and not one.is_bot for one in before.threads)
        if one.threads is not None and one.whole_threads:
            assert sorted(before.threads, key=lambda it: it.thread_id) == sorted(
                one.threads, key=lambda it: it.thread_id
            )
        if one.reviews is not None:
            assert {review.review_id: review for review in before.reviews} == {
                review.review_id: review for review in one.reviews
            }
    await database.write(lambda conn: conn.execute("DELETE FROM pr"))

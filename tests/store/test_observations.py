"""Any observation, told again, changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.pull import Author, Comment, Observation, Review, Thread
from ao.store.database import Database
from tests.store.pull_seeds import HEAD, LAST, NEXT, check, facts, recorded, stored, thread, told
from tests.store.seeds import seeded

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

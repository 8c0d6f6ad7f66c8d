"""Claims: whose a pull request is, when it may be taken, and what a failed spawn gives back."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from ao.model.change import Change
from ao.model.pull import Observation
from ao.model.session import Phase
from ao.store import pulls, sessions
from ao.store.database import Database
from ao.store.pulls import ClaimedByOther, Recorded
from tests.store.pull_seeds import REF, URL, check, facts, recorded, stored, thread, told
from tests.store.seeds import seeded


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

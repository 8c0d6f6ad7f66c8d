"""The rows of the local forge: numbers that are never reused, one open request for two branches, and what was said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from ao.model.errors import AoError
from ao.model.local_pull import LocalCheck, LocalComment, LocalPull, LocalReview, LocalThread
from ao.ports.forge import PullBook
from ao.store import projects
from ao.store.database import Database
from ao.store.local_pulls import LocalPulls, prune_checks
from tests.store.seeds import project


@pytest.fixture
def book(database: Database) -> PullBook:
    """The book of fixture `database`."""
    return LocalPulls(database)


def pull(source: str = "topic", **changes: Any) -> LocalPull:
    """A pull request to open."""
    values: dict[str, Any] = {
        "id": "", "project_id": "app", "title": "Add it", "target_branch": "main", "created_at": 10, "updated_at": 10,
    }  # fmt: skip
    return LocalPull(source_branch=source, **values | changes)


def comment(name: str, *, thread_id: str = "", pull_id: str = "app/1", at: int = 20) -> LocalComment:
    """A comment to add."""
    return LocalComment(id=name, pull_id=pull_id, thread_id=thread_id, body="hm", created_at=at, updated_at=at)


def thread(name: str, *, pull_id: str = "app/1") -> LocalThread:
    """A conversation to open."""
    return LocalThread(id=name, pull_id=pull_id, path="a.py", line=3, created_at=20, updated_at=20)


def review(name: str, *, pull_id: str = "app/1", at: int = 20) -> LocalReview:
    """A review to add."""
    return LocalReview(id=name, pull_id=pull_id, state="changes_requested", created_at=at, updated_at=at)


async def test_numbers_count_up_in_each_project_and_are_never_reused(book: PullBook, database: Database) -> None:
    await database.write(lambda conn: projects.put(conn, project("web")))
    opened = await asyncio.gather(*(book.open_pull(pull(f"t{number}")) for number in range(5)))
    assert sorted(one.number for one in opened) == [1, 2, 3, 4, 5]
    assert {one.id for one in opened} == {f"app/{number}" for number in range(1, 6)}
    assert await book.settle("app/5", "closed", now=20)
    assert (await book.open_pull(pull("again"))).number == 6
    assert (await book.open_pull(pull(project_id="web"))).id == "web/1"
    assert book.pull("app", 6) == replace(pull("again"), id="app/6", number=6)
    assert book.pull("app", 7) is None


async def test_two_branches_have_one_open_pull_request(book: PullBook) -> None:
    results = await asyncio.gather(*(book.open_pull(pull()) for _ in range(4)), return_exceptions=True)
    [made] = [result for result in results if isinstance(result, LocalPull)]
    refusals = [result for result in results if isinstance(result, AoError)]
    assert [(error.code, error.details) for error in refusals] == [("PR_EXISTS", {"number": made.number})] * 3
    await book.open_pull(pull(target_branch="next"))
    assert await book.settle(made.id, "merged", merge_sha="c" * 40, now=30)
    assert (await book.open_pull(pull())).number == 3


async def test_an_unknown_project_has_no_pull_requests(book: PullBook) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await book.open_pull(pull(project_id="nobody"))


async def test_a_pull_request_is_settled_once(book: PullBook) -> None:
    made = await book.open_pull(pull())
    assert await book.settle(made.id, "merged", merge_sha="c", now=30)
    assert not await book.settle(made.id, "closed", now=40)
    assert not await book.settle("app/9", "closed", now=40)
    stored = book.pull("app", 1)
    assert stored == replace(made, state="merged", merge_sha="c", merged_at=30, closed_at=30, updated_at=30)
    with pytest.raises(ValueError, match="open"):
        await book.settle(made.id, "open", now=50)


async def test_a_head_moves_while_it_is_open_and_only_a_move_is_a_change(book: PullBook) -> None:
    await book.open_pull(pull())
    await book.saw_head("app/1", head_sha="a", base_sha="b", now=20)
    await book.saw_head("app/1", head_sha="a", base_sha="b", now=30)
    stored = book.pull("app", 1)
    assert stored is not None
    assert (stored.head_sha, stored.base_sha, stored.updated_at) == ("a", "b", 20)
    await book.settle("app/1", "closed", now=40)
    await book.saw_head("app/1", head_sha="z", base_sha="z", now=50)
    final = book.pull("app", 1)
    assert final is not None
    assert (final.head_sha, final.base_sha, final.updated_at) == ("a", "b", 40)


async def test_a_list_holds_open_ones_and_those_that_changed_since(book: PullBook) -> None:
    for source in ("a", "b", "c"):
        await book.open_pull(pull(source))
    await book.settle("app/1", "closed", now=20)
    await book.settle("app/2", "merged", now=30)

    def numbers(changed_after: int) -> list[int]:
        return [one.number for one in book.pulls("app", changed_after=changed_after)]

    assert numbers(0) == [3, 2, 1]
    assert numbers(20) == [3, 2]
    assert numbers(30) == [3]
    await book.add_comment(comment("c1", at=40))
    assert numbers(30) == [3, 1]


async def test_a_review_is_added_with_its_conversations_or_not_at_all(book: PullBook) -> None:
    await book.open_pull(pull())
    opened = [thread("t1"), thread("t2")]
    said = [comment("c1", thread_id="t1"), comment("c2", thread_id="t2")]
    with pytest.raises(LookupError, match="t9"):
        await book.add_review(review("r1"), opened, [*said, comment("c3", thread_id="t9")])
    assert (book.threads("app/1"), book.comments("app/1"), book.reviews("app/1")) == ([], [], [])
    await book.add_review(review("r1", at=20), opened, said)
    await book.add_review(review("r0", at=30), [], [])
    await book.add_comment(comment("c0", thread_id="t1", at=40))
    assert book.threads("app/1") == opened
    assert [one.id for one in book.comments("app/1")] == ["c1", "c2", "c0"]
    assert [one.id for one in book.reviews("app/1")] == ["r1", "r0"]
    stored = book.pull("app", 1)
    assert stored is not None
    assert stored.updated_at == 40


async def test_what_is_said_needs_a_place(book: PullBook) -> None:
    await book.open_pull(pull("a"))
    await book.open_pull(pull("b"))
    await book.add_review(review("r1"), [thread("t1")], [])
    with pytest.raises(LookupError):
        await book.add_comment(comment("c1", pull_id="app/9"))
    with pytest.raises(LookupError):
        await book.add_comment(comment("c1", pull_id="app/2", thread_id="t1"))
    with pytest.raises(LookupError):
        await book.add_review(review("r2", pull_id="app/9"), [], [])
    assert book.comments("app/1") == book.comments("app/2") == []


async def test_a_conversation_is_resolved_and_opened_again(book: PullBook) -> None:
    await book.open_pull(pull())
    await book.add_review(review("r1"), [thread("t1")], [])
    assert await book.resolve("t1", resolved=True, now=30)
    assert await book.resolve("t1", resolved=True, now=40)
    assert book.threads("app/1") == [replace(thread("t1"), resolved=True, updated_at=30)]
    assert [one.updated_at for one in book.pulls("app")] == [30]
    assert await book.resolve("t1", resolved=False, now=50)
    assert book.threads("app/1") == [replace(thread("t1"), updated_at=50)]
    assert not await book.resolve("t9", resolved=True, now=60)


def check(name: str, **changes: Any) -> LocalCheck:
    """A check of tree `t`."""
    values: dict[str, Any] = {"project_id": "app", "tree": "t", "created_at": 10, "updated_at": 10}
    return LocalCheck(id=f"app/t/{name}", name=name, **values | changes)


async def test_checks_are_kept_by_tree_and_replaced_by_id(book: PullBook) -> None:
    for one in (check("unit", created_at=12), check("lint", created_at=11), check("old", tree="o", status="passed")):
        await book.put_check(one)
    assert [one.name for one in book.checks("app", "t")] == ["lint", "unit"]
    assert [one.name for one in book.unfinished_checks()] == ["lint", "unit"]
    done = check("unit", status="failed", conclusion="failure", exit_code=2, log="boom", started_at=20, ended_at=30)
    await book.put_check(replace(done, created_at=99, updated_at=30))
    assert book.checks("app", "t")[1] == replace(done, created_at=12, updated_at=30)
    assert [one.name for one in book.unfinished_checks()] == ["lint"]
    assert book.checks("web", "t") == []


async def test_old_outcomes_of_checks_are_dropped_and_unfinished_ones_are_not(database: Database) -> None:
    book = LocalPulls(database)
    await database.write(lambda conn: projects.put(conn, project()))
    ended = LocalCheck(id="a", project_id="app", tree="t", name="a", ended_at=5, created_at=1, updated_at=5)
    await book.put_check(ended)
    await book.put_check(replace(ended, id="b", name="b", ended_at=None))
    assert await database.write(lambda conn: prune_checks(conn, 2)) == 1
    assert [check.id for check in book.checks("app", "t")] == ["b"]

"""The local forge keeps what every forge promises, and what is its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ao.model.errors import AoError
from ao.model.project import CheckConfig
from ao.model.pull import MergeMethod, PullRef
from ao.model.review import LineComment
from ao.ports.forge import MergeOrder, NewPull, PullBook, ReviewPost, Sighting, Watched
from tests.forges.contract import ForgeContract
from tests.forges.local_scene import LINES, LocalScene, git
from tests.forges.scene import Scene, look, seen


class TestLocalForge(ForgeContract):
    """The contract, over the local forge."""

    @pytest.fixture
    def scene(self, local: LocalScene) -> Scene:
        """The local forge's scene."""
        return local


class Killed(BaseException):
    """The daemon dies at this point."""


class DyingBook:
    """The store's pages, but the daemon dies before a pull request's end is written."""

    def __init__(self, book: PullBook) -> None:
        self._book = book

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)

    async def settle(self, *_args: object, **_options: object) -> bool:
        """Never reached the disk."""
        raise Killed


async def refused(code: str, call: Any) -> AoError:
    """The error that `call` must raise."""
    with pytest.raises(AoError) as caught:
        await call
    assert caught.value.code == code
    return caught.value


async def test_numbers_count_per_project_and_the_address_holds_them(local: LocalScene) -> None:
    one, two = await local.open("one"), await local.open("two")
    assert (one.number, two.number) == (1, 2)
    facts = (await local.forge.fetch(two)).facts
    assert (facts.url, facts.html_url, facts.author) == ("ao://local/demo/pull/2", "", "paul")
    assert local.told == ["local:demo", "local:demo"]


async def test_an_agents_pull_request_is_its_sessions(local: LocalScene) -> None:
    ref = await local.open(session="demo-4")
    assert (await local.forge.fetch(ref)).facts.author == "demo-4"


async def test_a_branch_without_commits_of_its_own_is_nothing_to_merge(local: LocalScene) -> None:
    git(local.root, "branch", "empty", local.tip("main"))
    await refused(
        "NOTHING_TO_MERGE",
        local.forge.create(local.repo, NewPull(source_branch="empty", target_branch="main", title="x")),
    )
    await refused(
        "INVALID_BRANCH", local.forge.create(local.repo, NewPull(source_branch="main", target_branch="main", title="x"))
    )


@pytest.mark.parametrize("name", ["-x", "a..b", "a@{1}", "x y", "$(touch pwned)", "\u202eb", "", "a\nb", "HEAD^"])
async def test_s5_a_hostile_branch_name_runs_nothing(local: LocalScene, name: str) -> None:
    for source, target in ((name, "main"), ("main", name)):
        new = NewPull(source_branch=source, target_branch=target, title="x")
        await refused("INVALID_BRANCH", local.forge.create(local.repo, new))
    assert not list(local.root.rglob("pwned"))


async def test_titles_and_bodies_are_bounded(local: LocalScene) -> None:
    await local.branch("feature")
    for title, body in (("", ""), ("\x07", ""), ("x" * 301, ""), ("x", "y" * 65_537)):
        new = NewPull(source_branch="feature", target_branch="main", title=title, body=body)
        await refused("INVALID_PR", local.forge.create(local.repo, new))
    ref = await local.open("other")
    await refused("INVALID_REVIEW", local.forge.comment(ref, "z" * 65_537))
    await refused("INVALID_REVIEW", local.forge.comment(ref, " \n"))


async def test_the_author_gives_no_verdict_on_their_own_work(local: LocalScene) -> None:
    ref = await local.open(session="demo-4")
    for verdict in ("approved", "changes_requested"):
        post = ReviewPost(
            verdict="approved" if verdict == "approved" else "changes_requested", body="x", session="demo-4"
        )
        await refused("INVALID_REVIEW", local.forge.review(ref, post))
    await local.forge.review(ref, ReviewPost(verdict="commented", body="a note", session="demo-4"))
    await local.forge.review(ref, ReviewPost(verdict="approved", session="demo-5"))
    assert (await local.forge.fetch(ref)).facts.review == "approved"


async def test_one_reviewer_against_outweighs_one_for(local: LocalScene) -> None:
    ref = await local.open()
    await local.forge.review(ref, ReviewPost(verdict="approved", session="demo-5"))
    await local.review(ref, "changes_requested", "no")
    await local.review(ref, "commented", "a thought")
    facts = (await local.forge.fetch(ref)).facts
    assert (facts.review, facts.mergeability, facts.reasons) == ("changes_requested", "blocked", ("changes_requested",))


async def test_a_review_is_taken_whole_or_not_at_all(local: LocalScene) -> None:
    ref = await local.open()
    good, bad = (
        LineComment(path="feature.txt", line=1, body="good"),
        LineComment(path="no/such.txt", line=1, body="bad"),
    )
    await refused("INVALID_REVIEW", local.forge.review(ref, ReviewPost(verdict="commented", comments=(good, bad))))
    await refused("INVALID_REVIEW", local.forge.review(ref, ReviewPost(verdict="commented", body=" ")))
    for path in ("../../etc/passwd", ":(glob)**", "-x", "feature.txt/", "*.txt"):
        post = ReviewPost(verdict="commented", comments=(LineComment(path=path, body="x"),))
        await refused("INVALID_REVIEW", local.forge.review(ref, post))
    now = await local.forge.fetch(ref)
    assert (now.reviews, now.threads) == ((), ())


async def test_a_file_that_the_change_removes_may_be_commented_on(local: LocalScene) -> None:
    ref = await local.open()
    local.commit("feature", {"README.md": None})
    await local.forge.fetch(ref)
    await local.thread(ref, "README.md", 1, "Why remove it?")
    (thread,) = (await local.forge.fetch(ref)).threads or ()
    assert thread.path == "README.md"


async def test_being_behind_is_a_note_and_no_obstacle(local: LocalScene) -> None:
    ref = await local.open()
    local.commit("main", {"elsewhere.txt": "x\n"})
    facts = (await local.forge.fetch(ref)).facts
    assert (facts.mergeability, facts.reasons) == ("mergeable", ("behind_base",))
    await local.forge.merge(ref, MergeOrder(expected_head=facts.head_sha))
    assert git(local.root, "show", "main:feature.txt") + "\n" == LINES


async def test_a_conflict_names_its_files(local: LocalScene) -> None:
    ref = await local.open()
    await local.collide("feature")
    error = await refused("PR_NOT_MERGEABLE", local.forge.merge(ref, MergeOrder()))
    assert error.details == {"reasons": ["conflicts"], "files": ["both.txt"]}


async def test_a_branch_that_is_gone_keeps_its_last_head_and_cannot_be_merged(local: LocalScene) -> None:
    ref = await local.open()
    head = local.tip("feature")
    git(local.root, "update-ref", "-d", "refs/heads/feature")
    facts = (await local.forge.fetch(ref)).facts
    assert (facts.state, facts.head_sha) == ("open", head)
    assert (facts.mergeability, facts.reasons) == ("unknown", ("blocked_by_provider",))
    await refused("PR_NOT_MERGEABLE", local.forge.merge(ref, MergeOrder()))


async def test_a_branch_set_back_to_its_base_was_not_merged(local: LocalScene) -> None:
    ref = await local.open()
    local.commit("main", {"elsewhere.txt": "x\n"})
    git(local.root, "update-ref", "refs/heads/feature", local.tip("main"))
    facts = (await local.forge.fetch(ref)).facts
    assert (facts.state, facts.mergeability) == ("open", "unknown")
    local.commit("feature", {"again.txt": "x\n"})
    assert (await local.forge.fetch(ref)).facts.mergeability == "mergeable"


async def test_a_merge_by_hand_with_a_merge_commit_is_seen_also_when_the_branch_is_deleted(local: LocalScene) -> None:
    ref = await local.open()
    head = local.tip("feature")
    local.commit("main", {"elsewhere.txt": "x\n"})
    git(local.root, "worktree", "add", "-q", "by-hand", "main")
    git(local.root / "by-hand", "merge", "-q", "--no-edit", "feature")
    git(local.root, "worktree", "remove", "--force", "by-hand")
    git(local.root, "branch", "-D", "feature")
    facts = (await local.forge.fetch(ref)).facts
    assert (facts.state, facts.head_sha, facts.merge_sha) == ("merged", head, local.tip("main"))
    assert facts.changed_files == 1


async def test_the_message_of_a_merge_names_its_pull_request(local: LocalScene) -> None:
    ref = await local.open()
    made = await local.forge.merge(ref, MergeOrder(method="squash", message="Done\n\nAo-Pull: demo#77\n"))
    message = git(local.root, "log", "-1", "--format=%B", made)
    assert message == f"Do feature (#{ref.number})\n\nDone\n\nAo-Pull: demo#{ref.number}"


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
async def test_a_daemon_killed_between_merging_and_recording_finds_the_merge_afterwards(
    local: LocalScene, method: MergeMethod
) -> None:
    ref = await local.open()
    await local.push("feature")
    other = await local.open("other")
    local.commit("main", {"elsewhere.txt": "x\n"})
    before = await seen(local, ref)
    with pytest.raises(Killed):
        await local.daemon(book=DyingBook(local.book)).merge(ref, MergeOrder(method=method))
    tip = local.tip("main")
    assert git(local.root, "show", "main:feature.txt") + "\n" == LINES
    again = local.daemon()
    (sighting,) = await again.observe([Watched(ref=ref, stamp=before.stamp)])
    assert sighting.observation is not None
    facts = sighting.observation.facts
    assert (facts.state, facts.merge_sha, facts.head_sha) == ("merged", tip, before.facts.head_sha)
    assert (await seen(local, other)).facts.state == "open"
    await refused("PR_NOT_OPEN", again.merge(ref, MergeOrder(method=method)))
    assert local.tip("main") == tip


async def test_a_foreign_trailer_on_the_branch_settles_nothing(local: LocalScene) -> None:
    one, two = await local.open("one"), await local.open("two")
    tree = git(local.root, "rev-parse", "two^{tree}")
    forged = git(local.root, "commit-tree", tree, "-p", local.tip("two"), "-m", f"x\n\nAo-Pull: demo#{one.number}")
    git(local.root, "update-ref", "refs/heads/two", forged)
    await local.forge.merge(two, MergeOrder(method="merge"))
    assert (await local.forge.fetch(one)).facts.state == "open"
    assert (await local.forge.fetch(two)).facts.state == "merged"


async def test_two_merges_at_once_are_one_merge(local: LocalScene) -> None:
    ref = await local.open()
    calls = [local.forge.merge(ref, MergeOrder()) for _ in range(3)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    made = [each for each in ended if isinstance(each, str)]
    assert made == [local.tip("main")]
    assert [each.code for each in ended if isinstance(each, AoError)] == ["PR_NOT_OPEN", "PR_NOT_OPEN"]


async def test_a_repository_that_is_gone_troubles_its_own_pull_requests_only(local: LocalScene) -> None:
    ref = await local.open()
    lost = PullRef(repo=type(local.repo)(forge="local", path="demo", root=str(local.root / "gone")), number=ref.number)
    first, second = await local.forge.observe([Watched(ref=lost), Watched(ref=ref)])
    assert first.trouble is not None
    assert first.trouble.code == "PROJECT_NOT_RESOLVABLE"
    assert second.observation is not None


async def test_what_is_done_is_left_alone(local: LocalScene) -> None:
    ref = await local.open()
    await local.forge.close(ref)
    closed = await seen(local, ref)
    local.commit("feature", {"late.txt": "x\n"})
    git(local.root, "update-ref", "refs/heads/main", local.tip("feature"))
    assert await look(local, ref, closed.stamp) == Sighting(ref=ref)
    second = await local.forge.fetch(ref)
    assert second.facts.state == "closed"


async def test_a_branch_may_be_opened_again_after_its_end(local: LocalScene) -> None:
    ref = await local.open()
    await local.forge.close(ref)
    again = await local.forge.create(local.repo, NewPull(source_branch="feature", target_branch="main", title="Again"))
    assert again.facts.number == ref.number + 1


async def test_c6_nothing_runs_for_a_merged_one_any_more(local: LocalScene) -> None:
    ref = await local.open()
    await local.forge.merge(ref, MergeOrder())
    local.checks(CheckConfig(name="unit", run="exit 1"))
    local.commit("feature", {"late.txt": "x\n"})
    now = await local.forge.fetch(ref)
    assert (now.facts.state, now.facts.ci, now.checks) == ("merged", "unknown", ())
    await refused("PR_NOT_OPEN", local.local.rerun(ref))
    assert local.book.unfinished_checks() == []

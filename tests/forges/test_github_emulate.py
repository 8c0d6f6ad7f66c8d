"""The forge against an emulator of GitHub that isn't ours, for the REST calls that it covers.

`emulate` answers a refused merge with 422 where GitHub says 405 or 409: the forge has to get by with that too. What it
can't show is tested over our double: a push to an open pull request, a second pull request of the same branches (it
opens one), line comments (it refuses the review and keeps it), conflicts, threads, ETags, commit statuses.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ao.forges.github import GitHub
from ao.host import LocalHost
from ao.model.errors import AoError
from ao.model.pull import GITHUB as GITHUB_FORGE
from ao.model.pull import Facts, PullRef, Repo
from ao.ports.forge import MergeOrder, NewPull, ReviewPost, Watched
from tests.github.emulator import Emulator
from tests.github.front import Front

REPO = Repo(forge=GITHUB_FORGE, host="github.com", path=Emulator.repo)


@dataclass
class Emulated:
    """Two accounts' forges on one emulator."""

    emulator: Emulator
    worker: GitHub
    reviewer: GitHub
    heads: dict[str, str] = field(default_factory=dict)

    async def opened(self, branch: str = "feature") -> PullRef:
        """A pull request of the worker, of a new branch."""
        self.heads[branch] = await self.emulator.push(branch, {f"{branch}.txt": "one\n"})
        new = NewPull(source_branch=branch, target_branch="main", title=f"Add {branch}", body="Why")
        facts = (await self.worker.create(REPO, new)).facts
        assert (facts.state, facts.head_sha, facts.title) == ("open", self.heads[branch], f"Add {branch}")
        return PullRef(repo=REPO, number=facts.number, node=facts.node)

    async def facts(self, ref: PullRef) -> Facts:
        """What a look shows."""
        (sighting,) = await self.worker.observe([Watched(ref=ref)])
        assert sighting.observation is not None, sighting
        return sighting.observation.facts


@pytest.fixture
async def emulated(tmp_path: Path) -> AsyncIterator[Emulated]:
    """A running emulator with a forge for each account."""
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(tmp_path))
        front = await stack.enter_async_context(Front(emulator))
        forges: list[GitHub] = []
        for token in (emulator.token, emulator.reviewer_token):
            environ = {"PATH": "", "GITHUB_API_URL": front.url, "AO_GITHUB_TOKEN": token}
            forges.append(GitHub(LocalHost(environ=environ), environ, now=lambda: int(time.time() * 1000)))
            stack.push_async_callback(forges[-1].shut)
        yield Emulated(emulator, worker=forges[0], reviewer=forges[1])
        assert front.forwarded > 0


async def test_what_is_opened_is_listed(emulated: Emulated) -> None:
    ref = await emulated.opened()
    listing = await emulated.worker.listing(REPO, "", since=0)
    assert [(facts.number, facts.state, facts.source_branch) for facts in listing.pulls] == [
        (ref.number, "open", "feature")
    ]
    second = await emulated.opened("other")
    listing = await emulated.worker.listing(REPO, listing.cursor, since=0)
    assert (second.number, "open") in [(facts.number, facts.state) for facts in listing.pulls]


async def test_a_protected_branch_takes_the_merge_when_the_check_is_green(emulated: Emulated) -> None:
    ref = await emulated.opened()
    head = emulated.heads["feature"]
    order = MergeOrder(method="squash", expected_head=head, title="Squashed", message="All of it")
    with pytest.raises(AoError) as refused:
        await emulated.worker.merge(ref, order)
    assert refused.value.code == "PR_NOT_MERGEABLE"
    await emulated.emulator.check(head, "failure")
    assert (await emulated.facts(ref)).ci == "failing"
    with pytest.raises(AoError) as refused:
        await emulated.worker.merge(ref, order)
    assert refused.value.code == "PR_NOT_MERGEABLE"
    await emulated.emulator.check(head, "success")
    green = await emulated.facts(ref)
    assert (green.head_sha, green.ci, green.mergeability) == (head, "passing", "mergeable")
    with pytest.raises(AoError) as refused:
        await emulated.worker.merge(ref, MergeOrder(expected_head="0" * 40))
    assert refused.value.code == "PR_NOT_MERGEABLE"
    assert (await emulated.facts(ref)).state == "open"
    made = await emulated.worker.merge(ref, order)
    merged = await emulated.facts(ref)
    assert (merged.state, merged.merge_sha) == ("merged", made)
    listing = await emulated.worker.listing(REPO, "", since=0)
    assert [(facts.number, facts.state) for facts in listing.pulls] == [(ref.number, "merged")]
    for call in (emulated.worker.merge(ref, order), emulated.worker.close(ref)):
        with pytest.raises(AoError) as refused:
            await call
        assert refused.value.code == "PR_NOT_OPEN"


async def test_what_is_said_is_seen_with_who_said_it(emulated: Emulated) -> None:
    ref = await emulated.opened()
    comment = await emulated.worker.comment(ref, "Ready.", session="demo-1")
    assert (comment.body, comment.author.session) == ("Ready.", "demo-1")
    post = ReviewPost(verdict="changes_requested", body="Not yet.", session="demo-2")
    assert (await emulated.reviewer.review(ref, post)).state == "changes_requested"
    seen = await emulated.worker.fetch(ref)
    assert seen.facts.review == "changes_requested"
    assert [(said.body, said.author.login, said.author.session) for said in seen.comments or ()] == [
        ("Ready.", "octo", "demo-1")
    ]
    (review,) = seen.reviews or ()
    # The mark of a session counts only in what our own account wrote.
    assert (review.author.login, review.author.session, review.body) == ("reviewer", "", "Not yet.")


async def test_closing_may_be_repeated(emulated: Emulated) -> None:
    ref = await emulated.opened()
    await emulated.worker.close(ref)
    await emulated.worker.close(ref)
    assert (await emulated.facts(ref)).state == "closed"


async def test_one_that_is_not_there_is_not_found(emulated: Emulated) -> None:
    ref = PullRef(repo=REPO, number=404)
    for call in (
        emulated.worker.comment(ref, "Hello?"),
        emulated.worker.merge(ref, MergeOrder()),
        emulated.worker.close(ref),
    ):
        with pytest.raises(AoError) as refused:
            await call
        assert refused.value.code == "PR_NOT_FOUND"
    (sighting,) = await emulated.worker.observe([Watched(ref=ref)])
    assert sighting.gone

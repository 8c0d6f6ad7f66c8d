"""Following the list of a repository's pull requests on GitHub."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ao.model.errors import AoError
from ao.model.pull import Repo
from ao.ports.forge import Listing
from tests.forges.github_scene import GitHubScene, github_scene


@pytest.fixture
async def github() -> AsyncIterator[GitHubScene]:
    """The forge over its own double of GitHub."""
    async with github_scene() as made:
        yield made


def numbers(listing: Listing) -> list[int]:
    """Which ones, in the order of the list."""
    return [facts.number for facts in listing.pulls]


async def test_an_unchanged_list_costs_one_request_and_nothing_of_the_budget(github: GitHubScene) -> None:
    github.open(3)
    cursor = (await github.forge.listing(github.repo, "", since=0)).cursor
    cursor = (await github.forge.listing(github.repo, cursor, since=0)).cursor
    github.double.forget_requests()
    listing = await github.forge.listing(github.repo, cursor, since=0)
    assert (listing.unchanged, listing.pulls, listing.cursor) == (True, (), cursor)
    assert [(request.status, request.points) for request in github.double.requests] == [(304, 0)]


async def test_a_cursor_outlives_the_daemon(github: GitHubScene) -> None:
    pulls = github.open(3)
    cursor = (await github.forge.listing(github.repo, "", since=0)).cursor
    github.settle()
    github.double.state.add_comment(pulls[1], "hello")
    await github.forge.shut()
    listing = await github.forge.listing(github.repo, cursor, since=0)
    assert numbers(listing) == [pulls[1].number]


@pytest.mark.parametrize("cursor", ["{", "[]", "3:abc", '{"newest": "x"}'])
async def test_a_cursor_that_is_not_ours_starts_the_list_anew(github: GitHubScene, cursor: str) -> None:
    github.open(2)
    assert len(numbers(await github.forge.listing(github.repo, cursor, since=0))) == 2


async def test_two_changes_within_a_second_are_both_seen(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    first = await github.forge.listing(github.repo, "", since=0)
    assert first.pulls[0].state == "open"
    at = pull.updated_at
    github.double.state.merge(pull, by="maintainer")
    pull.updated_at = at
    second = await github.forge.listing(github.repo, first.cursor, since=0)
    assert [facts.state for facts in second.pulls] == ["merged"]
    assert second.pulls[0].merge_sha == pull.merge_sha


async def test_many_changes_are_read_page_by_page_down_to_the_cursor(github: GitHubScene) -> None:
    github.open(5)
    cursor = (await github.forge.listing(github.repo, "", since=0)).cursor
    github.settle()
    late = [github.double.state.open_pull(github.double.repo, f"late-{number}") for number in range(70)]
    github.double.forget_requests()
    listing = await github.forge.listing(github.repo, cursor, since=0)
    assert sorted(numbers(listing)) == [pull.number for pull in late]
    assert listing.complete
    assert len(github.double.requests) == 3


async def test_more_changes_than_ten_pages_hold_are_left_out_and_that_is_said(github: GitHubScene) -> None:
    github.double.state.open_pull(github.double.repo, "early")
    cursor = (await github.forge.listing(github.repo, "", since=0)).cursor
    github.settle()
    github.open(320)
    listing = await github.forge.listing(github.repo, cursor, since=0)
    assert not listing.complete
    assert len(listing.pulls) == 300


async def test_the_first_list_holds_what_changed_since_and_all_that_is_open_however_old(github: GitHubScene) -> None:
    pulls = github.open(150)
    for pull in pulls[:120]:
        github.double.state.close(pull)
    github.clock.ahead_s += 600
    since = github.clock.ms()
    github.clock.ahead_s += 600
    recent = github.double.state.open_pull(github.double.repo, "recent")
    github.double.state.merge(recent)
    listing = await github.forge.listing(github.repo, "", since=since)
    assert set(numbers(listing)) == {recent.number, *(pull.number for pull in pulls[120:])}
    assert listing.complete


async def test_a_repository_that_is_not_there_is_unavailable_and_named(github: GitHubScene) -> None:
    nowhere = Repo(forge="github", host="github.com", path="octo/nothing")
    with pytest.raises(AoError) as refused:
        await github.forge.listing(nowhere, "", since=0)
    assert refused.value.code == "SCM_UNAVAILABLE"
    assert "octo/nothing" in refused.value.message


async def test_an_empty_list_has_a_cursor_from_which_the_first_one_is_seen(github: GitHubScene) -> None:
    first = await github.forge.listing(github.repo, "", since=0)
    assert (first.pulls, first.complete) == ((), True)
    (pull,) = github.open(1)
    assert numbers(await github.forge.listing(github.repo, first.cursor, since=0)) == [pull.number]


async def test_what_a_server_that_lags_shows_late_is_seen(github: GitHubScene) -> None:
    (first,) = github.open(1)
    cursor = (await github.forge.listing(github.repo, "", since=0)).cursor
    late = github.double.state.open_pull(github.double.repo, "late")
    late.updated_at = first.updated_at - 10
    listing = await github.forge.listing(github.repo, cursor, since=0)
    assert numbers(listing) == [late.number]
    assert (await github.forge.listing(github.repo, listing.cursor, since=0)).unchanged

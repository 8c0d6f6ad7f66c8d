"""What looking at pull requests on GitHub costs, and what it sees when GitHub misbehaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from ao.forges.github import transport
from ao.model.errors import AoError
from ao.model.pull import PullRef, Repo
from ao.ports.forge import Sighting, Watched
from tests.forges.github_scene import GitHubScene, github_scene
from tests.github.faults import KINDS, Kind
from tests.github.rest import Reply


@pytest.fixture
async def github() -> AsyncIterator[GitHubScene]:
    """The forge over its own double of GitHub."""
    async with github_scene() as made:
        yield made


def changed(sightings: list[Sighting]) -> list[int]:
    """The numbers of those that were shown."""
    assert [sighting.trouble for sighting in sightings if sighting.trouble] == []
    return [sighting.ref.number for sighting in sightings if sighting.observation is not None]


@pytest.mark.parametrize(("count", "requests", "points"), [(1, 1, 1), (50, 1, 1), (100, 1, 2), (250, 3, 5)])
async def test_idle_pull_requests_cost_a_request_and_two_points_a_hundred(
    github: GitHubScene, count: int, requests: int, points: int
) -> None:
    pulls = github.open(count)
    stamps = await github.known(pulls)
    assert changed(await github.look(pulls, stamps)) == []
    assert (len(github.double.requests), github.double.points) == (requests, points)


async def test_the_first_look_at_many_stays_within_fifteen_requests(github: GitHubScene) -> None:
    pulls = github.open(500)
    listing = await github.forge.listing(github.repo, "", since=0)
    assert len(listing.pulls) == 500
    assert changed(await github.look(pulls, {})) == [pull.number for pull in pulls]
    assert len(github.double.requests) <= 15


async def test_one_ci_change_costs_one_request_more_and_shows_nothing_else(github: GitHubScene) -> None:
    pulls = github.open(120)
    stamps = await github.known(pulls)
    github.double.state.set_check(pulls[70], "unit", "failure")
    sightings = await github.look(pulls, stamps)
    assert changed(sightings) == [pulls[70].number]
    assert len(github.double.requests) == 3
    assert github.double.points <= 4
    seen = sightings[70].observation
    assert seen is not None
    assert [(check.name, check.status) for check in seen.checks or ()] == [("unit", "failed")]
    assert (seen.threads, seen.comments, seen.reviews) == (None, None, None)


async def test_one_push_costs_one_request_more(github: GitHubScene) -> None:
    pulls = github.open(120)
    stamps = await github.known(pulls)
    head = github.double.state.push(github.double.repo, "branch-3", {"new.txt": "new\n"})
    sightings = await github.look(pulls, stamps)
    assert changed(sightings) == [pulls[3].number]
    assert len(github.double.requests) == 3
    seen = sightings[3].observation
    assert seen is not None
    assert seen.facts.head_sha == head


async def test_a_thread_that_is_resolved_is_noticed_though_nothing_else_moves(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    thread = github.double.state.add_thread(pull, "Why?", author="maintainer")
    stamps = await github.known([pull])
    github.double.state.resolve_thread(thread)
    (sighting,) = await github.look([pull], stamps)
    assert sighting.observation is not None
    assert [thread.resolved for thread in sighting.observation.threads or ()] == [True]


async def test_a_check_that_fails_while_another_recovers_is_noticed(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    state = github.double.state
    for name, end in (("a", "success"), ("b", "failure")):
        state.set_check(pull, name, end)
    stamps = await github.known([pull])
    for name, end in (("a", "failure"), ("b", "success")):
        state.set_check(pull, name, end)
    assert changed(await github.look([pull], stamps)) == [pull.number]


async def test_what_happens_within_the_second_of_a_look_is_seen_at_the_next(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    (first,) = await github.look([pull], {})
    assert first.observation is not None
    stamps = {pull.number: first.observation.stamp}
    at = pull.updated_at
    github.double.state.add_review(pull, "COMMENTED", author="maintainer", body="One more thing")
    pull.updated_at = at  # within the same second
    assert changed(await github.look([pull], stamps)) == [pull.number]


async def test_a_quiet_pull_request_is_read_once_more_and_then_left_alone(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    (first,) = await github.look([pull], {})
    assert first.observation is not None
    stamps = {pull.number: first.observation.stamp}
    github.settle()
    github.double.forget_requests()
    assert changed(await github.look([pull], stamps)) == []
    assert len(github.double.requests) == 2
    github.double.forget_requests()
    assert changed(await github.look([pull], stamps)) == []
    assert len(github.double.requests) == 1


async def test_mergeability_that_is_being_worked_out_changes_nothing_until_it_is_known(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    stamps = await github.known([pull])
    pull.unsettled = 2
    for _ in range(3):
        assert changed(await github.look([pull], stamps)) == []
    github.double.state.push(github.double.repo, "main", {"branch-0.txt": "something else\n"})
    pull.unsettled = 1
    assert changed(await github.look([pull], stamps)) == []
    (sighting,) = await github.look([pull], stamps)
    assert sighting.observation is not None
    assert sighting.observation.facts.mergeability == "conflicting"


async def test_the_verdict_of_a_review_stays_while_only_checks_are_read(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    github.double.state.add_review(pull, "CHANGES_REQUESTED", author="maintainer", body="no")
    stamps = await github.known([pull])
    github.double.state.set_check(pull, "unit", "success")
    (sighting,) = await github.look([pull], stamps)
    assert sighting.observation is not None
    assert sighting.observation.facts.review == "changes_requested"


async def test_more_checks_and_threads_than_a_page_holds_are_all_read(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    for number in range(130):
        github.double.state.set_check(pull, f"check {number:03}", "success")
    for number in range(70):
        github.double.state.add_thread(pull, f"thread {number}", author="maintainer")
    seen = await github.forge.fetch(github.ref(pull))
    assert len(seen.checks or ()) == 130
    assert len(seen.threads or ()) == 70
    assert seen.whole_threads


async def test_old_threads_are_left_out_once_they_are_resolved_and_that_is_said(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    threads = [github.double.state.add_thread(pull, f"{number}", author="maintainer") for number in range(70)]
    for thread in threads[:40]:
        github.double.state.resolve_thread(thread)
    seen = await github.forge.fetch(github.ref(pull))
    assert len(seen.threads or ()) == 50
    assert not seen.whole_threads


async def test_one_that_was_deleted_does_not_starve_the_others(github: GitHubScene) -> None:
    pulls = github.open(30)
    stamps = await github.known(pulls)
    github.double.state.delete_pull(pulls[7])
    github.double.state.set_check(pulls[8], "unit", "failure")
    sightings = await github.look(pulls, stamps)
    assert [sighting.ref.number for sighting in sightings if sighting.gone] == [pulls[7].number]
    assert changed(sightings) == [pulls[8].number]


async def test_a_batch_that_fails_as_a_whole_is_cut_until_the_others_are_seen(
    github: GitHubScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulls = github.open(40)
    stamps = await github.known(pulls)
    github.double.state.set_check(pulls[12], "unit", "failure")
    answer, poison = github.double._graphql, pulls[13].node

    def fails(request: web.Request, asked: dict[str, Any]) -> Reply:
        poisoned = poison in asked["variables"].get("ids", ())
        return Reply(502, {"message": "Something went wrong"}) if poisoned else answer(request, asked)

    monkeypatch.setattr(github.double, "_graphql", fails)
    sightings = await github.look(pulls, stamps)
    assert [sighting.ref.number for sighting in sightings if sighting.trouble] == [pulls[13].number]
    assert [sighting.ref.number for sighting in sightings if sighting.observation] == [pulls[12].number]


@pytest.mark.parametrize(
    ("kind", "path", "trouble"),
    [
        ("FORBIDDEN", ["statusCheckRollup"], False),
        ("SERVICE_UNAVAILABLE", ["statusCheckRollup", "contexts", "nodes", 0], True),
        ("FORBIDDEN", [], True),
    ],
)
async def test_a_part_that_is_denied_is_unknown_and_one_that_failed_is_trouble_of_that_one_alone(
    github: GitHubScene, monkeypatch: pytest.MonkeyPatch, kind: str, path: list[str | int], trouble: bool
) -> None:
    pulls = github.open(3)
    for pull in pulls:
        github.double.state.set_check(pull, "unit", "failure")
    answer = github.double._graphql

    def partial(request: web.Request, asked: dict[str, Any]) -> Reply:
        body = answer(request, asked).body
        if path:
            body["data"]["nodes"][1]["statusCheckRollup"] = None
        else:
            body["data"]["nodes"][1] = None
        return Reply(body=body | {"errors": [{"type": kind, "path": ["nodes", 1, *path], "message": "not for you"}]})

    monkeypatch.setattr(github.double, "_graphql", partial)
    sightings = await github.look(pulls, {})
    seen = [sighting.observation for sighting in sightings]
    assert [each is not None and each.facts.ci for each in (seen[0], seen[2])] == ["failing", "failing"]
    if trouble:
        assert sightings[1].trouble is not None
        assert "not for you" in sightings[1].trouble.message
    else:
        assert seen[1] is not None
        assert (seen[1].facts.ci, seen[1].checks) == ("unknown", None)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "secondary"])
async def test_a_look_that_fails_is_trouble_for_each_and_the_next_one_sees(
    github: GitHubScene, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_S", 0.3)
    pulls = github.open(3)
    stamps = await github.known(pulls)
    github.double.state.set_check(pulls[1], "unit", "failure")
    github.double.fail(kind, times=None)
    sightings = await github.look(pulls, stamps)
    assert [sighting.trouble.code for sighting in sightings if sighting.trouble] == ["SCM_UNAVAILABLE"] * 3
    assert not any(sighting.gone or sighting.observation for sighting in sightings)
    assert len(github.double.requests) <= 6
    github.double.mend()
    assert changed(await github.look(pulls, stamps)) == [pulls[1].number]


async def test_a_connection_that_breaks_once_is_no_trouble(github: GitHubScene) -> None:
    pulls = github.open(3)
    stamps = await github.known(pulls)
    github.double.fail("reset", times=1)
    assert changed(await github.look(pulls, stamps)) == []


async def test_c7_a_secondary_limit_is_told_with_its_time_and_nothing_is_asked_before(github: GitHubScene) -> None:
    pulls = github.open(3)
    stamps = await github.known(pulls)
    github.double.fail("secondary", retry_after_s=40)
    for _ in range(3):
        sightings = await github.look(pulls, stamps)
        troubles = [sighting.trouble for sighting in sightings if sighting.trouble]
        assert {trouble.code for trouble in troubles} == {"SCM_RATE_LIMITED"}
        assert all(39 <= trouble.details["retryAfterS"] <= 42 for trouble in troubles)
    assert len(github.double.requests) == 1
    github.clock.ahead_s += 45
    assert changed(await github.look(pulls, stamps)) == []


async def test_c7_rest_stands_in_while_graphql_is_used_up(github: GitHubScene) -> None:
    state = github.double.state
    pulls = github.open(4)
    for pull in pulls:
        state.set_check(pull, "unit", "success")
    stamps = await github.known(pulls)
    github.double.graphql.use_up()
    assert changed(await github.look(pulls, stamps)) == [1, 2, 3, 4]
    github.double.forget_requests()
    assert changed(await github.look(pulls, stamps)) == []
    assert {(request.kind, request.status, request.points) for request in github.double.requests} == {("rest", 304, 0)}
    state.set_check(pulls[0], "unit", "failure")
    state.add_status(pulls[1], "ci/build", "pending")
    state.add_review(pulls[2], "CHANGES_REQUESTED", author="maintainer", body="no")
    state.merge(pulls[3], by="maintainer")
    sightings = await github.look(pulls, stamps)
    found = [sighting.observation for sighting in sightings if sighting.observation is not None]
    failing, pending, refused, merged = found
    assert [(check.name, check.status) for check in failing.checks or ()] == [("unit", "failed")]
    assert (failing.facts.ci, failing.facts.mergeability) == ("failing", "blocked")
    assert (pending.facts.ci, refused.facts.review, merged.facts.state) == ("pending", "changes_requested", "merged")
    by_rest = failing
    github.clock.ahead_s += 3602
    sightings = await github.look(pulls, stamps)
    assert changed(sightings) == [1, 2, 3, 4]
    assert sightings[0].observation is not None
    assert sightings[0].observation.facts == by_rest.facts
    assert sightings[0].observation.checks == by_rest.checks


async def test_c7_many_are_looked_at_by_turns_while_rest_stands_in(github: GitHubScene) -> None:
    pulls = github.open(60)
    stamps = await github.known(pulls)
    github.double.graphql.use_up()
    turns = [changed(await github.look(pulls, stamps)) for _ in range(3)]
    assert sorted(number for turn in turns for number in turn) == [pull.number for pull in pulls]
    assert all(len(turn) <= 25 for turn in turns)


async def test_c7_when_both_budgets_are_used_up_it_is_said_for_how_long(github: GitHubScene) -> None:
    pulls = github.open(1)
    stamps = await github.known(pulls)
    github.double.graphql.use_up()
    github.double.core.use_up()
    for _ in range(2):
        (sighting,) = await github.look(pulls, stamps)
        assert sighting.trouble is not None
        assert sighting.trouble.code == "SCM_RATE_LIMITED"
        assert 0 < sighting.trouble.details["retryAfterS"] <= 3602
    with pytest.raises(AoError) as refused:
        await github.forge.fetch(github.ref(pulls[0]))
    assert refused.value.code == "SCM_RATE_LIMITED"
    assert len(github.double.requests) == 2


async def test_a_clock_of_ours_that_is_a_day_off_changes_nothing() -> None:
    async with github_scene() as github:
        github.double.state.skew_s = -86_400
        pulls = github.open(3)
        stamps = await github.known(pulls)
        assert changed(await github.look(pulls, stamps)) == []
        github.double.state.set_check(pulls[1], "unit", "failure")
        assert changed(await github.look(pulls, stamps)) == [pulls[1].number]
        now = github.clock.ms()
        assert len((await github.forge.listing(github.repo, "", since=now - 3_600_000)).pulls) == 3


async def test_c5_a_renamed_repository_is_followed_under_the_name_we_know(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    old = github.repo
    stamps = await github.known([pull])
    github.double.state.rename_repo(github.double.repo, "octo/gadgets")
    ref = PullRef(repo=old, number=pull.number, node=pull.node)
    (sighting,) = await github.forge.observe([Watched(ref=ref, stamp=stamps[pull.number])])
    assert sighting.observation is not None
    listed = (await github.forge.listing(old, "", since=0)).pulls[0]
    for facts in (sighting.observation.facts, listed):
        assert facts.url == "https://github.com/octo/widgets/pull/1"
        assert facts.html_url == "https://github.com/octo/gadgets/pull/1"
        assert (facts.repo, facts.head_repo) == (old.key, old.key)
    comment = await github.forge.comment(ref, "still there")
    assert comment.body == "still there"


async def test_c5_a_forks_branch_is_the_forks_and_a_deleted_forks_is_nobodys(github: GitHubScene) -> None:
    state = github.double.state
    fork = state.fork(github.double.repo, "stranger")
    pull = state.open_pull(github.double.repo, "main-work", head_repo=fork, author="stranger")
    expected = Repo(forge="github", host="github.com", path="stranger/widgets").key
    for facts in (
        (await github.forge.fetch(github.ref(pull))).facts,
        (await github.forge.listing(github.repo, "", since=0)).pulls[0],
    ):
        assert (facts.head_repo, facts.author, facts.source_branch) == (expected, "stranger", "main-work")
    state.delete_repo(fork)
    for facts in (
        (await github.forge.fetch(github.ref(pull))).facts,
        (await github.forge.listing(github.repo, "", since=0)).pulls[0],
    ):
        assert facts.head_repo == ""


async def test_pull_requests_of_several_hosts_are_asked_at_each_and_one_does_not_stop_the_other(
    github: GitHubScene,
) -> None:
    (pull,) = github.open(1)
    other = PullRef(repo=Repo(forge="github", host="ghe.example", path="octo/widgets"), number=1)
    seen = await github.forge.observe([Watched(ref=other), Watched(ref=github.ref(pull))])
    assert seen[0].trouble is not None
    assert seen[0].trouble.code == "SCM_UNAVAILABLE"
    assert seen[1].observation is not None


async def test_a_token_that_is_refused_is_said_and_not_tried_again(github: GitHubScene) -> None:
    pulls = github.open(1)
    github.double.token = "ghp_another"
    (sighting,) = await github.look(pulls, {})
    assert sighting.trouble is not None
    assert "did not accept the token" in sighting.trouble.message
    assert "gh auth login" in (sighting.trouble.hint or "")
    trouble = await github.forge.trouble(github.repo)
    assert trouble is not None
    assert trouble.code == "SCM_UNAVAILABLE"
    await github.look(pulls, {})
    assert len(github.double.requests) == 1

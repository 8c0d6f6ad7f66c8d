"""What is done on GitHub, what its refusals become, and where credentials go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from ao.model.errors import AoError
from ao.model.pull import Check, PullRef
from ao.model.review import LineComment
from ao.ports.forge import MergeOrder, NewPull, ReviewPost
from tests.forges.github_scene import GitHubScene, github_scene
from tests.github.faults import Fault


@pytest.fixture
async def github() -> AsyncIterator[GitHubScene]:
    """The forge over its own double of GitHub."""
    async with github_scene() as made:
        yield made


async def refused(code: str, call: Awaitable[Any]) -> AoError:
    """The error that a call must raise."""
    with pytest.raises(AoError) as caught:
        await call
    assert caught.value.code == code
    return caught.value


async def failed_check(github: GitHubScene, ref: PullRef) -> Check:
    """Its only check, as the forge shows it."""
    (check,) = (await github.forge.fetch(ref)).checks or ()
    return check


async def test_s9_a_log_is_fetched_from_where_it_lies_without_our_credentials(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    lines = "".join(f"2026-01-01T00:00:00.0000000Z step {number}\n" for number in range(30_000))
    log = f"{lines}2026-01-01T00:00:00.0000000Z \x1b[31mFAILED test_sums\x1b[0m token=ghp_{'a' * 36}\n"
    github.double.state.set_check(pull, "unit", "failure", log=log)
    ref = github.ref(pull)
    text = await github.forge.log(ref, await failed_check(github, ref))
    assert "FAILED test_sums" in text
    assert "step 29999" in text
    assert "ghp_" not in text
    assert "\x1b" not in text
    assert len(text) <= 64 << 10
    fetched = github.double.requests[-1]
    assert (fetched.kind, fetched.status, fetched.credentials) == ("log", 200, False)


async def test_c2_a_third_partys_check_and_a_commit_status_tell_what_they_have(github: GitHubScene) -> None:
    first, second = github.open(2)
    run = github.double.state.set_check(first, "scan", "failure", log=None)
    run.title, run.summary = "2 problems", "Unused import in a.py"
    check = await failed_check(github, github.ref(first))
    text = await github.forge.log(github.ref(first), check)
    assert "2 problems" in text
    assert "Unused import in a.py" in text
    assert check.url in text
    github.double.state.add_status(second, "ci/build", "failure", description="Build broke in step 3")
    check = await failed_check(github, github.ref(second))
    text = await github.forge.log(github.ref(second), check)
    assert "Build broke in step 3" in text
    assert "https://ci.example/build" in text


async def test_a_log_that_has_expired_is_empty_but_for_the_link(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    run = github.double.state.set_check(pull, "unit", "failure", log="x")
    ref = github.ref(pull)
    check = await failed_check(github, ref)
    run.log = None
    assert await github.forge.log(ref, check) == check.url
    assert await github.forge.log(ref, Check(name="gone", commit_sha=pull.head_sha, provider_id="999999")) == ""


async def test_a_branch_without_commits_of_its_own_is_nothing_to_merge(github: GitHubScene) -> None:
    github.double.repo.branches["empty"] = github.double.repo.branches["main"]
    new = NewPull(source_branch="empty", target_branch="main", title="x")
    await refused("NOTHING_TO_MERGE", github.forge.create(github.repo, new))
    error = await refused(
        "INVALID_BRANCH",
        github.forge.create(github.repo, NewPull(source_branch="empty", target_branch="no", title="x")),
    )
    assert "'no'" in error.message


async def test_a_line_comment_outside_the_diff_goes_into_the_body_and_no_text_is_lost(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    comments = (
        LineComment(path="branch-0.txt", line=1, body="inside"),
        LineComment(path="branch-0.txt", line=400, body="far below"),
        LineComment(path="README.md", line=1, body="another file"),
        LineComment(path="branch-0.txt", line=0, body="the file as a whole"),
    )
    posted = await github.forge.review(
        github.ref(pull), ReviewPost(verdict="commented", body="Remarks", comments=comments, session="demo-2")
    )
    for words in ("Remarks", "far below", "branch-0.txt:400", "another file", "the file as a whole"):
        assert words in posted.body
    assert "inside" not in posted.body
    assert posted.author.session == "demo-2"
    assert [(thread.line, thread.remarks[0].body.partition("\n")[0]) for thread in pull.threads] == [(1, "inside")]
    assert len(pull.reviews) == 1


async def test_an_agents_verdict_on_a_pull_request_of_the_same_account_becomes_a_comment(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    post = ReviewPost(verdict="changes_requested", body="Not yet.", session="demo-2")
    made = await github.forge.review(github.ref(pull), post)
    assert made.state == "commented"
    assert made.body.startswith("**Verdict: changes requested**")
    assert "Not yet." in made.body
    error = await refused(
        "INVALID_REVIEW", github.forge.review(github.ref(pull), ReviewPost(verdict="approved", body="Fine"))
    )
    assert "own pull request" in error.message


async def test_a_merge_that_the_rules_forbid_says_which(github: GitHubScene) -> None:
    github.double.repo.required_checks = ("unit",)
    (pull,) = github.open(1)
    github.double.state.set_check(pull, "unit", "failure")
    error = await refused("PR_NOT_MERGEABLE", github.forge.merge(github.ref(pull), MergeOrder()))
    assert "unit" in error.message
    assert error.details["reasons"] == ["ci_failing", "blocked_by_provider"]
    github.double.repo.merge_methods = frozenset({"merge"})
    github.double.state.set_check(pull, "unit", "success")
    error = await refused("PR_NOT_MERGEABLE", github.forge.merge(github.ref(pull), MergeOrder(method="squash")))
    assert "Squash merges are not allowed" in error.message


async def test_failed_jobs_and_checks_of_others_are_run_again(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    ref = github.ref(pull)
    await refused("CHECKS_NOT_CONFIGURED", github.forge.rerun(ref))
    github.double.state.add_status(pull, "ci/build", "failure")
    await refused("CHECKS_NOT_CONFIGURED", github.forge.rerun(ref))
    for name, log in (("unit", ""), ("scan", None)):
        github.double.state.set_check(pull, name, "failure", log=log)
    github.double.state.set_check(pull, "lint", "success")
    await github.forge.rerun(ref)
    found = {check.name: check.status for check in (await github.forge.fetch(ref)).checks or ()}
    assert found == {"unit": "queued", "scan": "queued", "lint": "passed", "ci/build": "failed"}


async def test_a_refusal_names_what_the_token_lacks(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    headers = {"X-Accepted-OAuth-Scopes": "repo", "X-OAuth-Scopes": "gist"}
    body = {"message": "Resource not accessible"}
    github.double.faults.append(Fault(kind="status", code=403, body=body, headers=headers))
    error = await refused("SCM_UNAVAILABLE", github.forge.comment(github.ref(pull), "Hello"))
    assert "scope repo" in (error.hint or "")
    assert github.double.token not in repr(error) + str(error.details) + str(error.hint)


async def test_an_action_is_sent_once_even_when_the_connection_breaks(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    github.double.fail("reset", times=1)
    await refused("SCM_UNAVAILABLE", github.forge.comment(github.ref(pull), "Hello"))
    assert [request.method for request in github.double.requests] == ["POST"]


async def test_c7_actions_have_a_reserve_that_looking_leaves_alone(github: GitHubScene) -> None:
    (pull,) = github.open(1)
    thread = github.double.state.add_thread(pull, "Why?", author="maintainer")
    stamps = await github.known([pull])
    github.double.graphql.used = github.double.graphql.limit - 50
    for _ in range(2):
        assert not [sighting for sighting in await github.look([pull], stamps) if sighting.trouble]
    assert [request.kind for request in github.double.requests] == ["graphql"] + ["rest"] * 4
    await github.forge.comment(github.ref(pull), "Because.", thread_id=thread.node)
    assert [remark.body for remark in thread.remarks] == ["Why?", "Because."]


async def test_texts_that_are_empty_or_too_long_are_refused(
    github: GitHubScene,
) -> None:
    (pull,) = github.open(1)
    await refused("INVALID_REVIEW", github.forge.comment(github.ref(pull), "x" * 65_537))
    await refused("INVALID_REVIEW", github.forge.comment(github.ref(pull), " \n"))
    await refused(
        "INVALID_REVIEW", github.forge.review(github.ref(pull), ReviewPost(verdict="commented", session="d-1"))
    )
    await refused(
        "INVALID_PR",
        github.forge.create(github.repo, NewPull(source_branch="branch-0", target_branch="main", title="\x07 ")),
    )

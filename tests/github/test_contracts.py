"""The checks against GitHub's published REST description see what is wrong, on both sides, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.github import contracts
from tests.github.double import GitHubDouble

PULLS = "/repos/octo/widgets/pulls"


@dataclass
class Exchange:
    """A made-up exchange."""

    method: str = "GET"
    path: str = PULLS
    body: Any = None
    status: int = 200
    answer: Any = None


@pytest.mark.parametrize(
    ("exchange", "told"),
    [
        (Exchange(path="/repos/octo/widgets/pull"), "no such route"),
        (Exchange(path=f"{PULLS}?state=opn"), '?state: "opn"'),
        (Exchange(path=f"{PULLS}?stat=open"), "?stat: no such parameter"),
        (Exchange(path=f"{PULLS}?per_page=500"), "1 to 100"),
        (Exchange("POST", body={"head": "a"}, status=201), '"base" is a required property'),
        (Exchange("POST", body={"head": "a", "base": "b", "titel": "c"}, status=201), "body/titel"),
        (Exchange("POST", status=201), "body: missing"),
        (Exchange("GET", f"{PULLS}/1", body={"state": "closed"}), "there should be none"),
        (Exchange(status=418), "a status that isn't described"),
        (Exchange(answer=[{"number": "1"}]), '/0/number: "1" is not of type "integer"'),
    ],
)
def test_each_breach_is_told(exchange: Exchange, told: str) -> None:
    assert any(told in text for text in contracts.violations([exchange])), contracts.violations([exchange])


async def test_every_answer_of_the_double_is_as_described() -> None:
    async with GitHubDouble() as github, aiohttp.ClientSession() as session:
        state, repo = github.state, github.repo
        pull = state.open_pull(repo, "one", head_repo=state.fork(repo, "guest"), author="dependabot[bot]")
        run, _ = state.set_check(pull, "unit", "failure"), state.add_status(pull, "old", "error")
        for log in (None, ""):
            state.set_check(pull, f"other{log}", None, log=log)
        state.add_comment(pull, "hi")
        state.add_thread(pull, "hm")
        commit = f"/repos/octo/widgets/commits/{pull.head_sha}"
        state.push(repo, "two")
        comment = {"path": "two.txt", "line": 1, "body": "why?"}
        for method, path, body, status in (
            ("GET", "/user", None, 200),
            ("GET", "/rate_limit", None, 200),
            ("GET", "/repos/octo/widgets", None, 200),
            ("GET", f"{PULLS}?state=all&sort=updated&direction=desc&per_page=1", None, 200),
            ("GET", f"{PULLS}/1", None, 200),
            ("GET", f"{PULLS}/1/reviews", None, 200),
            ("GET", "/repos/octo/widgets/issues/1/comments", None, 200),
            ("GET", f"{commit}/check-runs", None, 200),
            ("GET", f"{commit}/status", None, 200),
            ("GET", f"/repos/octo/widgets/check-runs/{run.id}", None, 200),
            ("GET", f"/repos/octo/widgets/actions/jobs/{run.id}/logs", None, 302),
            ("POST", f"/repos/octo/widgets/actions/jobs/{run.id}/rerun", None, 201),
            ("POST", f"/repos/octo/widgets/actions/runs/{run.id + 1}/rerun-failed-jobs", None, 201),
            ("POST", f"/repos/octo/widgets/check-runs/{run.id}/rerequest", None, 201),
            ("POST", PULLS, {"title": "x", "head": "two", "base": "main", "body": "b", "draft": False}, 201),
            ("POST", PULLS, {"title": "x", "head": "two", "base": "main"}, 422),
            ("POST", "/repos/octo/widgets/issues/1/comments", {"body": "hi"}, 201),
            ("POST", f"{PULLS}/2/reviews", {"event": "COMMENT", "body": "x", "comments": [comment]}, 200),
            ("POST", f"{PULLS}/2/reviews", {"event": "APPROVE"}, 422),
            ("PATCH", f"{PULLS}/1", {"state": "closed"}, 200),
            ("PUT", f"{PULLS}/2/merge", {"sha": "0" * 40}, 409),
            ("PUT", f"{PULLS}/2/merge", {"merge_method": "rebase"}, 200),
            ("PUT", f"{PULLS}/2/merge", {}, 405),
            ("GET", f"{PULLS}/2", None, 200),
            ("GET", f"{PULLS}/3", None, 404),
        ):
            sent = {"Authorization": f"Bearer {github.token}"}
            url = f"{github.url}{path}"
            async with session.request(method, url, json=body, headers=sent, allow_redirects=False) as answer:
                assert answer.status == status, (method, path, await answer.text())
        assert len(github.requests) == 25
        assert not github.breaches()


async def test_each_known_error_of_the_description_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull request whose fork is gone: right as it is at GitHub, wrong by the letter."""
    async with GitHubDouble() as github, aiohttp.ClientSession() as session:
        fork = github.state.fork(github.repo, "guest")
        github.state.open_pull(github.repo, "one", head_repo=fork)
        github.state.delete_repo(fork)
        headers = {"Authorization": f"Bearer {github.token}"}
        for path in (PULLS, f"{PULLS}/1"):
            async with session.get(github.url + path, headers=headers) as answer:
                assert answer.status == 200
        assert not github.breaches()
        for index in range(len(contracts.KNOWN_ERRORS)):
            others = contracts.KNOWN_ERRORS[:index] + contracts.KNOWN_ERRORS[index + 1 :]
            with monkeypatch.context() as patch:
                patch.setattr(contracts, "KNOWN_ERRORS", others)
                assert github.breaches(), contracts.KNOWN_ERRORS[index]


async def _once(method: str, path: str, body: Any = None) -> None:
    async with GitHubDouble() as github, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {github.token}"}
        async with session.request(method, github.url + path, json=body, headers=headers):
            pass


async def test_a_breach_fails_whoever_uses_the_double() -> None:
    with pytest.raises(AssertionError, match="no such parameter"):
        await _once("GET", f"{PULLS}?page_size=3")
    with pytest.raises(AssertionError, match="GraphQL Q: Cannot query field 'nothing'"):
        await _once("POST", "/graphql", {"query": "query Q{viewer{nothing}}", "operationName": "Q"})

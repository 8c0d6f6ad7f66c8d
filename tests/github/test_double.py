"""The double does what GitHub documents: errors, paging, prices, limits, ETags, redirects, and every scripted fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.github.double import GitHubDouble

PULLS = "/repos/octo/widgets/pulls"
REPOSITORY = '{repository(owner:"octo",name:"widgets"){…}}'
COMMENTS = (
    "query($id:ID!,$f:Int,$l:Int,$a:String,$b:String)"
    "{node(id:$id){... on PullRequest{comments(first:$f,last:$l,after:$a,before:$b){…}}}}"
)
NUMBERS = "query N($ids:[ID!]!){nodes(ids:$ids){... on PullRequest{number}} rateLimit{cost}}"


@dataclass
class Client:
    """A client that sends the double's token."""

    github: GitHubDouble
    session: aiohttp.ClientSession

    async def rest(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[aiohttp.ClientResponse, Any]:
        """One request; redirects are not followed."""
        sent = {"Authorization": f"Bearer {self.github.token}", **headers}
        url = f"{self.github.url}{path}"
        async with self.session.request(method, url, json=body, headers=sent, allow_redirects=False) as answer:
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer, await (answer.json() if is_json else answer.text())

    async def ask(self, query: str, **variables: Any) -> Any:
        """The body of a GraphQL answer."""
        _, body = await self.rest("POST", "/graphql", {"query": query, "variables": variables})
        return body


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with GitHubDouble(checked=False) as github, aiohttp.ClientSession() as session:
        yield Client(github, session)


async def test_a_field_that_github_lacks_is_refused_without_data(client: Client) -> None:
    body = await client.ask('{repository(owner:"octo",name:"widgets"){pullRequest(number:1){mergeStatus}}}')
    assert "data" not in body
    assert "mergeStatus" in body["errors"][0]["message"]


async def test_what_is_not_there_is_null_with_its_path_and_the_rest_is_answered(client: Client) -> None:
    state = client.github.state
    one, two = (state.open_pull(client.github.repo, name) for name in ("one", "two"))
    state.delete_pull(one)
    body = await client.ask(NUMBERS, ids=[one.node, two.node])
    assert body["data"]["nodes"] == [None, {"number": 2}]
    assert [(error["type"], error["path"]) for error in body["errors"]] == [("NOT_FOUND", ["nodes", 0])]
    body = await client.ask(REPOSITORY.replace("…", "a:pullRequest(number:1){id} b:pullRequest(number:2){id}"))
    assert body["data"]["repository"] == {"a": None, "b": {"id": two.node}}
    assert body["errors"][0]["path"] == ["repository", "a"]


async def test_connections_page_in_both_directions_and_insist_on_bounds(client: Client) -> None:
    pull = client.github.state.open_pull(client.github.repo, "one")
    said = [client.github.state.add_comment(pull, str(number)).body for number in range(5)]
    page = "nodes{body} totalCount pageInfo{hasNextPage hasPreviousPage startCursor endCursor}"
    query = COMMENTS.replace("…", page)

    async def window(**arguments: Any) -> Any:
        body = await client.ask(query, id=pull.node, **arguments)
        return body["errors"][0]["type"] if "errors" in body else body["data"]["node"]["comments"]

    first = await window(f=2)
    assert [node["body"] for node in first["nodes"]] == said[:2]
    assert first["totalCount"] == 5
    after = await window(f=9, a=first["pageInfo"]["endCursor"])
    assert [node["body"] for node in after["nodes"]] == said[2:]
    assert not after["pageInfo"]["hasNextPage"]
    last = await window(l=2)
    assert [node["body"] for node in last["nodes"]] == said[3:]
    before = await window(l=2, b=last["pageInfo"]["startCursor"])
    assert [node["body"] for node in before["nodes"]] == said[1:3]
    assert before["pageInfo"]["hasPreviousPage"]
    assert await window() == "MISSING_PAGINATION_BOUNDARIES"
    assert await window(f=101) == "EXCESSIVE_PAGINATION"


async def test_the_price_follows_githubs_own_example(client: Client) -> None:
    """Its page on rate limits: 100 + 100 × 50 + 100 × 50 × 60 items; 1 + 100 + 5,000 requests are 51 points."""
    shape = REPOSITORY.replace("…", "pullRequests(first:100){nodes{reviews(first:50){nodes{comments(first:60){…}}}}}")
    shape = shape.replace("…", "nodes{id}")[1:-1]
    body = await client.ask(f"{{rateLimit{{cost nodeCount remaining}} {shape}}}")
    assert body["data"]["rateLimit"] == {"cost": 51, "nodeCount": 305_100, "remaining": 4949}
    assert client.github.points == 51
    dearer = shape.replace("60", "100")
    assert (await client.ask(f"{{{dearer}}}"))["errors"][0]["type"] == "MAX_NODE_LIMIT_EXCEEDED"


async def test_used_up_graphql_points_leave_rest_alone_and_come_back_after_the_hour(client: Client) -> None:
    pull = client.github.state.open_pull(client.github.repo, "one")
    client.github.graphql.use_up()
    answer, body = await client.rest("POST", "/graphql", {"query": NUMBERS, "variables": {"ids": [pull.node]}})
    assert body["errors"][0]["type"] == "RATE_LIMITED"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert (await client.rest("GET", PULLS))[0].status == 200
    client.github.state.skew_s = 3601
    assert "errors" not in await client.ask(NUMBERS, ids=[pull.node])


async def test_an_unchanged_answer_is_304_and_free(client: Client) -> None:
    pull = client.github.state.open_pull(client.github.repo, "one")
    answer, _ = await client.rest("GET", PULLS)
    used = client.github.core.used
    again, _ = await client.rest("GET", PULLS, **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, client.github.core.used) == (304, used)
    client.github.state.add_comment(pull, "hm")
    client.github.state.skew_s = 5
    client.github.state.touch(pull)
    changed, _ = await client.rest("GET", PULLS, **{"If-None-Match": answer.headers["ETag"]})
    assert (changed.status, client.github.core.used) == (200, used + 1)


async def test_lists_are_paged_by_links_that_lead_through_all_of_them(client: Client) -> None:
    for number in range(5):
        client.github.state.open_pull(client.github.repo, f"b{number}")
    seen: list[int] = []
    url: str | None = f"{PULLS}?per_page=2&sort=updated&direction=desc"
    while url:
        answer, body = await client.rest("GET", url)
        seen += [pull["number"] for pull in body]
        following = answer.links.get("next")
        url = str(following["url"]).removeprefix(client.github.url) if following else None
    assert seen == [5, 4, 3, 2, 1]


async def test_a_renamed_repository_redirects_to_its_number(client: Client) -> None:
    client.github.state.open_pull(client.github.repo, "one")
    client.github.state.rename_repo(client.github.repo, "octo/gadgets")
    answer, _ = await client.rest("GET", f"{PULLS}?state=all")
    assert answer.status == 301
    moved = answer.headers["Location"].removeprefix(client.github.url)
    _, body = await client.rest("GET", moved)
    assert body[0]["base"]["repo"]["full_name"] == "octo/gadgets"
    found = await client.ask('{repository(owner:"octo",name:"widgets"){nameWithOwner}}')
    assert found["data"]["repository"]["nameWithOwner"] == "octo/gadgets"


async def test_logs_lie_elsewhere_and_refuse_credentials(client: Client) -> None:
    pull = client.github.state.open_pull(client.github.repo, "one")
    run = client.github.state.set_check(pull, "unit", "failure", log="boom\n")
    answer, _ = await client.rest("GET", f"/repos/octo/widgets/actions/jobs/{run.id}/logs")
    assert answer.status == 302
    async with client.session.get(answer.headers["Location"]) as plain:
        assert await plain.text() == "boom\n"
    async with client.session.get(answer.headers["Location"], headers={"Authorization": "Bearer x"}) as refused:
        assert refused.status == 400
    outside = client.github.state.set_check(pull, "lint", "failure", log=None)
    assert (await client.rest("GET", f"/repos/octo/widgets/actions/jobs/{outside.id}/logs"))[0].status == 404


async def test_creating_refuses_what_github_refuses(client: Client) -> None:
    github = client.github
    github.state.push(github.repo, "one")
    github.repo.branches["same"] = github.repo.branches["main"]
    body = {"title": "x", "head": "one", "base": "main"}
    assert (await client.rest("POST", PULLS, body))[0].status == 201
    for wrong, told in (
        (body, "A pull request already exists for octo:one."),
        ({**body, "head": "same"}, "No commits between main and same"),
    ):
        answer, refused = await client.rest("POST", PULLS, wrong)
        assert (answer.status, refused["errors"][0]["message"]) == (422, told)
    answer, refused = await client.rest("POST", PULLS, {**body, "head": "nowhere"})
    assert (answer.status, refused["errors"][0]["field"]) == (422, "head")


async def test_merging_is_guarded_by_head_protection_and_conflicts(client: Client) -> None:
    github = client.github
    github.repo.required_checks = ("unit",)
    pull = github.state.open_pull(github.repo, "one")
    url = f"{PULLS}/{pull.number}/merge"
    assert (await client.rest("PUT", url, {"sha": "0" * 40}))[0].status == 409
    assert (await client.rest("PUT", url, {"sha": pull.head_sha}))[0].status == 405
    github.state.set_check(pull, "unit")
    other = github.state.open_pull(github.repo, "two")
    github.state.push(github.repo, "two", {"one.txt": "mine\n"})
    answer, merged = await client.rest("PUT", url, {"sha": pull.head_sha, "merge_method": "squash"})
    assert (answer.status, merged["sha"]) == (200, github.repo.branches["main"])
    github.state.set_check(other, "unit")
    assert (await client.rest("GET", f"{PULLS}/{other.number}"))[1]["mergeable_state"] == "dirty"
    assert (await client.rest("PUT", f"{PULLS}/{other.number}/merge", {}))[0].status == 405


async def test_a_review_with_a_comment_beside_the_diff_is_refused_whole(client: Client) -> None:
    github = client.github
    pull = github.state.open_pull(github.repo, "one", author="worker")
    inside = {"path": "one.txt", "line": 1, "body": "why?"}
    body = {"event": "REQUEST_CHANGES", "body": "no", "comments": [inside, {**inside, "line": 99}]}
    assert (await client.rest("POST", f"{PULLS}/1/reviews", body))[0].status == 422
    assert not pull.reviews
    assert (await client.rest("POST", f"{PULLS}/1/reviews", {**body, "comments": [inside]}))[0].status == 200
    assert [(thread.path, thread.line) for thread in pull.threads] == [("one.txt", 1)]
    thread = "mutation($i:ID!){resolveReviewThread(input:{threadId:$i}){thread{isResolved}}}"
    before = pull.updated_at
    github.state.skew_s = 9
    assert "errors" not in await client.ask(thread, i=pull.threads[0].node)
    assert (pull.threads[0].resolved_by, pull.updated_at) == (github.state.viewer, before)


async def test_a_wrong_token_is_401_on_both_ways_in(client: Client) -> None:
    for method, path in (("GET", PULLS), ("POST", "/graphql")):
        answer, body = await client.rest(method, path, Authorization="Bearer other")
        assert (answer.status, body["message"]) == (401, "Bad credentials")


async def test_every_fault_strikes_as_often_as_it_was_told(client: Client) -> None:
    client.github.fail("status", code=503, where="GET /repos")
    assert (await client.rest("GET", "/user"))[0].status == 200
    assert (await client.rest("GET", PULLS))[0].status == 503
    client.github.fail("secondary", retry_after_s=7)
    limited, _ = await client.rest("GET", PULLS)
    assert (limited.status, limited.headers["Retry-After"]) == (403, "7")
    client.github.fail("not_json")
    assert "text/html" in (await client.rest("GET", PULLS))[0].headers["Content-Type"]
    client.github.fail("truncated")
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.rest("GET", PULLS)
    client.github.fail("reset")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.rest("POST", PULLS, {})
    client.github.fail("hang")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.rest("GET", PULLS)
    assert (await client.rest("GET", PULLS))[0].status == 200
    kinds = [request.fault for request in client.github.requests if request.fault]
    assert kinds == ["status", "secondary", "not_json", "truncated", "reset", "hang"]


async def test_a_clock_that_is_wrong_shows_in_dates_and_times(client: Client) -> None:
    client.github.state.skew_s = -7200
    pull = client.github.state.open_pull(client.github.repo, "one")
    answer, body = await client.rest("GET", f"{PULLS}/{pull.number}")
    shown = aiohttp.web.Response(headers={"Last-Modified": answer.headers["Date"]}).last_modified
    assert shown is not None
    assert int(shown.timestamp()) == int(client.github.state.now())
    assert body["updated_at"] == shown.strftime("%Y-%m-%dT%H:%M:%SZ")

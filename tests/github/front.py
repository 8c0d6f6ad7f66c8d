"""`emulate` with the one way in that it lacks: REST goes on to it, GraphQL is answered by our schema over what its REST
shows at that moment. Threads it has none, so there are none here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.github import execution
from tests.github.budget import Budget
from tests.github.emulator import Emulator
from tests.github.records import CheckRun, Pull, Remark, Repo, Review
from tests.github.schema import answering_schema
from tests.github.state import State

Json = dict[str, Any]
_PASSED_ON = ("Authorization", "Accept", "If-None-Match", "Content-Type", "X-GitHub-Api-Version")


class Front:
    """A server before a running emulator; `url` is what `GITHUB_API_URL` takes, `forwarded` counts what went on."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""
        self.forwarded = 0

    async def __aenter__(self) -> Self:
        answering_schema()
        app = web.Application()
        app.router.add_post("/graphql", self._graphql)
        app.router.add_route("*", "/{tail:.*}", self._forward)
        self._session = aiohttp.ClientSession(auto_decompress=True)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: web.Request) -> web.Response:
        assert self._session is not None
        self.forwarded += 1
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url, body = f"{self._emulator.url}{request.path_qs}", await request.read()
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() in ("content-type", "link", "location") or name.lower().startswith("x-ratelimit")
            }
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)

    async def _graphql(self, request: web.Request) -> web.Response:
        login = (await self._emulator.call("GET", "/user", token=request.headers["Authorization"].split(" ")[1]))[
            "login"
        ]
        state = await self._state(login)
        body, _ = execution.answer(state, Budget("graphql", state.now), await request.json())
        return web.json_response(body)

    async def _state(self, viewer: str) -> State:
        """The double's state as the emulator's REST tells it."""
        state = State(viewer=viewer)
        repo = state.add_repo(self._emulator.repo)
        repo.required_checks = ("unit",)
        base = f"/repos/{repo.full_name}"
        for item in await self._emulator.call("GET", f"{base}/pulls?state=all&per_page=100"):
            full = await self._emulator.call("GET", f"{base}/pulls/{item['number']}")
            pull = _pull(state, repo, full)
            for run in (await self._emulator.call("GET", f"{base}/commits/{pull.head_sha}/check-runs"))["check_runs"]:
                made = CheckRun(
                    run["id"], pull.head_sha, run["name"], run["status"], run["conclusion"], _time(run["started_at"])
                )
                repo.runs.setdefault(pull.head_sha, []).append(state.keep(made))
            for said in await self._emulator.call("GET", f"{base}/issues/{pull.number}/comments"):
                author = state.user(said["user"]["login"])
                remark = Remark(said["id"], pull, author, said["body"], _time(said["created_at"]))
                pull.remarks.append(state.keep(remark))
            for given in await self._emulator.call("GET", f"{base}/pulls/{pull.number}/reviews"):
                author = state.user(given["user"]["login"])
                at = _time(given["submitted_at"])
                review = Review(given["id"], pull, author, given["state"], given["body"] or "", given["commit_id"], at)
                pull.reviews.append(state.keep(review))
        return state


def _pull(state: State, repo: Repo, item: Json) -> Pull:
    """A pull request between commits without content: the emulator shows no changes of branches made by its git API."""
    base, head = item["base"]["sha"], item["head"]["sha"]
    state.graph.learn(repo, (), {}, "base", at=0.0, sha=base)
    state.graph.learn(repo, (base,), {}, "head", at=0.0, sha=head)
    if item["merge_commit_sha"]:
        state.graph.learn(repo, (base,), {}, "merge", at=0.0, sha=item["merge_commit_sha"])
    pull = Pull(
        id=item["id"], repo=repo, number=item["number"], title=item["title"], body=item["body"],
        author=state.user(item["user"]["login"]), head_repo=repo, head_branch=item["head"]["ref"],
        base_branch=item["base"]["ref"], head_sha=head, base_sha=base, created_at=_time(item["created_at"]),
        updated_at=_time(item["updated_at"]), draft=item["draft"], state=item["state"],
        merge_sha=item["merge_commit_sha"],
    )  # fmt: skip
    pull.closed_at = _time(item["closed_at"]) if item["closed_at"] else None
    pull.merged_at = _time(item["merged_at"]) if item["merged_at"] else None
    repo.pulls[pull.number] = pull
    state.nodes[item["node_id"]] = pull
    return state.keep(pull)


def _time(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

"""The server: GitHub's REST and GraphQL on a loopback port, over a state that tests change.

`async with GitHubDouble() as github:` starts it; `github.url` is what `GITHUB_API_URL` takes (GraphQL is at `/graphql`
below it; below `/api/v3` and at `/api/graphql` it answers as an Enterprise server), `github.token` is the one token it
knows. `github.state` is GitHub itself, `github.requests` what was asked, `github.fail(…)` breaks the next requests.
What a client does against GitHub's published interface fails the test at the end, unless `checked` is False.
Logs of jobs lie behind a redirect on another port, which refuses a request that carries credentials, as GitHub's
storage does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Self

from aiohttp import web

from tests.github import contracts, execution, faults, rest
from tests.github.budget import Budget
from tests.github.faults import Fault, Kind
from tests.github.records import CheckRun
from tests.github.rendering import viewer
from tests.github.schema import answering_schema
from tests.github.state import RefusedError, State

Json = dict[str, Any]
_WRONG = ("MISSING_PAGINATION_BOUNDARIES", "EXCESSIVE_PAGINATION", "NOT_IN_THE_DOUBLE", "MAX_NODE_LIMIT_EXCEEDED")


@dataclass(frozen=True)
class Request:
    """One request as it was answered. `kind` is rest, graphql or log; `points` is what it took from its budget;
    `fault` the kind of what befell it, "" for nothing. `text` is the answer where that is JSON."""

    method: str
    path: str
    kind: str
    status: int
    points: int
    body: Any = None
    text: str = ""
    operation: str = ""
    fault: str = ""
    credentials: bool = True

    @property
    def answer(self) -> Any:
        """The decoded answer, None where it isn't JSON."""
        return json.loads(self.text) if self.text else None


class GitHubDouble:
    """The double. One repository `octo/widgets` is there from the start, as `github.repo`."""

    def __init__(
        self, *, clock: Callable[[], float] | None = None, latency_s: float = 0.0, checked: bool = True
    ) -> None:
        self.state = State(clock=clock) if clock else State()
        self.repo = self.state.add_repo("octo/widgets")
        self.token = "ghp_" + "d0ub1e" * 6
        self.latency_s = latency_s
        self.core = Budget("core", self.state.now)
        self.graphql = Budget("graphql", self.state.now)
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.checked = checked
        self.before: Callable[[], None] = lambda: None
        self.url = ""
        self.logs_url = ""
        self._closing = asyncio.Event()
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> Self:
        # Built now, the schema delays no request.
        answering_schema()
        self.logs_url = await self._serve(self._log) + "/storage"
        self.url = await self._serve(self._handle)
        return self

    async def __aexit__(self, error: object, *_where: object) -> None:
        self._closing.set()
        for runner in self._runners:
            await runner.cleanup()
        if self.checked and error is None and (breaches := self.breaches()):
            raise AssertionError("not as GitHub publishes it:\n" + "\n".join(breaches))

    async def _serve(self, handler: Callable[[web.Request], Any]) -> str:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    # What tests say and ask.

    def fail(
        self,
        kind: Kind,
        *,
        times: int | None = 1,
        where: str = "",
        code: int = 502,
        body: object = None,
        retry_after_s: int = 30,
    ) -> Fault:
        """Break the next `times` requests (None: all from now on) whose "METHOD path operation" contains `where`."""
        fault = Fault(
            kind=kind, times=times, code=code, body=body, retry_after_s=retry_after_s,
            when=lambda *words: where in " ".join(words),
        )  # fmt: skip
        self.faults.append(fault)
        return fault

    def mend(self) -> None:
        """No faults from now on."""
        self.faults.clear()

    @property
    def points(self) -> int:
        """GraphQL points taken since the last `forget_requests`."""
        return sum(request.points for request in self.requests if request.kind == "graphql")

    def forget_requests(self) -> None:
        """Count anew."""
        self.requests.clear()

    def breaches(self) -> list[str]:
        """Where requests or answers differ from what GitHub publishes; those that a fault struck don't count."""
        sound = [request for request in self.requests if not request.fault]
        found = contracts.violations(request for request in sound if request.kind == "rest")
        for request in sound:
            errors = request.answer.get("errors", ()) if request.kind == "graphql" else ()
            refused = [error["message"] for error in errors if "data" not in request.answer and "type" not in error]
            wrong = [error["message"] for error in errors if error.get("type") in _WRONG]
            found += [f"GraphQL {request.operation}: {message}" for message in (*refused, *wrong)]
        return found

    # Serving.

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        self.before()
        asked = _decoded(text)
        path = request.path.removeprefix("/api/v3") if request.path != "/api/graphql" else "/graphql"
        kind = "graphql" if path == "/graphql" else "rest"
        operation = str(asked.get("operationName") or "") if kind == "graphql" else ""
        fault = next((fault for fault in self.faults if fault.strikes(request.method, path, operation)), None)
        before = self.graphql.used + self.core.used
        if fault is None or fault.kind == "truncated":
            response = self._answer(request, path, asked)
        else:
            response = faults.reply(fault)
        shown = response.text if response.content_type == "application/json" else None
        self.requests.append(
            Request(
                method=request.method,
                path=path + (f"?{request.query_string}" if request.query_string else ""),
                kind=kind,
                status=response.status,
                points=max(0, self.graphql.used + self.core.used - before),
                body=asked or None,
                text=shown or "",
                operation=operation,
                fault=fault.kind if fault else "",
                credentials="Authorization" in request.headers,
            )
        )
        return response if fault is None else await self._strike(request, fault, response)

    async def _strike(self, request: web.Request, fault: Fault, response: web.Response) -> web.StreamResponse:
        if fault.kind == "hang":
            await self._closing.wait()
        if fault.kind in ("hang", "reset"):
            faults.reset(request)
        if fault.kind == "truncated":
            return await faults.truncate(request, response)
        return response

    def _answer(self, request: web.Request, path: str, asked: Json) -> web.Response:
        """Credentials first, then the budget, then the route; every answer carries GitHub's clock and limits."""
        budget = self.graphql if path == "/graphql" else self.core
        budget.renew()
        given = request.headers.get("Authorization", "").partition(" ")[2]
        if given != self.token:
            reply = _refusal(RefusedError(401, "Bad credentials" if given else "Requires authentication"))
        elif path == "/graphql":
            reply = self._graphql(request, asked)
        else:
            reply = self._rest(request, path, asked)
        headers = {
            "Date": formatdate(self.state.now(), usegmt=True),
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-OAuth-Scopes": "repo, workflow",
            **budget.headers,
            **reply.headers,
        }
        if reply.text is not None:
            return web.Response(text=reply.text, status=reply.status, headers=headers)
        if reply.body is None:
            return web.Response(status=reply.status, headers=headers)
        return web.json_response(reply.body, status=reply.status, headers=headers)

    def _graphql(self, request: web.Request, asked: Json) -> rest.Reply:
        if request.method != "POST":
            return _refusal(RefusedError(404, "Not Found"))
        if not asked.get("query"):
            return _refusal(RefusedError(400, "A query attribute must be specified and must be a string."))
        body, _ = execution.answer(self.state, self.graphql, asked)
        return rest.Reply(body=body)

    def _rest(self, request: web.Request, path: str, asked: Json) -> rest.Reply:
        if path == "/rate_limit":
            numbers = {"core": self.core.numbers, "search": self.core.numbers, "graphql": self.graphql.numbers}
            return rest.Reply(body={"resources": numbers, "rate": self.core.numbers})
        try:
            reply = self._routed(request, path, asked)
        except RefusedError as refused:
            reply = _refusal(refused)
        if request.method == "GET" and reply.status == 200 and reply.text is None:
            tag = f'W/"{hashlib.sha256(json.dumps(reply.body).encode()).hexdigest()}"'
            reply.headers["ETag"] = tag
            if tag in request.headers.get("If-None-Match", ""):
                return rest.Reply(304, headers={"ETag": tag})
        if not self.core.take(1):
            return _refusal(RefusedError(403, f"API rate limit exceeded for user ID {self.state.viewer.id}."))
        return reply

    def _routed(self, request: web.Request, path: str, asked: Json) -> rest.Reply:
        if self.core.remaining < 1 and request.method != "GET":
            raise RefusedError(403, f"API rate limit exceeded for user ID {self.state.viewer.id}.")
        if path == "/user" and request.method == "GET":
            return rest.Reply(body=viewer(self.state.viewer))
        root = self.url + ("/api/v3" if request.path.startswith("/api/v3") else "")
        accept = request.headers.get("Accept", "")
        call = rest.Call(self.state, root, self.logs_url, path, dict(request.query), asked, accept)
        return rest.answer(call, request.method)

    async def _log(self, request: web.Request) -> web.Response:
        """The storage that logs lie in."""
        credentials = "Authorization" in request.headers
        run_id = request.path.rpartition("/")[2]
        runs = (run for run in self.state.nodes.values() if isinstance(run, CheckRun))
        found = next((run for run in runs if str(run.id) == run_id), None)
        status = 400 if credentials else 404 if found is None or found.log is None else 200
        self.requests.append(Request(request.method, request.path, "log", status, 0, credentials=credentials))
        if found is None or found.log is None or credentials:
            return web.Response(status=status, text="InvalidAuthenticationInfo" if credentials else "BlobNotFound")
        return web.Response(text=found.log)


def _decoded(text: str) -> Json:
    try:
        body = json.loads(text) if text else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _refusal(refused: RefusedError) -> rest.Reply:
    body: Json = {
        "message": refused.message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(refused.status),
    }
    if refused.errors is not None:
        body["errors"] = refused.errors
    return rest.Reply(refused.status, body)

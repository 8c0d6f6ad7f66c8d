"""Requests to GitHub: addresses, credentials, rate limits, and what answers mean.

Every call may raise `AoError` SCM_UNAVAILABLE or SCM_RATE_LIMITED; a REST call also `RefusedError` for the statuses
that are about the thing asked for. While a budget is paused nothing is sent: the call fails at once. The token goes to
the API of its own host only: what GitHub redirects elsewhere is fetched without it.
"""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from ao.forges.credentials import Credentials
from ao.forges.github import limits
from ao.forges.github.refusals import (
    RefusedError,
    forbidden,
    no_credentials,
    rate_limited,
    said_of,
    unavailable,
    whole,
)
from ao.forges.github.repository import api_url, graphql_url
from ao.forges.github.transport import Keep, Raw, Request, Transport
from ao.model.errors import AoError

JSON_TYPE: Final = "application/vnd.github+json"
API_VERSION: Final = "2022-11-28"
REMEMBERED: Final = 512
REMEMBERED_BYTES: Final = 64 << 10
"""Larger answers are not kept for the sake of an ETag."""
_ABOUT_THE_THING: Final = frozenset({404, 405, 406, 409, 410, 422})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NEXT: Final = re.compile(r'rel="next"')
_DENIED: Final = ("FORBIDDEN", "INSUFFICIENT_SCOPES")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the REST API. `at` is GitHub's clock in milliseconds; `more`: there is another page."""

    status: int
    data: Any = None
    etag: str = ""
    at: int = 0
    more: bool = False


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the GraphQL API; `errors` tell which parts of `data` are missing, and why."""

    data: dict[str, Any]
    errors: tuple[dict[str, Any], ...] = ()
    at: int = 0


class Client:
    """The one way to GitHub. `now` gives milliseconds."""

    def __init__(self, credentials: Credentials, environ: Mapping[str, str], *, now: Callable[[], int]) -> None:
        self._credentials = credentials
        self._environ = environ
        self._now = now
        self._transport = Transport(environ)
        self._paces: dict[tuple[str, str], tuple[str, limits.Pace]] = {}
        self._remembered: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._queries = ""

    async def shut(self) -> None:
        """Close connections; idempotent."""
        await self._transport.shut()

    def forget(self, path: str) -> None:
        """Don't rely on what was remembered of addresses below `path`."""
        for url in [url for url in self._remembered if f"{path}/".lower() in f"{url}/".lower()]:
            del self._remembered[url]

    async def get(
        self,
        host: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        etag: str | None = None,
        spare: bool = False,
    ) -> Answer:
        """GET some JSON. With `etag` (may be "") the answer may be 304, without data; with None an unchanged one comes
        from memory. `spare`: leave the reserve of the budget to others."""
        url = api_url(host, self._environ) + path + (f"?{urlencode(query)}" if query else "")
        known = self._remembered.get(url) if etag is None else None
        tag = known[0] if known is not None else etag
        request = Request(method="GET", url=url, host=host, again=True, headers=_if_changed(tag))
        raw = await self._rest(host, request, spare=spare)
        if raw.status == 304 and known is not None:
            body, tag = known[1], known[0]
        else:
            body, tag = raw.body, raw.headers.get("ETag", "")
            if etag is None:
                self._remember(url, tag, body)
        return Answer(
            status=200 if known is not None else raw.status,
            data=_decoded(host, body) if body else None,
            etag=tag,
            at=limits.told_at(raw.headers, now=self._now()),
            more=_NEXT.search(raw.headers.get("Link", "")) is not None,
        )

    async def send(self, method: str, host: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST, PATCH or PUT some JSON; the decoded answer, None for an empty one."""
        url = api_url(host, self._environ) + path
        data = msgspec.json.encode(body) if body is not None else None
        raw = await self._rest(host, Request(method=method, url=url, host=host, data=data))
        return _decoded(host, raw.body) if raw.body else None

    async def text(self, host: str, path: str, *, accept: str = JSON_TYPE, keep: Keep) -> str:
        """GET a text, cut to what is to be kept. A redirect to another place is followed without credentials."""
        url = api_url(host, self._environ) + path
        request = Request(method="GET", url=url, host=host, headers={"Accept": accept}, keep=keep, again=True)
        return (await self._rest(host, request)).body.decode("utf-8", "replace")

    async def query(self, host: str, operation: str, variables: Mapping[str, Any], *, spare: bool = False) -> Results:
        """Ask with one of the operations of `queries.graphql`. `spare`: leave the reserve of the budget to others.
        Raises `WholeError` when there is no data at all."""
        return await self._graphql(host, operation, variables, again=True, spare=spare)

    async def mutate(self, host: str, operation: str, variables: Mapping[str, Any]) -> Results:
        """Change something with one of the operations of `queries.graphql`."""
        return await self._graphql(host, operation, variables, again=False, spare=False)

    async def _graphql(
        self, host: str, operation: str, variables: Mapping[str, Any], *, again: bool, spare: bool
    ) -> Results:
        if not self._queries:
            self._queries = resources.files("ao.forges.github").joinpath("queries.graphql").read_text("utf-8")
        data = msgspec.json.encode({"query": self._queries, "operationName": operation, "variables": variables})
        url = graphql_url(host, self._environ)
        request = Request(method="POST", url=url, host=host, data=data, again=again)
        raw = await self._asked(request, "graphql", spare=spare)
        if raw.status != 200:
            raise _failed(host, raw)
        answer = _decoded(host, raw.body)
        if not isinstance(answer, dict):
            raise unavailable(host, f"the answer to {operation} is no object")
        errors = tuple(error for error in answer.get("errors") or () if isinstance(error, dict))
        data_part = answer.get("data")
        if not isinstance(data_part, dict):
            said = said_of({"errors": list(errors)}) or "an answer without data"
            if any(error.get("type") in _DENIED for error in errors):
                raise forbidden(host, raw.headers, said)
            raise whole(host, said)
        return Results(data=data_part, errors=errors, at=limits.told_at(raw.headers, now=self._now()))

    async def _rest(self, host: str, request: Request, *, spare: bool = False) -> Raw:
        raw = await self._asked(request, "core", spare=spare)
        if raw.status in _REDIRECTS:
            raw = await self._followed(request, urljoin(request.url, raw.headers.get("Location", "")))
        if raw.status in _ABOUT_THE_THING:
            raise RefusedError(raw.status, _attempted(raw.body))
        if raw.status != 304 and not 200 <= raw.status < 300:
            raise _failed(host, raw)
        return raw

    async def _followed(self, request: Request, target: str) -> Raw:
        """Follow once: a renamed repository's address is on the same host, a log lies elsewhere."""
        if urlsplit(target)[:2] == urlsplit(request.url)[:2]:
            return await self._asked(msgspec.structs.replace(request, url=target), "core")
        if request.keep is None:
            raise unavailable(request.host, "it redirects to another host, which is not followed")
        return await self._transport.send(msgspec.structs.replace(request, url=target, headers={}))

    async def _asked(self, request: Request, resource: str, *, spare: bool = False) -> Raw:
        """One request with credentials, at a pace that the host allows."""
        token = await self._credentials.token(request.host)
        if not token:
            raise no_credentials(request.host, refused=self._credentials.was_refused(request.host))
        self._check(request.host, resource, self._pace(request.host, resource, token), spare=spare)
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": JSON_TYPE,
            "X-GitHub-Api-Version": API_VERSION,
            **({"Content-Type": "application/json"} if request.data is not None else {}),
            **request.headers,
        }
        raw = await self._transport.send(msgspec.structs.replace(request, headers=headers))
        self._judge(request.host, resource, token, raw)
        return raw

    def _judge(self, host: str, resource: str, token: str, raw: Raw) -> None:
        """Note what an answer says of the budget; raise when it refuses us, whatever was asked for."""
        said = "" if resource == "core" and raw.status < 400 else _message(raw.body)
        signs = limits.signs_of(raw.status, raw.headers, said, now=self._now())
        pace = self._pace(host, resource, token)
        spread = random.random()  # noqa: S311 (no secret)
        pace = limits.after(pace, signs, now=self._now(), spread=spread)
        self._paces[host, resource] = (token, pace)
        if signs.limited:
            self._check(host, resource, pace, spare=False)
        if raw.status == 401:
            self._credentials.refuse(host, token)
            raise no_credentials(host, refused=True)
        if raw.status == 403:
            raise forbidden(host, raw.headers, said)

    def _check(self, host: str, resource: str, pace: limits.Pace, *, spare: bool) -> None:
        """Raises `SCM_RATE_LIMITED` while nothing may be asked."""
        now = self._now()
        if pause := limits.wait(pace, now=now, reserve=spare):
            raise rate_limited(host, resource, wait_ms=pause, spent=limits.is_spent(pace, now=now))

    def _pace(self, host: str, resource: str, token: str) -> limits.Pace:
        """What is known of a budget; another token has another one."""
        known = self._paces.get((host, resource))
        return known[1] if known is not None and known[0] == token else limits.Pace()

    def _remember(self, url: str, tag: str, body: bytes) -> None:
        if not tag or len(body) > REMEMBERED_BYTES:
            return
        self._remembered[url] = (tag, body)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


def _if_changed(tag: str | None) -> dict[str, str]:
    return {"If-None-Match": tag} if tag else {}


def _failed(host: str, raw: Raw) -> AoError:
    return whole(host, f"HTTP {raw.status} {said_of(_attempted(raw.body))}".strip(), status=raw.status)


def _decoded(host: str, body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unavailable(host, "the answer is no JSON") from error


def _attempted(body: bytes) -> Any:
    """The JSON of a body that may be anything: what stands in front of GitHub answers with pages."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _message(body: bytes) -> str:
    """What a refusal says. A GraphQL answer says it in its errors while its status is 200."""
    if b'"errors"' not in body and b'"message"' not in body:
        return ""
    data = _attempted(body)
    if not isinstance(data, dict) or ("data" in data and data["data"] is not None):
        return ""
    return said_of(data)

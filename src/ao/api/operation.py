"""An operation: one row of the route table. What it accepts, answers and refuses is data; the code is a short handler.

The same rows drive routing, decoding, authorisation and the OpenAPI document, so none of them can drift.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from ao.api.access import Access, Caller, Scope
from ao.api.board import Board
from ao.api.inputs import Input, NoBody, NoQuery
from ao.api.streams import Source, Streams
from ao.api.wire import Output
from ao.config import Config
from ao.engine.engine import Engine
from ao.feed import Feed
from ao.model.errors import AoError

B = TypeVar("B", bound=Input)
Q = TypeVar("Q", bound=Input)

PREFIX: Final = "/api/v1"
_ANY: Final = "{}"
"""Stands for a last segment that is a parameter; a request's own "{}" merely finds the same patterns twice."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that says more than its body. `body` is a struct to encode, or bytes that are encoded already."""

    body: Output | bytes
    status: int = 200
    headers: Mapping[str, str] = {}


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """An answer without end: what its source has, as soon as it is there."""

    source: Source
    headers: Mapping[str, str]


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """What handlers work with. `stop` asks the daemon to stop, once the answer is sent."""

    engine: Engine
    feed: Feed
    config: Config
    access: Access
    board: Board
    streams: Streams
    stop: Callable[[], None]
    describe: Callable[[], bytes]
    """The OpenAPI document."""
    boot_id: str
    """The machine's boot, so that reports received here and those of `ao hooks` share one sequence."""


class Call(Generic[B, Q]):
    """One request, decoded and authorised."""

    __slots__ = ("api", "body", "caller", "headers", "params", "query", "raw")

    def __init__(
        self, api: Api, caller: Caller, *, params: Mapping[str, str], headers: Mapping[str, str], body: B, query: Q
    ) -> None:
        self.raw = b""
        """The body as it came, for what is signed."""
        self.api = api
        self.caller = caller
        self.params = params
        self.headers = headers
        self.body = body
        self.query = query

    @property
    def engine(self) -> Engine:
        """The use cases."""
        return self.api.engine

    @property
    def session_id(self) -> str:
        """The session in the path, "" when there is none."""
        return self.params.get("sessionId", "")

    def within(self, project: str | None) -> str | None:
        """`project` as far as the caller may see it: its own when it named none. Raises `FORBIDDEN` for another."""
        own = self.caller.project
        if own is None or project in (own, None):
            return project if own is None else own
        raise AoError("FORBIDDEN", f"project {project!r} is not the caller's", hint=f"name project {own!r}, or none")


Answer = Output | Reply | Stream
Handler = Callable[[Call[Any, Any]], Answer | Awaitable[Answer]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A route.

    `params` are read from `{name}` in `path`. `detached` commands run as tasks of the daemon: neither a time-out nor a
    client that leaves cancels them half-way. `stream` marks answers without end, which no time-out ends.
    `project` tells, from parameters and body, which project is called about.
    """

    id: str
    method: str
    path: str
    handler: Handler
    answers: Mapping[int, type[Output]]
    summary: str
    tag: str
    scope: Scope
    body: type[Input] = NoBody
    query: type[Input] = NoQuery
    errors: tuple[str, ...] = ()
    detached: bool = False
    stream: bool = False
    raw_json: bool = False
    """The answer is a JSON document that isn't one of our types."""
    text: bool = False
    """Also answers with lines of text, when the query says `format=text`."""
    body_limit: int = 1 << 20
    """Bytes."""
    idempotent: bool = False
    """Takes an `Idempotency-Key` header."""
    tagged: bool = False
    """Carries an entity tag, so that an unchanged answer is 304 without a body."""
    target: str = "sessionId"
    """The parameter that names the session called about."""
    project: Callable[[Mapping[str, str], Any], str] | None = None

    @property
    def reads_body(self) -> bool:
        """Whether requests of this method have a body at all."""
        return self.method not in ("GET", "HEAD")


class Routes:
    """Finds the operation of a path: first the literal paths, then those with parameters.

    The latter are kept by number of segments and last literal segment, so that few are compared segment by segment.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._literal: dict[str, dict[str, Operation]] = {}
        self._patterns: dict[tuple[int, str], list[tuple[tuple[str, ...], dict[str, Operation]]]] = {}
        for operation in operations:
            self._methods_at(operation.path)[operation.method] = operation

    def _methods_at(self, path: str) -> dict[str, Operation]:
        if "{" not in path:
            return self._literal.setdefault(path, {})
        segments = tuple(path.split("/"))
        last = _ANY if segments[-1].startswith("{") else segments[-1]
        known = self._patterns.setdefault((len(segments), last), [])
        for pattern, methods in known:
            if pattern == segments:
                return methods
        known.append((segments, {}))
        return known[-1][1]

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """The operation and its parameters. Raises `ROUTE_NOT_FOUND`, or `METHOD_NOT_ALLOWED` with `details.allow`."""
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        for methods, params in self._matches(path):
            if wanted in methods:
                return methods[wanted], params
            allowed |= set(methods)
        if not allowed:
            raise AoError("ROUTE_NOT_FOUND", f"{method} {path[:200]} has no handler")
        if "GET" in allowed:
            allowed.add("HEAD")
        names = sorted(allowed)
        raise AoError(
            "METHOD_NOT_ALLOWED",
            f"{path[:200]} doesn't know {method}",
            hint=f"use {' or '.join(names)}",
            details={"allow": names},
        )

    def _matches(self, path: str) -> Iterable[tuple[dict[str, Operation], dict[str, str]]]:
        literal = self._literal.get(path)
        if literal is not None:
            yield literal, {}
        segments = path.split("/")
        for last in (segments[-1], _ANY):
            for pattern, methods in self._patterns.get((len(segments), last), ()):
                params = _match(pattern, segments)
                if params is not None:
                    yield methods, params


def _match(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for wanted, given in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            if not given:
                return None
            params[wanted[1:-1]] = given
        elif wanted != given:
            return None
    return params

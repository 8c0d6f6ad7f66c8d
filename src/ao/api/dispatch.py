"""The way of every request: Host, Origin, token, route, method, type, body; then one handler; then bytes.

Every failure leaves through the same envelope. What nobody foresaw is logged once, with its cause and the request's id,
and answered with `INTERNAL_ERROR`. A command that takes too long is answered with `REQUEST_TIMEOUT` and goes on.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import os
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.http import HttpVersion10
from aiohttp.web_protocol import RequestPayloadError

from ao import log
from ao.api import refusal
from ao.api.access import COOKIE, Caller, Scope
from ao.api.body import read_body
from ao.api.connection import JSON_TYPE, Connection
from ao.api.decoding import decode_body, decode_query, split_target
from ao.api.inputs import NoBody
from ao.api.operation import PREFIX, Answer, Api, Call, Operation, Reply, Routes, Stream
from ao.model.errors import AoError

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", f"{PREFIX}/webhooks/github"})
"""No token is needed here; a webhook brings a signature of its own."""
_REQUEST_ID: Final = re.compile(r"[!-~]{1,64}")
_logger: Final = logging.getLogger("ao.api")


class Dispatcher:
    """Answers requests. `start` runs a coroutine as a task of the daemon."""

    def __init__(
        self, api: Api, operations: tuple[Operation, ...], *, start: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        self._api = api
        self._routes = Routes(operations)
        self._start = start
        self._numbers = itertools.count(1)
        self._prefix = os.urandom(4).hex()
        self._encode = msgspec.json.Encoder().encode

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; only a stop of the daemon ends it otherwise."""
        trace = log.Trace(self._request_id(request.headers.get("X-Request-Id")))
        log.trace.set(trace)
        loop = asyncio.get_running_loop()
        began = loop.time()
        path, query = split_target(refusal.printable(request.raw_path))
        try:
            response = await self._answer(request, path, query, trace)
        except AoError as error:
            response = self._refuse(request, path, error, trace)
        except (ConnectionError, RequestPayloadError):
            response = self._refuse(request, path, AoError("INVALID_JSON", "the body broke off"), trace)
        except Exception as error:
            if log.first_time(error):
                _logger.exception("request failed", extra={"method": request.method, "path": path})
            response = self._refuse(request, path, refusal.unforeseen(), trace)
        self._log(request.method, path, response.status, loop.time() - began)
        return response

    async def _answer(self, request: web.BaseRequest, path: str, query: str, trace: log.Trace) -> web.StreamResponse:
        headers = request.headers
        access = self._api.access
        host = headers.get("Host")
        access.check_host(host)
        access.check_origin(headers.get("Origin"), host or "", path=path)
        if request.method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers:
            return web.Response(status=204, headers=self._headers(request, trace) | access.preflight(headers))
        caller = Caller()
        if path not in OPEN_PATHS:
            cookie = request.cookies.get(COOKIE) if "Cookie" in headers else None
            caller = access.identify(headers.get("Authorization"), cookie)
        operation, params = self._routes.find(request.method, path)
        if operation.tag == "sessions":
            trace.session_id = params.get(operation.target, "")
        raw = await read_body(request, operation.body_limit) if operation.reads_body else b""
        call = self._decode(operation, caller, raw, params=params, query=query, headers=headers)
        answer = await self._run(operation, call)
        if isinstance(answer, Stream):
            return await self._stream(request, answer, trace)
        return self._encoded(request, answer, trace)

    def _decode(
        self,
        operation: Operation,
        caller: Caller,
        raw: bytes,
        *,
        params: Mapping[str, str],
        query: str,
        headers: Mapping[str, str],
    ) -> Call[Any, Any]:
        body = decode_body(raw, operation.body, compat=self._api.config.compat) if operation.reads_body else NoBody()
        parsed = decode_query(query, operation.query)
        if caller.session is not None and operation.scope is not Scope.OPEN:
            project = operation.project(params, body) if operation.project is not None else None
            target = params.get(operation.target, "") if operation.tag == "sessions" else ""
            self._api.access.authorise(caller, operation.scope, target=target, project=project)
        call: Call[Any, Any] = Call(self._api, caller, params=params, headers=headers, body=body, query=parsed)
        call.raw = raw
        return call

    async def _run(self, operation: Operation, call: Call[Any, Any]) -> Answer:
        result = operation.handler(call)
        if not inspect.isawaitable(result):
            return result
        timeout_s = self._api.config.request_timeout_s
        if operation.detached:
            return await self._detached(_awaited(result), timeout_s)
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                return await result
        except TimeoutError:
            if deadline.expired():
                raise _too_late(timeout_s) from None
            raise

    async def _detached(self, work: Coroutine[Any, Any, Answer], timeout_s: float) -> Answer:
        """Run a command as the daemon's; wait for it as long as its client may wait."""
        task: asyncio.Task[Answer] = self._start(work)
        await asyncio.wait({task}, timeout=timeout_s)
        if not task.done():
            raise _too_late(timeout_s)
        if task.cancelled():
            raise AoError("INTERNAL_ERROR", "the daemon stops; what was begun is settled when it runs again")
        return task.result()

    def _encoded(self, request: web.BaseRequest, answer: Answer, trace: log.Trace) -> web.Response:
        headers = self._headers(request, trace)
        headers["Content-Type"] = JSON_TYPE
        if not isinstance(answer, Reply):
            return web.Response(body=self._encode(answer) + b"\n", headers=headers)
        headers |= answer.headers
        tag = answer.headers.get("ETag")
        if tag is not None and tag in request.headers.get("If-None-Match", ""):
            del headers["Content-Type"]
            return web.Response(status=304, headers=headers)
        body = answer.body if isinstance(answer.body, bytes) else self._encode(answer.body) + b"\n"
        return web.Response(body=body, status=answer.status, headers=headers)

    async def _stream(self, request: web.BaseRequest, stream: Stream, trace: log.Trace) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers(request, trace) | dict(stream.headers))
        if request.method == "HEAD":
            return response
        if request.version > HttpVersion10:
            response.enable_chunked_encoding()
        try:
            await response.prepare(request)
        except ConnectionError:
            return response
        connection = request.protocol
        assert isinstance(connection, Connection)
        transport = connection.detach()
        if transport is not None:
            self._api.streams.attach(transport, stream.source, chunked=response.chunked)
        return response

    def _headers(self, request: web.BaseRequest, trace: log.Trace) -> dict[str, str]:
        headers = {"X-Request-Id": trace.request_id}
        return headers | self._api.access.cross_origin(request.headers) if "Origin" in request.headers else headers

    def _refuse(self, request: web.BaseRequest, path: str, error: AoError, trace: log.Trace) -> web.Response:
        headers = {"X-Request-Id": trace.request_id} | refusal.headers(error)
        if "Origin" in request.headers:
            allowed = error.code not in ("ORIGIN_FORBIDDEN", "HOST_FORBIDDEN")
            headers |= self._api.access.cross_origin(request.headers) if allowed else {"Vary": "Origin"}
        problem = refusal.envelope(error, trace, legacy=path == "/shutdown")
        response = web.Response(body=self._encode(problem) + b"\n", status=error.status, headers=headers)
        if error.code == "PAYLOAD_TOO_LARGE":
            response.force_close()
        return response

    def _request_id(self, given: str | None) -> str:
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._numbers):06d}"

    def _log(self, method: str, path: str, status: int, seconds: float) -> None:
        quiet = method in ("GET", "HEAD") or path.endswith("/activity") or "/hooks/" in path
        level = logging.DEBUG if quiet and status < 500 else logging.INFO
        if _logger.isEnabledFor(level):
            facts = {"method": method, "path": path, "status": status, "ms": round(seconds * 1000, 1)}
            _logger.log(level, "request", extra=facts)


def _too_late(timeout_s: float) -> AoError:
    return AoError(
        "REQUEST_TIMEOUT",
        f"no answer within {timeout_s:g} s; what was started goes on",
        hint="`ao session ls` shows how far it is; AO_REQUEST_TIMEOUT allows more time",
    )


async def _awaited(work: Awaitable[Answer]) -> Answer:
    return await work

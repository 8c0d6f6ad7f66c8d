"""HTTP with limits: of time, of size, of how many requests at once. It knows nothing of GitHub.

aiohttp is imported, and a session made, at the first request: a daemon that never asks GitHub doesn't pay for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import msgspec

from ao import __version__
from ao.forges.github.refusals import unavailable, whole

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S: Final = 10.0
TIMEOUT_S: Final = 30.0
BODY_LIMIT: Final = 32 << 20
READ_LIMIT: Final = 256 << 20
"""Bytes that are read of a text in order to find its end."""
CONCURRENT: Final = 8
_CHUNK: Final = 64 << 10
_SLACK: Final = 1 << 20
_GAP: Final = b"\n[... %d bytes left out ...]\n"


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a long body is kept: `limit` bytes of its beginning, or a quarter of that and three of
    its end, with a line between that says what is missing."""

    limit: int
    end: bool = False


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `host` is the name for messages; `again`: it may be sent twice without harm."""

    method: str
    url: str
    host: str
    headers: Mapping[str, str] = {}
    data: bytes | None = None
    keep: Keep | None = None
    again: bool = False


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, whatever its status. Header names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests. `environ` may name a proxy (`HTTPS_PROXY`, `NO_PROXY`) for https addresses."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(CONCURRENT)

    async def shut(self) -> None:
        """Close connections; idempotent. A later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, request: Request) -> Raw:
        """Send one and read its answer, within 30 s. Redirects are not followed.

        Raises `SCM_UNAVAILABLE` when there is no whole answer; a request that may be sent again is, once, when its
        connection breaks.
        """
        import aiohttp

        try:
            async with self._slots, asyncio.timeout(TIMEOUT_S):
                return await self._tried(request)
        except TimeoutError as error:
            raise unavailable(request.host, "no answer in time") from error
        except aiohttp.ClientPayloadError as error:
            raise unavailable(request.host, "the answer broke off") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise unavailable(request.host, f"no connection ({type(error).__name__})") from error

    async def _tried(self, request: Request) -> Raw:
        import aiohttp

        try:
            return await self._once(request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError) as error:
            if not request.again or isinstance(error, aiohttp.ClientConnectorError):
                raise
            return await self._once(request)

    async def _once(self, request: Request) -> Raw:
        async with self._opened().request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.data,
            allow_redirects=False,
            proxy=self._proxy(request.url),
        ) as response:
            if request.keep is not None and response.status == 200:
                body = await _kept(response, request.keep)
            else:
                body = await _whole(response, request.host)
            return Raw(status=response.status, headers=response.headers.copy(), body=body)

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S),
                headers={"User-Agent": f"agent-orchestrator/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        proxy = self._environ.get("https_proxy") or self._environ.get("HTTPS_PROXY")
        if parts.scheme != "https" or not proxy:
            return None
        spared = self._environ.get("no_proxy") or self._environ.get("NO_PROXY") or ""
        return None if proxy_bypass_environment(parts.hostname or "", {"no": spared}) else proxy


async def _whole(response: aiohttp.ClientResponse, host: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > BODY_LIMIT:
            raise whole(host, f"an answer of more than {BODY_LIMIT >> 20} MB")
    return bytes(body)


async def _kept(response: aiohttp.ClientResponse, keep: Keep) -> bytes:
    """The beginning of a body, and its end if that is wanted; reading stops where nothing more is wanted."""
    first = keep.limit // 4 if keep.end else keep.limit
    last = keep.limit - first
    head, tail, total = bytearray(), bytearray(), 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        total += len(chunk)
        room = first - len(head)
        head += chunk[:room]
        tail += chunk[room:]
        if len(tail) > last + _SLACK:
            del tail[:-last]
        if (not keep.end and len(head) == first) or total > READ_LIMIT:
            break
    if not keep.end:
        return bytes(head)
    end = bytes(tail[-last:])
    missing = total - len(head) - len(end)
    return bytes(head) + (_GAP % missing if missing else b"") + end

"""Who may call: `Host`, then `Origin`, then a token, then what the token's bearer may do.

The user's token is 32 random bytes in `<dataDir>/token`. A session's token names its session and launch and carries an
HMAC over both, so it needs no storage and ends with the launch. Scopes prevent mistakes; they don't fence off a hostile
process of the same user, which can read the user's token.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import msgspec

from ao import log
from ao.config import Config
from ao.model.errors import AoError
from ao.model.session import Kind, Phase, Session
from ao.paths import write_private

COOKIE: Final = "ao_token"
_SESSION_TOKEN: Final = re.compile(r"aos_(.+)_([0-9]{1,9})_([0-9a-f]{64})")
_USER_TOKEN: Final = re.compile(r"[0-9a-f]{64}")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_KNOWN_HOSTS: Final = 64
"""Spellings of allowed hosts that are remembered: parsing an address costs more than the rest of the checks."""
_METHODS: Final = "GET, POST, PATCH, PUT, DELETE, OPTIONS"


class Secrets(msgspec.Struct, frozen=True):
    """The user's token and the key that session tokens are made with."""

    token: str
    key: bytes

    def session_token(self, session_id: str, launches: int) -> str:
        """The token of one launch of a session."""
        digest = hmac.digest(self.key, _bytes(f"{session_id}:{launches}"), "sha256")
        return f"aos_{session_id}_{launches}_{digest.hex()}"

    def session_of(self, token: str) -> tuple[str, int] | None:
        """Session id and launch of a token that is genuine, None otherwise."""
        found = _SESSION_TOKEN.fullmatch(token)
        if found is None:
            return None
        genuine = hmac.compare_digest(self.session_token(found[1], int(found[2])).encode(), _bytes(token))
        return (found[1], int(found[2])) if genuine else None


def ensure_secrets(data_dir: str) -> Secrets:
    """Read token and key, or make them (mode 0600). Raises `CONFIG_INVALID` when one is there but no good."""
    token = _read_or_make(os.path.join(data_dir, "token"))
    key = _read_or_make(os.path.join(data_dir, "auth.key"))
    for secret in (token, key):
        log.conceal(secret)
    return Secrets(token, bytes.fromhex(key))


def _read_or_make(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            os.fchmod(file.fileno(), 0o600)
            text = file.read(100).strip()
    except FileNotFoundError:
        text = os.urandom(32).hex()
        write_private(path, text + "\n")
        return text
    if not _USER_TOKEN.fullmatch(text):
        raise AoError("CONFIG_INVALID", f"{path} doesn't hold 64 hex digits", hint="remove it; a new one will be made")
    return text


class Scope(Enum):
    """What an operation demands of a session's token; the user's opens everything.

    worker (W) and orchestrator (O): OPEN and ANY for both, OWN own session (O: any of its project), REPORT own session
    only, SEND W to the project's orchestrator and O within its project, PROJECT only O within its project, PULL both
    within their project (what they may do to a pull request depends on whose it is), USER none.
    """

    OPEN = "open"
    ANY = "any"
    OWN = "own"
    REPORT = "report"
    SEND = "send"
    PROJECT = "project"
    PULL = "pull"
    USER = "user"


class Caller(msgspec.Struct, frozen=True):
    """Who calls: a session, or (None) the user."""

    session: Session | None = None

    @property
    def project(self) -> str | None:
        """The only project whose things the caller may see; None for all."""
        return self.session.project_id if self.session is not None else None


class Access:
    """The checks, with what they compare against. `find` looks a session up and raises `SESSION_NOT_FOUND`."""

    def __init__(self, config: Config, secrets: Secrets, find: Callable[[str], Session]) -> None:
        self._secrets = secrets
        self._find = find
        self._auth = config.auth
        self._user_token = secrets.token.encode()
        self._hosts = frozenset(config.allowed_hosts)
        self._origins = frozenset(config.allowed_origins)
        self._known_hosts: set[str] = set()

    def check_host(self, host: str | None) -> None:
        """Refuse names that could be anybody's (DNS rebinding). Raises `HOST_FORBIDDEN`."""
        if host in self._known_hosts:
            return
        found = _HOST.fullmatch(host or "")
        if found is None or not (_is_loopback(found[1]) or {found[0].lower(), found[1].lower()} & self._hosts):
            raise AoError(
                "HOST_FORBIDDEN",
                f"Host {(host or '')[:100]!r} is not one of this daemon's",
                hint="use 127.0.0.1 or localhost, or name the host in AO_ALLOWED_HOSTS",
            )
        if len(self._known_hosts) < _KNOWN_HOSTS:
            self._known_hosts.add(found[0])

    def check_origin(self, origin: str | None, host: str, *, path: str) -> None:
        """Refuse pages of other sites; `/shutdown` refuses every page. Raises `ORIGIN_FORBIDDEN`."""
        if not origin:
            return
        known = origin == f"http://{host}" or origin in self._origins
        if known and path != "/shutdown":
            return
        raise AoError(
            "ORIGIN_FORBIDDEN",
            f"pages of origin {origin[:100]!r} may not call {path[:100]}",
            hint=None if known else "name the origin in AO_ALLOWED_ORIGINS if it is yours",
        )

    def cross_origin(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The answer's headers for an allowed page."""
        origin = headers.get("Origin")
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} if origin else {}

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The answer's headers when a browser asks whether an allowed page may call."""
        answer = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": "600"}
        wanted = headers.get("Access-Control-Request-Headers")
        if wanted:
            answer["Access-Control-Allow-Headers"] = wanted
        if headers.get("Access-Control-Request-Private-Network") == "true":
            answer["Access-Control-Allow-Private-Network"] = "true"
        return answer

    def identify(self, authorization: str | None, cookie: str | None) -> Caller:
        """Who bears the token. Raises `UNAUTHORIZED`."""
        if not self._auth:
            return Caller()
        token = cookie or ""
        if authorization:
            scheme, _, token = authorization.partition(" ")
            token = token.strip() if scheme.lower() == "bearer" else ""
        if hmac.compare_digest(_bytes(token), self._user_token):
            return Caller()
        named = self._secrets.session_of(token)
        if named is not None:
            return Caller(self._bearer(*named))
        raise AoError(
            "UNAUTHORIZED",
            "a valid token is needed" if token else "a token is needed",
            hint="send `Authorization: Bearer TOKEN`; the user's token is in the data directory's file `token`",
        )

    def _bearer(self, session_id: str, launches: int) -> Session:
        try:
            session = self._find(session_id)
        except AoError:
            raise AoError("UNAUTHORIZED", f"the token's session {session_id!r} is gone") from None
        if session.launches != launches:
            raise AoError("UNAUTHORIZED", f"the token belongs to an earlier launch of session {session_id!r}")
        return session

    def authorise(self, caller: Caller, scope: Scope, *, target: str = "", project: str | None = None) -> None:
        """Whether a session's token opens this: `target` is the session called about, `project` the project named.

        Raises `FORBIDDEN`; `SESSION_NOT_FOUND` when the target doesn't exist.
        """
        bearer = caller.session
        if bearer is None or scope in (Scope.OPEN, Scope.ANY):
            return
        if bearer.phase == Phase.ENDED and not (target == bearer.id and scope in (Scope.OWN, Scope.REPORT)):
            raise AoError(
                "FORBIDDEN",
                f"session {bearer.id!r} has ended; its token doesn't open this any more",
                hint="what an ended session may still do is read itself and make its last reports",
            )
        if not self._admits(bearer, scope, target, project):
            raise AoError(
                "FORBIDDEN",
                f"the token of {bearer.kind} session {bearer.id!r} doesn't open this",
                hint=_MAY[bearer.kind],
            )

    def _admits(self, bearer: Session, scope: Scope, target: str, project: str | None) -> bool:
        if scope in (Scope.OWN, Scope.REPORT) and target == bearer.id:
            return True
        if scope in (Scope.USER, Scope.REPORT) or (scope is Scope.SEND and target == bearer.id):
            return False
        found = self._find(target) if target else None
        inside = (found.project_id if found else project) in (bearer.project_id, None)
        if bearer.kind is Kind.ORCHESTRATOR or scope is Scope.PULL:
            return inside
        return scope is Scope.SEND and inside and found is not None and found.kind is Kind.ORCHESTRATOR


_MAY: Final = {
    Kind.WORKER: "a worker may read itself, report its activity, write to its project's orchestrator and act on its "
    "own pull requests",
    Kind.REVIEWER: "a reviewer may read itself, report its activity and submit the review it was started for",
    Kind.ORCHESTRATOR: "an orchestrator may list, spawn, write to and kill sessions of its own project",
}


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "replace")

"""Is it installed, which version, is somebody signed in: bounded questions, asked only as the program documents them.

No answer is "unknown", never "no". Versions are cached with the program's stamp, because launches need them too.
"""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Final

from ao.agents.binary import Binaries, expand
from ao.agents.quoting import version_in
from ao.agents.spec import AgentSpec, Auth
from ao.model.errors import AoError
from ao.ports import CommandTimeoutError, Completed, Host
from ao.ports.agents import AgentReport

VERSION_TIMEOUT_S: Final = 2.0
AUTH_TIMEOUT_S: Final = 10.0
_OUTPUT_LIMIT: Final = 1 << 16
AUTHORIZED: Final = "authorized"
UNAUTHORIZED: Final = "unauthorized"
UNKNOWN: Final = "unknown"


class Probes:
    """Asks the programs of one host."""

    def __init__(self, host: Host, binaries: Binaries) -> None:
        self._host = host
        self._binaries = binaries
        self._versions: dict[str, tuple[object, str]] = {}

    async def version(self, spec: AgentSpec, binary: str, env: Mapping[str, str]) -> str:
        """The version of the installed program, "" when it doesn't say. Cached by the program's stamp."""
        if not spec.version:
            return ""
        stamp = self._host.stamp([binary])
        known = self._versions.get(binary)
        if known is not None and known[0] == stamp:
            return known[1]
        done = await self._ask((binary, *spec.version), env, VERSION_TIMEOUT_S)
        version = version_in(done.out) if done is not None and done.code == 0 else ""
        if version:
            self._versions[binary] = (stamp, version)
        return version

    async def report(self, spec: AgentSpec, env: Mapping[str, str]) -> AgentReport:
        """What can be said about one agent."""
        try:
            binary = await self._binaries.find(spec, env)
        except AoError as error:
            return AgentReport(
                id=spec.id, label=spec.name, installed=False, auth=UNKNOWN, hint=error.hint or error.message
            )
        version, auth = await asyncio.gather(self.version(spec, binary, env), self._auth(spec.auth, binary, env))
        return AgentReport(
            id=spec.id,
            label=spec.name,
            installed=True,
            auth=auth,
            binary=binary,
            version=version,
            hint=spec.auth.sign_in if auth == UNAUTHORIZED else "",
        )

    async def _auth(self, auth: Auth, binary: str, env: Mapping[str, str]) -> str:
        if not auth.needed or any(env.get(name) for name in auth.env):
            return AUTHORIZED
        if not auth.argv:
            return UNKNOWN
        done = await self._ask((binary, *auth.argv), env, AUTH_TIMEOUT_S)
        verdict = judge(auth, done) if done is not None else UNKNOWN
        if verdict == UNAUTHORIZED and auth.doubt is not None and await self._doubted(auth.doubt, env):
            return UNKNOWN
        return verdict

    async def _doubted(self, doubt: tuple[str, str], env: Mapping[str, str]) -> bool:
        data = await self._host.read(expand(doubt[0], env.get("HOME", "")))
        try:
            return doubt[1] in tomllib.loads((data or b"").decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            return True

    async def _ask(self, argv: tuple[str, ...], env: Mapping[str, str], timeout_s: float) -> Completed | None:
        try:
            return await self._host.run(argv, env=env, timeout_s=timeout_s, limit=_OUTPUT_LIMIT)
        except (CommandTimeoutError, OSError):
            return None


def judge(auth: Auth, done: Completed) -> str:
    """What the answer of a sign-in command means."""
    if auth.field:
        return _judge_field(auth.field, done.out)
    text = f"{done.out}\n{done.err}"
    if auth.unauthorized and re.search(auth.unauthorized, text, re.IGNORECASE):
        return UNAUTHORIZED
    if auth.authorized and done.code == 0 and re.search(auth.authorized, text, re.IGNORECASE):
        return AUTHORIZED
    return UNKNOWN


def _judge_field(field: str, out: str) -> str:
    """The boolean `field` of the JSON object in `out`, around which a program may print warnings."""
    begin, end = out.find("{"), out.rfind("}")
    try:
        answer = json.loads(out[begin : end + 1]) if begin >= 0 else None
    except ValueError:
        return UNKNOWN
    value = answer.get(field) if isinstance(answer, dict) else None
    return UNKNOWN if not isinstance(value, bool) else AUTHORIZED if value else UNAUTHORIZED

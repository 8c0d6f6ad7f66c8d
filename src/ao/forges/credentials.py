"""The token for a GitHub host: the environment's, else the GitHub CLI's own login.

Looked for when it is first needed, kept for five minutes, then looked for again, also after there was none: a person
may log in meanwhile. A missing or logged-out `gh` is an answer (none), not an error. Tokens never leave this room but
in a request to their own host, and the log never shows one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ao.log import conceal
from ao.ports import CommandTimeoutError, Host

VARIABLES: Final = ("AO_GITHUB_TOKEN", "GITHUB_TOKEN")
ENTERPRISE_VARIABLES: Final = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
GH_TIMEOUT_S: Final = 5.0
KEEP_MS: Final = 5 * 60_000
_DOTCOM: Final = "github.com"
_RESIDENCY: Final = (".ghe.io", ".ghe.com")
# What `gh` needs to find its configuration, and the keyring it may keep the token in; it prefers GH_TOKEN itself.
_HANDED_ON: Final = ("GH_TOKEN", "GH_CONFIG_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")


async def has_github_credentials(host: Host, environ: Mapping[str, str]) -> bool:
    """Whether a token for github.com can be had."""
    return bool(await _find(host, environ, _DOTCOM))


@dataclass(frozen=True)
class _Known:
    token: str
    until: int


class Credentials:
    """The tokens of all hosts. `now` gives milliseconds."""

    def __init__(self, host: Host, environ: Mapping[str, str], *, now: Callable[[], int]) -> None:
        self._host = host
        self._environ = environ
        self._now = now
        self._known: dict[str, _Known] = {}
        self._refused: dict[str, str] = {}
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def token(self, forge_host: str) -> str:
        """The token for a host, "" when there is none or the one there is has just been refused."""
        async with self._looking[forge_host]:
            known = self._known.get(forge_host)
            if known is None or known.until <= self._now():
                if known is not None:
                    self._refused.pop(forge_host, None)  # it may have been mended meanwhile: ask again
                found = await _find(self._host, self._environ, forge_host)
                conceal(found)
                known = self._known[forge_host] = _Known(found, self._now() + KEEP_MS)
            return "" if known.token == self._refused.get(forge_host) else known.token

    def refuse(self, forge_host: str, token: str) -> None:
        """The host did not accept this token: look for another; the same one counts as none until the next look."""
        self._refused[forge_host] = token
        known = self._known.get(forge_host)
        if known is not None and known.token == token:
            del self._known[forge_host]

    def was_refused(self, forge_host: str) -> bool:
        """Whether there is a token that the host did not accept."""
        return forge_host in self._refused


async def _find(host: Host, environ: Mapping[str, str], forge_host: str) -> str:
    # A token for github.com is never shown to another host.
    ours = forge_host == _DOTCOM or forge_host.endswith(_RESIDENCY)
    for name in VARIABLES if ours else ENTERPRISE_VARIABLES:
        if value := environ.get(name, "").strip():
            return value
    program = host.which("gh", path=environ.get("PATH", ""))
    if program is None:
        return ""
    env = {name: environ[name] for name in _HANDED_ON if environ.get(name)}
    try:
        answer = await host.run(
            [program, "auth", "token", "--hostname", forge_host], env=env, timeout_s=GH_TIMEOUT_S, limit=1 << 16
        )
    except (CommandTimeoutError, OSError):
        return ""
    token = answer.out.strip()
    return token if answer.code == 0 and token.isascii() and token.isprintable() and " " not in token else ""

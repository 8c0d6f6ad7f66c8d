"""Whether a forge can be asked at all: the token order is the environment's, then the GitHub CLI's own login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ao.ports import CommandTimeoutError, Host

VARIABLES: Final = ("AO_GITHUB_TOKEN", "GITHUB_TOKEN")
GH_TIMEOUT_S: Final = 5.0


async def has_github_credentials(host: Host, environ: Mapping[str, str]) -> bool:
    """Whether a GitHub token can be had. A missing or logged-out `gh` is an answer (no), not an error."""
    if any(environ.get(name, "").strip() for name in VARIABLES):
        return True
    program = host.which("gh", path=environ.get("PATH", ""))
    if program is None:
        return False
    try:
        answer = await host.run([program, "auth", "token"], timeout_s=GH_TIMEOUT_S)
    except (CommandTimeoutError, FileNotFoundError):
        return False
    return answer.code == 0 and bool(answer.out.strip())

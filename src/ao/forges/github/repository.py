"""Where a repository is on GitHub: from a remote's URL, and to the addresses of its host's API. Pure.

Known hosts are github.com, the hosts of data residency (`*.ghe.io`, `*.ghe.com`), and the Enterprise servers that
`GH_HOST`, `AO_GITHUB_HOSTS` (a comma list) or `GITHUB_API_URL` name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ao.model.pull import GITHUB, PullRef, Repo

DOTCOM: Final = "github.com"
_ALIASES: Final = frozenset({DOTCOM, "www.github.com", "ssh.github.com", "api.github.com"})
_RESIDENCY: Final = (".ghe.io", ".ghe.com")
_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")
_SCP: Final = re.compile(r"(?:[^@/\s]+@)?([^:/\s@]+):(?!//)(.+)")
_SCHEMES: Final = frozenset({"https", "http", "ssh", "git", "git+ssh"})
_ENTERPRISE_API: Final = "/api/v3"


def parse_remote(url: str, environ: Mapping[str, str]) -> Repo | None:
    """The repository that a git remote's URL names (https, ssh or `user@host:path`); None when it is not on a known
    host or has another form."""
    scp = _SCP.fullmatch(url.strip())
    if scp is not None and "://" not in url:
        return _repo(scp[1], scp[2], environ)
    parts = _split(url)
    if parts is None or parts.scheme.lower() not in _SCHEMES:
        return None
    named = parts.scheme.lower() in ("https", "http")
    return _repo(_authority(parts) if named else parts.hostname or "", parts.path, environ)


def parse_pull_url(text: str, environ: Mapping[str, str]) -> tuple[Repo, int] | None:
    """The repository and number of `https://HOST/OWNER/NAME/pull/N`; query and fragment don't matter. None for anything
    else."""
    parts = _split(text)
    if parts is None or parts.scheme.lower() != "https":
        return None
    segments = parts.path.strip("/").split("/")
    if len(segments) != 4 or segments[2] != "pull" or not re.fullmatch(r"[1-9][0-9]{0,9}", segments[3]):
        return None
    repo = _repo(_authority(parts), "/".join(segments[:2]), environ)
    return (repo, int(segments[3])) if repo is not None else None


def pull_url(ref: PullRef) -> str:
    """The canonical URL of a pull request: by the name under which we know its repository, also after a renaming."""
    return f"https://{ref.repo.host}/{ref.repo.path}/pull/{ref.number}"


def api_url(host: str, environ: Mapping[str, str]) -> str:
    """The base of the REST API of a host, without a slash at its end."""
    override = environ.get("GITHUB_API_URL", "").strip().rstrip("/")
    if override and _serves(override, host):
        return override
    if host == DOTCOM:
        return "https://api.github.com"
    return f"https://api.{host}" if host.endswith(_RESIDENCY) else f"https://{host}{_ENTERPRISE_API}"


def graphql_url(host: str, environ: Mapping[str, str]) -> str:
    """The address of the GraphQL API of a host; on an Enterprise server it lies beside the REST API."""
    base = api_url(host, environ)
    return base.removesuffix("/v3") + "/graphql" if base.endswith(_ENTERPRISE_API) else base + "/graphql"


def _serves(api: str, host: str) -> bool:
    """Whether an address that the environment gives is meant for a host. An Enterprise server's is for that server;
    any other is GitHub's own, or something that stands in for it."""
    parts = _split(api)
    named = _bare(parts.netloc.rpartition("@")[2]) if parts is not None else ""
    if parts is not None and parts.path.endswith(_ENTERPRISE_API):
        return _bare(host) == named
    return host == DOTCOM or _bare(host) == named.removeprefix("api.")


def _repo(host: str, path: str, environ: Mapping[str, str]) -> Repo | None:
    known = _known_host(host.lower(), environ)
    segments = path.strip("/").removesuffix(".git").split("/")
    if not known or len(segments) != 2 or not _OWNER.fullmatch(segments[0]) or not _NAME.fullmatch(segments[1]):
        return None
    return Repo(forge=GITHUB, host=known, path="/".join(segments))


def _known_host(host: str, environ: Mapping[str, str]) -> str:
    """The name under which a host is known, "" for one that isn't GitHub's."""
    if host.partition(":")[0] in _ALIASES:
        return DOTCOM
    if host.endswith(_RESIDENCY):
        return host.removeprefix("api.")
    return next((named for named in _named_hosts(environ) if host in (named, _bare(named))), "")


def _named_hosts(environ: Mapping[str, str]) -> list[str]:
    named = [*environ.get("AO_GITHUB_HOSTS", "").split(","), environ.get("GH_HOST", "")]
    api = _split(environ.get("GITHUB_API_URL", ""))
    if api is not None and api.path.rstrip("/").endswith(_ENTERPRISE_API):
        named.append(api.netloc.rpartition("@")[2])
    return [name.strip().lower() for name in named if name.strip()]


def _authority(parts: SplitResult) -> str:
    """Host and port, without credentials and without the port that goes without saying."""
    host = parts.netloc.rpartition("@")[2].lower()
    return host.removesuffix(":443")


def _bare(host: str) -> str:
    return host.lower().partition(":")[0]


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url.strip())
        return parts if parts.hostname else None
    except ValueError:  # brackets that don't close, a port that is no number
        return None

"""What GitHub's errors mean for a person: a code, what was said, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ao.model.errors import AoError
from ao.model.pull import PullRef
from ao.model.text import first_line, sanitise

_SAID_LIMIT: Final = 300
NO_TOKEN_HINT: Final = "set AO_GITHUB_TOKEN or run: gh auth login"  # noqa: S105 (words)


class RefusedError(Exception):
    """GitHub refused one request for what it asks (404, 405, 406, 409, 410, 422); the caller knows what that means."""

    def __init__(self, status: int, data: Any) -> None:
        self.status = status
        self.said = said_of(data)
        super().__init__(self.said)


class WholeError(AoError):
    """A request failed as a whole, on their side or for its size: a smaller one may succeed."""


def said_of(data: Any) -> str:
    """The message of an error's body with its details, on one line, cut."""
    if not isinstance(data, Mapping):
        return ""
    errors = data.get("errors")
    found = [data.get("message"), *(_detail(each) for each in (errors if isinstance(errors, list) else ()))]
    words = "; ".join(text for text in found if isinstance(text, str) and text)
    return first_line(sanitise(" ".join(words.split())), limit=_SAID_LIMIT)


def unavailable(host: str, what: str, *, status: int = 0) -> AoError:
    """GitHub can't be asked, for a reason that may pass."""
    details = {"host": host} | ({"status": status} if status else {})
    return AoError("SCM_UNAVAILABLE", f"{host}: {what}", hint="it is tried again by itself", details=details)


def whole(host: str, what: str, *, status: int = 0) -> WholeError:
    """The same, for a request that could be made smaller."""
    details = {"host": host} | ({"status": status} if status else {})
    return WholeError("SCM_UNAVAILABLE", f"{host}: {what}", hint="it is tried again by itself", details=details)


def no_credentials(host: str, *, refused: bool) -> AoError:
    """There is no token, or none that the host accepts."""
    if refused:
        return AoError(
            "SCM_UNAVAILABLE",
            f"{host} did not accept the token",
            hint="it is wrong, revoked or expired: set a new AO_GITHUB_TOKEN or run: gh auth login",
            details={"host": host, "status": 401},
        )
    hint = NO_TOKEN_HINT if host == "github.com" else f"run: gh auth login --hostname {host}"
    return AoError("SCM_UNAVAILABLE", f"there is no token for {host}", hint=hint, details={"host": host})


def rate_limited(host: str, resource: str, *, wait_ms: int, spent: bool) -> AoError:
    """The budget of a resource is used up (`spent`), or GitHub asked for silence."""
    seconds = max(1, -(-wait_ms // 1000))
    name = "REST" if resource == "core" else "GraphQL"
    return AoError(
        "SCM_RATE_LIMITED",
        f"{host} limits {name} requests of this token for another {seconds} s",
        hint="nothing to do: it goes on by itself; programs that share the token use up its budget too",
        details={"host": host, "resource": resource, "spent": spent, "retryAfterS": seconds},
    )


def forbidden(host: str, headers: Mapping[str, str], said: str) -> AoError:
    """The token may not do this; the hint names what it lacks, as far as GitHub tells."""
    sso = headers.get("X-GitHub-SSO", "")
    needed = _missing(headers)
    permissions = headers.get("X-Accepted-GitHub-Permissions", "")
    if "url=" in sso:
        hint = f"authorise the token for the organisation's single sign-on: {sso.partition('url=')[2][:300]}"
    elif needed:
        hint = f"the token lacks the scope {needed}: gh auth refresh --scopes {needed}"
    elif permissions:
        hint = f"the token needs the permission {permissions[:200]}"
    else:
        hint = "use a token of an account that may write to the repository, with the scope repo"
    return AoError(
        "SCM_UNAVAILABLE",
        f"{host} forbids this: {said or 'no reason given'}",
        hint=hint,
        details={"host": host, "status": 403},
    )


def pull_not_found(ref: PullRef) -> AoError:
    """There is none, or the token may not see it: GitHub doesn't tell the two apart."""
    return AoError(
        "PR_NOT_FOUND",
        f"{ref.repo.host}/{ref.repo.path} has no pull request #{ref.number}",
        hint="check the number, and that the token may read the repository",
    )


def thread_not_found(thread_id: str) -> AoError:
    """No such conversation."""
    return AoError("THREAD_NOT_FOUND", f"there is no conversation {thread_id[:100]!r}")


def graphql_trouble(host: str, errors: Iterable[Mapping[str, Any]]) -> AoError:
    """Why a part of an answer is missing."""
    first = next(iter(errors), {})
    said = said_of(first) or "an answer without a reason"
    if first.get("type") in ("FORBIDDEN", "INSUFFICIENT_SCOPES"):
        return forbidden(host, {}, said)
    return unavailable(host, said)


def _missing(headers: Mapping[str, str]) -> str:
    accepted = [word.strip() for word in headers.get("X-Accepted-OAuth-Scopes", "").split(",") if word.strip()]
    given = {word.strip() for word in headers.get("X-OAuth-Scopes", "").split(",")}
    return "" if not accepted or given & set(accepted) else accepted[0]


def _detail(error: Any) -> Any:
    if not isinstance(error, Mapping):
        return error
    return error.get("message") or " ".join(str(error[key]) for key in ("field", "code") if key in error)

"""How people name a pull request: a number, or its URL. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ao.model.errors import AoError
from ao.model.fence import plain

HINT: Final = "a number such as 142, https://HOST/OWNER/NAME/pull/N or ao://local/PROJECT/pull/N"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What was named. `url` is "" for a bare number, which means one of the project's; otherwise it is in the one form
    that forges use for it."""

    number: int
    url: str = ""


def parse(text: str) -> Reference:
    """Read `142`, `#142`, `https://HOST/OWNER/NAME/pull/142` or `ao://local/PROJECT/pull/142`.

    A URL's query and fragment don't matter, nor the case of its scheme and host, nor `.git` after the name; more of a
    path than that does. Raises `PR_REQUIRED` for nothing and `INVALID_PR_REF` for anything else.
    """
    named = text.strip()
    if not named:
        raise AoError("PR_REQUIRED", "no pull request was named", hint=HINT)
    if _NUMBER.fullmatch(named.removeprefix("#")):
        return Reference(number=int(named.removeprefix("#")))
    found = _from_url(named)
    if found is None:
        raise AoError("INVALID_PR_REF", f"'{plain(named, 200)}' does not name a pull request", hint=HINT)
    return found


def _from_url(text: str) -> Reference | None:
    if not text.isascii() or not text.isprintable():
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    path = parts.path.strip("/").split("/")
    if len(path) < 3 or path[-2] != "pull" or not _NUMBER.fullmatch(path[-1]):
        return None
    where, number = path[:-2], int(path[-1])
    if not all(_NAME.fullmatch(name) and name.strip(".") for name in where):
        return None
    host = parts.netloc.lower()
    if parts.scheme == "ao" and host == "local" and len(where) == 1:
        return Reference(number=number, url=f"ao://local/{where[0]}/pull/{number}")
    name = where[-1].removesuffix(".git")
    if name and parts.scheme == "https" and len(where) == 2 and _HOST.fullmatch(host):
        return Reference(number=number, url=f"https://{host}/{where[0]}/{name}/pull/{number}")
    return None

"""What may be written into a pull request, and what its merge says. Pure."""

from __future__ import annotations

import re
from typing import Final

from ao.forges.local.history import TRAILER
from ao.model.errors import AoError
from ao.model.local_pull import LocalPull
from ao.model.text import TEXT_LIMIT, sanitise

TITLE_LIMIT: Final = 300
_TRAILER_LINE: Final = re.compile(rf"(?im)^\s*{TRAILER}\s*:.*$\n?")


def title_text(text: str) -> str:
    """A title on one line, without control characters. Raises `INVALID_PR` for none and for one that is too long."""
    title = " ".join(sanitise(text).splitlines()).strip()
    if not title:
        raise AoError("INVALID_PR", "a pull request needs a title", details={"field": "title"})
    if len(title) > TITLE_LIMIT:
        raise AoError(
            "INVALID_PR",
            f"the title has {len(title):,} characters, at most {TITLE_LIMIT} are allowed",
            details={"field": "title"},
        )
    return title


def body_text(text: str, *, code: str) -> str:
    """A body without control characters. Raises `code` for one that is too long."""
    body = sanitise(text)
    if len(body) > TEXT_LIMIT:
        raise AoError(
            code,
            f"the text has {len(body):,} characters, at most {TEXT_LIMIT:,} are allowed",
            details={"field": "body"},
        )
    return body


def mark_of(pull: LocalPull) -> str:
    """What the trailer of its merge says."""
    return f"{pull.project_id}#{pull.number}"


def merge_message(pull: LocalPull, *, title: str, body: str) -> str:
    """The message of a merge: title and body, those of the pull request unless given, and the trailer by which a merge
    is recognised whose end was not recorded. A trailer of the text's own is left out."""
    first = title_text(title) if title else f"{pull.title} (#{pull.number})"
    rest = _TRAILER_LINE.sub("", body_text(body or pull.body, code="INVALID_PR")).strip()
    return "\n\n".join(part for part in (first, rest, f"{TRAILER}: {mark_of(pull)}") if part) + "\n"

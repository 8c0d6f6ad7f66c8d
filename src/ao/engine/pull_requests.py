"""What callers ask of the engine about pull requests, and what it answers. "" means "not given"."""

from __future__ import annotations

from typing import Literal

import msgspec

from ao.model.project import Project
from ao.model.pull import Facts, MergeMethod, Picture, Pull, PullRef

Which = Literal["open", "all"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request that was named: where it is, and the row of it when some session owns it."""

    ref: PullRef
    project: Project
    pull: Pull | None = None


class PullEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request as it is shown: the forge's facts and, when a session owns it, everything stored."""

    facts: Facts
    project_id: str
    session_id: str = ""
    pull: Pull | None = None
    picture: Picture | None = None


class CreatePull(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request to open. `session_id` is the session that asks: its branch is the source unless one is named; a
    person names the source. The target is the project's base branch unless one is named; an empty title is the subject
    of the head commit."""

    project_id: str
    session_id: str = ""
    source: str = ""
    target: str = ""
    title: str = ""
    body: str = ""
    draft: bool = False


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """The session's pull requests, the claimed one first, and the session it was taken from, if any."""

    pulls: list[Pull]
    taken_over_from: list[str]


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that has happened, and the commit it made."""

    number: int
    method: MergeMethod
    sha: str


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A callback of a forge: its event, the signature it was sent with, and the bytes that were signed."""

    event: str
    signature: str
    body: bytes

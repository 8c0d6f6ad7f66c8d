"""The mark of a pull request's state, by which a look tells what has changed and so what has to be read. Pure.

A stamp has four parts: the facts, the checks, the conversations, and whether it can be merged into its base as that is
now. GitHub works the last one out only when asked and says UNKNOWN meanwhile; that alone never counts as a change.
A thread that is resolved doesn't move a pull request's time of last change, so the state of its last 100 threads is
part of every look: nodes cost nothing at GitHub, connections do.

GitHub's times are whole seconds. What follows a look within the same second would not show in the time of last change:
conversations that were read so soon after a change carry a digest of their content ("~…"), and are read again at the
next look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ao.forges.github.reading import moment
from ao.model.pull import Observation

Json = Mapping[str, Any]
SETTLED_MS: Final = 2_000
_MERGE: Final = ("mergeable", "mergeStateStatus", "baseRefOid")
_FACTS: Final = (
    "number", "url", "state", "isDraft", "title", "author", "closedAt", "mergedAt", "mergeCommit", "headRefName",
    "headRefOid", "headRepository", "isCrossRepository", "baseRefName", "additions", "deletions", "changedFiles",
    "reviewDecision", "updatedAt",
)  # fmt: skip


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The parts; "" where unknown. `merge` "" while GitHub is working it out."""

    facts: str = ""
    checks: str = ""
    talk: str = ""
    merge: str = ""

    def __str__(self) -> str:
        return ".".join((self.facts, self.checks, self.talk, self.merge))

    @property
    def is_volatile(self) -> bool:
        """Whether conversations have to be read again, whatever a look shows of them."""
        return self.talk.startswith("~")


def parse(text: str) -> Stamp:
    """The parts of a stamp; one of another form is empty."""
    parts = text.split(".")
    return Stamp(facts=parts[0], checks=parts[1], talk=parts[2], merge=parts[3]) if len(parts) == 4 else Stamp()


def of(node: Json) -> Stamp:
    """The stamp of a `PullParts`."""
    settled = node.get("state") != "OPEN" or "UNKNOWN" not in (node.get("mergeable"), node.get("mergeStateStatus"))
    return Stamp(
        facts=digest({name: node.get(name) for name in _FACTS}),
        checks=digest([node.get("headRefOid"), _checks(node.get("statusCheckRollup"))]),
        talk=digest(
            [
                node.get("updatedAt"),
                node.get("totalCommentsCount"),
                node.get("reviewDecision"),
                _threads(node.get("reviewThreads")),
            ]
        ),
        merge=digest([node.get(name) for name in _MERGE]) if settled else "",
    )


def is_settled(node: Json, *, at: int) -> bool:
    """Whether whatever comes after that time of GitHub's clock must show in the time of last change."""
    return at - moment(node.get("updatedAt")) > SETTLED_MS


def content(seen: Observation) -> str:
    """What stands for conversations that were read too soon after a change."""
    return "~" + digest([seen.threads, seen.comments, seen.reviews])


def is_news(old: Stamp, new: Stamp, *, content: str) -> bool:
    """Whether a state differs from the one that `old` is of. `content` is of the conversations, "" when not read."""
    talk = content if content and old.is_volatile else new.talk
    if old.is_volatile and not content:
        talk = old.talk
    return (old.facts, old.checks, old.talk) != (new.facts, new.checks, talk) or new.merge not in ("", old.merge)


def digest(value: Any) -> str:
    """A short digest of JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


def _checks(rollup: Any) -> Any:
    if not isinstance(rollup, Mapping):
        return None
    contexts = rollup.get("contexts") or {}
    names = ("databaseId", "status", "conclusion", "context", "state")
    found = [[node.get(name) for name in names] for node in contexts.get("nodes") or () if node]
    counts = [contexts.get(name) for name in ("totalCount", "checkRunCountsByState", "statusContextCountsByState")]
    return [rollup.get("state"), counts, sorted(found, key=str)]


def _threads(connection: Any) -> Any:
    if not isinstance(connection, Mapping):
        return None
    found = sorted((node.get("id"), node.get("isResolved")) for node in connection.get("nodes") or () if node)
    return [connection.get("totalCount"), found]

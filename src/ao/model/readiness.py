"""Whether a pull request is ready, and what of it a summary shows. Pure; no log and no comment's text passes here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ao.model.pull import FAILED, LOCAL, REASONS, Check, Picture, Pull, Thread, unresolved_threads

UNKNOWN_REVIEWER: Final = "unknown"
_WORDS: Final = {
    "conflicts": "it conflicts with its base branch",
    "behind_base": "it is behind its base branch",
    "draft": "it is a draft",
    "ci_failing": "its checks fail",
    "changes_requested": "a reviewer asks for changes",
    "review_required": "a review is required",
    "blocked_by_provider": "the rules of the place it lives in keep it from being merged",
}


class FailingCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check in the way, as a summary shows it."""

    name: str
    status: str
    conclusion: str = ""
    url: str = ""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where a conversation is."""

    url: str = ""
    file: str = ""
    line: int = 0


class Unresolved(msgspec.Struct, frozen=True, kw_only=True):
    """How many conversations one reviewer has opened that wait for an answer."""

    reviewer: str
    count: int
    links: tuple[Link, ...] = ()


def ready(picture: Picture) -> bool:
    """Whether nothing but the decision to merge is left: open and no draft, its checks pass, nobody asks for changes,
    no conversation waits, and the forge would merge it.

    Without any checks that holds on the local forge only: elsewhere they may just not have been registered yet.
    """
    pull = picture.pull
    without_checks = pull.forge == LOCAL and pull.ci == "unknown" and not picture.checks
    return (
        pull.state == "open"
        and (pull.ci == "passing" or without_checks)
        and pull.review in ("none", "approved")
        and pull.mergeability == "mergeable"
        and not unresolved_threads(picture.threads)
    )


def failing_checks(picture: Picture) -> tuple[FailingCheck, ...]:
    """Those of the present head, while it is open and its checks fail; failed before cancelled."""
    pull = picture.pull
    if not pull.is_open or pull.ci != "failing":
        return ()
    head = pull.head_sha.casefold()
    return tuple(
        FailingCheck(name=check.name, status=check.status, conclusion=check.conclusion, url=check.url)
        for check in picture.failed_checks
        if check.commit_sha.casefold() == head
    )


def unresolved_by(picture: Picture) -> tuple[Unresolved, ...]:
    """Who waits for an answer, by name; nobody does once it is merged or closed. The counts add up to
    `model.pull.unresolved_threads`."""
    if not picture.pull.is_open:
        return ()
    found: dict[str, list[Link]] = {}
    for thread in picture.threads:
        if thread.resolved or thread.is_bot:
            continue
        opener = next((comment for comment in thread.comments if not comment.author.is_bot), None)
        name = opener.author.login.strip() if opener is not None else ""
        link = Link(url=opener.url if opener is not None else "", file=thread.path, line=thread.line)
        found.setdefault(name or UNKNOWN_REVIEWER, []).append(link)
    return tuple(
        Unresolved(reviewer=name, count=len(links), links=tuple(links)) for name, links in sorted(found.items())
    )


def reasons(pull: Pull) -> list[str]:
    """Words of `model.pull.REASONS`, in their order, while it is open and can't simply be merged."""
    if not pull.is_open or pull.mergeability not in ("conflicting", "blocked", "unstable"):
        return []
    given = pull.reason_list
    return [reason for reason in REASONS if reason in given] or ["blocked_by_provider"]


def merge_refusal(pull: Pull, checks: Sequence[Check], threads: Sequence[Thread]) -> list[str]:
    """What is in the way of merging, in words for people; empty when nothing is known to be."""
    if not pull.is_open:
        return [f"it is {pull.state}"]
    found = [_WORDS["draft"]] if pull.state == "draft" else []
    found += [_WORDS[reason] for reason in reasons(pull) if reason not in ("draft", "ci_failing")]
    failed = sorted(check.name for check in checks if check.status in FAILED)
    if pull.ci == "failing":
        found.append(f"checks fail: {', '.join(failed)}" if failed else _WORDS["ci_failing"])
    elif pull.ci == "pending":
        found.append("its checks have not ended")
    if pull.review == "changes_requested" and _WORDS["changes_requested"] not in found:
        found.append(_WORDS["changes_requested"])
    waiting = unresolved_threads(tuple(threads))
    return [*found, *([f"{waiting} unresolved conversation{'s' * (waiting > 1)}"] if waiting else [])]

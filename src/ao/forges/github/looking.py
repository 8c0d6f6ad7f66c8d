"""Looking at many pull requests in few requests.

One query shows a hundred of them well enough to tell which have changed (`stamps`); those are read once more with what
changed, also many at a time. Of those that nothing is known of all is read at once.

What it costs: a look has two connections for each pull request, at GitHub's price two points for a hundred. 500 idle
ones take 5 requests and 10 points a cycle: at the pace of so many quiet ones (200 s) 180 points an hour, and no more
than 1,000 down to 36 s. 50 take one point: 120 an hour every 30 s. One whose checks changed takes one request of a
point more; one whose conversations changed has 56 connections, so one point too, and 60 of them, which is a request,
34. The first look at 500 takes 9 requests and 283 points. Nothing is read again for its age alone: every change shows
in a look.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ao.forges.github import reading, stamps
from ao.forges.github.client import Client, Results
from ao.forges.github.refusals import WholeError, graphql_trouble, pull_not_found
from ao.model.errors import AoError
from ao.model.pull import Observation, PullRef, Thread
from ao.ports.forge import Sighting, Watched

Json = Mapping[str, Any]
LOOK_AT_ONCE: Final = 100
READ_AT_ONCE: Final = 60
OLDER_PAGES: Final = 4
CHECK_PAGES: Final = 10
SPLITS: Final = 12
"""Requests in a call of `observe` that may be spent on finding what makes GitHub fail."""
REMEMBERED: Final = 4096


class _Want(msgspec.Struct, frozen=True, kw_only=True):
    """What is read beside the facts."""

    checks: bool = False
    talk: bool = False


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One pull request of an answer: a node, or gone, or in trouble."""

    node: Json | None = None
    at: int = 0
    denied: frozenset[str] = frozenset()
    trouble: AoError | None = None


class _Splits:
    """How often requests of this call may still be cut in two."""

    def __init__(self) -> None:
        self._left = SPLITS

    def take(self) -> bool:
        """Whether one more may be."""
        self._left -= 1
        return self._left >= 0


class _Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, how often it may be cut, and whether the reserve of the budget is left to others."""

    want: _Want
    splits: _Splits
    spare: bool


_GLANCE: Final = _Want()
_CHECKS: Final = _Want(checks=True)
_ALL: Final = _Want(checks=True, talk=True)


class Looking:
    """The eyes of the forge."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Volatile stamps whose conversations were read again and are the same, with what a look shows of them.
        self._settled: OrderedDict[str, str] = OrderedDict()

    async def observe(self, watched: Sequence[Watched]) -> list[Sighting]:
        """One sighting each, in order. Never raises for a part of them."""
        groups: dict[str, list[int]] = {}
        for index, each in enumerate(watched):
            groups.setdefault(each.ref.repo.host, []).append(index)
        sightings: dict[int, Sighting] = {}
        found = await asyncio.gather(*(self._at_host([watched[i] for i in group]) for group in groups.values()))
        for group, part in zip(groups.values(), found, strict=True):
            sightings.update(zip(group, part, strict=True))
        return [sightings[index] for index in range(len(watched))]

    async def fetch(self, ref: PullRef) -> Observation:
        """Everything about one. Raises `PR_NOT_FOUND`."""
        (seen,) = await self._seen([ref], _ALL, _Splits(), spare=False)
        if seen.trouble is not None:
            raise seen.trouble
        if seen.node is None:
            raise pull_not_found(ref)
        return await self._observation(ref, seen, _ALL)

    async def _at_host(self, watched: Sequence[Watched]) -> list[Sighting]:
        splits = _Splits()
        known = [each for each in watched if each.stamp and each.ref.node]
        sightings = {id(each): Sighting(ref=each.ref) for each in watched}
        due = {id(each): _ALL for each in watched if not (each.stamp and each.ref.node)}
        glances = await self._seen([each.ref for each in known], _GLANCE, splits)
        for each, seen in zip(known, glances, strict=True):
            want = self._wanted(each, seen)
            if want is not None and want != _GLANCE:
                due[id(each)] = want
            elif want is not None or seen.node is None:
                sightings[id(each)] = await self._sighting(each, seen, _GLANCE)
        for want in (_CHECKS, _ALL):
            chosen = [each for each in watched if due.get(id(each)) == want]
            read = await self._seen([each.ref for each in chosen], want, splits)
            made = await asyncio.gather(*map(self._sighting, chosen, read, [want] * len(chosen)))
            sightings.update((id(each), sighting) for each, sighting in zip(chosen, made, strict=True))
        return [sightings[id(each)] for each in watched]

    def _wanted(self, watched: Watched, seen: _Seen) -> _Want | None:
        """What has to be read of one after a glance; None: nothing has changed. A glance alone tells the facts only
        where GitHub decides on reviews."""
        if seen.node is None:
            return None
        old, new = stamps.parse(watched.stamp), stamps.of(seen.node)
        talk = (self._settled.get(watched.stamp) if old.is_volatile else old.talk) != new.talk
        if talk:
            return _ALL
        if old.checks != new.checks:
            return _CHECKS
        if old.facts == new.facts and new.merge in ("", old.merge):
            return None
        return _GLANCE if seen.node.get("reviewDecision") else _CHECKS

    async def _sighting(self, watched: Watched, seen: _Seen, want: _Want) -> Sighting:
        ref = watched.ref
        if seen.trouble is not None:
            return Sighting(ref=ref, trouble=seen.trouble)
        if seen.node is None:
            return Sighting(ref=ref, gone=True)
        try:
            made = await self._observation(ref, seen, want)
        except AoError as error:
            return Sighting(ref=ref, trouble=error)
        old, content = stamps.parse(watched.stamp), stamps.content(made) if want.talk else ""
        if watched.stamp and not stamps.is_news(old, stamps.of(seen.node), content=content):
            if old.is_volatile and want.talk and stamps.is_settled(seen.node, at=seen.at):
                self._settle(watched.stamp, stamps.of(seen.node).talk)
            return Sighting(ref=ref)
        return Sighting(ref=ref, observation=made)

    def _settle(self, stamp: str, talk: str) -> None:
        """Remember that the conversations of this volatile stamp were read again, late enough, and are the same."""
        self._settled[stamp] = talk
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)

    async def _observation(self, ref: PullRef, seen: _Seen, want: _Want) -> Observation:
        """What an answer shows, with the further pages that belong to it."""
        node = seen.node or {}
        facts = reading.facts(ref, node)
        made = Observation(facts=facts)
        if want.checks and "statusCheckRollup" not in seen.denied:
            nodes = await self._contexts(ref, node)
            made = msgspec.structs.replace(made, checks=reading.checks(facts.head_sha, nodes))
        if want.talk:
            threads, whole = await self._threads(ref, node)
            made = msgspec.structs.replace(
                made,
                threads=threads,
                whole_threads=whole,
                comments=reading.comments(node["comments"]) if node.get("comments") else None,
                reviews=reading.reviews(node["reviews"]) if node.get("reviews") else None,
            )
        stamp = stamps.of(node)
        if want.talk and not stamps.is_settled(node, at=seen.at):
            stamp = msgspec.structs.replace(stamp, talk=stamps.content(made))
        return msgspec.structs.replace(made, stamp=str(stamp))

    async def _contexts(self, ref: PullRef, node: Json) -> list[Json]:
        """All checks of its head. Raises when the head moved between two pages."""
        connection = (node.get("statusCheckRollup") or {}).get("contexts") or {}
        found = list(connection.get("nodes") or ())
        for _ in range(CHECK_PAGES):
            page = connection.get("pageInfo") or {}
            if not page.get("hasNextPage"):
                break
            asked = {"id": node.get("id"), "after": page.get("endCursor"), "checks": True}
            answer = await self._client.query(ref.repo.host, "MoreChecks", asked, spare=True)
            rest = answer.data.get("node") or {}
            if answer.errors or rest.get("headRefOid") != node.get("headRefOid"):
                raise graphql_trouble(ref.repo.host, answer.errors or [{"message": "the head moved while it was read"}])
            connection = (rest.get("statusCheckRollup") or {}).get("contexts") or {}
            found += connection.get("nodes") or ()
        return [each for each in found if each]

    async def _threads(self, ref: PullRef, node: Json) -> tuple[tuple[Thread, ...] | None, bool]:
        """Conversations, and whether these are all. Older ones are read while the oldest is unresolved: people resolve
        them in about the order in which they were begun."""
        connection = node.get("talk")
        if not connection:
            return None, False
        found = reading.threads(connection)
        for _ in range(OLDER_PAGES):
            page = connection.get("pageInfo") or {}
            if not page.get("hasPreviousPage"):
                return found, True
            if found and found[0].resolved:
                break
            asked = {"id": node.get("id"), "before": page.get("startCursor")}
            answer = await self._client.query(ref.repo.host, "OlderThreads", asked, spare=True)
            connection = (answer.data.get("node") or {}).get("talk")
            if answer.errors or not connection:
                raise graphql_trouble(ref.repo.host, answer.errors)
            found = reading.threads(connection) + found
        return found, not (connection.get("pageInfo") or {}).get("hasPreviousPage")

    async def _seen(self, refs: Sequence[PullRef], want: _Want, splits: _Splits, *, spare: bool = True) -> list[_Seen]:
        """Ask for these, by their ids as far as they are known, else one by one."""
        size = READ_AT_ONCE if want.talk else LOOK_AT_ONCE
        by_id = [index for index, ref in enumerate(refs) if ref.node]
        chunks = [by_id[start : start + size] for start in range(0, len(by_id), size)]
        chunks += [[index] for index, ref in enumerate(refs) if not ref.node]
        ask = _Ask(want=want, splits=splits, spare=spare)
        parts = await asyncio.gather(*(self._batch([refs[index] for index in chunk], ask) for chunk in chunks))
        seen = {
            index: one
            for chunk, part in zip(chunks, parts, strict=True)
            for index, one in zip(chunk, part, strict=True)
        }
        return [seen[index] for index in range(len(refs))]

    async def _batch(self, refs: Sequence[PullRef], ask: _Ask) -> list[_Seen]:
        """One request. One that fails as a whole is cut in two: a single pull request must not starve the others."""
        try:
            return await self._request(refs, ask)
        except WholeError as error:
            if len(refs) == 1 or not ask.splits.take():
                return [_Seen(trouble=error)] * len(refs)
        except AoError as error:
            return [_Seen(trouble=error)] * len(refs)
        half = len(refs) // 2
        parts = await asyncio.gather(self._batch(refs[:half], ask), self._batch(refs[half:], ask))
        return [*parts[0], *parts[1]]

    async def _request(self, refs: Sequence[PullRef], ask: _Ask) -> list[_Seen]:
        flags = {"checks": ask.want.checks, "talk": ask.want.talk}
        first = refs[0]
        if first.node:
            asked = {"ids": [ref.node for ref in refs], **flags}
            answer = await self._client.query(first.repo.host, "Look", asked, spare=ask.spare)
            nodes = [*(answer.data.get("nodes") or ()), *[None] * len(refs)]
            return [_seen_of(first, answer, nodes[index], ("nodes", index)) for index in range(len(refs))]
        owner, _, name = first.repo.path.partition("/")
        asked = {"owner": owner, "name": name, "number": first.number, **flags}
        answer = await self._client.query(first.repo.host, "LookByNumber", asked, spare=ask.spare)
        node = (answer.data.get("repository") or {}).get("pullRequest")
        return [_seen_of(first, answer, node, ("repository", "pullRequest"))]


def _seen_of(ref: PullRef, answer: Results, node: Any, path: tuple[str | int, ...]) -> _Seen:
    """One pull request of an answer. What GitHub denies for want of a permission is left out; for any other reason
    nothing is believed of the rest either."""
    errors = [each for each in answer.errors if _concerns(each, path)]
    if not isinstance(node, Mapping):
        missing = [each for each in errors if each.get("type") != "NOT_FOUND"]
        return _Seen(at=answer.at, trouble=graphql_trouble(ref.repo.host, missing) if missing else None)
    if node.get("__typename") != "PullRequest":
        return _Seen(at=answer.at)
    serious = [each for each in errors if each.get("type") != "FORBIDDEN"]
    if serious:
        return _Seen(at=answer.at, trouble=graphql_trouble(ref.repo.host, serious))
    denied = frozenset(str(each["path"][len(path)]) for each in errors if len(each.get("path") or ()) > len(path))
    return _Seen(node=node, at=answer.at, denied=denied)


def _concerns(error: Json, path: tuple[str | int, ...]) -> bool:
    """Whether an error is about what lies at `path`, above or below it; one without a path is about everything."""
    at = tuple(error.get("path") or ())
    shared = min(len(at), len(path))
    return at[:shared] == path[:shared]

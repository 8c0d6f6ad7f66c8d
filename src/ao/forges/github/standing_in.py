"""Looking by REST while the GraphQL budget is used up: facts and checks, of a few pull requests at a time (fault C7).

Conversations wait until GraphQL is back. What was shown keeps the mark it had, so the next look by GraphQL reads
whatever differs from that. Four requests each; those that GitHub answers with 304 cost nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from ao.forges.github import from_rest, reading, stamps
from ao.forges.github.client import Client
from ao.forges.github.refusals import RefusedError, unavailable
from ao.model.errors import AoError
from ao.model.pull import Observation, PullRef
from ao.ports.forge import Sighting, Watched

AT_ONCE: Final = 25
"""Pull requests that are looked at in one call; the others have their turn in later ones and show nothing meanwhile."""
PAGES: Final = 3
REMEMBERED: Final = 4096


class StandingIn:
    """Looks at pull requests by REST, those first that were not looked at for longest."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._shown: OrderedDict[tuple[str, int], str] = OrderedDict()

    async def observe(self, watched: Sequence[Watched]) -> list[Sighting]:
        """One sighting each, in order. Never raises for a part of them."""
        turn = {key: place for place, key in enumerate(self._shown)}
        order = sorted(range(len(watched)), key=lambda index: turn.get(_key(watched[index].ref), -1))
        chosen = order[:AT_ONCE]
        sightings = [Sighting(ref=each.ref) for each in watched]
        seen = await asyncio.gather(*(self._sighting(watched[index]) for index in chosen))
        for index, sighting in zip(chosen, seen, strict=True):
            sightings[index] = sighting
        return sightings

    async def _sighting(self, watched: Watched) -> Sighting:
        ref = watched.ref
        try:
            made = await self._observation(ref, watched.stamp)
        except RefusedError as refused:
            if refused.status == 404:
                return Sighting(ref=ref, gone=True)
            return Sighting(ref=ref, trouble=unavailable(ref.repo.host, refused.said, status=refused.status))
        except AoError as error:
            return Sighting(ref=ref, trouble=error)
        mark, key = stamps.digest(made), _key(ref)
        known = self._shown.pop(key, "")
        self._shown[key] = mark
        if len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)
        return Sighting(ref=ref) if mark == known else Sighting(ref=ref, observation=made)

    async def _observation(self, ref: PullRef, stamp: str) -> Observation:
        repo, host = f"/repos/{ref.repo.path}", ref.repo.host
        item = (await self._client.get(host, f"{repo}/pulls/{ref.number}", spare=True)).data
        node = from_rest.pull(item if isinstance(item, dict) else {})
        sha = str(node["headRefOid"])
        runs, statuses, reviews = await asyncio.gather(
            self._pages(host, f"{repo}/commits/{sha}/check-runs"),
            self._pages(host, f"{repo}/commits/{sha}/status"),
            self._pages(host, f"{repo}/pulls/{ref.number}/reviews"),
        )
        contexts = [each for page in runs for each in from_rest.runs(page)]
        contexts += [each for page in statuses for each in from_rest.statuses(page)]
        node["statusCheckRollup"] = from_rest.rollup(contexts)
        node["latestOpinionatedReviews"] = from_rest.verdicts([review for page in reviews for review in page])
        return Observation(facts=reading.facts(ref, node), checks=reading.checks(sha, contexts), stamp=stamp)

    async def _pages(self, host: str, path: str) -> list[Any]:
        pages: list[Any] = []
        for page in range(1, PAGES + 1):
            query = {"per_page": 100} | ({"page": page} if page > 1 else {})
            answer = await self._client.get(host, path, query=query, spare=True)
            pages.append(answer.data or {})
            if not answer.more:
                break
        return pages


def _key(ref: PullRef) -> tuple[str, int]:
    return ref.repo.key, ref.number

"""The list of a repository's pull requests, followed by a cursor: one conditional request when nothing has changed.

The list is ordered by GitHub's time of last change, newest first, and read down to where the cursor is. Only GitHub's
own times are compared with each other; a time of ours is shifted by the difference of the clocks first. Times are whole
seconds, and GitHub's servers may be a moment behind each other: of the newest minute the cursor holds what each pull
request looked like, and whatever looks different there has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from ao.forges.github import reading, stamps
from ao.forges.github.client import Answer, Client
from ao.model.pull import Facts, Repo
from ao.ports.forge import Listing

PAGES: Final = 10
FIRST_PAGE: Final = 100
NEXT_PAGE: Final = 30
WINDOW_MS: Final = 60_000


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go on from: the tag of the first page, the newest time of change (milliseconds), and a digest of each
    pull request that changed in the minute before it, by number."""

    etag: str = ""
    newest: int = 0
    seen: dict[str, str] = {}

    @property
    def reach(self) -> int:
        """How far down a list has to be read."""
        return self.newest - WINDOW_MS


class Lists:
    """Reads lists. `now` gives milliseconds."""

    def __init__(self, client: Client, *, now: Callable[[], int]) -> None:
        self._client = client
        self._now = now

    async def listing(self, repo: Repo, cursor: str, *, since: int) -> Listing:
        """What changed since the cursor; without one what changed since then, and whatever is open."""
        known = _parsed(cursor)
        return await self._first(repo, since) if known is None else await self._next(repo, known)

    async def _next(self, repo: Repo, known: Cursor) -> Listing:
        answer = await self._page(repo, "all", 1, size=NEXT_PAGE, etag=known.etag)
        if answer.status == 304:
            return Listing(cursor=_text(known), unchanged=True)
        top, found, pages = answer, _facts(repo, answer), 1
        while answer.more and pages < PAGES and (not found or found[-1].changed_at >= known.reach):
            pages += 1
            answer = await self._page(repo, "all", pages, size=NEXT_PAGE)
            found += _facts(repo, answer)
        complete = not answer.more or found[-1].changed_at < known.reach
        fresh = [each for each in found if _is_fresh(each, known)]
        made = _cursor(top.etag, found) if fresh else msgspec.structs.replace(known, etag=top.etag)
        return Listing(pulls=_unique(fresh), cursor=_text(made), unchanged=not fresh, complete=complete)

    async def _first(self, repo: Repo, since: int) -> Listing:
        """All states down to the time asked for, then the open ones that are older."""
        answer = await self._page(repo, "all", 1, size=FIRST_PAGE)
        oldest = since - (self._now() - answer.at) - WINDOW_MS
        found, pages, page = _facts(repo, answer), 1, 1
        while answer.more and pages < PAGES and found[-1].changed_at >= oldest:
            pages, page = pages + 1, page + 1
            answer = await self._page(repo, "all", page, size=FIRST_PAGE)
            found += _facts(repo, answer)
        reached, page = not answer.more or found[-1].changed_at < oldest, 0
        while answer.more and pages < PAGES:
            pages, page = pages + 1, page + 1
            answer = await self._page(repo, "open", page, size=FIRST_PAGE)
            found += _facts(repo, answer)
        kept = [each for each in found if each.changed_at >= oldest or each.state in ("open", "draft")]
        complete = reached and not answer.more
        return Listing(pulls=_unique(kept), cursor=_text(_cursor("", found)), complete=complete)

    async def _page(self, repo: Repo, state: str, page: int, *, size: int, etag: str = "") -> Answer:
        query: dict[str, str | int] = {"state": state, "sort": "updated", "direction": "desc", "per_page": size}
        if page > 1:
            query["page"] = page
        return await self._client.get(repo.host, f"/repos/{repo.path}/pulls", query=query, etag=etag)


def _facts(repo: Repo, answer: Answer) -> list[Facts]:
    items = answer.data if isinstance(answer.data, list) else []
    return [reading.listed_facts(repo, item) for item in items if isinstance(item, dict)]


def _is_fresh(facts: Facts, known: Cursor) -> bool:
    return facts.changed_at >= known.reach and known.seen.get(str(facts.number)) != _digest(facts)


def _unique(found: list[Facts]) -> tuple[Facts, ...]:
    """Newest first, each once: what moves up between two pages is shown on both."""
    latest: dict[int, Facts] = {}
    for each in found:
        if each.number not in latest or latest[each.number].changed_at < each.changed_at:
            latest[each.number] = each
    return tuple(sorted(latest.values(), key=lambda each: (each.changed_at, each.number), reverse=True))


def _cursor(etag: str, found: list[Facts]) -> Cursor:
    """After a list whose first page came first: what changes while it is read is newer than that."""
    made = Cursor(etag=etag, newest=found[0].changed_at if found else 0)
    seen = {str(each.number): _digest(each) for each in _unique(found) if each.changed_at >= made.reach}
    return msgspec.structs.replace(made, seen=seen)


def _digest(facts: Facts) -> str:
    return stamps.digest([facts.changed_at, facts.state, facts.head_sha, facts.title])


def _text(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()


def _parsed(text: str) -> Cursor | None:
    """None for no cursor, and for one that isn't ours (of another version): then the list is read anew."""
    try:
        return msgspec.json.decode(text, type=Cursor) if text else None
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None

"""GitHub, and servers that speak as it does, as one of the forges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from ao.forges.credentials import Credentials
from ao.forges.github import logs, reviewing
from ao.forges.github.actions import Actions
from ao.forges.github.client import Client
from ao.forges.github.listing import Lists
from ao.forges.github.looking import Looking
from ao.forges.github.refusals import RefusedError, no_credentials, unavailable
from ao.forges.github.standing_in import StandingIn
from ao.model.errors import AoError
from ao.model.pull import GITHUB, Check, Comment, Observation, PullRef, Repo, Review
from ao.ports import Host
from ao.ports.forge import Listing, MergeOrder, NewPull, ReviewPost, Sighting, Watched

log = logging.getLogger("ao.forges.github")


class GitHub:
    """`ao.ports.forge.Forge` over GitHub's API. `environ` gives tokens and addresses, `now` milliseconds.

    Nothing is asked, imported or started before the first call that needs it.
    """

    name = GITHUB

    def __init__(self, host: Host, environ: Mapping[str, str], *, now: Callable[[], int]) -> None:
        self._credentials = Credentials(host, environ, now=now)
        self._client = Client(self._credentials, environ, now=now)
        self._lists = Lists(self._client, now=now)
        self._looking = Looking(self._client)
        self._told = False
        self._standing_in = StandingIn(self._client)
        self._actions = Actions(self._client, self._looking.fetch)

    async def trouble(self, repo: Repo) -> AoError | None:
        """Whether there is a token for the repository's host that it accepts."""
        if await self._credentials.token(repo.host):
            return None
        return no_credentials(repo.host, refused=self._credentials.was_refused(repo.host))

    async def resume(self, repos: Sequence[Repo]) -> None:
        """Nothing of GitHub's runs here, so nothing was left."""

    async def listing(self, repo: Repo, cursor: str, *, since: int) -> Listing:
        """What changed in the list since the cursor: one request when nothing did, which costs nothing."""
        try:
            return await self._lists.listing(repo, cursor, since=since)
        except RefusedError as refused:
            raise unavailable(
                repo.host, f"no repository {repo.path} for this token ({refused.said})", status=refused.status
            ) from refused

    async def observe(self, watched: Sequence[Watched]) -> list[Sighting]:
        """Look at many in few requests; see `looking` for what that costs. While GraphQL is used up, REST stands in."""
        sightings = await self._looking.observe(watched)
        limited = [index for index, sighting in enumerate(sightings) if _is_spent(sighting)]
        if limited and not self._told:
            log.warning("GraphQL budget used up, REST stands in", extra={"scm_host": watched[limited[0]].ref.repo.host})
        self._told = bool(limited)
        if limited:
            seen = await self._standing_in.observe([watched[index] for index in limited])
            for index, sighting in zip(limited, seen, strict=True):
                sightings[index] = sighting
        return sightings

    async def fetch(self, ref: PullRef) -> Observation:
        """Everything about one."""
        return await self._looking.fetch(ref)

    async def log(self, ref: PullRef, check: Check) -> str:
        """The output of a check, "" when GitHub has none (any more)."""
        return await logs.log_of(self._client, ref, check)

    async def create(self, repo: Repo, new: NewPull) -> Observation:
        """Open a pull request between branches that are on GitHub."""
        return Observation(facts=await self._actions.create(repo, new))

    async def comment(self, ref: PullRef, body: str, *, thread_id: str = "", session: str = "") -> Comment:
        """Comment on the whole, or reply in a thread."""
        if thread_id:
            return await self._actions.reply(ref, thread_id, body, session)
        return await self._actions.comment(ref, body, session)

    async def review(self, ref: PullRef, post: ReviewPost) -> Review:
        """Submit a review; see `reviewing` for what becomes of comments that GitHub would refuse."""
        return await reviewing.submit(self._client, ref, post)

    async def resolve(self, ref: PullRef, thread_id: str, *, resolved: bool = True) -> None:
        """Set the mark of a conversation."""
        await self._actions.resolve(ref, thread_id, resolved=resolved)

    async def merge(self, ref: PullRef, order: MergeOrder) -> str:
        """Merge, guarded by the expected head; the commit this made."""
        return await self._actions.merge(ref, order)

    async def close(self, ref: PullRef) -> None:
        """Close without merging."""
        await self._actions.close(ref)

    async def rerun(self, ref: PullRef) -> None:
        """Run the checks of its head again."""
        await self._actions.rerun(ref)

    async def diff(self, ref: PullRef, *, limit: int) -> str:
        """Its change as a unified diff."""
        return await reviewing.diff(self._client, ref, limit=limit)

    def forget(self, repo: Repo) -> None:
        """Ask anew what was remembered of a repository."""
        self._client.forget(f"/repos/{repo.path}")

    async def shut(self) -> None:
        """Close connections."""
        await self._client.shut()


def _is_spent(sighting: Sighting) -> bool:
    """Whether it wasn't seen for want of GraphQL points. When GitHub asks for a pause, REST would make things worse."""
    details = sighting.trouble.details if sighting.trouble is not None else {}
    return details.get("resource") == "graphql" and bool(details.get("spent"))

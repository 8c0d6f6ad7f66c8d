"""A forge without pull requests, at the port: for tests of the API in which none matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ao.model.errors import AoError
from ao.model.pull import LOCAL, Check, PullRef, Repo
from ao.ports.forge import Listing, MergeOrder, NewPull, ReviewPost, Sighting, Watched


class EmptyForge:
    """Lists nothing, finds nothing, and opens nothing."""

    name = LOCAL

    async def trouble(self, repo: Repo) -> AoError | None:
        """It can always be asked."""
        return None

    async def resume(self, repos: Sequence[Repo]) -> None:
        """Nothing ever runs for it."""

    async def listing(self, repo: Repo, cursor: str, *, since: int) -> Listing:
        """Empty."""
        return Listing(cursor="empty", unchanged=cursor == "empty")

    async def observe(self, watched: Sequence[Watched]) -> list[Sighting]:
        """None is there."""
        return [Sighting(ref=each.ref, gone=True) for each in watched]

    async def fetch(self, ref: PullRef) -> NoReturn:
        """None is there."""
        raise AoError("PR_NOT_FOUND", f"no pull request #{ref.number}")

    async def log(self, ref: PullRef, check: Check) -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    async def create(self, repo: Repo, new: NewPull) -> NoReturn:
        """It has no branches."""
        raise AoError("INVALID_BRANCH", f"no branch {new.source_branch!r}")

    async def comment(self, ref: PullRef, body: str, *, thread_id: str = "", session: str = "") -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    async def review(self, ref: PullRef, post: ReviewPost) -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    async def resolve(self, ref: PullRef, thread_id: str, *, resolved: bool = True) -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    async def merge(self, ref: PullRef, order: MergeOrder) -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    async def close(self, ref: PullRef) -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    async def rerun(self, ref: PullRef) -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    async def diff(self, ref: PullRef, *, limit: int) -> NoReturn:
        """None is there."""
        await self.fetch(ref)

    def forget(self, repo: Repo) -> None:
        """Nothing is kept."""

    async def shut(self) -> None:
        """Nothing is open."""

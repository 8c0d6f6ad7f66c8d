"""Finding the pull requests that sessions open: a repository's list, followed by a cursor, and whose each one is."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from ao.engine.pulls import Pulls
from ao.engine.world import World, checkout_of
from ao.model.attribution import Candidate, may_own, owner
from ao.model.project import Project
from ao.model.pull import Facts, Observation, PullRef, Repo
from ao.model.session import Kind, Session
from ao.store import cursors, pulls, sessions

LATE_MS: Final = 7 * 24 * 3_600_000
"""A session's pull request is still attached to it when it appears this long after the session's end."""

log = logging.getLogger("ao.engine.discovery")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A project's repository on its forge, and the sessions that may open pull requests there."""

    repo: Repo
    project: Project
    sessions: tuple[Session, ...]

    @property
    def is_live(self) -> bool:
        """Whether one of them still runs."""
        return any(not session.is_terminated for session in self.sessions)


class Discovery:
    """Follows the lists."""

    def __init__(self, world: World, pulls_: Pulls) -> None:
        self._world = world
        self._pulls = pulls_

    def place(self, project: Project, repo: Repo) -> Place | None:
        """The list of a project and its sessions; None when none of them could have opened anything."""
        read, now = self._world.db.read, self._world.now()
        rows = [
            row
            for row in (*sessions.terminated(read, project=project.id), *sessions.unfinished(read, project=project.id))
            if row.kind is not Kind.REVIEWER and row.launches and (row.ended_at or now) > now - LATE_MS
        ]
        return Place(repo=repo, project=project, sessions=tuple(rows)) if rows else None

    async def follow(self, place: Place) -> list[str]:
        """Read what changed in the list and attach what belongs to a session. Returns the URLs of tracked pull requests
        that the list shows as changed: they are to be looked at now. The cursor moves after everything is recorded.

        Raises what the forge raises.
        """
        key = f"{place.project.id} {place.repo.key}"
        cursor = cursors.get(self._world.db.read, key)
        since = min(session.created_at for session in place.sessions)
        listing = await self._pulls.forges.of(place.repo).listing(place.repo, cursor, since=since)
        if not listing.complete:
            log.warning("older pull requests were left out", extra={"repo": key})
        reader = _Reader(self._world, self._pulls, place)
        changed = [facts.url for facts in listing.pulls if await self._see(facts, place, reader)]
        if listing.cursor and listing.cursor != cursor:
            now = self._world.now()
            await self._world.db.write(lambda conn: cursors.put(conn, key, listing.cursor, now))
        return changed

    async def _see(self, facts: Facts, place: Place, reader: _Reader) -> bool:
        """Whether the pull request of these facts is tracked (now) and differs from what is known."""
        known = pulls.get(self._world.db.read, facts.url)
        ref = PullRef(repo=place.repo, number=facts.number, node=facts.node)
        if known is not None:
            if not known.is_open and facts.state in ("open", "draft"):
                await self._pulls.record((known.session_id, known.project_id), ref, Observation(facts=facts))
                return True
            return known.is_open and known.provider_changed_at != facts.changed_at
        session = await reader.owner(facts)
        if session is None:
            return False
        log.info("pull request found", extra={"pull": facts.url, "session": session.id})
        await self._pulls.record((session.id, session.project_id), ref, Observation(facts=facts))
        return True


class _Reader:
    """Decides whose pull requests are, asking git as little as possible; for one pass over a list."""

    def __init__(self, world: World, pulls_: Pulls, place: Place) -> None:
        self._world = world
        self._pulls = pulls_
        self._place = place
        self._repos: frozenset[str] | None = None
        self._candidates: dict[str, Candidate] = {}

    async def owner(self, facts: Facts) -> Session | None:
        """The session that made this pull request, None when it is somebody else's."""
        repos = await self._own_repos()
        if facts.head_repo not in repos or not await self._is_here(facts.head_sha):
            return None
        named = [row for row in self._place.sessions if may_own(facts, row.branch, row.id)]
        for group in (named, [row for row in self._place.sessions if row not in named]):
            found = owner(facts, [await self._candidate(row) for row in group], repos=repos)
            if found is not None:
                return next(row for row in group if row.id == found)
        return None

    async def _own_repos(self) -> frozenset[str]:
        """The repository itself, and those that the checkout has remotes of (a fork that is pushed to)."""
        if self._repos is None:
            remotes = await self._world.trees.remotes(self._place.project.path)
            named = (self._pulls.forges.remote(url) for url in remotes.values())
            self._repos = frozenset({self._place.repo.key, *(repo.key for repo in named if repo is not None)})
        return self._repos

    async def _is_here(self, sha: str) -> bool:
        """Whether the commit is in our repository at all: what a worktree made is."""
        return bool(sha) and await self._world.trees.commit(self._place.project.path, sha) is not None

    async def _candidate(self, session: Session) -> Candidate:
        known = self._candidates.get(session.id)
        if known is None:
            history = await self._world.trees.history(checkout_of(session))
            known = Candidate(
                session_id=session.id, branches=frozenset({session.branch, *history.branches}), commits=history.commits
            )
            self._candidates[session.id] = known
        return known

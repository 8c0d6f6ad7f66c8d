"""The loop that looks at forges: what is due is looked at, what is found is recorded, the rest of the time it sleeps.

It never decides anything. What a forge can't tell by itself is asked for at a pace that follows the chance of news
(`model.cadence`); a webhook, an agent that comes to rest, a moved branch or a command of ours make things due at once.
A forge that fails or limits us is left alone for a while; the others go on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import random
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import msgspec

from ao.engine.discovery import Discovery, Place
from ao.engine.pull_requests import WebhookDelivery
from ao.engine.pulls import Pulls, located
from ao.engine.schedule import Schedule
from ao.engine.world import World
from ao.model import cadence
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.project import Project
from ao.model.pull import GITHUB, LOCAL, Pull, PullRef, Repo
from ao.ports.forge import Sighting, Watched
from ao.store import projects, pulls

AGAIN_MS: Final = 5_000
"""A repository isn't listed anew sooner than this, whatever happens there."""
GONE_AFTER: Final = 3
"""Looks in a row that must find no such pull request before it counts as deleted."""
PROBE_MS: Final = 300_000
"""How often a forge without credentials is asked whether it has some now."""
WATCH_S: Final = 3_600.0
NEVER: Final = 1 << 62
_AT_REST: Final = frozenset({"idle", "waiting_input", "exited"})

log = logging.getLogger("ao.engine.observer")


class _News(msgspec.Struct, frozen=True):
    activity: str = ""


class _Host:
    """What is known of one host of a forge: how often it failed in a row, and until when it is left alone."""

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0
        self.told = ""
        self.limited = False


class Observer:
    """Looks. `clock` is in milliseconds and never goes back."""

    def __init__(self, world: World, pulls_: Pulls, *, clock: Callable[[], int] | None = None) -> None:
        self._world = world
        self._pulls = pulls_
        self._discovery = Discovery(world, pulls_)
        self._clock = clock or (lambda: int(asyncio.get_running_loop().time() * 1000))
        self._news = asyncio.Event()
        self._watched = 0
        self._local: set[str] = set()
        """Projects whose list needs no asking."""
        self._looks = Schedule()
        self._lists = Schedule()
        self._listed: dict[str, int] = {}
        self._hosts: dict[tuple[str, str], _Host] = {}
        self._gone: dict[str, int] = {}
        self._troubled: dict[str, int] = {}
        self._watches: dict[str, tuple[frozenset[str], asyncio.Task[Any]]] = {}
        self._limited: Callable[[str, str], None] | None = None

    def report_limit_to(self, sink: Callable[[str, str], None]) -> None:
        """Call `sink(host, message)` when a forge's budget is used up, and with "" when it answers again; set while
        wiring."""
        self._limited = sink

    async def run(self) -> None:
        """Look for ever. Whether GitHub could be asked is found out beside it, so that the log says so at the start."""
        self._world.start(self._may_ask(Repo(forge=GITHUB, host="github.com", path="")))
        while True:
            self._news.clear()
            try:
                wait_ms = await self.cycle()
            except Exception as error:
                cause = None if isinstance(error, AoError) else error
                log.warning("a look at the forges failed", exc_info=cause, extra={"cause": str(error)})
                wait_ms = cadence.NORMAL
            await self._sleep(wait_ms)

    async def _sleep(self, wait_ms: int) -> None:
        try:
            async with asyncio.timeout(None if wait_ms >= NEVER else max(wait_ms, 1) / 1000):
                await self._news.wait()
        except TimeoutError:
            return

    def wake(self, repo_key: str) -> None:
        """Something happened in this repository: list it and look at its pull requests now."""
        for project in self._projects_at(repo_key):
            self._list_soon(project.id)
        self._look_now(repo_key)

    def committed(self, change: Change) -> None:
        """There is a session to look for, or an agent came to rest: it may just have pushed."""
        if change.type == "project_updated":
            self._local.discard(change.project_id)
        elif change.type == "session_created" or (
            change.type == "session_updated" and msgspec.json.decode(change.payload, type=_News).activity in _AT_REST
        ):
            self._may_have_pushed(change.project_id, change.session_id or "")

    def _may_have_pushed(self, project_id: str, session_id: str) -> None:
        if project_id in self._local:
            return  # what happens in a local repository we do ourselves, or the kernel tells
        self._list_soon(project_id)
        if self._pulls.owns_any(session_id):
            for pull in pulls.of_session(self._world.db.read, session_id):
                self._looks.wake(pull.url)
        self._news.set()

    def _look_now(self, repo_key: str) -> None:
        for pull in pulls.open_pulls(self._world.db.read):
            if pull.ref.repo.key == repo_key:
                self._looks.wake(pull.url)
        self._news.set()

    def _list_soon(self, project_id: str) -> None:
        self._lists.wake(project_id, self._listed.get(project_id, -AGAIN_MS) + AGAIN_MS)

    def _projects_at(self, repo_key: str) -> list[Project]:
        found = projects.active(self._world.db.read)
        named = ((project, self._pulls.forges.repo_or_none(project)) for project in found)
        return [project for project, repo in named if repo is not None and repo.key == repo_key]

    async def webhook(self, delivery: WebhookDelivery) -> bool:
        """A forge's callback wakes the observer; nothing in it is believed. Whether the repository is one of ours.

        Raises `WEBHOOK_REFUSED` without a configured secret and for a signature that isn't made with it.
        """
        secret = self._world.settings.webhook_secret
        if not secret:
            raise AoError("WEBHOOK_REFUSED", "no webhook secret is configured", hint="set AO_WEBHOOK_SECRET")
        wanted = "sha256=" + hmac.new(secret.encode(), delivery.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), delivery.signature.encode("utf-8", "replace")):
            raise AoError(
                "WEBHOOK_REFUSED", "the signature isn't made with our secret", hint="use the same secret at the forge"
            )
        repo = self._pulls.forges.remote(_repository_url(delivery.body))
        if repo is None or not self._projects_at(repo.key):
            return False
        self.wake(repo.key)
        return True

    async def cycle(self) -> int:
        """Look at what is due; milliseconds until something is due again."""
        now = self._clock()
        active = projects.active(self._world.db.read)
        await asyncio.gather(*(self._list(found) for found in active if self._lists.at(found.id) <= now))
        rows = {pull.url: pull for pull in pulls.open_pulls(self._world.db.read)}
        self._watched = len(rows)
        self._forget_others(rows)
        await self._look(self._near(rows.values(), now))
        self._watch_branches(pulls.open_pulls(self._world.db.read))
        times = [self._lists.at(found.id) for found in active] + [self._looks.at(url) for url in rows]
        soonest = min(times, default=NEVER)
        return NEVER if soonest >= NEVER else max(0, soonest - self._clock())

    async def _list(self, project: Project) -> None:
        self._lists.begin(project.id)
        repo = self._pulls.forges.repo_or_none(project)
        (self._local.add if repo is None or repo.forge == LOCAL else self._local.discard)(project.id)
        place = self._discovery.place(project, repo) if repo is not None else None
        if place is None:
            self._lists.done(project.id, NEVER)  # a session that is created makes it due
            return
        if await self._may_ask(place.repo):
            await self._follow(place)
        else:
            self._lists.done(project.id, self._host(place.repo).until)

    def _forget_others(self, rows: Iterable[str]) -> None:
        self._looks.keep(rows)
        for memory in (self._gone, self._troubled):
            for url in memory.keys() - set(rows):
                del memory[url]

    def _near(self, rows: Collection[Pull], now: int) -> list[Pull]:
        """What is due, and what is so nearly that one request may serve both; nothing when nothing is due."""
        if all(self._looks.at(pull.url) > now for pull in rows):
            return []
        return [p for p in rows if self._looks.at(p.url) <= now + int(self._interval(p) * cadence.WITH_IT)]

    def _interval(self, pull: Pull) -> int:
        # Where its branches are the kernel tells; the rest of a local one changes through us.
        if pull.forge == LOCAL:
            return cadence.RARE
        return cadence.stretched(cadence.interval(pull, self._world.now()), self._watched)

    async def _follow(self, place: Place) -> None:
        project_id = place.project.id
        try:
            changed = await self._discovery.follow(place)
        except AoError as error:
            self._failed(place.repo, error)
            self._lists.done(project_id, self._host(place.repo).until)
            return
        self._answered(place.repo)
        now = self._clock()
        self._listed[project_id] = now
        self._lists.done(project_id, now + cadence.NORMAL if place.is_live and place.repo.forge != LOCAL else NEVER)
        for url in changed:
            self._looks.wake(url)

    async def _look(self, near: list[Pull]) -> None:
        by_forge: dict[str, list[tuple[Pull, PullRef]]] = {}
        for pull in near:
            self._looks.begin(pull.url)
            project = projects.get(self._world.db.read, pull.project_id, archived=True)
            ref = located(pull, project) if project is not None else pull.ref
            if await self._may_ask(ref.repo):
                by_forge.setdefault(pull.forge, []).append((pull, ref))
            else:
                self._looks.done(pull.url, self._host(ref.repo).until)
        await asyncio.gather(*(self._observe(chosen) for chosen in by_forge.values()))

    async def _observe(self, chosen: list[tuple[Pull, PullRef]]) -> None:
        forge = self._pulls.forges.of(chosen[0][1].repo)
        sightings = await forge.observe([Watched(ref=ref, stamp=pull.stamp) for pull, ref in chosen])
        answering = {self._host(seen.ref.repo) for seen in sightings if seen.trouble is None}
        for (pull, ref), sighting in zip(chosen, sightings, strict=True):
            if sighting.trouble is None:
                await self._sighted(pull, ref, sighting)
            elif self._host(ref.repo) in answering:
                self._missed_one(pull, sighting.trouble)
            else:
                self._failed(ref.repo, sighting.trouble)
                self._looks.done(pull.url, self._host(ref.repo).until)

    def _missed_one(self, pull: Pull, error: AoError) -> None:
        """Only this one can't be looked at: it is looked at less often, and no other suffers for it."""
        self._troubled[pull.url] = self._troubled.get(pull.url, 0) + 1
        self._looks.done(pull.url, self._clock() + cadence.pause(self._troubled[pull.url]))
        if self._troubled[pull.url] == 1:
            extra = {"pull": pull.url, "code": error.code, "cause": error.message}
            log.warning("pull request can't be looked at", extra=extra)

    async def _sighted(self, pull: Pull, ref: PullRef, sighting: Sighting) -> None:
        now = self._clock()
        self._answered(ref.repo)
        self._troubled.pop(pull.url, None)
        if sighting.gone:
            await self._missed(pull)
            self._looks.done(pull.url, now + cadence.NORMAL)
            return
        self._gone.pop(pull.url, None)
        if sighting.observation is not None:
            recorded = await self._pulls.record((pull.session_id, pull.project_id), ref, sighting.observation)
            pull = recorded.pull
        self._looks.done(pull.url, now + self._interval(pull))

    async def _missed(self, pull: Pull) -> None:
        """One answer that there is no such pull request is not believed: lost rights look the same."""
        self._gone[pull.url] = self._gone.get(pull.url, 0) + 1
        if self._gone[pull.url] < GONE_AFTER:
            return
        now = self._world.now()
        if await self._world.db.write(lambda conn: pulls.mark_gone(conn, pull.url, now)):
            log.warning("pull request is gone from its forge", extra={"pull": pull.url})
            found = pulls.get(self._world.db.read, pull.url)
            if found is not None:
                self._pulls.changed(found)

    def _host(self, repo: Repo) -> _Host:
        return self._hosts.setdefault((repo.forge, repo.host), _Host())

    async def _may_ask(self, repo: Repo) -> bool:
        host = self._host(repo)
        if host.until > self._clock():
            return False
        trouble = await self._pulls.forges.of(repo).trouble(repo)
        if trouble is None:
            host.told = ""
            return True
        if host.told != trouble.code:
            log.warning("scm observer disabled: provider credentials unavailable", extra={"scm_host": repo.host})
            host.told = trouble.code
        host.until = self._clock() + PROBE_MS
        return False

    def _failed(self, repo: Repo, error: AoError) -> None:
        """Leave the host alone for a while; what limits us says for how long."""
        host = self._host(repo)
        if host.until > self._clock():
            return
        host.failures += 1
        retry_s = error.details.get("retryAfterS")
        retry_ms = int(retry_s * 1000) if isinstance(retry_s, int | float) else None
        pause = cadence.pause(host.failures, retry_ms=retry_ms, spread=random.random())  # noqa: S311 (no secret)
        host.until = self._clock() + pause
        extra = {"scm_host": repo.host, "code": error.code, "cause": error.message, "pause_s": pause // 1000}
        log.warning("forge left alone", extra=extra)
        if error.code == "SCM_RATE_LIMITED" and self._limited is not None:
            host.limited = True
            self._limited(repo.host, error.message)

    def _answered(self, repo: Repo) -> None:
        host = self._host(repo)
        host.failures = 0
        if host.limited and self._limited is not None:
            host.limited = False
            self._limited(repo.host, "")

    def _watch_branches(self, rows: list[Pull]) -> None:
        """Have the kernel tell when a branch of a local pull request moves."""
        wanted: dict[str, set[str]] = {}
        for pull in rows:
            project = projects.get(self._world.db.read, pull.project_id) if pull.forge == LOCAL else None
            if project is not None:
                files = self._world.trees.ref_files(project.path, [pull.source_branch, pull.target_branch])
                wanted.setdefault(pull.ref.repo.key, set()).update(files)
        for key in [*self._watches, *(key for key in wanted if key not in self._watches)]:
            moving = frozenset(wanted.get(key, ()))
            known = self._watches.get(key)
            if known is not None and known[0] == moving and not known[1].done():
                continue
            if known is not None:
                known[1].cancel()
                del self._watches[key]
            if moving:
                self._watches[key] = (moving, self._world.start(self._until_moved(key, sorted(moving))))

    async def _until_moved(self, key: str, files: list[str]) -> None:
        # What moved between the last look and this watch is seen by one more look.
        self._look_now(key)
        while True:
            if await self._world.host.changed(files, timeout_s=WATCH_S):
                self._look_now(key)


class _Repository(msgspec.Struct, frozen=True):
    html_url: str = ""


class _Payload(msgspec.Struct, frozen=True):
    repository: _Repository = _Repository()


def _repository_url(body: bytes) -> str:
    """`repository.html_url` of a webhook's payload (docs.github.com, "Webhook payload object common properties")."""
    try:
        return msgspec.json.decode(body, type=_Payload).repository.html_url
    except msgspec.DecodeError:
        return ""

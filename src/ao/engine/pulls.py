"""Pull requests as they are known: recorded from a forge's observations, found by reference, shown, and who may act."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ao.engine.forges import Forges
from ao.engine.preflight import known_project
from ao.engine.pull_requests import PullEntry, Target, Which
from ao.engine.world import World
from ao.model import pull_reference
from ao.model.errors import AoError
from ao.model.nudge import LedgerEntry
from ao.model.project import Project
from ao.model.pull import LOCAL, Facts, Observation, Picture, Pull, PullRef, unresolved_threads
from ao.model.session import Kind, Session
from ao.ports.forge import Forge
from ao.store import nudges, projects, pulls
from ao.store.pulls import Recorded

Changed = Callable[[Pull], None]


class Pulls:
    """The facts, and the way to them."""

    def __init__(self, world: World, forges: Forges) -> None:
        self._world = world
        self.forges = forges
        self._sinks: list[Changed] = []
        self._owners: set[str] | None = None

    def report_to(self, sink: Changed) -> None:
        """Call `sink` with each pull request of which something changed; set while wiring."""
        self._sinks.append(sink)

    async def record(self, owner: tuple[str, str], ref: PullRef, seen: Observation) -> Recorded:
        """Store an observation in one transaction. `owner` (session, project) is for one that nobody owns yet."""
        now = self._world.now()
        recorded = await self._world.db.write(lambda conn: pulls.record(conn, owner, ref, seen, now=now))
        if recorded.created or recorded.changed:
            self.changed(recorded.pull)
        return recorded

    def owns_any(self, session_id: str) -> bool:
        """Whether the session has, or ever had, a pull request. Asked at every sign of life of every agent, so it is
        answered from memory; a yes that is no longer true costs a look."""
        if self._owners is None:
            self._owners = set(pulls.grouped(self._world.db.read))
        return session_id in self._owners

    def changed(self, pull: Pull) -> None:
        """Something of this pull request changed: what follows from it is decided elsewhere."""
        if self._owners is not None:
            self._owners.add(pull.session_id)
        for sink in self._sinks:
            sink(pull)

    def of_session(self, session_id: str) -> list[Picture]:
        """A session's pull requests, open ones first. Raises `SESSION_NOT_FOUND`."""
        self._world.session(session_id)
        read = self._world.db.read
        found = [pulls.picture(read, pull.url) for pull in pulls.of_session(read, session_id)]
        return [picture for picture in found if picture is not None]

    def nudges(self, session_id: str, *, limit: int) -> list[LedgerEntry]:
        """What the session's agent was told because of its pull requests, or not told and why; oldest first."""
        self._world.session(session_id)
        return nudges.of_session(self._world.db.read, session_id, limit)

    def picture(self, target: Target) -> Picture | None:
        """What is stored of it; None when no session owns it."""
        return pulls.picture(self._world.db.read, target.pull.url) if target.pull is not None else None

    def forge_of(self, target: Target) -> Forge:
        """Where it lives."""
        return self.forges.of(target.ref.repo)

    def target(self, text: str, *, project: str | None, url: str | None = None) -> Target:
        """The pull request that a number or a URL names; `url` tells which one a number means.

        Raises `PR_REQUIRED`, `INVALID_PR_REF`, `PR_NOT_FOUND` and, when the number exists in several projects,
        `PR_AMBIGUOUS`.
        """
        reference = pull_reference.parse(url or text)
        if reference.url:
            return self._by_url(reference.url, project)
        if project:
            return self._in_project(known_project(self._world, project), reference.number)
        return self._by_number(reference.number)

    def _by_url(self, url: str, project: str | None) -> Target:
        ref = self.forges.named(url)
        if ref is None:
            raise AoError(
                "INVALID_PR_REF",
                f"{url[:200]!r} is no pull request of a known forge",
                hint="a number, https://HOST/OWNER/NAME/pull/N or ao://local/PROJECT/pull/N",
            )
        for found in projects.active(self._world.db.read):
            repo = self.forges.repo_or_none(found)
            if project in (None, "", found.id) and repo is not None and repo.key == ref.repo.key:
                return self._in_project(found, ref.number)
        pull = pulls.get(self._world.db.read, url)
        if pull is None or (project and pull.project_id != project):
            raise not_found(url)
        return self._tracked(pull)

    def _by_number(self, number: int) -> Target:
        found = pulls.numbered(self._world.db.read, number)
        if len(found) == 1:
            return self._tracked(found[0])
        active = projects.active(self._world.db.read)
        if not found and len(active) == 1:
            return self._in_project(active[0], number)
        if not found:
            raise not_found(f"#{number}")
        raise AoError(
            "PR_AMBIGUOUS",
            f"#{number} exists in several projects",
            hint="name the project with --project, or give the URL",
            details={"candidates": [{"projectId": pull.project_id, "url": pull.url} for pull in found]},
        )

    def _in_project(self, project: Project, number: int) -> Target:
        repo = self.forges.repo_of(project)
        rows = pulls.by_number(self._world.db.read, project.id, number)
        row = next((row for row in rows if row.ref.repo.key == repo.key), None)
        node = row.node if row is not None else ""
        return Target(ref=PullRef(repo=repo, number=number, node=node), project=project, pull=row)

    def _tracked(self, pull: Pull) -> Target:
        project = projects.get(self._world.db.read, pull.project_id, archived=True)
        if project is None:
            raise not_found(pull.url)
        return Target(ref=located(pull, project), project=project, pull=pull)

    def may_act(self, caller: Session | None, target: Target) -> None:
        """Raises `FORBIDDEN`: a worker acts on its own pull requests, an orchestrator on those of its project."""
        if caller is None:
            return
        own = target.pull is not None and target.pull.session_id == caller.id
        if caller.kind is Kind.ORCHESTRATOR and caller.project_id == target.project.id:
            return
        if caller.kind is Kind.WORKER and own:
            return
        raise AoError(
            "FORBIDDEN",
            f"pull request #{target.ref.number} isn't session {caller.id!r}'s",
            hint="an agent may act on its own pull requests only; write to the orchestrator",
        )

    async def listing(self, project: str | None, *, state: Which) -> list[PullEntry]:
        """Pull requests by project and number: all of the local forge, those of sessions elsewhere."""
        read = self._world.db.read
        chosen = [known_project(self._world, project)] if project else projects.active(read)
        entries: list[PullEntry] = []
        for found in chosen:
            rows = {row.number: row for row in pulls.of_project(read, found.id, open_only=state == "open")}
            shown = {number: _entry(row) for number, row in rows.items()}
            for facts in await self._local_ones(found):
                if facts.number not in shown and (state == "all" or facts.state in ("open", "draft")):
                    shown[facts.number] = PullEntry(facts=facts, project_id=found.id)
            entries += [shown[number] for number in sorted(shown)]
        return entries

    async def _local_ones(self, project: Project) -> tuple[Facts, ...]:
        repo = self.forges.repo_or_none(project)
        if repo is None or repo.forge != LOCAL:
            return ()
        return (await self.forges.of(repo).listing(repo, "", since=0)).pulls

    async def view(self, target: Target) -> PullEntry:
        """Everything known; one that no session owns is asked of the forge."""
        picture = self.picture(target)
        if picture is None:
            return await self.refresh(target)
        return _entry(picture.pull, picture)

    async def refresh(self, target: Target) -> PullEntry:
        """Ask the forge now. Raises `PR_NOT_FOUND`, `SCM_UNAVAILABLE`, `SCM_RATE_LIMITED`."""
        seen = await self.forge_of(target).fetch(target.ref)
        if target.pull is None:
            return _seen(seen, target)
        await self.record((target.pull.session_id, target.pull.project_id), target.ref, seen)
        picture = self.picture(target)
        return _entry(picture.pull, picture) if picture is not None else _seen(seen, target)


def not_found(what: str) -> AoError:
    """The error that there is no such pull request."""
    return AoError("PR_NOT_FOUND", f"no pull request {what[:200]}", hint="`ao pr ls` lists them; --project names one")


def located(pull: Pull, project: Project) -> PullRef:
    """A tracked pull request with its checkout on our side."""
    return msgspec.structs.replace(pull.ref, repo=msgspec.structs.replace(pull.ref.repo, root=project.path))


def facts_of(pull: Pull) -> Facts:
    """The forge's facts as they are stored."""
    shared = {name: getattr(pull, name) for name in Facts.__struct_fields__ if name in Pull.__struct_fields__}
    return Facts(
        **shared
        | {
            "reasons": tuple(pull.reason_list),
            "repo": pull.ref.repo.key,
            "created_at": pull.provider_created_at,
            "changed_at": pull.provider_changed_at,
        }
    )


def _entry(pull: Pull, picture: Picture | None = None) -> PullEntry:
    return PullEntry(
        facts=facts_of(pull), project_id=pull.project_id, session_id=pull.session_id, pull=pull, picture=picture
    )


def _seen(seen: Observation, target: Target) -> PullEntry:
    """One that nobody owns, as the forge shows it."""
    facts, repo = seen.facts, target.ref.repo
    shared = {name: getattr(facts, name) for name in Facts.__struct_fields__ if name in Pull.__struct_fields__}
    row = Pull(
        **shared
        | {
            "session_id": "",
            "project_id": target.project.id,
            "forge": repo.forge,
            "host": repo.host,
            "repo": repo.path,
            "reasons": msgspec.json.encode(facts.reasons).decode(),
            "provider_created_at": facts.created_at,
            "provider_changed_at": facts.changed_at,
            "unresolved": unresolved_threads(seen.threads or ()),
            "updated_at": facts.changed_at,
        }
    )
    picture = Picture(
        pull=row,
        checks=seen.checks or (),
        threads=seen.threads or (),
        comments=seen.comments or (),
        reviews=seen.reviews or (),
    )
    return PullEntry(facts=facts, project_id=target.project.id, picture=picture)

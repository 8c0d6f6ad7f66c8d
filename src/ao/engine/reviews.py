"""Reviews by agents: started, handed in, cancelled.

A reviewer is a session of kind `reviewer`, in a worktree of its own at the commit under review. Its run is recorded
before it is started, and the store lets at most one run of a pull request be running: whoever comes second gets that
one. This room alone writes review runs.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from ao.engine.environment import base_environment
from ao.engine.messaging import Messaging
from ao.engine.preflight import known_project
from ao.engine.pull_actions import PullActions
from ao.engine.pulls import Pulls
from ao.engine.requests import SpawnRequest
from ao.engine.review_posting import Posting
from ao.engine.reviewers import Reviewers
from ao.engine.sessions import Sessions
from ao.engine.world import World
from ao.model import review_plan, review_texts
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.project import Project
from ao.model.pull import Pull
from ao.model.review import ReviewRun, RunStatus
from ao.model.review_plan import LEASE_MS, PullReview, Submission
from ao.model.session import Kind, Session
from ao.store import projects, pulls, reviews, sessions
from ao.store.database import Connection
from ao.store.reviews import RunExists

log = logging.getLogger("ao.engine.reviews")


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """The runs on a worker's pull requests that a trigger found or made; `created`: at least one is new."""

    created: bool
    runs: list[ReviewRun]


class PullReviews(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request, where it stands with its reviews, and its two newest runs."""

    pull: Pull
    state: PullReview
    latest: ReviewRun | None = None
    previous: ReviewRun | None = None


class Reviews:
    """Use cases."""

    def __init__(
        self, world: World, sessions_: Sessions, pulls_: Pulls, *, actions: PullActions, messaging: Messaging
    ) -> None:
        self._world = world
        self._sessions = sessions_
        self._pulls = pulls_
        self._posting = Posting(world, pulls_, actions)
        self._reviewers = Reviewers(world, sessions_, messaging)
        self._looking: set[str] = set()
        self._told: set[str] = set()
        self._gave_up: Callable[[Pull, str], None] | None = None

    def report_gave_up_to(self, sink: Callable[[Pull, str], None]) -> None:
        """Call `sink` with a pull request that had all its automatic reviews, and the reason; set while wiring."""
        self._gave_up = sink

    async def trigger(self, session_id: str, *, agent: str = "") -> Triggered:
        """Have every pull request of a worker reviewed that needs it. Returns once the reviewers live.

        Raises `REVIEW_NOT_FOUND` (no such session), `REVIEW_INVALID` (nothing to review, an agent that can't),
        `REVIEWER_BINARY_NOT_FOUND`, and `REVIEW_OPERATION_FAILED` when no reviewer could be started.
        """
        worker = self._worker(session_id)
        rows = [row for row in pulls.of_session(self._world.db.read, worker.id) if review_plan.is_reviewable(row)]
        if not rows:
            raise AoError(
                "REVIEW_INVALID",
                f"session {session_id!r} has no open pull request that is ready for review",
                hint=f"`ao pr ls` lists them; `ao session get {session_id}` shows the session's",
            )
        return await self._start(worker, rows, agent=agent, automatic=False)

    async def _start(self, worker: Session, rows: Sequence[Pull], *, agent: str, automatic: bool) -> Triggered:
        project = known_project(self._world, worker.project_id)
        chosen, model = await self._reviewer(project, worker, agent)
        found: list[ReviewRun] = []
        new: list[tuple[ReviewRun, Pull]] = []
        for pull in rows:
            run, is_new = await self._record(_run(pull, chosen, automatic=automatic, now=self._world.now()), agent)
            if is_new:
                new.append((run, pull))
            else:
                found.append(run)
        self._reviewers.wake()
        started = await asyncio.gather(*(self._launch(run, pull, model) for run, pull in new))
        if started and not found and all(run.status is RunStatus.FAILED for run in started):
            raise AoError(
                "REVIEW_OPERATION_FAILED",
                f"the reviewer could not be started: {started[0].failure}",
                hint=f"`ao review ls {worker.id}` shows what was tried",
                details={"runId": started[0].id},
            )
        return Triggered(created=bool(started), runs=[*started, *found])

    def _worker(self, session_id: str) -> Session:
        session = sessions.get(self._world.db.read, session_id)
        if session is None:
            raise AoError("REVIEW_NOT_FOUND", f"no session {session_id[:128]!r}", hint="`ao session ls` lists them")
        if session.kind is not Kind.WORKER:
            raise AoError("REVIEW_INVALID", f"session {session_id!r} is a {session.kind}; the work of workers is read")
        if session.is_terminated or not session.workspace_path:
            state = "has ended" if session.is_terminated else "has no worktree yet"
            raise AoError(
                "REVIEW_INVALID", f"session {session_id!r} {state}", hint=f"`ao session restore {session_id}`"
            )
        return session

    async def _reviewer(self, project: Project, worker: Session, asked: str) -> tuple[str, str]:
        """Agent and model. The program is looked for before anything is recorded."""
        agents = self._world.agents
        if asked:
            agents.get(asked)
        able = [name for name in agents.ids() if agents.get(name).reviews]
        agent, model = review_plan.choose_agent(asked, project.settings, worker=worker.agent, able=able)
        settings = self._world.settings
        env = base_environment(settings.environ, ao_bin=settings.ao_bin) | project.settings.env
        try:
            await agents.binary(agent, env)
        except AoError as error:
            raise AoError("REVIEWER_BINARY_NOT_FOUND", error.message, hint=error.hint, details=error.details) from error
        return agent, model

    async def _record(self, run: ReviewRun, asked: str) -> tuple[ReviewRun, bool]:
        """The run as it is recorded; with False the one that makes it needless. A running one of an older commit is
        overtaken in the same step."""
        now = self._world.now()

        def record(conn: Connection) -> tuple[ReviewRun, bool]:
            pull, runs = pulls.get(conn, run.pull_url), reviews.of_pull(conn, run.pull_url)
            known = review_plan.covering(pull, runs, asked) if pull is not None else None
            if known is not None:
                return known, False
            for old in runs:
                reason = review_plan.overtaken(pull, old)
                if reason and old.status is RunStatus.RUNNING:
                    ended = replace(old, status=RunStatus.CANCELLED, failure=reason)
                    reviews.change(conn, old.id, partial(_settled, ended), now=now)
            added = replace(run, round=len(runs) + 1)
            reviews.add(conn, added)
            return added, True

        try:
            return await self._world.db.write(record)
        except RunExists as other:
            return other.run, False

    async def _launch(self, run: ReviewRun, pull: Pull, model: str) -> ReviewRun:
        """Start the reviewer of a recorded run. A failure is the run's last word."""
        request = SpawnRequest(
            project_id=run.project_id,
            kind=Kind.REVIEWER,
            agent=run.agent,
            prompt=review_texts.task(pull, run, ao_bin=self._world.settings.ao_bin),
            display_name=f"review of #{pull.number}",
            model=model,
            permissions="default",
            # By this key the reviewer is found again by whoever comes before the run knows it: itself, or the next
            # daemon.
            idempotency_key=run.id,
            commit=run.target_sha,
        )
        try:
            session = await self._sessions.spawn(request, wait="live")
        except AoError as error:
            await self._reviewers.end(run.id, RunStatus.FAILED, error.message)
            return self._run(run.id)
        except Exception:
            await self._reviewers.end(run.id, RunStatus.FAILED, "an unexpected error stopped its launch")
            raise
        await self._reviewers.seated(run.id, session)
        return self._run(run.id)

    def _run(self, run_id: str) -> ReviewRun:
        run = reviews.get(self._world.db.read, run_id)
        if run is None:
            raise AoError("REVIEW_NOT_FOUND", f"no review {run_id[:80]!r}", hint="`ao review ls SESSION` lists them")
        return run

    async def submit(self, session_id: str, given: Sequence[Submission], *, caller: Session | None) -> list[ReviewRun]:
        """Record verdicts, all or none. `session_id` is the worker, or the reviewer of the run; `caller` a session, or
        None for the user. What is recorded is posted from here on by itself.

        Raises `REVIEW_NOT_FOUND`, `REVIEW_INVALID` and, for any session but the run's own reviewer, `FORBIDDEN`.
        """
        checked = [review_plan.checked(one) for one in given]
        if not checked:
            raise AoError("REVIEW_INVALID", "no review was handed in")
        for one in checked:
            self._check_place(self._run(one.run_id), session_id, caller)
        now = self._world.now()

        def record(conn: Connection) -> None:
            for one in checked:
                reviews.change(conn, one.run_id, partial(review_plan.submitted, given=one, now=now), now=now)

        await self._world.db.write(record)
        recorded = [self._run(one.run_id) for one in checked]
        for run in recorded:
            if run.status is RunStatus.COMPLETE:
                self._posting.start(run.id)
        self._reviewers.wake()
        return recorded

    def _check_place(self, run: ReviewRun, session_id: str, caller: Session | None) -> None:
        reviewer = self._reviewers.of(run)
        own = reviewer.id if reviewer is not None else ""
        if session_id not in (run.session_id, own):
            raise AoError(
                "REVIEW_INVALID",
                f"review {run.id} is about the work of {run.session_id!r}, not of {session_id[:128]!r}",
                details={"sessionId": run.session_id},
            )
        if caller is not None and caller.id != own:
            raise AoError(
                "FORBIDDEN",
                f"session {caller.id!r} isn't the reviewer of {run.id}",
                hint="a verdict comes from the reviewer that was started for it, or from a person",
            )

    async def cancel(self, session_id: str, run_id: str = "") -> list[ReviewRun]:
        """Stop the running reviews of a worker's pull requests, or one of them; those that were stopped.

        Raises `REVIEW_NOT_FOUND`, `RUNTIME_FAILED`.
        """
        if sessions.get(self._world.db.read, session_id) is None:
            raise AoError("REVIEW_NOT_FOUND", f"no session {session_id[:128]!r}")
        runs = reviews.of_session(self._world.db.read, session_id)
        if run_id and run_id not in {run.id for run in runs}:
            raise AoError("REVIEW_NOT_FOUND", f"session {session_id!r} has no review {run_id[:80]!r}")
        chosen = [run for run in runs if run.status is RunStatus.RUNNING and run_id in ("", run.id)]
        stopped = [await self._stop(run, "cancelled by a person") for run in chosen]
        return [run for run in stopped if run is not None]

    async def _stop(self, run: ReviewRun, reason: str) -> ReviewRun | None:
        ended = await self._reviewers.end(run.id, RunStatus.CANCELLED, reason)
        await self._reviewers.kill(run)
        self._reviewers.wake()
        return ended

    def of_session(self, session_id: str) -> list[ReviewRun]:
        """The runs on a worker's pull requests, newest first; none for an unknown session."""
        return reviews.of_session(self._world.db.read, session_id)

    def states(self, session_id: str) -> list[PullReviews]:
        """Where a worker's pull requests stand; none for an unknown session."""
        read = self._world.db.read
        found = []
        for pull in pulls.of_session(read, session_id):
            runs = reviews.of_pull(read, pull.url)
            latest, previous = (*runs, None, None)[:2]
            found.append(PullReviews(pull=pull, state=review_plan.state(pull, runs), latest=latest, previous=previous))
        return found

    def handle(self, session_id: str) -> str:
        """The terminal of the reviewer that is at work for a worker, "" when none is."""
        running = next((run for run in self.of_session(session_id) if run.status is RunStatus.RUNNING), None)
        reviewer = self._reviewers.of(running) if running is not None else None
        return reviewer.handle if reviewer is not None and not reviewer.is_terminated else ""

    def heard(self, session_id: str) -> None:
        """A hook of this session arrived, whether or not it changed anything."""
        self._reviewers.heard(session_id)

    def committed(self, change: Change) -> None:
        """A session changed: perhaps a reviewer."""
        if change.session_id is not None and change.type in ("session_updated", "session_deleted"):
            self._reviewers.changed(change.session_id)

    def pull_changed(self, pull: Pull) -> None:
        """A pull request changed: a running review may be overtaken, an automatic one due."""
        if pull.url in self._looking or not (self._overtaken(pull) or self._due(pull) != "no"):
            return
        self._looking.add(pull.url)
        self._world.start(self._look(pull.url))

    def _overtaken(self, pull: Pull) -> list[ReviewRun]:
        runs = reviews.of_pull(self._world.db.read, pull.url)
        return [run for run in runs if run.status is RunStatus.RUNNING and review_plan.overtaken(pull, run)]

    def _due(self, pull: Pull) -> review_plan.Automatic:
        project = projects.get(self._world.db.read, pull.project_id)
        if project is None:
            return "no"
        runs = reviews.of_pull(self._world.db.read, pull.url)
        return review_plan.automatic(pull, runs, project.settings.auto_review)

    async def _look(self, url: str) -> None:
        try:
            pull = pulls.get(self._world.db.read, url)
            if pull is None:
                return
            for run in self._overtaken(pull):
                await self._stop(run, review_plan.overtaken(pull, run))
            due = self._due(pull)
            if due == "gave_up":
                self._tell(pull)
            elif due == "start":
                await self._start(self._worker(pull.session_id), [pull], agent="", automatic=True)
        except AoError as error:
            log.warning("no automatic review", extra={"pull": url, "code": error.code, "cause": error.message})
        finally:
            self._looking.discard(url)

    def _tell(self, pull: Pull) -> None:
        if pull.url in self._told or self._gave_up is None:
            return
        self._told.add(pull.url)
        runs = reviews.of_pull(self._world.db.read, pull.url)
        count = sum(run.automatic for run in runs)
        self._gave_up(pull, f"it had {count} automatic reviews and isn't reviewed again by itself")

    async def resume(self) -> None:
        """After a start: end the runs whose reviewer never came to be, watch the others, post what was recorded, and
        look whether a review is due."""
        read = self._world.db.read
        for run in reviews.running(read):
            reviewer = self._reviewers.of(run)
            if reviewer is None:
                await self._reviewers.end(run.id, RunStatus.FAILED, "the daemon ended before its reviewer was started")
            elif not run.reviewer_id:
                await self._reviewers.seated(run.id, reviewer)
        self._reviewers.wake()
        for pull in (pull for rows in pulls.grouped(read).values() for pull in rows):
            for run in reviews.of_pull(read, pull.url):
                if run.status is RunStatus.COMPLETE:
                    self._posting.start(run.id)
            self.pull_changed(pull)


def _settled(ended: ReviewRun, _: ReviewRun) -> ReviewRun:
    return ended


def _run(pull: Pull, agent: str, *, automatic: bool, now: int) -> ReviewRun:
    return ReviewRun(
        id=f"rev_{uuid.uuid4().hex[:16]}",
        session_id=pull.session_id,
        project_id=pull.project_id,
        agent=agent,
        pull_url=pull.url,
        target_sha=pull.head_sha,
        automatic=automatic,
        lease_until=now + LEASE_MS,
        created_at=now,
        updated_at=now,
    )

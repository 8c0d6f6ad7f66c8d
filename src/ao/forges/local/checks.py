"""The checks of the local forge: a project's commands, run on the head of each open pull request.

One at a time per project and `AT_ONCE` in all, each in a throw-away worktree, with limits of time and output. A result
belongs to a tree and a command: the same content is not checked twice. The rows say what was wanted; what runs is in
memory only, so after a restart the next look at a pull request starts what it still needs. Every process of a check
carries the project's marks (`LocalParts.marks`) and is ended by them, whatever became of its parent.

Only this module writes the rows of checks.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ao.forges.local.output import kept
from ao.forges.local.parts import LocalParts
from ao.model.errors import AoError
from ao.model.local_pull import LocalCheck
from ao.model.project import CheckConfig, ProjectConfig
from ao.model.pull import LOCAL
from ao.ports import CommandTimeoutError, Completed

log = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Checks that run at the same time; each may use every core."""
OUTPUT_LIMIT: Final = 2 << 20
"""Bytes of output gathered while a check runs: the first and the last half."""
RETRY_MS: Final = 60_000
"""After so long a check that could not be run (no room on the disk, the repository busy) is tried again."""
GRACE_S: Final = 1.0
"""What a check that is late, and what it left running, gets between SIGTERM and SIGKILL."""
_LEFT_TO_HOST_S: Final = 5.0
# Should a late check have shed the marks, the host ends its process group this much later; its output is lost then.
_SCRIPT: Final = 'exec /bin/sh -c "$1" 2>&1'


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The commit of a pull request that checks are about."""

    project_id: str
    root: str
    pull_id: str
    commit: str
    tree: str


@dataclass(kw_only=True)
class _Job:
    """A check that waits or runs. `wanted` are the pull requests whose head has this tree."""

    row: LocalCheck
    config: CheckConfig
    head: Head
    wanted: set[str] = field(default_factory=set)
    task: asyncio.Task[Any] | None = None
    dropped: bool = False
    late: bool = False
    recorded: bool = False


class Checks:
    """Runs checks and remembers what is under way."""

    def __init__(self, parts: LocalParts) -> None:
        self._parts = parts
        self._jobs: dict[str, _Job] = {}
        self._lanes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = asyncio.Semaphore(AT_ONCE)

    def of(self, project_id: str, tree: str) -> list[LocalCheck]:
        """What was found out on a tree by the checks that are configured now, in their order."""
        rows = {row.id: row for row in self._parts.book.checks(project_id, tree)}
        return [rows[name] for name in self._configured(project_id, tree) if name in rows]

    def ensure(self, head: Head) -> list[LocalCheck]:
        """Start what the head still lacks; all its checks. What only an earlier head of this pull request wanted is
        dropped, also when it runs."""
        rows = {row.id: row for row in self._parts.book.checks(head.project_id, head.tree)}
        configured = self._configured(head.project_id, head.tree)
        found = []
        for name, config in configured.items():
            row = rows.get(name)
            if name not in self._jobs and (row is None or self._is_due(row)):
                self._queue(name, config, head)
            job = self._jobs.get(name)
            if job is not None:
                job.wanted.add(head.pull_id)
                # One that is being dropped is not shown as cancelled: it is started anew as soon as it is gone.
                row = self._fresh(name, config, head) if job.dropped else job.row
            if row is not None:
                found.append(row)
        self._release(head.pull_id, but=configured)
        return found

    def rerun(self, head: Head) -> None:
        """Run all checks of a head anew; one that waits or runs goes on. Raises `CHECKS_NOT_CONFIGURED`."""
        configured = self._configured(head.project_id, head.tree)
        if not configured:
            raise AoError(
                "CHECKS_NOT_CONFIGURED",
                f"project {head.project_id!r} has no checks",
                hint="set `checks` with `ao project set-config`; `ao project schema` shows how",
            )
        for name, config in configured.items():
            if name not in self._jobs:
                self._queue(name, config, head)

    def release(self, pull_id: str) -> None:
        """A pull request is done: what it alone wanted is dropped."""
        self._release(pull_id, but=())

    async def clear(self) -> None:
        """End what a killed daemon left running and take its unfinished checks off the list; the next look at a pull
        request that needs one starts it. Call it before anything is started."""
        unfinished = self._parts.book.unfinished_checks()
        for project_id in sorted({row.project_id for row in unfinished if row.status == "in_progress"}):
            await self._end_processes(project_id)
        for row in unfinished:
            await self._parts.book.put_check(self._cancelled(row))

    async def shut(self) -> None:
        """End everything; what was not finished stays on the list."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _is_due(self, row: LocalCheck) -> bool:
        """A row that nothing is working on needs work: it never ended, was given up, or could not be run."""
        if row.status == "unknown":
            return (row.ended_at or 0) + RETRY_MS <= self._parts.now()
        return row.status in ("queued", "in_progress", "cancelled")

    def _configured(self, project_id: str, tree: str) -> dict[str, CheckConfig]:
        settings = self._parts.settings(project_id)
        return {check_id(project_id, tree, check, settings): check for check in settings.checks}

    def _fresh(self, name: str, config: CheckConfig, head: Head) -> LocalCheck:
        now = self._parts.now()
        return LocalCheck(
            id=name, project_id=head.project_id, tree=head.tree, name=config.name, created_at=now, updated_at=now
        )

    def _queue(self, name: str, config: CheckConfig, head: Head) -> None:
        job = _Job(row=self._fresh(name, config, head), config=config, head=head, wanted={head.pull_id})
        self._jobs[name] = job
        job.task = self._parts.start(self._run(job))
        job.task.add_done_callback(lambda _task: self._done(job))

    def _done(self, job: _Job) -> None:
        del self._jobs[job.row.id]
        # What could not be recorded is no news: looked at again at once it would only fail again.
        if job.recorded:
            self._parts.news(f"{LOCAL}:{job.head.project_id}")

    def _release(self, pull_id: str, *, but: Collection[str]) -> None:
        for name, job in self._jobs.items():
            if name in but or pull_id not in job.wanted:
                continue
            job.wanted.discard(pull_id)
            if not job.wanted and not job.dropped and job.task is not None:
                job.dropped = True
                job.task.cancel()

    async def _run(self, job: _Job) -> None:
        """From the queue to its result; the row is written before and after each step."""
        try:
            await self._put(job, job.row)
            async with self._lanes[job.head.project_id], self._slots:
                now = self._parts.now()
                await self._put(job, replace(job.row, status="in_progress", started_at=now, updated_at=now))
                await self._put(job, await self._outcome(job))
                job.recorded = True
        except asyncio.CancelledError:
            if job.dropped:
                await self._put(job, self._cancelled(job.row) if job.row.ended_at is None else job.row)
                job.recorded = True
            raise
        except AoError as error:  # the store refuses: the next look starts it again
            log.warning("a check was not recorded", extra={"check": job.row.id, "cause": error.message})

    async def _put(self, job: _Job, row: LocalCheck) -> None:
        job.row = row
        await self._parts.book.put_check(row)

    async def _outcome(self, job: _Job) -> LocalCheck:
        """Run the command; the row with its result. One that can't be run has none: its status is unknown."""
        try:
            done = await self._command(job)
        except (AoError, OSError) as error:
            log.warning("a check could not be run", extra={"check": job.row.id, "cause": str(error)})
            return self._ended(job, status="unknown", log=f"The check could not be run: {error}\n")
        except CommandTimeoutError:
            done = None
        if done is None or job.late:
            text = f"{done.out}\n" if done is not None and done.out else ""
            note = f"(ended: it took longer than {job.config.timeout} s)\n"
            return self._ended(job, status="failed", conclusion="timed_out", log=text + note)
        passed = done.code == 0
        return self._ended(
            job,
            status="passed" if passed else "failed",
            conclusion="success" if passed else "failure",
            exit_code=done.code,
            log=done.out,
        )

    async def _command(self, job: _Job) -> Completed:
        head, parts = job.head, self._parts
        path = parts.worktree(head.project_id)
        async with parts.trees.checked_out(head.root, head.commit, path):
            try:
                return await self._timed(job, path)
            finally:
                await self._end_processes(head.project_id)

    async def _timed(self, job: _Job, path: str) -> Completed:
        """Run the command in `path`. When its time is up its processes are ended from outside, so that what it said
        until then is kept."""
        argv = ("/bin/sh", "-c", _SCRIPT, "sh", job.config.run)
        run = asyncio.create_task(
            self._parts.host.run(
                argv,
                cwd=path,
                env=self._environment(job.head.project_id),
                timeout_s=job.config.timeout + GRACE_S + _LEFT_TO_HOST_S,
                limit=OUTPUT_LIMIT,
            )
        )
        try:
            await asyncio.wait([run], timeout=job.config.timeout)
            if not run.done():
                job.late = True
                await self._end_processes(job.head.project_id)
            return await run
        finally:
            if not run.done():
                run.cancel()
                await asyncio.wait([run])

    async def _end_processes(self, project_id: str) -> None:
        left = await self._parts.host.kill(None, self._parts.marks(project_id), grace_s=GRACE_S)
        if left:
            log.warning("processes of a check could not be ended", extra={"project": project_id, "count": len(left)})

    def _environment(self, project_id: str) -> dict[str, str]:
        """What a check sees: home, path and language of the daemon, the project's own variables, and ours on top. The
        locale that the host pins for commands we read ourselves is undone."""
        environ = self._parts.environ
        inherited = {name: environ[name] for name in ("HOME", "PATH", "LANG") if environ.get(name)}
        inherited = {"LANG": "C.UTF-8", "LC_ALL": environ.get("LC_ALL", ""), **inherited}
        ours = {"CI": "true", **self._parts.marks(project_id)}
        return {**inherited, **self._parts.settings(project_id).env, **ours}

    def _ended(self, job: _Job, **facts: Any) -> LocalCheck:
        now = self._parts.now()
        text = kept(facts.pop("log"), self._parts.settings(job.head.project_id).env)
        return replace(job.row, **facts, log=text, ended_at=now, updated_at=now)

    def _cancelled(self, row: LocalCheck) -> LocalCheck:
        now = self._parts.now()
        return replace(row, status="cancelled", conclusion="cancelled", ended_at=now, updated_at=now)


def check_id(project_id: str, tree: str, check: CheckConfig, settings: ProjectConfig) -> str:
    """The id of a check's row: what it ran on and what it ran. Another command, limit or environment is another row."""
    told: Sequence[object] = (check.run, check.timeout, sorted(settings.env.items()))
    return f"{project_id}/{tree}/{check.name}/{hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]}"

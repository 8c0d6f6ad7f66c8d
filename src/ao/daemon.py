"""The daemon: wiring only. Who is built from what, in which order things start, and in which they stop.

Start: locks, store, collaborators, engine; socket; recovery to its end; run file; serve. Stop: run file removed, no new
requests, streams closed, running requests drained, tasks cancelled (what they had begun is finished or undone at the
next start), tmux let go, store closed, locks released. Agents are never touched by either.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from ao import __version__, paths
from ao.agents import Catalog
from ao.api import access
from ao.api.server import Server
from ao.channels.apprise import AppriseSender
from ao.config import Config, load
from ao.engine.channels import Channels
from ao.engine.engine import Engine
from ao.engine.forges import Forges, project_settings
from ao.engine.world import Settings, World
from ao.feed import Feed
from ao.forges.github import GitHub
from ao.forges.local import LocalForge, LocalParts
from ao.host import LocalHost
from ao.log import conceal, configure, first_time
from ao.model.change import Change
from ao.model.errors import AoError
from ao.ports import Host
from ao.runtimes import Tmux
from ao.store import changes, local_pulls, notifications, sessions
from ao.store.database import Connection, Database
from ao.store.local_pulls import LocalPulls
from ao.workspaces import RepositoryLocks, Trees, Worktrees

KEEP_MS: Final = 7 * 24 * 3_600_000
KEEP_ROWS: Final = 100_000
KEEP_LOGS_MS: Final = 21 * 24 * 3_600_000
"""How much longer than changes the logs of checks and settled notifications are kept."""
PRUNE_EVERY_S: Final = 3_600.0

log = logging.getLogger("ao.daemon")


class Parts:
    """Replaceable collaborators, for tests that stand at a port. The defaults are the real things."""

    host: Callable[[Mapping[str, str]], Host] = staticmethod(lambda environ: LocalHost(environ=environ))
    database: Callable[..., Database] = staticmethod(Database.open)


class Daemon:
    """One running daemon."""

    def __init__(self, config: Config, environ: Mapping[str, str], parts: Parts | None = None) -> None:
        self._config = config
        self._environ = environ
        self._parts = parts or Parts()
        self._stopping = asyncio.Event()
        self._committed: list[Callable[[list[Change]], None]] = []

    def stop(self) -> None:
        """Begin a graceful stop; idempotent."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`. Raises AoError when it can't start; then nothing is left behind."""
        config = self._config
        conceal(config.webhook_secret)
        async with AsyncExitStack() as stack:
            stack.callback(os.close, lock_data_dir(config.data_dir))
            stack.callback(os.close, lock_run_file(config.run_file))
            db = self._parts.database(os.path.join(config.data_dir, "ao.db"), on_commit=self._on_commit)
            stack.push_async_callback(db.close)
            feed = Feed(head=db.revision)
            self._committed.append(feed.publish)
            host = self._parts.host(self._environ)
            runtime = Tmux(host, data_dir=config.data_dir)
            stack.push_async_callback(runtime.shut)
            # Ended before the runtime is let go: a spawn under way would start what nobody then ends.
            group = await stack.enter_async_context(_Tasks())
            secrets = access.ensure_secrets(config.data_dir)
            world = self._world(db, host, runtime, group.start, secrets)
            forges = self._forges(world)
            stack.push_async_callback(forges.shut)
            engine = self._engine = Engine(
                world, forges, Channels(world, config.channels, AppriseSender(self._environ))
            )
            self._committed.append(engine.committed)
            server = Server(config, engine, feed, secrets, shutdown=self.stop)
            self._server = server
            await server.bind()
            stack.push_async_callback(server.close)
            await engine.recover()
            self._announce(server.port)
            stack.callback(paths.remove_run_file, config.run_file, os.getpid())
            await server.serve()
            group.start(engine.observe())
            group.start(_prune_for_ever(db, world.now))
            log.info("daemon listening", extra={"addr": f"127.0.0.1:{server.port}", "pid": os.getpid()})
            await self._stopping.wait()
            feed.close()
        log.info("daemon stopped cleanly")

    def _world(
        self,
        db: Database,
        host: Host,
        runtime: Tmux,
        start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        secrets: access.Secrets,
    ) -> World:
        config = self._config
        settings = Settings(
            data_dir=config.data_dir,
            environ=self._environ,
            ao_bin=ao_program(),
            default_agent=config.agent,
            default_model=config.model,
            default_permissions=config.permissions,
            fetch=config.fetch,
            kill_grace_s=config.kill_grace_s,
            compat=config.compat,
            run_file=config.run_file,
            webhook_secret=config.webhook_secret,
        )
        locks = RepositoryLocks()
        return World(
            db=db,
            host=host,
            workspaces=Worktrees(host, settings.worktrees, locks=locks),
            trees=Trees(host, os.path.join(config.data_dir, "checks"), locks=locks),
            runtime=runtime,
            agents=Catalog(host, data_dir=config.data_dir, user_dir=config.agents_dir, environ=self._environ),
            settings=settings,
            now=lambda: time.time_ns() // 1_000_000,
            start=start,
            token_for=secrets.session_token,
            api_url=lambda: f"http://127.0.0.1:{self._server.port}",
        )

    def _on_commit(self, found: list[Change]) -> None:
        for sink in self._committed:
            sink(found)

    def _announce(self, port: int) -> None:
        started_at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}Z"
        paths.write_run_file(
            self._config.run_file,
            paths.RunFile(os.getpid(), port, started_at, __version__, self._config.data_dir),
        )

    def _forges(self, world: World) -> Forges:
        def news(repo_key: str) -> None:
            self._engine.observer.wake(repo_key)

        local = LocalForge(
            LocalParts(
                host=world.host,
                trees=world.trees,
                book=LocalPulls(world.db),
                settings=lambda project_id: project_settings(world.db, project_id),
                folder=os.path.join(world.settings.data_dir, "checks"),
                environ=self._environ,
                now=world.now,
                start=world.start,
                news=news,
            )
        )
        github = GitHub(world.host, self._environ, now=world.now)
        return Forges({local.name: local, github.name: github}, self._environ)


class _Tasks:
    """The group that owns every task of the engine: a failed one is logged, all are cancelled at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> _Tasks:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        while self._tasks:  # what ends may start something in its last moment
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task of this group."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AoError) and first_time(error):
            log.error("a task failed", exc_info=error)


def lock_data_dir(data_dir: str) -> int:
    """Hold the data folder for this process's life; the descriptor of the lock.

    Raises `DAEMON_ALREADY_RUNNING` when another daemon holds it, whatever its run file and port.
    """
    os.makedirs(data_dir, mode=0o700, exist_ok=True)
    os.chmod(data_dir, 0o700)
    return _lock(os.path.join(data_dir, "daemon.lock"), what=data_dir, setting="AO_DATA_DIR names another data folder")


def lock_run_file(run_file: str) -> int:
    """Hold the run file for this process's life, by a lock beside it; the descriptor of the lock.

    Raises `DAEMON_ALREADY_RUNNING` when a daemon with other data holds it: whoever finds a daemon by that file must
    not be sent to another one.
    """
    os.makedirs(os.path.dirname(run_file), mode=0o700, exist_ok=True)
    return _lock(f"{run_file}.lock", what=run_file, setting="AO_RUN_FILE names another run file")


def _lock(path: str, *, what: str, setting: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown pid"
        os.close(descriptor)
        raise AoError(
            "DAEMON_ALREADY_RUNNING",
            f"daemon already running ({holder}) on {what}; refusing to start",
            hint=f"`ao status` shows it; `ao stop` ends it; {setting}",
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"pid {os.getpid()}\n".encode(), 0)
    return descriptor


def ao_program() -> str:
    """Absolute path of the `ao` that belongs to this interpreter: beside it, not whatever PATH names."""
    beside = os.path.join(os.path.dirname(sys.executable), "ao")
    return beside if os.access(beside, os.X_OK) else os.environ.get("AO_BIN", beside)


async def _prune_for_ever(db: Database, now: Callable[[], int]) -> None:
    """Keep what only grows within its bounds, at start and then hourly."""
    while True:
        try:
            await db.write(_pruner(now() - KEEP_MS))
        except AoError as error:  # a full disk: perhaps not in an hour
            log.warning("nothing pruned", extra={"code": error.code, "cause": error.message})
        await asyncio.sleep(PRUNE_EVERY_S)


def _pruner(before: int) -> Callable[[Connection], None]:
    oldest = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(before / 1000))

    def prune(conn: Connection) -> None:
        changes.prune(conn, older_than_iso=oldest, keep_rows=KEEP_ROWS)
        sessions.forget_idempotent(conn, before=before)
        notifications.prune(conn, before - KEEP_LOGS_MS)
        local_pulls.prune_checks(conn, before - KEEP_LOGS_MS)

    return prune


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: each living agent holds a descriptor of its process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve(config: Config, environ: Mapping[str, str], parts: Parts | None = None) -> None:
    """Run a daemon until SIGTERM, SIGINT or an accepted shutdown request."""
    daemon = Daemon(config, environ, parts)
    allow_many_files()
    if sys.version_info < (3, 12):
        # What later releases choose by themselves: without it each command that runs costs a thread.
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    try:
        # A folder of our own: the one it was started in may be removed while it runs.
        os.makedirs(config.data_dir, mode=0o700, exist_ok=True)
        os.chdir(config.data_dir)
        await daemon.run()
    except OSError as error:
        raise _unusable(config, error) from error


def _unusable(config: Config, error: OSError) -> AoError:
    """A folder of ours that can't be made or written, told as what a person can change."""
    return AoError(
        "CONFIG_INVALID",
        f"{error.filename or config.data_dir}: {error.strerror or error}",
        hint=f"the data folder {config.data_dir} and the run file {config.run_file} must be writable by this user, "
        "with room on their disk; AO_DATA_DIR and AO_RUN_FILE move them",
    )


def main() -> int:
    """`ao daemon`: exit code 0 after a clean stop, 1 when it couldn't start."""
    configure()
    try:
        config = load(os.environ)
        configure(config.log_level)
        asyncio.run(serve(config, os.environ))
    except AoError as error:
        log.error("daemon could not start", extra={"code": error.code, "cause": error.message, "hint": error.hint})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

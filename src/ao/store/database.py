"""The door to the store: one writer thread with group commit, and a reader for the event loop.

Every write is a closure handed to the writer. All closures that wait are run in one transaction, each in a savepoint of
its own, and committed once (`synchronous=FULL`: an answer means the row survives a power cut). The thread then reads
the change rows that the triggers wrote and hands results and changes to the loop in one step, so whoever sees a result
also sees `revision` and the feed beyond it. While nothing is written the thread sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from ao.model.change import Change
from ao.store import changes, migrate
from ao.store.migrate import Migration
from ao.store.rows import Connection

__all__ = ["Connection", "Database"]

T = TypeVar("T")
_GATHER_S: Final = 0.000_25
"""How long a group waits for company when the one before it had some: a shared flush is cheaper than two. A write that
comes alone never waits. Measured with eight writers: +14 % writes a second at a third less CPU; more gains nothing."""
_GROUP_LIMIT: Final = 512


class _Job:
    """A closure and where its outcome goes."""

    __slots__ = ("error", "fn", "future", "loop", "value")

    def __init__(self, fn: Callable[[Connection], Any] | None) -> None:
        self.fn = fn
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.value: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Give the outcome to whoever still waits."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.value)
        elif isinstance(self.error, sqlite3.OperationalError) and (trouble := migrate.unavailable(self.error)):
            trouble.__cause__ = self.error
            self.future.set_exception(trouble)
        elif isinstance(self.error, StopIteration):
            # A future refuses it: it would end the generator that awaits.
            self.future.set_exception(RuntimeError("the write raised StopIteration"))
        else:
            self.future.set_exception(self.error)


class Database:
    """An open store. Used from one event loop; made by `open`."""

    def __init__(
        self, writer: Connection, reader: Connection, on_commit: Callable[[list[Change]], None] | None
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._on_commit = on_commit
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._closed = False
        self.revision = changes.bounds(reader)[1]
        """Sequence number of the last committed change that the loop knows of."""
        self._last = self.revision
        self._thread = threading.Thread(target=self._run, name="ao-store", daemon=True)

    @classmethod
    def open(
        cls,
        path: str,
        *,
        on_commit: Callable[[list[Change]], None] | None = None,
        migrations: Sequence[Migration] | None = None,
    ) -> Database:
        """Open the store at `path`; make it (0600, its folder 0700) when there has never been one; migrate it.

        `on_commit` is called on the loop with the changes of each commit, in order. `migrations` are those of this
        version unless given. Raises `STORE_DAMAGED` and `STORE_TOO_NEW`, leaving the file as it was.
        """
        path = os.path.abspath(path)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        writer = migrate.prepare(path, migrations or migrate.shipped())
        try:
            reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
            for pragma in ("query_only=ON", "busy_timeout=5000", "temp_store=MEMORY", migrate.PAGE_CACHE):
                reader.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            writer.close()
            raise
        database = cls(writer, reader, on_commit)
        database._thread.start()
        return database

    @property
    def read(self) -> Connection:
        """A read-only connection for the loop's thread; each statement sees the last commit. Fetch at once: a cursor
        left open keeps the write-ahead log from being emptied."""
        return self._reader

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in the writer's transaction; its result once that is durable.

        Raises `STORE_UNAVAILABLE` when the disk is full or fails. What `fn` raises is raised here, and what it wrote is
        undone; its neighbours in the transaction aren't touched.
        `fn` runs in another thread: it must be pure but for its statements, and begin or end no transaction. Cancelling
        the caller doesn't stop the write. Raises RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError("the store is closed")
        result: T = await self._submit(fn)
        return result

    async def close(self) -> None:
        """Finish the writes handed in so far and close the file. Idempotent."""
        if self._closed:
            return
        drained = self._submit(lambda _: None)
        self._closed = True
        await asyncio.shield(drained)
        # Closed here, where it is read; the thread then closes the last connection and empties the log.
        self._reader.close()
        await asyncio.shield(self._submit(None))
        self._thread.join()

    def _submit(self, fn: Callable[[Connection], Any] | None) -> asyncio.Future[Any]:
        job = _Job(fn)
        self._jobs.put(job)
        return job.future

    def _run(self) -> None:
        closing, busy = False, False
        while not closing:
            group = [self._jobs.get()]
            if busy:
                time.sleep(_GATHER_S)
            while len(group) < _GROUP_LIMIT and not self._jobs.empty():
                group.append(self._jobs.get())
            busy = len(group) > 1
            closing = group[-1].fn is None
            found = self._commit(group)
            if closing:
                self._writer.close()
            try:
                group[0].loop.call_soon_threadsafe(self._deliver, group, found)
            except RuntimeError:
                # The loop is closed: nobody waits any more, and what was written stays.
                continue

    def _commit(self, group: list[_Job]) -> list[Change]:
        """Run and commit a group; each job has its outcome then. Returns the changes it made."""
        conn = self._writer
        try:
            conn.execute("BEGIN IMMEDIATE")
            for job in group:
                self._attempt(job)
            found = changes.after(conn, self._last)
            conn.execute("COMMIT")
        except sqlite3.Error as error:
            if conn.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the disk may not even allow that; the next BEGIN tells
                    conn.execute("ROLLBACK")
            for job in group:
                job.error = job.error or error
            return []
        if found:
            self._last = found[-1].seq
        return found

    def _attempt(self, job: _Job) -> None:
        """Run one job in a savepoint. Raises sqlite3.Error when the whole transaction is lost."""
        conn = self._writer
        if job.fn is None:
            return
        conn.execute("SAVEPOINT job")
        try:
            job.value = job.fn(conn)
        except BaseException as error:
            job.error = error
            # A full disk rolls back everything; then this raises, and the neighbours hear of it too.
            conn.execute("ROLLBACK TO job")
        conn.execute("RELEASE job")

    def _deliver(self, group: list[_Job], found: list[Change]) -> None:
        if found:
            self.revision = found[-1].seq
        for job in group:
            job.settle()
        if found and self._on_commit is not None:
            self._on_commit(found)

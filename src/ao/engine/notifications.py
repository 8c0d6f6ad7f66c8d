"""Notifications: rows that say what a person should know, kept equal to what holds now.

For each session a pure rule says which conditions hold; the rows that lack are added with their deliveries, and those
that hold no more are resolved, in one transaction. So nothing depends on having seen an event: a committed change of
the session is only a reason to look again, and at the start of the daemon every session is looked at. This module alone
writes notifications.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ao.engine.channels import Channels
from ao.engine.world import World
from ao.model import notices, readiness
from ao.model.change import Change
from ao.model.errors import AoError
from ao.model.notices import NoticeFacts, PullNow, Wanted
from ao.model.notification import LASTING, DeliveryState, Notification, NotificationType
from ao.model.session import Activity, Phase
from ao.store import changes, notifications, nudges, pulls, sessions
from ao.store.database import Connection
from ao.store.notifications import Which

WHICH: Final[dict[str, Which]] = {"unread": "unread", "all": "all", "unresolved": "unresolved"}
_WATCHED: Final = frozenset(
    {
        "session_created",
        "session_updated",
        "session_deleted",
        "pr_created",
        "pr_updated",
        "pr_session_changed",
        "nudge_updated",
    }
)
_DERIVED: Final = frozenset(NotificationType) - LASTING - {NotificationType.BUDGET}
"""Found by the rule, and so resolved when it finds them no more."""
_LEDGER: Final = 500
"""As many of a session's newest nudges are looked at."""
_Key = tuple[NotificationType, str, str]

log = logging.getLogger("ao.engine.notifications")


class _State(msgspec.Struct, frozen=True):
    activity: str = ""
    phase: str = ""


class _Moved(msgspec.Struct, frozen=True, rename="camel"):
    from_session: str = ""


class Notifications:
    """What a person should know."""

    def __init__(self, world: World, channels: Channels) -> None:
        self.channels = channels
        self._world = world
        self._pending: dict[str, None] = {}
        self._worker: asyncio.Task[Any] | None = None
        self._told: set[tuple[str, _Key]] = set()
        """Those told once and for ever that are known to have a row, so that not every look tries a write."""
        self._quiet: set[str] = set()
        """Sessions without notifications and pull requests: while their agents work and rest, nothing is to be told."""

    def committed(self, change: Change) -> None:
        """A change was made durable; look again at the session it is about."""
        if change.type not in _WATCHED or change.session_id is None:
            return
        if change.session_id in self._quiet and change.type == "session_updated" and _is_calm(change):
            return
        self.wake(change.session_id)
        self._quiet.discard(change.session_id)
        if change.type == "pr_session_changed":
            before = msgspec.json.decode(change.payload, type=_Moved).from_session
            if before:
                self.wake(before)

    def wake(self, session_id: str) -> None:
        """Something about the session may be worth telling, or no longer true."""
        self._pending[session_id] = None
        if self._worker is None or self._worker.done():
            self._worker = self._world.start(self._work())

    def resume(self) -> None:
        """After a start: look at every session of which something may have to be told, and go on delivering."""
        conn = self._world.db.read
        owners = set(pulls.grouped(conn))
        owners |= {row.session_id for row in notifications.of(conn, status="unresolved", limit=-1)}
        owners |= {row.id for row in sessions.all_sessions(conn) if not row.is_terminated}
        for session_id in sorted(owners - {""}):
            self.wake(session_id)
        if self.channels.configured:
            self._world.start(self.channels.run())

    async def reconcile(self, session_id: str) -> None:
        """Make the session's notifications equal to what holds now."""
        read = self._world.db.read
        missing, over = self._difference(read, session_id)
        if not missing and not over:
            calm = not notifications.open_of(read, session_id) and not pulls.of_session(read, session_id)
            (self._quiet.add if calm else self._quiet.discard)(session_id)
            return
        self._quiet.discard(session_id)
        added = await self._world.db.write(lambda conn: self._equalise(conn, session_id))
        self._told.update((session_id, _key(one)) for one in missing if one.type in LASTING)
        self._tell(added)

    async def add(self, wanted: Wanted, *, project_id: str, session_id: str = "") -> Notification | None:
        """Tell of something that no rule finds; None when it was told already. It stays unresolved until `resolve`."""

        def insert(conn: Connection) -> list[Notification]:
            return self._insert(conn, [wanted], project_id=project_id, session_id=session_id)

        added = await self._world.db.write(insert)
        self._tell(added)
        return added[0] if added else None

    async def resolve(self, notification_id: str) -> None:
        """What `add` told of is no longer true; idempotent."""
        now = self._world.now()
        await self._world.db.write(lambda conn: notifications.resolve(conn, notification_id, now))

    def page(
        self, *, status: Which, limit: int, before: tuple[int, str] | None = None, project: str | None = None
    ) -> list[Notification]:
        """At most `limit`, newest first; `before` is (created_at, id) of the last one seen."""
        return notifications.of(self._world.db.read, status=status, limit=limit, before=before, project=project)

    def find(self, notification_id: str) -> Notification | None:
        """The notification, None when there is none (any more)."""
        return notifications.get(self._world.db.read, notification_id)

    def counts(self, project: str | None = None) -> tuple[int, int]:
        """How many are unread, and how many still true."""
        return notifications.counts(self._world.db.read, project)

    async def read(self, notification_id: str) -> Notification:
        """Mark one as read. Raises `NOTIFICATION_NOT_FOUND` when it is unknown or was read."""
        now = self._world.now()
        marked = await self._world.db.write(lambda conn: notifications.read(conn, notification_id, now))
        if marked is None:
            raise AoError(
                "NOTIFICATION_NOT_FOUND",
                f"no unread notification {notification_id!r}",
                hint="`ao notify ls` lists those that are unread",
            )
        return marked

    async def read_all(self, ids: list[str] | None) -> list[Notification]:
        """Mark these (None: all) as read; those that were unread."""
        now = self._world.now()
        return await self._world.db.write(lambda conn: notifications.read_all(conn, ids, now))

    def bounds(self) -> tuple[int, int]:
        """The oldest and the newest change that is kept, as sequence numbers."""
        return changes.bounds(self._world.db.read)

    def missed(self, cursor: int, limit: int) -> list[Change]:
        """At most `limit` kept changes after `cursor`."""
        return changes.after(self._world.db.read, cursor, limit)

    async def _work(self) -> None:
        while self._pending:
            session_id = next(iter(self._pending))
            del self._pending[session_id]
            try:
                await self.reconcile(session_id)
            except Exception:
                log.exception("notifications not brought up to date", extra={"session_id": session_id})

    def _difference(self, conn: Connection, session_id: str) -> tuple[list[Wanted], list[Notification]]:
        """What lacks a row, and the rows that hold no more."""
        wanted = {_key(one): one for one in _wanted(conn, session_id)}
        standing = {_key(row): row for row in notifications.open_of(conn, session_id)}
        missing = [
            one
            for key, one in wanted.items()
            if key not in standing and (session_id, key) not in self._told and not _asked(one, standing.values())
        ]
        kept = {one.type for one in wanted.values()} - {one.type for one in missing}
        over = [
            row
            for key, row in standing.items()
            if key not in wanted
            and row.type in _DERIVED
            and not (row.type is NotificationType.NEEDS_INPUT and row.type in kept)
        ]
        return missing, over

    def _equalise(self, conn: Connection, session_id: str) -> list[Notification]:
        """In the writer's transaction, on what holds in it."""
        missing, over = self._difference(conn, session_id)
        now = self._world.now()
        for row in over:
            notifications.resolve(conn, row.id, now)
        session = sessions.get(conn, session_id)
        if session is None:
            return []
        return self._insert(conn, missing, project_id=session.project_id, session_id=session_id)

    def _insert(
        self, conn: Connection, wanted: list[Wanted], *, project_id: str, session_id: str
    ) -> list[Notification]:
        added = []
        for one in wanted:
            row = _row(one, project_id=project_id, session_id=session_id, now=self._world.now())
            before = None
            if notifications.add(conn, row) is None:
                before = _unread_twin(conn, row)
                if before is None:
                    continue
                notifications.read(conn, before.id, row.created_at)
                notifications.add(conn, row)
            heard = _heard(conn, before)
            notifications.add_deliveries(
                conn, [one for one in self.channels.deliveries(row) if one.channel not in heard]
            )
            added.append(row)
        return added

    def _tell(self, added: list[Notification]) -> None:
        for row in added:
            log.info("notification", extra={"type": row.type.value, "session_id": row.session_id, "id": row.id})
        if added:
            self.channels.wake()


def _wanted(conn: Connection, session_id: str) -> list[Wanted]:
    """What holds of the session by what is stored now; nothing of one that is gone."""
    session = sessions.get(conn, session_id)
    if session is None:
        return []
    owned = tuple(
        PullNow(pull=pull, ready=pull.is_open and _ready(conn, pull.url)) for pull in pulls.of_session(conn, session_id)
    )
    ledger = tuple(nudges.of_session(conn, session_id, _LEDGER))
    return notices.wanted(NoticeFacts(session=session, pulls=owned, ledger=ledger))


def _ready(conn: Connection, url: str) -> bool:
    picture = pulls.picture(conn, url)
    return picture is not None and readiness.ready(picture)


def _asked(one: Wanted, standing: Iterable[Notification]) -> bool:
    """Whether a question that nobody has looked at yet stands: that it became a more urgent one isn't told again."""
    return one.type is NotificationType.NEEDS_INPUT and any(
        row.type is one.type and row.read_at is None for row in standing
    )


def _unread_twin(conn: Connection, row: Notification) -> Notification | None:
    """An unread row that says the same and had been resolved: what holds again needs a row that stands."""
    if row.type in LASTING:
        return None
    unread = notifications.of(conn, status="unread", limit=-1, project=row.project_id)
    return next(
        (
            twin
            for twin in unread
            if twin.session_id == row.session_id and _key(twin) == _key(row) and twin.resolved_at is not None
        ),
        None,
    )


def _heard(conn: Connection, before: Notification | None) -> set[str]:
    """The channels that have told of it already."""
    if before is None:
        return set()
    return {row.channel for row in notifications.deliveries_of(conn, before.id) if row.state is DeliveryState.SENT}


def _key(one: Wanted | Notification) -> _Key:
    return one.type, one.pull_url, one.signature


def _row(one: Wanted, *, project_id: str, session_id: str, now: int) -> Notification:
    return Notification(
        id=f"ntf_{uuid.uuid4().hex}",
        project_id=project_id,
        session_id=session_id,
        pull_url=one.pull_url,
        type=one.type,
        signature=one.signature,
        title=one.title,
        body=one.body,
        created_at=now,
        updated_at=now,
    )


def _is_calm(change: Change) -> bool:
    """Whether the session lives and its agent works or rests."""
    state = msgspec.json.decode(change.payload, type=_State)
    return state.phase == Phase.LIVE and state.activity in (Activity.ACTIVE, Activity.IDLE)

"""Many sessions without many terminals: copies of an ended session's row, written while the daemon is stopped."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from bench.place import Daemon


def multiply(daemon: Daemon, total: int) -> None:
    """Restart the daemon with ended copies of one of its sessions, so that it has `total` rows."""
    daemon.stop()
    with closing(sqlite3.connect(daemon.data / "ao.db")) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(sessions)")]
        have = database.execute("SELECT count(*) FROM sessions").fetchone()[0]
        kept = [name for name in columns if name not in ("id", "num", "phase")]
        names = ", ".join(kept)
        for number in range(10_001, 10_001 + total - have):
            database.execute(
                f"INSERT INTO sessions (id, num, phase, {names}) "
                f"SELECT project_id || '-' || ?1, ?1, 'ended', {names} FROM sessions LIMIT 1",
                (number,),
            )
    daemon.start()

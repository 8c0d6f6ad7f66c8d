"""A change: one row of `change_log`, written by triggers in the transaction that made it true."""

from __future__ import annotations

import msgspec


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """`payload` is JSON text; `created_at` is RFC 3339 UTC with milliseconds, as the trigger wrote it."""

    seq: int
    project_id: str
    session_id: str | None
    type: str
    payload: str
    created_at: str

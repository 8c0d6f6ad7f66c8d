"""A table whose columns are the fields of a frozen struct, in order: rows to values and back, by column.

An update names only the columns that differ, so two writers of different facts never overwrite each other's
(a rename, for example, against a hook).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec

Connection = sqlite3.Connection
Row = TypeVar("Row", bound=msgspec.Struct)


class Table(Generic[Row]):
    """The statements of table `name` with primary key `key`. `fixed` are the columns an update must leave alone:
    breaking that is a bug and raises ValueError."""

    def __init__(self, name: str, row: type[Row], *, fixed: frozenset[str], key: str = "id") -> None:
        self.name = name
        self.key = key
        self.columns: tuple[str, ...] = row.__struct_fields__
        self._row = row
        self._fixed = fixed
        self._select = f"SELECT {', '.join(self.columns)} FROM {name} "  # noqa: S608 (names of our own structs)
        marks = ", ".join("?" * len(self.columns))
        self._insert = f"INSERT INTO {name} ({', '.join(self.columns)}) VALUES ({marks})"  # noqa: S608

    def select(self, conn: Connection, rest: str, values: tuple[Any, ...] = ()) -> list[Row]:
        """All rows of `SELECT … FROM table` followed by `rest`."""
        return [self.parse(found) for found in conn.execute(self._select + rest, values).fetchall()]

    def parse(self, values: Sequence[Any]) -> Row:
        """The row with these values of `columns`."""
        return msgspec.convert(dict(zip(self.columns, values, strict=True)), self._row, strict=False)

    def first(self, conn: Connection, rest: str, values: tuple[Any, ...] = ()) -> Row | None:
        """The first row of such a query."""
        found = self.select(conn, rest, values)
        return found[0] if found else None

    def insert(self, conn: Connection, row: Row, *, on_conflict: str = "") -> None:
        """Insert `row`; `on_conflict` is the clause of that name. Raises sqlite3.IntegrityError."""
        conn.execute(f"{self._insert} {on_conflict}", [_plain(getattr(row, name)) for name in self.columns])

    def change(self, conn: Connection, key: str, fn: Callable[[Row], Row | None], *, now: int) -> Row | None:
        """Read row `key`, apply the pure `fn`, write the columns that differ and `updated_at`; the row after.

        None when there is no such row or `fn` returned None; nothing is written then, nor when nothing differs.
        """
        before = self.first(conn, f"WHERE {self.key} = ?", (key,))
        after = fn(before) if before is not None else None
        if before is None or after is None:
            return None
        names = self._differing(before, after)
        if not names or names == ["updated_at"]:
            return before
        after = msgspec.structs.replace(after, updated_at=now)
        self.write(conn, before, after)
        return after

    def write(self, conn: Connection, before: Row, after: Row) -> None:
        """Write the columns of row `before` that differ in `after`."""
        key = getattr(before, self.key)
        names = self._differing(before, after)
        if not self._fixed.isdisjoint(names):
            raise ValueError(f"{self.name} {key}: {self._fixed.intersection(names)} never change")
        if names:
            assignments = ", ".join(f"{name} = ?" for name in names)
            values = [_plain(getattr(after, name)) for name in names]
            conn.execute(f"UPDATE {self.name} SET {assignments} WHERE {self.key} = ?", [*values, key])  # noqa: S608

    def _differing(self, before: Row, after: Row) -> list[str]:
        return [name for name in self.columns if getattr(before, name) != getattr(after, name)]


def _plain(value: Any) -> Any:
    """`value` as SQLite stores it, without asking its adapters."""
    if isinstance(value, Enum):
        return value.value
    return int(value) if isinstance(value, bool) else value

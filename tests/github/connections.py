"""GraphQL connections with GitHub's rules: `first` or `last` wherever items are asked for, 1 to 100 of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, GraphQLResolveInfo

Info = GraphQLResolveInfo[Any]


class PartialError(Exception):
    """A partial failure: the field becomes null and the answer's `errors` tell of it with this `type`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Edge:
    """One item with its cursor."""

    cursor: str
    node: Any


@dataclass(frozen=True)
class Connection:
    """A window of a list. `everything` is the whole list, which the counts are of."""

    everything: Sequence[Any]
    start: int
    stop: int

    @property
    def edges(self) -> list[Edge]:
        """The items of the window with their cursors."""
        return [Edge(_cursor(index), self.everything[index]) for index in range(self.start, self.stop)]

    @property
    def nodes(self) -> Sequence[Any]:
        """The items of the window."""
        return self.everything[self.start : self.stop]

    @property
    def page_info(self) -> dict[str, Any]:
        """PageInfo."""
        has = self.stop > self.start
        return {
            "hasNextPage": self.stop < len(self.everything),
            "hasPreviousPage": self.start > 0,
            "startCursor": _cursor(self.start) if has else None,
            "endCursor": _cursor(self.stop - 1) if has else None,
        }


def connect(info: Info, items: Sequence[Any], arguments: dict[str, Any]) -> Connection:
    """The window that the arguments ask for. Raises PartialError as GitHub does for missing or excessive bounds."""
    first, last = arguments.get("first"), arguments.get("last")
    if first is None and last is None:
        if _wants_items(info):
            raise PartialError(
                "MISSING_PAGINATION_BOUNDARIES",
                f"You must provide a `first` or `last` value to properly paginate the `{info.field_name}` connection.",
            )
        return Connection(items, 0, 0)
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 0 <= size <= 100:
            raise PartialError(
                "EXCESSIVE_PAGINATION",
                f"Requesting {size} records on the `{info.field_name}` connection exceeds the `{name}` limit of 100.",
            )
    start = _index(arguments["after"]) + 1 if arguments.get("after") else 0
    stop = min(_index(arguments["before"]) if arguments.get("before") else len(items), len(items))
    if first is not None:
        stop = min(stop, start + first)
    if last is not None:
        start = max(start, stop - last)
    return Connection(items, start, max(start, stop))


def _wants_items(info: Info) -> bool:
    return any(
        not isinstance(child, FieldNode) or child.name.value in ("nodes", "edges", "pageInfo")
        for node in info.field_nodes
        if node.selection_set
        for child in node.selection_set.selections
    )


def _cursor(index: int) -> str:
    return base64.b64encode(f"cursor:v2:{index}".encode()).decode()


def _index(cursor: str) -> int:
    try:
        return int(base64.b64decode(cursor).decode().removeprefix("cursor:v2:"))
    except ValueError as error:
        raise PartialError("INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor.") from error

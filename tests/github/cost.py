"""What a query costs, by GitHub's published rule.

Source: https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api. Every connection
counts one request for each item of the connections around it; their sum divided by 100, rounded, at least 1, is the
price in points. The items of all connections, multiplied the same way, may not exceed 500,000. GitHub doesn't say how
`nodes(ids:)` counts; here each id counts as an item around what is asked of it, the dearer of the two readings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    value_from_ast_untyped,
)

NODE_LIMIT = 500_000


@dataclass
class Price:
    """Requests and items that a query could need at most."""

    requests: int = 0
    items: int = 0

    @property
    def points(self) -> int:
        """What is taken from the budget."""
        return max(1, (self.requests + 50) // 100)


def price(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> Price:
    """The price of an operation that has been validated."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    root = schema.mutation_type if operation.operation is OperationType.MUTATION else schema.query_type
    walk = _Walk(schema, fragments, variables)
    walk.selections(operation.selection_set, root, 1)
    return walk.total


class _Walk:
    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self.total = Price()
        self._schema = schema
        self._fragments = fragments
        self._variables = variables

    def selections(self, chosen: SelectionSetNode | None, on: GraphQLNamedType | None, times: int) -> None:
        for node in chosen.selections if chosen else ():
            if self._left_out(node.directives):
                continue
            if isinstance(node, FieldNode):
                self._field(node, on, times)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                self.selections(
                    fragment.selection_set, self._schema.type_map[fragment.type_condition.name.value], times
                )
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = self._schema.type_map[condition.name.value] if condition else on
                self.selections(node.selection_set, inner, times)

    def _field(self, node: FieldNode, on: GraphQLNamedType | None, times: int) -> None:
        known: Mapping[str, GraphQLField] = (
            on.fields if isinstance(on, GraphQLObjectType | GraphQLInterfaceType) else {}
        )
        field = known.get(node.name.value)
        if field is None:
            return
        kind = get_named_type(field.type)
        arguments = {
            argument.name.value: value_from_ast_untyped(argument.value, dict(self._variables))
            for argument in node.arguments or ()
        }
        if kind.name.endswith("Connection"):
            self.total.requests += times
            times *= int(arguments.get("first") or arguments.get("last") or 0) or 1
            self.total.items += times if arguments.get("first") or arguments.get("last") else 0
        elif node.name.value == "nodes" and on is self._schema.query_type:
            times *= max(1, len(arguments.get("ids") or ()))
        self.selections(node.selection_set, kind, times)

    def _left_out(self, directives: Any) -> bool:
        for directive in directives or ():
            flag = next(
                (value_from_ast_untyped(a.value, dict(self._variables)) for a in directive.arguments or ()), None
            )
            if (directive.name.value, bool(flag)) in (("skip", True), ("include", False)):
                return True
        return False

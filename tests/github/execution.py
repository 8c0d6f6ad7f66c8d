"""One GraphQL request: parsed, validated against GitHub's schema, priced, executed, with errors in GitHub's form."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    execute,
    get_operation_ast,
    parse,
    validate,
)

from tests.github.budget import Budget
from tests.github.connections import PartialError
from tests.github.cost import NODE_LIMIT, Price, price
from tests.github.schema import answering_schema, resolve_type, resolve_unknown
from tests.github.state import State

Json = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """What resolvers work on."""

    state: State
    budget: Budget
    price: Price


@functools.lru_cache(512)
def _checked(query: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    try:
        document = parse(query)
    except GraphQLSyntaxError as error:
        return None, (error,)
    return document, tuple(validate(answering_schema(), document))


def answer(state: State, budget: Budget, asked: Json) -> tuple[Json, int]:
    """The body of the answer (its status is 200) and the points that the query took."""
    document, errors = _checked(str(asked.get("query") or ""))
    if document is None or errors:
        return {"errors": [_formatted(error) for error in errors]}, 0
    operation = get_operation_ast(document, asked.get("operationName"))
    if operation is None:
        return {"errors": [{"message": "An operation name is required", "extensions": {"code": "operation"}}]}, 0
    return _executed(state, budget, document, operation, asked)


def _executed(
    state: State, budget: Budget, document: DocumentNode, operation: OperationDefinitionNode, asked: Json
) -> tuple[Json, int]:
    variables = asked.get("variables") or {}
    cost = price(answering_schema(), document, operation, variables)
    if cost.items > NODE_LIMIT:
        text = f"This query requests up to {cost.items:,} possible nodes which exceeds the maximum limit of 500,000."
        return {"errors": [{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": text}]}, 0
    if not budget.take(cost.points):
        text = f"API rate limit exceeded for user ID {state.viewer.id}."
        return {"errors": [{"type": "RATE_LIMITED", "message": text}]}, 0
    result = execute(
        answering_schema(),
        document,
        context_value=Ask(state, budget, cost),
        variable_values=variables,
        operation_name=asked.get("operationName"),
        field_resolver=resolve_unknown,
        type_resolver=resolve_type,
    )
    if not isinstance(result, ExecutionResult):
        raise TypeError("no resolver is asynchronous")
    body: Json = {"data": result.data}
    if result.errors:
        body["errors"] = [_formatted(error) for error in result.errors]
    return body, cost.points


def _formatted(error: GraphQLError) -> Json:
    shown: Json = {"message": error.message}
    if isinstance(error.original_error, PartialError):
        shown["type"] = error.original_error.kind
    if error.path:
        shown["path"] = error.path
    if error.locations:
        shown["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    return shown

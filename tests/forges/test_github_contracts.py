"""What the forge asks of GitHub is what GitHub publishes: every GraphQL operation, with its price.

The REST exchanges are held against GitHub's description by the double itself, at the end of every test that uses it
(`tests/github/contracts.py`), the contract suite of forges among them.
"""

from __future__ import annotations

from importlib.resources import files

import pytest
from graphql import (
    DocumentNode,
    ListTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    parse,
    validate,
)

from tests.github.cost import NODE_LIMIT, Price, price
from tests.github.schema import plain_schema

TEXT = files("ao.forges.github").joinpath("queries.graphql").read_text(encoding="utf-8")
DOCUMENT: DocumentNode = parse(TEXT)
OPERATIONS = {
    node.name.value: node
    for node in DOCUMENT.definitions
    if isinstance(node, OperationDefinitionNode) and node.name is not None
}


def dearest(operation: OperationDefinitionNode) -> Price:
    """The price with all switches on and a full batch of ids."""
    values: dict[str, object] = {}
    for definition in operation.variable_definitions or ():
        kind = definition.type.type if isinstance(definition.type, NonNullTypeNode) else definition.type
        many = isinstance(kind, ListTypeNode)
        values[definition.variable.name.value] = ["id"] * 100 if many else True
    return price(plain_schema(), DOCUMENT, operation, values)


def test_all_operations_are_named_and_valid_by_githubs_schema() -> None:
    assert OPERATIONS
    assert len(OPERATIONS) == sum(isinstance(node, OperationDefinitionNode) for node in DOCUMENT.definitions)
    assert validate(plain_schema(), DOCUMENT) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_can_exceed_githubs_limit_of_nodes(name: str) -> None:
    assert dearest(OPERATIONS[name]).items <= NODE_LIMIT


def test_a_field_that_github_does_not_have_would_be_noticed() -> None:
    wrong = parse(TEXT.replace("mergeStateStatus", "mergeStatus"))
    told = next(error.message for error in validate(plain_schema(), wrong))
    assert told.startswith("Cannot query field 'mergeStatus'")

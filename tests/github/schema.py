"""GitHub's published GraphQL schema, with the double's answers hung into it. Built once per process (1.4 s)."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema, build_schema

from tests.github import fields
from tests.github.connections import Info, PartialError
from tests.github.fields import Table, entries, iso, value
from tests.github.records import Pull, Repo, Thread

ROOT = Path(__file__).parent.parent.parent
INSTALLED = Path(os.environ.get("AO_TEST_GITHUB_DIR", ROOT / ".cache" / "github")) / "node_modules"


def published(relative: str) -> Path:
    """A file of the packages in `tests/github_npm`. Raises FileNotFoundError that says how to get them."""
    path = INSTALLED / relative
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `make github`")
    return path


@functools.cache
def plain_schema() -> GraphQLSchema:
    """The schema as published, for validation alone."""
    text = published("@octokit/graphql-schema/schema.graphql").read_text(encoding="utf-8")
    return build_schema(text, assume_valid=True)


@functools.cache
def answering_schema() -> GraphQLSchema:
    """The schema with resolvers; `info.context` must be an `Ask`."""
    schema = plain_schema()
    for name, kind in schema.type_map.items():
        if not isinstance(kind, GraphQLObjectType):
            continue
        shared = {field: answer for field, answer in _generic(name).items() if field in kind.fields}
        table = {**shared, **fields.TYPES.get(name, {}), **_ROOTS.get(name, {})}
        for field, resolver in table.items():
            kind.fields[field].resolve = resolver
    return schema


def resolve_unknown(_source: Any, info: Info, **_arguments: Any) -> Any:
    """The resolver of every field without one: it says so."""
    raise PartialError("NOT_IN_THE_DOUBLE", f"the double has no {info.parent_type.name}.{info.field_name}")


def resolve_type(record: Any, _info: Info, _abstract: Any) -> str:
    """The concrete type of what an interface or union stands for."""
    return fields.type_name(record)


def _generic(name: str) -> Table:
    """What all connections and edges share, and page information."""
    if name.endswith("Connection") and name != "Connection":
        return {
            "nodes": value(lambda window: window.nodes),
            "edges": value(lambda window: window.edges),
            "totalCount": value(lambda window: len(window.everything)),
            "pageInfo": value(lambda window: window.page_info),
        }
    if name.endswith("Edge"):
        return {"cursor": value(lambda edge: edge.cursor), "node": value(lambda edge: edge.node)}
    if name == "PageInfo":
        return entries("hasNextPage", "hasPreviousPage", "startCursor", "endCursor")
    return {}


def _repository(_source: Any, info: Info, owner: str, name: str, **_arguments: Any) -> Repo:
    state = info.context.state
    full_name = f"{owner}/{name}"
    renamed = state.repos.get(state.renamed.get(full_name.lower(), 0))
    if (found := state.repo(full_name) or renamed) is None:
        raise PartialError("NOT_FOUND", f"Could not resolve to a Repository with the name '{full_name}'.")
    return found  # type: ignore[no-any-return]


def _pull(source: Repo, info: Info, number: int) -> Pull:
    if (found := source.pulls.get(number)) is None:
        raise PartialError("NOT_FOUND", f"Could not resolve to a PullRequest with the number of {number}.")
    return found


def _node(_source: Any, info: Info, id: str) -> Any:
    if (found := info.context.state.nodes.get(id)) is None:
        raise PartialError("NOT_FOUND", f"Could not resolve to a node with the global id of '{id}'")
    return found


def _nodes(_source: Any, info: Info, ids: list[str]) -> list[Any]:
    if len(ids) > 100:
        raise PartialError("ARGUMENT_LIMIT", f"You may not provide more than 100 node ids; you provided {len(ids)}.")
    nodes = info.context.state.nodes
    return [
        nodes.get(key) or PartialError("NOT_FOUND", f"Could not resolve to a node with the global id of '{key}'")
        for key in ids
    ]


def _thread(info: Info, key: str) -> Thread:
    found = info.context.state.nodes.get(key)
    if not isinstance(found, Thread):
        raise PartialError("NOT_FOUND", f"Could not resolve to a node with the global id of '{key}'")
    return found


def _settle(resolved: bool) -> fields.Resolver:
    def resolve(_source: Any, info: Info, input: dict[str, Any]) -> dict[str, Any]:
        thread = _thread(info, input["threadId"])
        state = info.context.state
        if resolved:
            state.resolve_thread(thread)
        else:
            state.unresolve_thread(thread)
        return {"thread": thread, "clientMutationId": input.get("clientMutationId")}

    return resolve


def _reply(_source: Any, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    thread = _thread(info, input["pullRequestReviewThreadId"])
    return {
        "comment": info.context.state.reply(thread, input["body"]),
        "clientMutationId": input.get("clientMutationId"),
    }


_ROOTS: dict[str, Table] = {
    "Query": {
        "viewer": lambda _source, info: info.context.state.viewer,
        "repository": _repository,
        "node": _node,
        "nodes": _nodes,
        "rateLimit": lambda _source, info, **_arguments: info.context,
    },
    "Repository": {"pullRequest": _pull},
    "RateLimit": {
        "cost": value(lambda ask: ask.price.points),
        "nodeCount": value(lambda ask: ask.price.items),
        "limit": value(lambda ask: ask.budget.limit),
        "remaining": value(lambda ask: ask.budget.remaining),
        "used": value(lambda ask: ask.budget.used),
        "resetAt": value(lambda ask: iso(ask.budget.reset_at)),
    },
    "Mutation": {
        "resolveReviewThread": _settle(resolved=True),
        "unresolveReviewThread": _settle(resolved=False),
        "addPullRequestReviewThreadReply": _reply,
    },
    "ResolveReviewThreadPayload": entries("thread", "clientMutationId"),
    "UnresolveReviewThreadPayload": entries("thread", "clientMutationId"),
    "AddPullRequestReviewThreadReplyPayload": entries("comment", "clientMutationId"),
}

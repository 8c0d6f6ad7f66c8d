"""What GitHub publishes of its REST interface, held against real exchanges.

The description is the npm package `@octokit/openapi` (OpenAPI 3.0.3, pinned in `tests/github_npm`). A request must name
a route, query parameters and body fields that are described; an answer must have a described status and a body of the
described form. What GitHub does without describing it is in `UNDESCRIBED`, with the reason.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import jsonschema_rs

from tests.github.schema import published

Json = dict[str, Any]
UNDESCRIBED: Mapping[int, str] = {
    301: "any route of a renamed repository (docs: best practices, follow redirects)",
    307: "the same for methods other than GET",
    304: "every GET with If-None-Match (docs: conditional requests)",
    401: "any route without valid credentials (docs: authentication)",
    403: "any route, for rate limits and missing rights (docs: rate limits)",
    404: "any route below a repository that isn't there or isn't shown",
    429: "any route, for rate limits",
    500: "any route",
    502: "any route, from what stands in front of GitHub",
    503: "any route, from what stands in front of GitHub",
}
"""Statuses that any route may answer with, whatever its description lists."""
KNOWN_ERRORS: tuple[tuple[str, str, str], ...] = (
    (
        r"/repos/[^/]+/[^/]+/pulls(/\d+)?",
        r"(/\d+)?/head/repo: null is not of type",
        "the repository of a head is null once its fork is deleted; the description admits no null",
    ),
    (
        r"/repos/[^/]+/[^/]+/pulls(/\d+)?",
        r"(/\d+)?/head/user: null is not of type",
        "the same for the fork's owner",
    ),
)
"""Errors of the description itself: path, violation, what is true."""


class Exchange(Protocol):
    """One request and its answer."""

    @property
    def method(self) -> str:
        """GET and the like."""

    @property
    def path(self) -> str:
        """With its query."""

    @property
    def body(self) -> Any:
        """The decoded body of the request, None for none."""

    @property
    def status(self) -> int:
        """Of the answer."""

    @property
    def answer(self) -> Any:
        """The decoded answer, None where it isn't JSON."""


class Description:
    """GitHub's OpenAPI description, with a validator for each body, made at first use."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._validators: dict[str, jsonschema_rs.Draft4Validator] = {}
        paths = sorted(document["paths"], key=lambda path: path.count("{"))
        self._routes = [(re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path))), path) for path in paths]

    def violations(self, exchange: Exchange) -> list[str]:
        """What is wrong with a request and its answer, by the description; an empty list when nothing is."""
        path, _, query = exchange.path.partition("?")
        path = re.sub(r"^/repositories/\d+", "/repos/by/id", path)
        template = self._route(exchange.method.lower(), path)
        if template is None:
            return [f"{exchange.method} {path}: no such route"]
        operation = self._document["paths"][template][exchange.method.lower()]
        found = [*self._query(operation, query), *self._request(template, exchange)]
        found += self._answer(template, exchange)
        known = [violation for where, violation, _ in KNOWN_ERRORS if re.fullmatch(where, path)]
        return [
            f"{exchange.method} {path} → {exchange.status}: {text}"
            for text in found
            if not any(re.match(pattern, text) for pattern in known)
        ]

    def _route(self, method: str, path: str) -> str | None:
        matching = (template for pattern, template in self._routes if pattern.fullmatch(path))
        return next((template for template in matching if method in self._document["paths"][template]), None)

    def _query(self, operation: Json, query: str) -> Iterable[str]:
        described = {
            parameter["name"]: parameter["schema"]
            for parameter in map(self._resolved, operation.get("parameters", ()))
            if parameter["in"] == "query"
        }
        for name, value in parse_qsl(query, keep_blank_values=True):
            schema = described.get(name)
            if schema is None:
                yield f"?{name}: no such parameter"
                continue
            typed = int(value) if schema.get("type") == "integer" and value.isdecimal() else value
            yield from self._errors(json.dumps(schema, sort_keys=True), typed, f"?{name}")
            if name == "per_page" and not 1 <= int(value) <= 100:
                yield "?per_page: GitHub gives 1 to 100 at a time"

    def _request(self, template: str, exchange: Exchange) -> Iterable[str]:
        operation = self._document["paths"][template][exchange.method.lower()]
        if "requestBody" not in operation or exchange.body is None:
            required = self._resolved(operation.get("requestBody", {})).get("required", False)
            if exchange.body is not None or required:
                yield "body: there should be none" if exchange.body is not None else "body: missing"
            return
        schema = self._resolved(operation["requestBody"])["content"]["application/json"]["schema"]
        described = schema.get("properties")
        for name in exchange.body if described else ():
            if name not in described:
                yield f"body/{name}: no such field"
        yield from self._errors(json.dumps(schema, sort_keys=True), exchange.body, "body")

    def _answer(self, template: str, exchange: Exchange) -> Iterable[str]:
        operation = self._document["paths"][template][exchange.method.lower()]
        response = operation["responses"].get(str(exchange.status))
        if response is None:
            if exchange.status not in UNDESCRIBED:
                yield "a status that isn't described"
            return
        content = self._resolved(response).get("content", {}).get("application/json")
        if content and exchange.answer is not None:
            yield from self._errors(json.dumps(content["schema"], sort_keys=True), exchange.answer, "")

    def _errors(self, schema: str, value: Any, where: str) -> Iterable[str]:
        if schema not in self._validators:
            self._validators[schema] = self._validator(json.loads(schema))
        for error in self._validators[schema].iter_errors(value):
            place = "".join(f"/{part}" for part in error.instance_path)
            yield f"{where}{place}: {error.message[:200]}"

    def _validator(self, schema: Json) -> jsonschema_rs.Draft4Validator:
        """Of the 13 MB only what the schema refers to."""
        needed: Json = {}
        queue: list[Any] = [schema]
        while queue:
            for name in set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(queue.pop()))) - needed.keys():
                needed[name] = self._document["components"]["schemas"][name]
                queue.append(needed[name])
        whole = {**_json_schema(schema), "components": {"schemas": {k: _json_schema(v) for k, v in needed.items()}}}
        return jsonschema_rs.Draft4Validator(whole)

    def _resolved(self, node: Json) -> Json:
        while "$ref" in node:
            target: Any = self._document
            for key in node["$ref"].removeprefix("#/").split("/"):
                target = target[key]
            node = target
        return node


def _json_schema(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema; examples go, they may hold anything."""
    if isinstance(node, list):
        return [_json_schema(child) for child in node]
    if not isinstance(node, dict):
        return node
    made = {key: _json_schema(child) for key, child in node.items() if key not in ("example", "examples")}
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


@functools.cache
def description() -> Description:
    """The published description; 0.3 s to load."""
    text = published("@octokit/openapi/generated/api.github.com.json").read_text(encoding="utf-8")
    return Description(json.loads(text))


def violations(exchanges: Iterable[Exchange]) -> list[str]:
    """What is wrong with REST exchanges, each told once."""
    return sorted({text for exchange in exchanges for text in description().violations(exchange)})

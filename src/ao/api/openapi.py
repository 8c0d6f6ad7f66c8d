"""The OpenAPI 3.1 document, made from the route table and the types that decode and encode.

`python -m ao.api.openapi` prints it; `docs/openapi.json` is that output, and a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import msgspec

from ao import __version__
from ao.api.access import Scope
from ao.api.inputs import HookInput, Input, NoBody
from ao.api.operation import Operation
from ao.api.routes import OPERATIONS
from ao.api.wire import APIError, Output, ShutdownError
from ao.model.errors import CODES
from ao.paths import DEFAULT_PORT, encode_json

_REF: Final = "#/components/schemas/{name}"
_EVERYWHERE: Final = ("HOST_FORBIDDEN", "ORIGIN_FORBIDDEN", "INTERNAL_ERROR")
_ANY_OBJECT: Final = {"type": "object"}
_PARAMETERS: Final = {"sessionId": "session id", "id": "id", "agent": "agent id", "event": "name of the agent's event"}
_TAGS: Final = {
    "control": "the daemon itself",
    "projects": "registered repositories",
    "sessions": "agents at work",
    "pulls": "pull requests, and callbacks of forges",
    "reviews": "reviews of pull requests by agents",
    "notifications": "what a person should know, and the channels it goes out by",
    "agents": "coding agents on this machine",
    "events": "what changed",
}


@cache
def document_json() -> bytes:
    """The document as two-space JSON."""
    return (encode_json(document(), indent=2) + "\n").encode()


def document() -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Agent Orchestrator HTTP daemon",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"http://127.0.0.1:{DEFAULT_PORT}"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    bodies = [operation.body for operation in OPERATIONS if operation.body not in (NoBody, HookInput)]
    answers = [kind for operation in OPERATIONS for kind in operation.answers.values() if kind is not Output]
    kinds = list(dict.fromkeys([*bodies, *answers, APIError, ShutdownError]))
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    for kind in bodies:
        if kind.required_names:
            components[kind.__name__]["required"] = list(kind.required_names)
    for name in _reachable([kind.__name__ for kind in bodies], components):
        _admit_null(components[name])
    return dict(sorted(components.items()))


def _reachable(names: Iterable[str], components: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            text = encode_json(components[name])
            queue += [other for other in components if f'"{_REF.format(name=other)}"' in text]
    return found


def _admit_null(schema: dict[str, Any]) -> None:
    """Optional fields of a body may be null, which counts as absent."""
    for name, field in schema.get("properties", {}).items():
        if name in schema.get("required", []) or {"type": "null"} in field.get("anyOf", []):
            continue
        outer = {key: field.pop(key) for key in ("description", "default") if key in field}
        schema["properties"][name] = {"anyOf": [field, {"type": "null"}], **outer}


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)],
        "responses": _responses(operation),
    }
    if not described["parameters"]:
        del described["parameters"]
    if operation.reads_body:
        described["requestBody"] = _request_body(operation.body)
    if operation.scope is Scope.OPEN:
        described["security"] = []
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "description": _PARAMETERS[name], "schema": {"type": "string"}}
        for name in names
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(operation.query)["$defs"][operation.query.__name__]
    found = []
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.get("anyOf", [field]) if kind != {"type": "null"}]
        shown = {key: value for key, value in kinds[0].items() if not (key == "default" and value is None)}
        found.append({"name": name, "in": "query", "schema": shown})
    return found


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    found = []
    if operation.idempotent:
        text = "the same key starts one session, however often the request is repeated"
        found.append(_header("Idempotency-Key", text, {"type": "string"}))
    if operation.tagged:
        found.append(_header("If-None-Match", "the entity tag of an earlier answer", {"type": "string"}))
    if operation.stream:
        found.append(_header("Last-Event-ID", "the last event seen", {"type": "string"}))
    return found


def _header(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": schema}


def _request_body(kind: type[Input]) -> dict[str, Any]:
    bare = kind in (NoBody, HookInput)
    schema = _ANY_OBJECT if bare else {"$ref": _REF.format(name=kind.__name__)}
    return {"required": kind is not NoBody, "content": {"application/json": {"schema": schema}}}


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in operation.answers.items():
        found[str(status)] = {"description": kind.__doc__ or "", "content": _content(operation, kind)}
        if operation.tagged:
            found[str(status)]["headers"] = {"ETag": {"schema": {"type": "string"}}}
    if operation.tagged:
        found["304"] = {"description": "The entity tag still holds."}
    by_status: dict[int, list[str]] = {}
    for code in refusals(operation):
        by_status.setdefault(CODES[code][1], []).append(code)
    for status, codes in sorted(by_status.items()):
        legacy = operation.path == "/shutdown" and status in (403, 421)
        shape = ShutdownError if legacy else APIError
        found[str(status)] = {
            "description": ", ".join(codes),
            "content": {"application/json": {"schema": {"$ref": _REF.format(name=shape.__name__)}}},
        }
    return found


def refusals(operation: Operation) -> list[str]:
    """Every code that an operation can answer: its own and those of the checks before it."""
    codes = [*operation.errors, *_EVERYWHERE]
    if operation.scope is not Scope.OPEN:
        codes.append("UNAUTHORIZED")
    if operation.scope not in (Scope.OPEN, Scope.ANY):
        codes.append("FORBIDDEN")
    if operation.query.__struct_fields__:
        codes.append("INVALID_QUERY")
    if operation.reads_body:
        codes += ["INVALID_JSON", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"]
    if not operation.stream and operation.scope is not Scope.OPEN:
        codes.append("REQUEST_TIMEOUT")
    return list(dict.fromkeys(codes))


def _content(operation: Operation, kind: type[Output]) -> dict[str, Any]:
    if operation.stream:
        return {"text/event-stream": {"schema": {"type": "string"}}}
    if operation.raw_json:
        name = "application/yaml" if operation.path.endswith(".yaml") else "application/json"
        return {name: {"schema": _ANY_OBJECT}}
    json = {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
    return {**json, "text/plain": {"schema": {"type": "string"}}} if operation.text else json


if __name__ == "__main__":
    sys.stdout.buffer.write(document_json())

"""From bytes and query strings to typed input, strictly; every refusal names the field.

One pass decodes and checks. Only when that fails is the input looked at again, leniently in two ways that clients rely
on: null counts as absent (where the field's type has no null of its own), and with `AO_COMPAT=1` unknown keys are
dropped. What still doesn't fit is refused with the field's path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from msgspec import inspect

from ao.api.inputs import HookInput, Input, NoBody
from ao.model.errors import AoError

T = TypeVar("T", bound=Input)

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_PATH: Final = re.compile(r" - at `(?:key in )?([^`]*)`$")
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")
_PLAIN_PATH: Final = "$&+,/:;=@-_.~"
"""What Go's server leaves unescaped in a path (net/url), so that ids are read from it as the original reads them."""


def decode_body(raw: bytes, kind: type[T], *, compat: bool) -> T:
    """The body as `kind`. An empty one is accepted for `NoBody` only. Raises `INVALID_JSON`."""
    if kind is NoBody and not raw.strip():
        return kind()
    if kind is HookInput:
        return kind(fields=_payload(raw))
    try:
        value: T = _decoder(kind).decode(raw)
    except msgspec.ValidationError:
        return _decode_again(raw, kind, compat=compat)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(f"the body is not one JSON object: {error}", "") from None
    return value


def _payload(raw: bytes) -> dict[str, Any]:
    """An agent's own JSON object. What agents write is often cut in the middle of a character (a lone surrogate), or
    holds numbers beyond ours: that must not lose the report."""
    try:
        return _decoder(dict[str, Any] | None).decode(raw) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # strictly it isn't JSON; the reader below is lenient
    try:
        value = json.loads(raw.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the body is not one JSON object: {error}", "") from None
    if not isinstance(value, dict):
        raise _invalid("the body is not a JSON object", "")
    return {_whole(name): _whole(item) for name, item in value.items()}


def _whole(value: Any) -> Any:
    """Text without lone surrogates. Deeper values are only looked at, never kept."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _decode_again(raw: bytes, kind: type[T], *, compat: bool) -> T:
    try:
        value = msgspec.json.decode(raw)
        tidied = _tidy({} if value is None else value, _info(kind), compat=compat)
        return msgspec.convert(tidied, kind)
    except msgspec.ValidationError as error:
        field, problem = _located(str(error))
        raise _invalid(f"{field or 'the body'}: {problem}", field) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _invalid(f"the body is not one JSON object: {error}", "") from None


def decode_query(query: str, kind: type[T]) -> T:
    """The query as `kind`; of a repeated parameter the first counts. Raises `INVALID_QUERY`."""
    if not query:
        return kind()
    flags = _flags(kind)
    values: dict[str, object] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in flags and name not in values and text:
            values[name] = _flag(name, text) if flags[name] else text
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        field, problem = _located(str(error))
        raise _invalid_query(field, problem) from None


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target, the path as the original's router sees it.

    Decoded when that loses nothing; when the target escapes what needs no escape (a slash, say), it stays as it is, so
    that an escaped slash never becomes one.
    """
    if not target.startswith("/"):
        scheme, mark, rest = target.partition("://")
        target = "/" + rest.partition("/")[2] if mark and scheme else target
    raw, _, query = target.partition("#")[0].partition("?")
    if "%" not in raw:
        return raw, query
    decoded = unquote(raw, errors="replace")
    return (decoded if quote(decoded, safe=_PLAIN_PATH) == raw else raw), query


def _tidy(value: object, info: inspect.Type, *, compat: bool) -> object:
    """`value` without nulls that stand for "absent" and, for the original's clients, without unknown keys."""
    if isinstance(info, inspect.UnionType):
        structs = [kind for kind in info.types if isinstance(kind, inspect.StructType)]
        return _tidy(value, structs[0], compat=compat) if structs and value is not None else value
    if not isinstance(info, inspect.StructType) or not isinstance(value, Mapping):
        return value
    fields = {field.encode_name: field for field in info.fields}
    tidied: dict[object, object] = {}
    for key, item in value.items():
        field = fields.get(str(key))
        if field is None:
            if not compat:
                tidied[key] = item
        elif item is not None or _admits_null(field.type):
            tidied[key] = _tidy(item, field.type, compat=compat)
    return tidied


def _admits_null(info: inspect.Type) -> bool:
    kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
    return any(isinstance(kind, (inspect.NoneType, inspect.AnyType)) for kind in kinds)


def _located(text: str) -> tuple[str, str]:
    """Field path (`config.worker.agent`, "" for the body itself) and problem of a validation message."""
    found = _PATH.search(text)
    path = found[1].removeprefix("$").lstrip(".") if found else ""
    problem = text[: found.start()] if found else text
    unknown = _UNKNOWN.search(problem)
    if unknown:
        return f"{path}.{unknown[1]}".lstrip("."), "unknown field"
    return path, problem


def _flag(name: str, text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _invalid_query(name, f"{text[:40]!r} is neither true nor false")


def _invalid(message: str, field: str) -> AoError:
    return AoError("INVALID_JSON", message, details={"field": field})


def _invalid_query(field: str, problem: str) -> AoError:
    return AoError("INVALID_QUERY", f"query parameter {field}: {problem}", details={"field": field})


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


@cache
def _flags(kind: Any) -> dict[str, bool]:
    """Wire name of each parameter, and whether it is a truth value."""
    info = _info(kind)
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: _is_bool(field.type) for field in info.fields}


def _is_bool(info: inspect.Type) -> bool:
    kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
    return any(isinstance(kind, inspect.BoolType) for kind in kinds)

"""Strict input, and errors that name the field."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.api.decoding import decode_body, decode_query, split_target
from ao.api.inputs import AddProjectInput, ConfigPatchInput, HookInput, ListQuery, NoBody, SpawnInput
from ao.model.errors import AoError
from tests.api.house import House, opened


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"projectId":"shop","promt":"x"}', "promt"),
        (b'{"projectId":1}', "projectId"),
        (b'{"projectId":"shop"} x', ""),
        (b'{"projectId":"shop"}{}', ""),
        (b"[]", ""),
        (b'"x"', ""),
        (b"{", ""),
        (b"", ""),
        (b"\xff", ""),
        (b'{"projectId":"\xff"}', ""),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(body: bytes, field: str) -> None:
    with pytest.raises(AoError) as refused:
        decode_body(body, SpawnInput, compat=False)
    assert refused.value.code == "INVALID_JSON"
    assert refused.value.details["field"] == field


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"worker": {"agnt": "codex"}}, "config.worker.agnt"),
        ({"env": {"A": 1}}, "config.env[...]"),
        ({"postCreateTimeout": 0}, "config.postCreateTimeout"),
        ({"agentConfig": {"permissions": "root"}}, "config.agentConfig.permissions"),
        ({"symlinks": [".env", 1]}, "config.symlinks[1]"),
    ],
)
def test_a_nested_field_is_named_by_its_path(config: dict[str, object], field: str) -> None:
    body = msgspec.json.encode({"path": "/x", "config": config})
    with pytest.raises(AoError) as refused:
        decode_body(body, AddProjectInput, compat=False)
    assert refused.value.details["field"] == field


def test_null_counts_as_absent() -> None:
    body = decode_body(b'{"projectId":"shop","prompt":null,"kind":null}', SpawnInput, compat=False)
    assert body == SpawnInput(project_id="shop")
    assert decode_body(b"null", SpawnInput, compat=False) == SpawnInput()
    nested = decode_body(b'{"path":"/x","config":{"env":null,"worker":null}}', AddProjectInput, compat=False)
    assert nested.config is not None
    assert nested.config.env == {}


def test_null_removes_a_key_where_that_is_its_meaning() -> None:
    patch = decode_body(b'{"config":{"env":null,"fetch":"never"}}', ConfigPatchInput, compat=False).config
    assert patch.env is None
    assert patch.fetch == "never"
    assert patch.symlinks is msgspec.UNSET


def test_unknown_keys_are_dropped_for_the_originals_clients_only() -> None:
    body = b'{"path":"/x","extra":1,"config":{"worker":{"agent":"demo","new":{}},"later":[]}}'
    kept = decode_body(body, AddProjectInput, compat=True)
    assert kept.config is not None
    assert (kept.path, kept.config.worker.agent) == ("/x", "demo")
    with pytest.raises(AoError):
        decode_body(body, AddProjectInput, compat=False)
    with pytest.raises(AoError):
        decode_body(b'{"path":1,"extra":1}', AddProjectInput, compat=True)


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"a":[1]}', b"null"])
def test_routes_without_a_body_take_nothing_or_an_object(body: bytes) -> None:
    assert decode_body(body, NoBody, compat=False) == NoBody()


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b"{} {}"])
def test_routes_without_a_body_refuse_anything_else(body: bytes) -> None:
    with pytest.raises(AoError):
        decode_body(body, NoBody, compat=False)


def test_a_hook_takes_any_object_and_nothing_else() -> None:
    assert decode_body(b'{"x":{"y":[null]}}', HookInput, compat=False).fields == {"x": {"y": [None]}}
    for body in (b"", b"[]", b"1"):
        with pytest.raises(AoError):
            decode_body(body, HookInput, compat=False)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoder(body: bytes) -> None:
    for kind in (SpawnInput, AddProjectInput, ConfigPatchInput, NoBody, HookInput):
        for compat in (False, True):
            try:
                decode_body(body, kind, compat=compat)
            except AoError as error:
                assert error.code == "INVALID_JSON"  # noqa: PT017


def test_deep_nesting_is_refused_not_fatal() -> None:
    for kind in (NoBody, HookInput, AddProjectInput):
        with pytest.raises(AoError):
            decode_body(b'{"config":' * 100_000, kind, compat=True)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_every_spelling_of_true_is_read(text: str) -> None:
    assert decode_query(f"active={text}", ListQuery).active is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_every_spelling_of_false_is_read(text: str) -> None:
    assert decode_query(f"active={text}", ListQuery).active is False


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("active=maybe", "active"),
        ("limit=x", "limit"),
        ("limit=0", "limit"),
        ("kind=boss", "kind"),
        ("fresh=yes", "fresh"),
    ],
)
def test_a_bad_parameter_is_named(query: str, field: str) -> None:
    with pytest.raises(AoError) as refused:
        decode_query(query, ListQuery)
    assert refused.value.code == "INVALID_QUERY"
    assert refused.value.details["field"] == field
    assert field in refused.value.message


def test_the_first_value_counts_empty_is_absent_and_strangers_are_ignored() -> None:
    query = decode_query("active=&active=true&active=false&nonsense=1&project=a%20b", ListQuery)
    assert (query.active, query.project) == (True, "a b")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a/b?c=d", "/a/b", "c=d"),
        ("/a%20b", "/a b", ""),
        ("/a%2Fb", "/a%2Fb", ""),
        ("/%64emo", "/%64emo", ""),
        ("/a?x#y", "/a", "x"),
        ("http://localhost:1/a?b", "/a", "b"),
        ("/%ff", "/%ff", ""),
    ],
)
def test_the_path_is_read_as_the_originals_router_reads_it(target: str, path: str, query: str) -> None:
    assert split_target(target) == (path, query)


async def test_a_mistake_is_answered_with_its_field(house: House) -> None:
    answer = await house.call("POST", "/api/v1/sessions", {"projectId": "shop", "promt": "x"})
    assert (answer.status, answer.code) == (400, "INVALID_JSON")
    assert answer.body["details"] == {"field": "promt"}
    assert "promt" in answer.body["message"]


async def test_compat_ignores_unknown_keys_and_needs_no_token(tmp_path: Path) -> None:
    async with opened(tmp_path, {"AO_COMPAT": "1"}) as house:
        await house.project()
        answer = await house.call("POST", "/api/v1/sessions", {"projectId": "shop", "new": 1}, headers={})
        assert answer.status == 201
        page = await house.call("GET", "/api/v1/sessions", headers={"Origin": "app://renderer"})
        assert page.status == 200
        long = await house.call("POST", "/api/v1/sessions", {"projectId": "shop", "prompt": "\u00e9" * 2049})
        assert long.code == "PROMPT_TOO_LONG"

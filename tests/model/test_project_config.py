"""The project's configuration: one schema, strict in, sparse out, patched key by key."""

from __future__ import annotations

import msgspec
import pytest

from ao.model.errors import AoError
from ao.model.project import ConfigPatch, ProjectConfig, check_config, patched
from ao.model.prompts import system_prompt
from ao.model.session import Kind

AGENTS = frozenset({"demo", "codex"})


def decode(text: str) -> ProjectConfig:
    return msgspec.json.decode(text, type=ProjectConfig)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"env":{"A-B":"x"}}', "env"),
        ('{"env":{"A":"x\\u0000"}}', "env"),
        ('{"symlinks":["../x"]}', "symlinks"),
        ('{"symlinks":["/etc/passwd"]}', "symlinks"),
        ('{"sessionPrefix":"a/b"}', "sessionPrefix"),
        ('{"agentRulesFile":"../rules"}', "agentRulesFile"),
        ('{"worker":{"agent":"nope"}}', "worker.agent"),
    ],
)
def test_a_refused_configuration_names_its_field(text: str, field: str) -> None:
    with pytest.raises(AoError) as caught:
        check_config(decode(text), agents=AGENTS)
    assert caught.value.code == "INVALID_PROJECT_CONFIG"
    assert caught.value.details["field"] == field


def test_unknown_keys_are_refused_by_name() -> None:
    with pytest.raises(msgspec.ValidationError, match="nope"):
        decode('{"nope":1}')


def test_only_what_was_set_is_written_back() -> None:
    assert msgspec.json.encode(decode('{"fetch":"never"}')) == b'{"fetch":"never"}'


def test_a_patch_sets_and_removes_single_keys() -> None:
    config = decode('{"fetch":"never","env":{"A":"1"}}')
    patch = msgspec.json.decode('{"fetch":null,"worker":{"agent":"codex"}}', type=ConfigPatch)
    assert msgspec.to_builtins(patched(config, patch)) == {"env": {"A": "1"}, "worker": {"agent": "codex"}}


def test_a_worker_is_told_of_the_active_orchestrator_only() -> None:
    words = {"session": "demo-2", "project": "demo", "branch": "ao/demo-2/root", "rules": ""}
    assert "demo-1" in system_prompt(kind=Kind.WORKER, orchestrator="demo-1", **words)
    assert "Coordination" not in system_prompt(kind=Kind.WORKER, orchestrator="", **words)


def test_rules_of_the_project_stand_in_the_prompt_of_both_roles() -> None:
    for kind in Kind:
        text = system_prompt(
            kind=kind, session="d-1", project="d", branch="ao/d-1/root", orchestrator="", rules="Use tabs."
        )
        assert "Use tabs." in text

"""Claude Code's folder trust: one key in the user's file, and nothing else of it (H4)."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao.agents.trust import KEY, add, encode, is_trusted, withdraw

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
USERS: dict[str, Any] = {
    "numStartups": 12345678901234567890,
    "projects": {"/b": {"allowedTools": ["x"], KEY: True, "cost": 0.1}, "/a": {KEY: False}},
    "z": {"ö": 1},
    "a": 1,
}


@pytest.fixture
def users(machine: Any) -> Any:
    """The user's file."""
    return machine.home / ".claude.json"


async def test_the_workspace_is_trusted_while_the_session_is_there(machine: Any, users: Any) -> None:
    users.write_text(json.dumps(USERS))
    context = machine.context()
    await machine.catalog().prepare("claude-code", context)
    during = json.loads(users.read_text())
    assert during["projects"].pop(str(machine.workspace)) == {KEY: True}
    assert during == USERS
    assert users.stat().st_mode & 0o777 == 0o600
    # A daemon that was started anew knows what it added.
    await machine.catalog().release("claude-code", context)
    assert json.loads(users.read_text()) == USERS
    assert list(json.loads(users.read_text())) == list(USERS)
    assert not (machine.home / ".claude.json.lock").exists()
    assert list((machine.data / "trust").iterdir()) == []


async def test_a_missing_file_is_made_and_emptied_again(machine: Any, users: Any) -> None:
    await machine.catalog().prepare("claude-code", machine.context())
    assert is_trusted(json.loads(users.read_text()), str(machine.workspace))
    await machine.catalog().release("claude-code", machine.context())
    assert json.loads(users.read_text()) == {"projects": {}}


@pytest.mark.parametrize("trusted", ["workspace", "repository"])
async def test_trust_that_was_there_is_neither_written_nor_removed(machine: Any, users: Any, trusted: str) -> None:
    key = machine.workspace if trusted == "workspace" else machine.root / "repo"
    users.write_text(json.dumps({"projects": {str(key): {KEY: True}}}))
    before = users.stat()
    catalog = machine.catalog()
    await catalog.prepare("claude-code", machine.context())
    await catalog.release("claude-code", machine.context())
    after = users.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


async def test_preparing_and_releasing_twice_is_as_good_as_once(machine: Any, users: Any) -> None:
    catalog, context = machine.catalog(), machine.context()
    await catalog.prepare("claude-code", context)
    await catalog.prepare("claude-code", context)
    await catalog.release("claude-code", context)
    await catalog.release("claude-code", context)
    assert json.loads(users.read_text()) == {"projects": {}}


async def test_what_the_agent_added_to_its_entry_stays(machine: Any, users: Any) -> None:
    catalog, context = machine.catalog(), machine.context()
    await catalog.prepare("claude-code", context)
    tree = json.loads(users.read_text())
    tree["projects"][str(machine.workspace)]["allowedTools"] = ["Bash"]
    users.write_text(json.dumps(tree))
    await catalog.release("claude-code", context)
    assert json.loads(users.read_text())["projects"] == {str(machine.workspace): {"allowedTools": ["Bash"]}}


async def test_the_key_is_the_resolved_path(machine: Any, users: Any) -> None:
    link = machine.root / "link"
    link.symlink_to(machine.workspace)
    await machine.catalog().prepare("claude-code", machine.context(workspace_path=str(link)))
    assert list(json.loads(users.read_text())["projects"]) == [str(machine.workspace)]


async def test_a_linked_file_stays_a_link(machine: Any, users: Any) -> None:
    kept = machine.root / "dotfiles.json"
    kept.write_text("{}")
    users.symlink_to(kept)
    await machine.catalog().prepare("claude-code", machine.context())
    assert users.is_symlink()
    assert is_trusted(json.loads(kept.read_text()), str(machine.workspace))


@pytest.mark.parametrize("content", ["{broken", "[]", '{"projects": 3}', "\\", '{"a": "\xff"}'])
async def test_h4_a_file_that_is_not_understood_is_left_as_it_is(machine: Any, users: Any, content: str) -> None:
    users.write_text(content, encoding="latin-1")
    await machine.catalog().prepare("claude-code", machine.context())
    assert users.read_text(encoding="latin-1") == content


async def test_many_sessions_at_once_lose_nothing(machine: Any, users: Any) -> None:
    users.write_text(json.dumps(USERS))
    contexts = []
    for number in range(8):
        (machine.root / f"tree-{number}").mkdir()
        workspace = str(machine.root / f"tree-{number}")
        contexts.append(machine.context(session_id=f"shop-{number}", workspace_path=workspace))
    # Two daemons, as it were: they only share the file's own lock.
    catalogs = [machine.catalog(), machine.catalog()]
    for step in ("prepare", "release"):
        calls = (getattr(catalogs[index % 2], step)("claude-code", one) for index, one in enumerate(contexts))
        await asyncio.gather(*calls)
        projects = json.loads(users.read_text())["projects"]
        assert len(projects) == len(USERS["projects"]) + (8 if step == "prepare" else 0)
    assert json.loads(users.read_text()) == USERS


async def test_the_lock_of_a_dead_program_does_not_last(machine: Any, users: Any) -> None:
    lock = machine.home / ".claude.json.lock"
    lock.mkdir()
    long_ago = time.time() - 60
    os.utime(lock, (long_ago, long_ago))
    await machine.catalog().prepare("claude-code", machine.context())
    assert is_trusted(json.loads(users.read_text()), str(machine.workspace))


async def test_the_file_is_where_the_sessions_configuration_is(machine: Any, users: Any) -> None:
    env = {**machine.environ, "CLAUDE_CONFIG_DIR": str(machine.root / "elsewhere")}
    await machine.catalog().prepare("claude-code", machine.context(env=env))
    assert (machine.root / "elsewhere" / ".claude.json").exists()
    assert not users.exists()


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON, max_size=4), st.text())
def test_h4_adding_and_taking_back_leaves_any_file_equal(
    top: dict[str, Any], projects: dict[str, Any], key: str
) -> None:
    tree = {**top, "projects": projects}
    before = json.dumps(tree)
    if add(tree, key):
        assert is_trusted(json.loads(encode(tree)), key)
        assert withdraw(tree, key)
        after = json.loads(encode(tree))
        expected = json.loads(before)
        entry = expected["projects"].get(key)
        if isinstance(entry, dict):
            # A key that held something else than true was replaced; taken back it is absent, which means the same.
            entry.pop(KEY, None)
            if not entry:
                del expected["projects"][key]
        assert after == expected
        assert list(after) == list(expected)
    else:
        assert json.dumps(tree) == before

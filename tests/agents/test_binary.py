"""Where programs are found, and what is said when they are not."""

from __future__ import annotations

from typing import Any

import pytest

from ao.model.errors import AoError

HOME_FOLDERS = [
    ".npm-global/bin",
    ".npm/bin",
    ".local/bin",
    ".volta/bin",
    ".nvm/versions/node/v20.1.0/bin",
    ".local/share/fnm/node-versions/v22.0.0/installation/bin",
]


@pytest.mark.parametrize("folder", HOME_FOLDERS)
@pytest.mark.parametrize(("agent", "name"), [("claude-code", "claude"), ("codex", "codex")])
async def test_a_program_is_found_where_installers_put_it(machine: Any, agent: str, name: str, folder: str) -> None:
    (machine.bin / name).unlink()
    path = machine.program(name, folder=machine.home / folder)
    assert await machine.catalog().binary(agent, machine.environ) == str(path)


async def test_path_wins_and_a_program_that_comes_earlier_on_it_is_seen(machine: Any) -> None:
    catalog = machine.catalog()
    first, second = machine.root / "first", machine.root / "second"
    first.mkdir()
    later = machine.program("codex", folder=second)
    machine.program("codex", folder=machine.home / ".local" / "bin")
    env = {"PATH": f"{first}:{second}", "HOME": str(machine.home)}
    assert await catalog.binary("codex", env) == str(later)
    earlier = machine.program("codex", folder=first)
    assert await catalog.binary("codex", env) == str(earlier)


async def test_a_removed_program_is_not_remembered(machine: Any) -> None:
    catalog = machine.catalog()
    path = await catalog.binary("codex", machine.environ)
    (machine.bin / "codex").unlink()
    with pytest.raises(AoError) as failure:
        await catalog.binary("codex", machine.environ)
    assert failure.value.code == "AGENT_BINARY_NOT_FOUND"
    machine.program("codex")
    assert await catalog.binary("codex", machine.environ) == path


@pytest.mark.parametrize(
    ("agent", "name", "install"),
    [
        ("claude-code", "claude", "npm install -g @anthropic-ai/claude-code"),
        ("codex", "codex", "npm install -g @openai/codex"),
    ],
)
async def test_a_missing_program_is_named_with_the_places_searched_and_how_to_get_it(
    machine: Any, agent: str, name: str, install: str
) -> None:
    (machine.bin / name).unlink()
    with pytest.raises(AoError) as failure:
        await machine.catalog().binary(agent, machine.environ)
    error = failure.value
    assert (error.code, error.status) == ("AGENT_BINARY_NOT_FOUND", 400)
    assert name in error.message
    assert install in (error.hint or "")
    assert {str(machine.bin), f"{machine.home}/.npm-global/bin"} <= set(error.details["searched"])


async def test_a_file_that_cannot_run_is_not_the_program(machine: Any) -> None:
    (machine.bin / "codex").chmod(0o644)
    with pytest.raises(AoError):
        await machine.catalog().binary("codex", machine.environ)


async def test_the_default_node_of_nvm_wins_then_the_newest(machine: Any) -> None:
    (machine.bin / "codex").unlink()
    nvm = machine.home / ".nvm"
    paths = {
        version: machine.program("codex", folder=nvm / "versions" / "node" / version / "bin")
        for version in ("v9.0.0", "v18.2.0", "v20.11.1")
    }
    assert await machine.catalog().binary("codex", machine.environ) == str(paths["v20.11.1"])
    (nvm / "alias").mkdir()
    (nvm / "alias" / "default").write_text("18\n")
    assert await machine.catalog().binary("codex", machine.environ) == str(paths["v18.2.0"])


async def test_each_environment_has_its_own_answer(machine: Any) -> None:
    other = machine.root / "other"
    machine.program("codex", folder=other / "bin")
    catalog = machine.catalog()
    env = {"PATH": f"{other}/bin", "HOME": str(other)}
    assert await catalog.binary("codex", machine.environ) == str(machine.bin / "codex")
    assert await catalog.binary("codex", env) == str(other / "bin" / "codex")


async def test_demo_is_always_there(machine: Any) -> None:
    assert await machine.catalog().binary("demo", {"PATH": "", "HOME": ""})

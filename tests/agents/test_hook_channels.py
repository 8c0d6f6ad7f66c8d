"""How agents are told to call back: H1 (only what the release knows) and H4 (never in the worktree)."""

from __future__ import annotations

import json
import shlex
import tomllib
from typing import Any

import pytest

ALWAYS = {
    "SessionStart": "session-start",
    "UserPromptSubmit": "user-prompt-submit",
    "PreToolUse": "pre-tool-use",
    "PostToolUse": "post-tool-use",
    "Notification": "notification",
    "Stop": "stop",
    "SessionEnd": "session-end",
}
NEWER = {
    "PostToolUseFailure": "post-tool-use-failure",
    "PermissionRequest": "permission-request",
    "StopFailure": "stop-failure",
}


async def claude_settings(machine: Any, **fields: object) -> dict[str, Any]:
    context = machine.context(**fields)
    launch = await machine.catalog().launch("claude-code", context)
    settings: dict[str, Any] = json.loads(dict(launch.files)[f"{context.folder}/settings.json"])
    return settings


async def test_claude_code_gets_one_absolute_command_for_each_event(machine: Any) -> None:
    settings = await claude_settings(machine, ao_bin="/opt/my tools/ao")
    expected = {**ALWAYS, **NEWER}
    assert set(settings) == {"hooks"}
    assert set(settings["hooks"]) == set(expected)
    for native, groups in settings["hooks"].items():
        [[handler]] = [group["hooks"] for group in groups]
        assert handler == {
            "type": "command",
            "command": f"'/opt/my tools/ao' hooks claude-code {expected[native]}",
            "timeout": 5,
        }
        assert shlex.split(handler["command"])[0] == "/opt/my tools/ao"


async def test_only_the_frequent_event_goes_by_request(machine: Any) -> None:
    settings = await claude_settings(machine, api_url="http://127.0.0.1:3001")
    kinds = {native: groups[0]["hooks"][0]["type"] for native, groups in settings["hooks"].items()}
    assert [native for native, kind in kinds.items() if kind == "http"] == ["PreToolUse"]
    assert settings["hooks"]["PreToolUse"][0]["hooks"] == [
        {
            "type": "http",
            "url": "http://127.0.0.1:3001/api/v1/sessions/shop-1/hooks/claude-code/pre-tool-use",
            "headers": {"Authorization": "Bearer $AO_TOKEN"},
            "allowedEnvVars": ["AO_TOKEN"],
            "timeout": 2,
        }
    ]


@pytest.mark.parametrize("version", ["'2.0.1 (Claude Code)'", "'no number'", "2.1.196"])
async def test_h1_events_unknown_to_the_installed_release_are_not_written(machine: Any, version: str) -> None:
    machine.program("claude", version=version)
    settings = await claude_settings(machine, api_url="http://127.0.0.1:3001")
    assert set(settings["hooks"]) == set(ALWAYS)
    assert "allowedEnvVars" not in json.dumps(settings)


async def test_h1_an_upgrade_is_seen_at_the_next_launch(machine: Any) -> None:
    catalog = machine.catalog()
    machine.program("codex", version="codex-cli 0.150.0")
    old = (await catalog.launch("codex", machine.context())).argv
    machine.program("codex", version="codex-cli 0.170.1-longer")
    new = (await catalog.launch("codex", machine.context())).argv
    assert "--no-daemon" not in old
    assert not any(word.startswith("hooks.Interrupt") for word in old)
    assert "--no-daemon" in new
    assert any(word.startswith("hooks.Interrupt") for word in new)


async def test_codex_hooks_are_toml_that_codex_reads_back(machine: Any) -> None:
    launch = await machine.catalog().launch("codex", machine.context(ao_bin="/it's here/ao"))
    pairs = [word for word in launch.argv if word.startswith("hooks.")]
    assert len(pairs) == 8
    for pair in pairs:
        [(native, [group])] = tomllib.loads(pair)["hooks"].items()
        [handler] = group["hooks"]
        assert handler["type"] == "command"
        assert handler["timeout"] == 5
        assert shlex.split(handler["command"])[:3] == ["/it's here/ao", "hooks", "codex"], native


@pytest.mark.parametrize("agent", ["claude-code", "codex", "demo"])
async def test_h4_nothing_of_ours_enters_the_worktree(machine: Any, agent: str) -> None:
    git = ("git", "-C", str(machine.workspace))
    await machine.host.run((*git, "init", "-q"))
    catalog, context = machine.catalog(), machine.context(prompt="x", system_prompt="y" * 200_000)
    launch = await catalog.launch(agent, context)
    await catalog.prepare(agent, context)
    for path, content in launch.files:
        assert path.startswith(f"{context.folder}/")
        await machine.host.write_private(path, content.encode())
    status = await machine.host.run((*git, "status", "--porcelain", "--ignored"))
    assert (status.code, status.out) == (0, "")
    await catalog.release(agent, context)

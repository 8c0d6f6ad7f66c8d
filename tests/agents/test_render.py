"""Golden commands: agent × permission × prompt × resume, and what happens to texts that don't fit."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ao.agents.catalog.demo import PROGRAM
from ao.model.session import Kind

SYSTEM = "be careful"
CLAUDE_MODES = {
    "default": "default",
    "accept-edits": "acceptEdits",
    "auto": "auto",
    "bypass-permissions": "bypassPermissions",
    "": "default",
    "nonsense": "default",
}
CODEX_MODES = {
    "default": ["-s", "workspace-write", "-a", "on-request"],
    "accept-edits": ["-a", "on-request"],
    "auto": ["-a", "on-request", "-c", 'approvals_reviewer="auto_review"'],
    "bypass-permissions": ["--dangerously-bypass-approvals-and-sandbox"],
    "": ["-s", "workspace-write", "-a", "on-request"],
}
CODEX_EVENTS = {
    "SessionStart": "session-start",
    "UserPromptSubmit": "user-prompt-submit",
    "PreToolUse": "pre-tool-use",
    "PermissionRequest": "permission-request",
    "PostToolUse": "post-tool-use",
    "Stop": "stop",
    "Interrupt": "interrupt",
    "SessionEnd": "session-end",
}


def codex_hooks() -> list[str]:
    pairs = (
        f"hooks.{native}=[{{hooks=[{{type=\"command\",command='/opt/ao/bin/ao hooks codex {event}',timeout=5}}]}}]"
        for native, event in CODEX_EVENTS.items()
    )
    return [word for pair in pairs for word in ("-c", pair)]


def codex_head(mode: list[str], workspace: Path) -> list[str]:
    return [
        *("-c", "check_for_update_on_startup=false", "-c", "notice.hide_rate_limit_model_nudge=true", "--no-daemon"),
        *("--dangerously-bypass-hook-trust", *mode, *codex_hooks()),
        *("-c", f"projects={{'{workspace}'={{trust_level=\"trusted\"}}}}"),
    ]


@pytest.mark.parametrize("mode", CLAUDE_MODES)
async def test_claude_code_launches_with_its_id_mode_model_instructions_settings_and_prompt(
    machine: Any, native_id: str, mode: str
) -> None:
    context = machine.context(
        permissions=mode, prompt="-fix this", system_prompt=SYSTEM, model="opus", native_id=native_id
    )
    launch = await machine.catalog().launch("claude-code", context)
    assert list(launch.argv) == [
        *(str(machine.bin / "claude"), "--session-id", native_id, "--permission-mode", CLAUDE_MODES[mode]),
        *("--model", "opus", "--append-system-prompt", SYSTEM, "--settings", f"{context.folder}/settings.json"),
        *("--", "-fix this"),
    ]
    assert launch.paste == ""
    settings = dict(launch.files)[f"{context.folder}/settings.json"]
    assert ('"skipDangerousModePermissionPrompt": true' in settings) is (mode == "bypass-permissions")


async def test_nothing_asked_is_nothing_passed(machine: Any) -> None:
    context = machine.context()
    launch = await machine.catalog().launch("claude-code", context)
    assert list(launch.argv[1:]) == ["--permission-mode", "default", "--settings", f"{context.folder}/settings.json"]
    launch = await machine.catalog().launch("codex", machine.context(prompt=" \n", model=" ", system_prompt="\n"))
    assert list(launch.argv[1:]) == codex_head(CODEX_MODES["default"], machine.workspace)


@pytest.mark.parametrize("mode", CODEX_MODES)
async def test_codex_launches_with_hooks_trust_and_prompt_on_its_command_line(machine: Any, mode: str) -> None:
    context = machine.context(permissions=mode, prompt="-fix this", system_prompt=SYSTEM, model="gpt")
    launch = await machine.catalog().launch("codex", context)
    assert list(launch.argv) == [
        *(str(machine.bin / "codex"), *codex_head(CODEX_MODES[mode], machine.workspace)),
        *("--model", "gpt", "-c", "developer_instructions='be careful'", "--", "-fix this"),
    ]
    assert launch.files == ()
    asks = mode in ("", "default", "accept-edits")
    assert bool(launch.warnings) is asks


async def test_resume_repeats_everything_but_the_prompt(
    machine: Any, native_id: str, write_transcript: Callable[[str], Path]
) -> None:
    write_transcript("{}\n")
    context = machine.context(
        permissions="bypass-permissions", prompt="fix this", system_prompt=SYSTEM, model="m", native_id=native_id
    )
    claude = await machine.catalog().resume("claude-code", context)
    codex = await machine.catalog().resume("codex", context)
    assert list(claude.argv[1:]) == [
        *("--permission-mode", "bypassPermissions", "--model", "m", "--append-system-prompt", SYSTEM),
        *("--settings", f"{context.folder}/settings.json", "--resume", native_id),
    ]
    assert list(codex.argv[1:]) == [
        *("resume", *codex_head(CODEX_MODES["bypass-permissions"], machine.workspace)),
        *("--model", "m", "-c", "developer_instructions='be careful'", native_id),
    ]
    assert claude.paste == codex.paste == ""


@pytest.mark.parametrize("native", ["", "  "])
@pytest.mark.parametrize("agent", ["claude-code", "codex", "demo"])
async def test_without_a_conversation_nothing_is_resumed(machine: Any, agent: str, native: str) -> None:
    assert await machine.catalog().resume(agent, machine.context(native_id=native)) is None


async def test_a_conversation_that_never_got_a_prompt_is_started_anew_under_its_id(
    machine: Any, native_id: str, write_transcript: Callable[[str], Path]
) -> None:
    context = machine.context(native_id=native_id)
    assert await machine.catalog().resume("claude-code", context) is None
    write_transcript("")
    assert await machine.catalog().resume("claude-code", context) is None
    assert "--session-id" in (await machine.catalog().launch("claude-code", context)).argv


async def test_an_id_that_is_in_use_is_not_pinned_again(
    machine: Any, native_id: str, write_transcript: Callable[[str], Path]
) -> None:
    write_transcript("{}\n")
    launch = await machine.catalog().launch("claude-code", machine.context(native_id=native_id))
    assert native_id not in launch.argv


async def test_the_conversation_is_looked_for_where_the_session_keeps_its_configuration(
    machine: Any, native_id: str
) -> None:
    folder = machine.root / "config" / "projects" / "x"
    folder.mkdir(parents=True)
    (folder / f"{native_id}.jsonl").write_text("{}\n")
    env = {**machine.environ, "CLAUDE_CONFIG_DIR": str(machine.root / "config")}
    assert await machine.catalog().resume("claude-code", machine.context(native_id=native_id, env=env)) is not None


async def test_demo_is_a_script_run_by_path_in_isolation(machine: Any, native_id: str) -> None:
    context = machine.context(prompt="-do", system_prompt="-x", native_id=native_id, permissions="auto")
    launch = await machine.catalog().launch("demo", context)
    assert list(launch.argv) == [
        *(sys.executable, "-I", PROGRAM, "--session-id", native_id, "--mode", "auto"),
        *("--instructions=-x", "--", "-do"),
    ]


@pytest.mark.parametrize("agent", ["claude-code", "codex", "demo"])
async def test_a_prompt_of_the_full_length_travels_on_the_command_line(machine: Any, agent: str) -> None:
    prompt = "a line\n" * 9_362
    launch = await machine.catalog().launch(agent, machine.context(prompt=prompt))
    assert (launch.argv[-1], launch.paste) == (prompt, "")


@pytest.mark.parametrize("agent", ["claude-code", "codex", "demo"])
async def test_h8_a_prompt_too_large_for_an_argument_is_pasted_whole(machine: Any, agent: str) -> None:
    prompt = "\N{GRINNING FACE}" * 65_536
    launch = await machine.catalog().launch(agent, machine.context(prompt=prompt))
    assert launch.paste == prompt
    assert launch.ready
    assert "--" not in launch.argv
    assert all(len(word.encode()) < 131_072 for word in launch.argv)


async def test_instructions_too_large_for_an_argument_are_in_a_file(machine: Any) -> None:
    system = "r\u00e8gle\n" * 40_000
    context = machine.context(system_prompt=system)
    claude = await machine.catalog().launch("claude-code", context)
    path = f"{context.folder}/instructions.md"
    assert dict(claude.files)[path] == system
    assert claude.argv[claude.argv.index("--append-system-prompt-file") + 1] == path
    codex = await machine.catalog().launch("codex", context)
    assert dict(codex.files)[path] == system
    given = next(word for word in codex.argv if word.startswith("developer_instructions="))
    assert len(given.encode()) < 131_072
    text = tomllib.loads(given)["developer_instructions"]
    assert text.startswith(system[:1000])
    assert path in text


async def test_values_are_never_read_as_templates_and_never_break_an_argument(machine: Any) -> None:
    context = machine.context(prompt="{model} {hook:stop}" + chr(0) + chr(0xD800), model="{prompt}")
    launch = await machine.catalog().launch("claude-code", context)
    assert launch.argv[-1] == "{model} {hook:stop}?"
    assert launch.argv[launch.argv.index("--model") + 1] == "{prompt}"


async def test_codex_trusts_a_linked_workspace_by_both_names(machine: Any) -> None:
    link = machine.root / "it's a link"
    link.symlink_to(machine.workspace)
    launch = await machine.catalog().launch("codex", machine.context(workspace_path=str(link)))
    trust = tomllib.loads(next(word for word in launch.argv if word.startswith("projects=")))["projects"]
    assert list(trust) == [str(link), str(machine.workspace)]


async def test_s8_only_what_the_provider_needs_is_added_to_the_environment(machine: Any) -> None:
    daemon = {
        "ANTHROPIC_API_KEY": "a",
        "ANTHROPIC_MODEL": "from-daemon",
        "OPENAI_API_KEY": "o",
        "GITHUB_TOKEN": "g",
        "AWS_SECRET_ACCESS_KEY": "s",
        "CLAUDE_CODE_SESSION_ID": "outer",
        "CLAUDE_PID": "1",
        "AO_TOKEN": "t",
    }
    context = machine.context(env={**machine.environ, "ANTHROPIC_MODEL": "from-project"})
    claude = await machine.catalog(**daemon).launch("claude-code", context)
    codex = await machine.catalog(**daemon).launch("codex", context)
    demo = await machine.catalog(**daemon).launch("demo", context)
    assert claude.env == {"ANTHROPIC_API_KEY": "a"}
    assert codex.env == {"OPENAI_API_KEY": "o"}
    assert {name: value for name, value in demo.env.items() if name != "PATH"} == {}


async def test_a_program_outside_of_path_finds_what_lies_beside_it(machine: Any) -> None:
    (machine.bin / "codex").unlink()
    folder = machine.home / ".npm-global" / "bin"
    machine.program("codex", version="codex-cli 0.169.0", folder=folder)
    launch = await machine.catalog().launch("codex", machine.context())
    assert launch.argv[0] == str(folder / "codex")
    assert launch.env["PATH"] == f"{machine.environ['PATH']}:{folder}"


async def test_a_reviewer_may_read_and_hand_in_a_review_whatever_the_permission_mode(
    machine: Any, native_id: str
) -> None:
    context = machine.context(
        kind=Kind.REVIEWER, permissions="bypass-permissions", prompt="read", native_id=native_id, ao_bin="/my opt/ao"
    )
    launch = await machine.catalog().launch("claude-code", context)
    assert list(launch.argv[1:]) == [
        *("--session-id", native_id, "--permission-mode", "dontAsk"),
        *("--allowedTools", "Bash(/my opt/ao review submit:*)"),
        *("--disallowedTools", "Edit,Write,NotebookEdit,WebFetch,WebSearch"),
        *("--settings", f"{context.folder}/settings.json", "--", "read"),
    ]
    assert "skipDangerousModePermissionPrompt" not in dict(launch.files)[f"{context.folder}/settings.json"]
    assert launch.warnings == ()

"""Codex (`codex`), measured with 0.169.0.

`default` is its sandbox with approval on request, never the bypass. An interrupted turn fires Interrupt
and no Stop. Its conversation id is only learnt from its hooks, with the first prompt.
"""

from __future__ import annotations

from typing import Final

from ao.agents.spec import AgentSpec, Auth, Binary, Dialog, HookEvent, Hooks, Part, Permission, Prompt, System

_COMMITS_ASK: Final = (
    "Codex asks before each commit in this mode: its sandbox keeps .git read-only; "
    "permission mode bypass-permissions lets it commit by itself"
)

CODEX: Final = AgentSpec(
    id="codex",
    name="Codex",
    binary=Binary(
        names=("codex",),
        folders=("~/.cargo/bin", "/usr/local/bin", "/opt/homebrew/bin"),
        node=True,
        install="npm install -g @openai/codex",
    ),
    args=(
        Part(args=("resume",), on="resume"),
        ("-c", "check_for_update_on_startup=false"),
        ("-c", "notice.hide_rate_limit_model_nudge=true"),
        Part(args=("--no-daemon",), since="0.169.0"),
        "--dangerously-bypass-hook-trust",
        "{permissions}",
        "{hooks}",
        "{trust}",
        ("--model", "{model}"),
        "{system}",
        Part(args=("{native_id}",), on="resume"),
        Part(args=("--", "{prompt}"), on="launch"),
    ),
    resume=True,
    prompt=Prompt(ready=("Ask Codex to do anything",)),
    system=System(text=("-c", "developer_instructions={system|toml}")),
    permissions={
        "default": Permission(args=("-s", "workspace-write", "-a", "on-request"), warning=_COMMITS_ASK),
        "accept-edits": Permission(args=("-a", "on-request"), warning=_COMMITS_ASK),
        "auto": Permission(args=("-a", "on-request", "-c", 'approvals_reviewer="auto_review"')),
        "bypass-permissions": Permission(args=("--dangerously-bypass-approvals-and-sandbox",)),
    },
    hooks=Hooks(
        channel="config-args",
        flag="-c",
        events=(
            HookEvent(native="SessionStart", event="session-start"),
            HookEvent(native="UserPromptSubmit", event="user-prompt-submit"),
            HookEvent(native="PreToolUse", event="pre-tool-use", since="0.169.0"),
            HookEvent(native="PermissionRequest", event="permission-request"),
            HookEvent(native="PostToolUse", event="post-tool-use", since="0.169.0"),
            HookEvent(native="Stop", event="stop"),
            HookEvent(native="Interrupt", event="interrupt", since="0.169.0"),
            HookEvent(native="SessionEnd", event="session-end", since="0.169.0"),
        ),
    ),
    trust="codex-args",
    states={
        "session-start": "none",
        "user-prompt-submit": "active",
        "pre-tool-use": "active",
        "post-tool-use": "active",
        # Left again by the tool's own end, by the end or interruption of the turn, or by the next prompt.
        "permission-request": "blocked",
        "stop": "idle",
        "interrupt": "idle",
        "session-end": "exited",
    },
    aliases={"interrupt": "stop"},
    dialogs=(
        Dialog(name="trust", patterns=(r"Trust this folder\?|Do you trust the contents",)),
        Dialog(name="permission", patterns=(r"Would you like to ", r"(?m)^\W*› [0-9]\. ")),
        Dialog(name="hook-review", patterns=(r"Hooks need review",)),
        Dialog(name="sign-in", patterns=(r"Sign in with ChatGPT",)),
        Dialog(name="directory", patterns=(r"Working directory . resume",)),
    ),
    version=("--version",),
    auth=Auth(
        env=("OPENAI_API_KEY", "CODEX_API_KEY"),
        argv=("login", "status"),
        authorized=r"logged in|api key configured",
        unauthorized=r"not logged in|logged out",
        doubt=("~/.codex/config.toml", "model_provider"),
        sign_in="run `codex login`",
    ),
    passes=("OPENAI_*", "AZURE_OPENAI_*", "CODEX_HOME", "CODEX_API_KEY"),
)

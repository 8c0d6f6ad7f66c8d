"""Claude Code (`claude`), measured with 2.1.330.

Its default mode without a flag is `auto`, so a mode is always passed. A denied dialog and an interrupted turn fire no
hook; StopFailure is a turn that an error of the provider ended: it won't go on by itself, so a person is needed.
"""

from __future__ import annotations

from typing import Final

from ao.agents.spec import (
    AgentSpec,
    Auth,
    Binary,
    Choice,
    Dialog,
    HookEvent,
    Hooks,
    Part,
    Permission,
    Prompt,
    ReviewerArguments,
    System,
    Transcript,
)

CLAUDE_CODE: Final = AgentSpec(
    id="claude-code",
    name="Claude Code",
    binary=Binary(
        names=("claude",),
        folders=("~/.claude/local", "/usr/local/bin", "/opt/homebrew/bin"),
        node=True,
        install="npm install -g @anthropic-ai/claude-code",
    ),
    args=(
        Part(args=("--session-id", "{native_id}"), on="launch"),
        "{permissions}",
        ("--model", "{model}"),
        "{system}",
        "{hooks}",
        Part(args=("--resume", "{native_id}"), on="resume"),
        Part(args=("--", "{prompt}"), on="launch"),
    ),
    resume=True,
    pins_native_id=True,
    prompt=Prompt(
        ready=(
            "bypass permissions on",
            "manual mode on",
            "accept edits on",
            "auto mode on",
            "plan mode on",
            "don't ask on",
        )
    ),
    system=System(text=("--append-system-prompt", "{system}"), file=("--append-system-prompt-file", "{system_file}")),
    permissions={
        "default": Permission(args=("--permission-mode", "default")),
        "accept-edits": Permission(args=("--permission-mode", "acceptEdits")),
        "auto": Permission(args=("--permission-mode", "auto")),
        "bypass-permissions": Permission(
            args=("--permission-mode", "bypassPermissions"), settings={"skipDangerousModePermissionPrompt": True}
        ),
    },
    # This mode refuses what isn't allowed instead of asking. It allows reading in the worktree and the reading commands
    # of git and the shell by itself, without their writing flags; a rule for `git diff` would allow `--output`, too. A
    # rule can't match a variable, so the program is named by its path.
    reviewer=ReviewerArguments(
        args=(
            *("--permission-mode", "dontAsk"),
            *("--allowedTools", "Bash({ao} review submit:*)"),
            *("--disallowedTools", "Edit,Write,NotebookEdit,WebFetch,WebSearch"),
        )
    ),
    # What a lost daemon may not lose is a command; the frequent tool event is a request, which costs no process.
    hooks=Hooks(
        channel="settings-file",
        flag="--settings",
        http_since="2.1.330",
        events=(
            HookEvent(native="SessionStart", event="session-start"),
            HookEvent(native="UserPromptSubmit", event="user-prompt-submit"),
            HookEvent(native="PreToolUse", event="pre-tool-use", http=True),
            HookEvent(native="PostToolUse", event="post-tool-use"),
            HookEvent(native="PostToolUseFailure", event="post-tool-use-failure", since="2.1.197"),
            HookEvent(native="PermissionRequest", event="permission-request", since="2.1.197"),
            HookEvent(native="Notification", event="notification"),
            HookEvent(native="Stop", event="stop"),
            HookEvent(native="StopFailure", event="stop-failure", since="2.1.197"),
            HookEvent(native="SessionEnd", event="session-end"),
        ),
    ),
    trust="claude-json",
    states={
        "session-start": "none",
        "user-prompt-submit": "active",
        "pre-tool-use": "active",
        "post-tool-use": "active",
        "post-tool-use-failure": "active",
        "permission-request": "blocked",
        "notification": Choice(
            field="notification_type",
            values={
                "permission_prompt": "blocked",
                "idle_prompt": "idle",
                "agent_completed": "idle",
                "agent_needs_input": "waiting_input",
                "elicitation_dialog": "waiting_input",
            },
            # A minute at its prompt: all that is heard of a denied dialog or an interrupted turn.
            ends=("idle_prompt",),
        ),
        "stop": "idle",
        "stop-failure": "waiting_input",
        "session-end": Choice(field="reason", values={"clear": "none", "resume": "none"}, otherwise="exited"),
    },
    aliases={"stop-failure": "stop"},
    dialogs=(
        Dialog(name="trust", patterns=(r"Accessing workspace", r"Yes, I trust this folder")),
        Dialog(name="api-key", patterns=(r"Detected a custom API key",)),
        Dialog(name="bypass-warning", patterns=(r"Bypass Permissions mode", r"Yes, I accept")),
        Dialog(name="permission", patterns=(r"(?i)(do you want to|would you like to proceed)", r"❯ [0-9]\. ")),
        Dialog(name="question", patterns=(r"Enter to select", r"Esc to cancel")),
    ),
    version=("--version",),
    auth=Auth(
        env=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        argv=("auth", "status"),
        field="loggedIn",
        sign_in="run `claude` once and sign in",
    ),
    passes=(
        "ANTHROPIC_*",
        "CLAUDE_CONFIG_DIR",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_*",
        "CLAUDE_CODE_SKIP_*",
        "CLAUDE_CODE_DISABLE_*",
        "CLAUDE_CODE_MAX_*",
        "CLAUDE_CODE_CLIENT_*",
        "DISABLE_*",
        "API_TIMEOUT_MS",
        "MAX_THINKING_TOKENS",
        "IS_SANDBOX",
    ),
    transcript=Transcript(env="CLAUDE_CONFIG_DIR", default="~/.claude", pattern="projects/*/{native_id}.jsonl"),
)

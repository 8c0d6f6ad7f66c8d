"""The demo agent that comes with `ao`: scripted, local, no model and no account."""

from __future__ import annotations

import os
import sys
from typing import Final

from ao.agents.spec import (
    AgentSpec,
    Auth,
    Binary,
    Dialog,
    Part,
    Permission,
    Prompt,
    ReviewerArguments,
    System,
    Transcript,
)

PROGRAM: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo.py")

DEMO: Final = AgentSpec(
    id="demo",
    name="Demo",
    binary=Binary(names=(sys.executable,), install="it comes with ao: reinstall agent-orchestrator"),
    args=(
        # By path and isolated: nothing of the worktree it runs in can take the place of a module it imports.
        ("-I", PROGRAM),
        Part(args=("--session-id", "{native_id}"), on="launch"),
        Part(args=("--resume", "{native_id}"), on="resume"),
        "{permissions}",
        "--model={model}",
        "{system}",
        Part(args=("--", "{prompt}"), on="launch"),
    ),
    resume=True,
    pins_native_id=True,
    prompt=Prompt(ready=("demo ›",)),
    system=System(text=("--instructions={system}",), file=("--instructions-file={system_file}",)),
    permissions={
        mode: Permission(args=("--mode", mode)) for mode in ("default", "accept-edits", "auto", "bypass-permissions")
    },
    reviewer=ReviewerArguments(args=("--mode", "review")),
    states={
        "session-start": "none",
        "user-prompt-submit": "active",
        "pre-tool-use": "active",
        "post-tool-use": "active",
        "permission-request": "blocked",
        "stop": "idle",
        "stop-failure": "waiting_input",
        "interrupt": "idle",
        "session-end": "exited",
    },
    aliases={"interrupt": "stop", "stop-failure": "stop"},
    # What is answered stays on the screen: a dialog is open only while nothing was said after it.
    dialogs=(
        Dialog(name="permission", patterns=(r"Do you want to go on\?", r"2\. No \(n\)(?![\s\S]*(  allowed|demo ›))")),
    ),
    auth=Auth(needed=False),
    passes=("AO_DEMO_PACE",),
    transcript=Transcript(env="AO_DATA_DIR", pattern="demo/{native_id}.jsonl"),
)

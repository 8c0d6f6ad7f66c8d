"""What the agents' tests share: a host with a home and programs of its own, and a context to render from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ao.agents import Catalog
from ao.host import LocalHost
from ao.model.session import Kind
from ao.ports.agents import AgentContext

NATIVE_ID = "3f2c8f5e-7a5b-4d0e-9c1a-2b3c4d5e6f70"


class Machine:
    """A home folder, a folder of programs that is the whole PATH beside the system's, and a daemon's catalog."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.bin = root / "bin"
        self.users = root / "agents"
        self.data = root / "data"
        self.workspace = root / "tree"
        for folder in (self.home, self.bin, self.users, self.data, self.workspace, root / "repo"):
            folder.mkdir()
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.home)}
        self.host = LocalHost(environ=self.environ)

    def catalog(self, **environ: str) -> Catalog:
        """A new catalog, as a newly started daemon has it."""
        everything = {**self.environ, **environ}
        return Catalog(self.host, data_dir=str(self.data), user_dir=str(self.users), environ=everything)

    def program(self, name: str, *, version: str = "", script: str = "", folder: Path | None = None) -> Path:
        """Put a program on PATH (or into `folder`) that prints `version` or runs `script`."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(f"#!/bin/sh\n{script or f'echo {version}'}\n")
        draft.chmod(0o755)
        draft.rename(path)
        return path

    def context(self, **fields: object) -> AgentContext:
        """A session's context; `fields` differ from the usual."""
        usual: dict[str, object] = {
            "session_id": "shop-1",
            "project_id": "shop",
            "kind": Kind.WORKER,
            "workspace_path": str(self.workspace),
            "repo_path": str(self.root / "repo"),
            "folder": str(self.data / "run" / "shop-1" / "1"),
            "ao_bin": "/opt/ao/bin/ao",
            "env": self.environ,
            **fields,
        }
        return AgentContext(**usual)  # type: ignore[arg-type]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with the agents that the measured releases were."""
    made = Machine(tmp_path)
    made.program("claude", version="'2.1.330 (Claude Code)'")
    made.program("codex", version="codex-cli 0.169.0")
    return made


@pytest.fixture
def native_id() -> str:
    """A conversation's id."""
    return NATIVE_ID


@pytest.fixture
def write_transcript(machine: Machine) -> Callable[[str], Path]:
    """Make it look as if Claude Code had held a conversation with this content."""

    def write(content: str) -> Path:
        path = machine.home / ".claude" / "projects" / "-some-folder" / f"{NATIVE_ID}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    return write

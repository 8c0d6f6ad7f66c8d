"""What the Makefile promises on a machine that lacks something: one line that says what to install, exit 2."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALWAYS = ("sh", "id", "make", "git", "cat", "touch")


def _make(
    folder: Path, target: str, tools: tuple[str, ...], *, python: str = "exit 0"
) -> subprocess.CompletedProcess[str]:
    """Run make with nothing on its PATH but `tools`; no apt-get among them, so nothing can be installed."""
    path = folder / "bin"
    path.mkdir()
    for tool in (*ALWAYS, *tools):
        where = shutil.which(tool)
        assert where, tool
        (path / tool).symlink_to(where)
    (path / "python3").write_text(f"#!/bin/sh\n{python}\n")
    (path / "python3").chmod(0o755)
    command: list[str | Path] = [path / "make", "-C", ROOT, target, f"VENV={folder}/venv"]
    return subprocess.run(command, env={"PATH": str(path)}, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("target", "tools", "missing"),
    [
        ("demo", (), "tmux"),
        ("test", ("tmux",), "node npm"),
        ("test", (), "tmux node npm"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_done(
    tmp_path: Path, target: str, tools: tuple[str, ...], missing: str
) -> None:
    ran = _make(tmp_path, target, tools)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert f"install these first, then run make {target} again: {missing}." in line
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_too_old_is_named_first(tmp_path: Path) -> None:
    ran = _make(tmp_path, "demo", (), python="exit 1")
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "install Python 3.11 or newer as python3, then run make demo again." in line


def test_help_lists_every_target_that_is_explained() -> None:
    shown = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True).stdout
    explained = [
        line.partition(":")[0]
        for line in (ROOT / "Makefile").read_text().splitlines()
        if ":" in line and " ## " in line
    ]
    assert len(explained) > 10
    assert not [target for target in explained if f"make {target} " not in shown]

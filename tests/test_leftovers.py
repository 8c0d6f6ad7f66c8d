"""The suite's own guard: a run that leaves a process or a file fails, and names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent / "conftest.py"
DETACHED = """
import subprocess
def test_leak(tmp_path):
    subprocess.Popen(["sleep", "300"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, start_new_session=True)
"""
FILE = """
import tempfile
def test_leak():
    tempfile.mkdtemp(prefix="forgotten-")
"""
CLEAN = """
def test_clean(tmp_path):
    (tmp_path / "file").write_text("gone with the run")
"""


def _run(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A suite of one test in a process of its own, with the guard of this one."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_it.py").write_text(source)
    env = {name: value for name, value in os.environ.items() if not name.startswith("AO_TEST_")}
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, str(folder)]
    return subprocess.run(
        command,
        cwd=folder,
        env=env | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TMPDIR": str(folder / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist", "-n", "1")], ids=["alone", "distributed"])
def test_a_process_left_behind_fails_the_run_and_is_ended(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = _run(tmp_path, DETACHED, *arguments)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    pid = ran.stdout.partition("process ")[2].partition(":")[0]
    assert f"process {pid}: sleep 300" in ran.stdout
    assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_temporary_folder_left_behind_fails_the_run(tmp_path: Path) -> None:
    ran = _run(tmp_path, FILE)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "forgotten-" in ran.stdout


def test_a_clean_run_passes_and_removes_its_directory(tmp_path: Path) -> None:
    ran = _run(tmp_path, CLEAN)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not list((tmp_path / "tmp").iterdir())

"""What the whole suite shares: a home of its own, and the promise that nothing is left behind.

Every run gets one short directory under the system's temp directory (tmux socket paths are limited to 107 bytes). HOME,
TMPDIR and XDG_RUNTIME_DIR point into it, so a test that forgets to isolate itself still can't touch the person's
`~/.ao`, and whatever a run leaves can be told by that path: a process by its environment, arguments or working
directory, a file by lying there. What is left fails the run; then it is ended and removed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import settings

# No database of examples: the checkout may not be ours to write to.
settings.register_profile("suite", database=None, deadline=None)
settings.load_profile("suite")

_MARK = "AO_TEST_RUN"
_INHERITED_PREFIXES = ("AO_", "GITHUB_", "GH_", "GIT_", "TMUX", "XDG_")
_INHERITED = ("NO_COLOR", "FORCE_COLOR", "PYTHONDONTWRITEBYTECODE")
# A server that was just told to end may take a moment.
_GRACE_S = 2.0
_RUN = pytest.StashKey[Path]()
_LEFT = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the run's directory (the controlling process only) and point the environment into it."""
    if hasattr(config, "workerinput") or os.environ.get(_MARK):
        return
    run = Path(tempfile.mkdtemp(prefix="ao-t-"))
    for name in ("home", "run", "tmp"):
        (run / name).mkdir(mode=0o700)
    for name in list(os.environ):
        if name in _INHERITED or (name.startswith(_INHERITED_PREFIXES) and not name.startswith("AO_TEST_")):
            del os.environ[name]
    os.environ.update(
        {
            _MARK: str(run),
            "HOME": str(run / "home"),
            "TMPDIR": str(run / "tmp"),
            "XDG_RUNTIME_DIR": str(run / "run"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
    )
    tempfile.tempdir = None
    if config.option.basetemp is None:
        config.option.basetemp = str(run / "t")
    config.stash[_RUN] = run


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for what it left, then end and remove that."""
    run = session.config.stash.get(_RUN, None)
    if run is None:
        return
    _await_exit(list(_processes_of(run)), within_s=_GRACE_S)
    left = [f"process {pid}: {command}" for pid, command in _processes_of(run).items()]
    left += [f"file {path}" for path in sorted((run / "tmp").iterdir())]
    session.config.stash[_LEFT] = left
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what the run left behind."""
    left = config.stash.get(_LEFT, [])
    if left:
        terminalreporter.section("left behind", red=True)
        for line in left:
            terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what is left of this run, and only of this run, and remove its directory."""
    run = config.stash.get(_RUN, None)
    if run is None:
        return
    for pid in _processes_of(run):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    shutil.rmtree(run, ignore_errors=True)


def _processes_of(run: Path) -> dict[int, str]:
    """Every live process that names the run's directory, except this one and its ancestors: pid to command line."""
    found: dict[int, str] = {}
    own = {os.getpid(), *_ancestors(os.getpid())}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in own:
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            texts = (command, (entry / "environ").read_bytes(), os.fsencode(os.readlink(entry / "cwd")))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(os.fsencode(run) in text for text in texts):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def _await_exit(pids: list[int], *, within_s: float) -> None:
    """Wait for processes that are about to end."""
    deadline = time.monotonic() + within_s
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        select.select([process], [], [], max(0.0, deadline - time.monotonic()))
        os.close(process)


def _ancestors(pid: int) -> list[int]:
    chain: list[int] = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        chain.append(pid)
    return chain

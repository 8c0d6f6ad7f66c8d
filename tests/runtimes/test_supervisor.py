"""The launch file: exact arguments and environment, the agent's own pid, its exit code, and never another directory."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ao.model.errors import AoError
from ao.ports import Launch, Terminal
from ao.runtimes import supervisor

SHELLS = [shell for shell in ("/bin/dash", "/bin/bash", "/bin/busybox") if os.path.exists(shell)]
HOSTILE = [
    "",
    " ",
    "-n",
    "a b",
    "$HOME `id` $(id)",
    "'",
    '"',
    "\\",
    "a'b\"c\\",
    "l1\nl2\n",
    "\t\r\x01\x7f",
    "é—🚀",
    "*",
]
TELL = """
import json, os, sys
facts = {"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid(), "cwd": os.getcwd()}
open("told.new", "w").write(json.dumps(facts))
os.rename("told.new", "told")
sys.exit(7)
"""


def _launch(folder: Path, *argv: str, env: dict[str, str] | None = None, cwd: str = "") -> Launch:
    (folder / "l").mkdir(exist_ok=True)
    return Launch(
        terminal=Terminal(0, "x"), folder=str(folder / "l"), cwd=cwd or str(folder), argv=argv, env=env or {}, label="x"
    )


def _run(shell: str, launch: Launch, *, typed: bytes = b"") -> str:
    """Run a launch file on a terminal of its own, as tmux would; what `typed` says goes to the shell afterwards."""
    script = Path(launch.folder, supervisor.SCRIPT)
    script.write_bytes(supervisor.script(launch))
    interpreter = [shell, "sh"] if shell.endswith("busybox") else [shell]
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [*interpreter, str(script)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={"TERM": "tmux-256color", "TMUX": "t", "TMUX_PANE": "%1", "SHELL": "/bin/csh", "PATH": "/tmux"},
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed or b"exit\n")
    shown = bytearray()
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the terminal's other side has closed
        pass
    finally:
        os.close(ours)
        done.wait(timeout=20)
    return shown.decode()


def _told(folder: Path) -> Any:
    return json.loads((folder / "told").read_text())


@pytest.mark.parametrize("shell", SHELLS)
def test_arguments_and_environment_of_any_content_arrive_unchanged(shell: str, tmp_path: Path) -> None:
    env = {f"V{number}": text for number, text in enumerate(HOSTILE)}
    env |= {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "UID": "9", "IFS": "x", "OPTIND": "y", "PWD": "/else"}
    _run(shell, _launch(tmp_path, sys.executable, "-c", TELL, *HOSTILE, env=env))
    told = _told(tmp_path)
    assert told["argv"] == HOSTILE
    expected = {name: value for name, value in env.items() if name not in ("UID", "IFS", "OPTIND", "PWD")}
    expected |= {"TERM": "tmux-256color", "COLORTERM": "truecolor", "PWD": str(tmp_path)}
    assert {name: value for name, value in told["env"].items() if name not in ("SHLVL", "_")} == expected
    assert told["cwd"] == str(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_recorded_pid_is_the_agents_own_and_the_exit_code_its_own(shell: str, tmp_path: Path) -> None:
    shown = _run(shell, _launch(tmp_path, sys.executable, "-c", TELL, env={"PATH": os.environ["PATH"]}))
    assert supervisor.number((tmp_path / "l" / "pid").read_bytes()) == _told(tmp_path)["pid"]
    assert (tmp_path / "l" / "exit").read_bytes() == b"7\n"
    assert "[ao] the agent ended with code 7; restore it with: ao session restore x" in shown


@pytest.mark.parametrize("shell", SHELLS)
def test_w12_a_missing_directory_starts_no_agent_anywhere(shell: str, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"]}
    launch = _launch(tmp_path, "touch", str(tmp_path / "ran"), env=env, cwd=str(tmp_path / "gone"))
    shown = _run(shell, launch, typed=b"echo in:$PWD:\nexit\n")
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "l" / "exit").read_bytes() == b"126\n"
    assert (tmp_path / "l" / "pid").read_bytes() == b"0\n"
    assert "working directory is missing" in shown
    assert "in:/:" in shown


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_that_cannot_be_run_has_ended(shell: str, tmp_path: Path) -> None:
    _run(shell, _launch(tmp_path, "no-such-program", env={"PATH": "/usr/bin:/bin"}))
    assert (tmp_path / "l" / "exit").read_bytes() == b"127\n"
    assert supervisor.number((tmp_path / "l" / "pid").read_bytes())


@pytest.mark.parametrize("shell", SHELLS)
def test_an_interrupt_reaches_the_agent_and_the_supervisor_lives_on(shell: str, tmp_path: Path) -> None:
    program = "import os, signal; assert signal.getsignal(2) != signal.SIG_IGN; os.killpg(0, signal.SIGINT)"
    shown = _run(shell, _launch(tmp_path, sys.executable, "-c", program, env={"PATH": os.environ["PATH"]}))
    assert "KeyboardInterrupt" in shown
    assert (tmp_path / "l" / "exit").read_bytes() == b"130\n"
    assert "[ao] the agent ended" in shown


def test_the_shell_afterwards_is_the_persons_own(tmp_path: Path) -> None:
    own = tmp_path / "own shell"
    own.write_text("#!/bin/sh\necho mine $1 in $PWD\n")
    own.chmod(0o755)
    shown = _run("/bin/sh", _launch(tmp_path, "true", env={"PATH": os.environ["PATH"], "SHELL": str(own)}))
    assert f"mine -i in {tmp_path}" in shown


def test_an_argument_of_the_longest_size_arrives_and_a_longer_one_is_refused_by_its_size(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    longest = "é" * 65_535 + "x"
    _run("/bin/sh", _launch(tmp_path, sys.executable, "-c", TELL, longest, env=env))
    assert _told(tmp_path)["argv"] == [longest]
    with pytest.raises(AoError, match="131073 bytes") as caught:
        supervisor.script(_launch(tmp_path, "true", longest + "x"))
    assert caught.value.code == "RUNTIME_FAILED"
    with pytest.raises(AoError, match="variable BIG has 131077 bytes"):
        supervisor.script(_launch(tmp_path, "true", env={"BIG": longest + "x"}))


@pytest.mark.parametrize(
    ("argv", "env"),
    [((), {}), (("a\0b",), {}), (("true",), {"A-B": "1"}), (("true",), {"1A": "1"}), (("true",), {"": "1"})],
)
def test_what_no_process_can_be_given_is_refused(argv: tuple[str, ...], env: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AoError) as caught:
        supervisor.script(_launch(tmp_path, *argv, env=env))
    assert caught.value.code == "RUNTIME_FAILED"


def test_a_number_counts_once_it_is_completely_written() -> None:
    assert [supervisor.number(text) for text in (None, b"", b"12", b"x\n", b"\n")] == [None] * 5
    assert [supervisor.number(text) for text in (b"12\n", b"0\n")] == [12, 0]


async def test_an_agent_ended_by_a_signal_leaves_the_code_shells_give_it(tmp_path: Path) -> None:
    launch = _launch(tmp_path, "sh", "-c", "kill -9 $$", env={"PATH": os.environ["PATH"]})
    await asyncio.to_thread(_run, "/bin/sh", launch)
    assert (tmp_path / "l" / "exit").read_bytes() == b"%d\n" % (128 + signal.SIGKILL)

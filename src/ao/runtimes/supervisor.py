"""The launch file: a POSIX sh script that runs one agent in its terminal and records pid and exit code.

Command and environment stand in this 0600 file and not in tmux's command line, so `ps` shows no token. (It shows the
agent's own arguments, and with them a prompt that is one.) The agent's process is a direct exec, so the recorded pid is
the agent's own. `pid` and `exit` hold one number and a newline, written by a single write(2): without the newline they
count as not written yet.

The script stays the leader of the terminal and outlives Ctrl-C; when the agent has ended it becomes the person's shell.
It must not outlive a closed terminal: the kernel hangs up on the leader, and on the agent only when the leader dies.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Final

from ao.model.errors import AoError
from ao.ports import Launch

PID: Final = "pid"
EXIT: Final = "exit"
SCRIPT: Final = "launch"
CWD_MISSING: Final = 126
"""Exit code recorded when the working directory can't be entered: the agent is never started elsewhere."""

# MAX_ARG_STRLEN of Linux: one argument or NAME=value with its terminating NUL.
_LONGEST: Final = 131_072
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The terminal sets these; the agent must see this terminal, and must not act on our tmux server.
_TERMINAL: Final = ("TMUX", "TMUX_PANE", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "PATH", "SHELL", "OLDPWD", "COLORTERM")
# Names a shell keeps for itself (some are read-only in bash, assigning them would end the script).
_SHELLS_OWN: Final = frozenset(
    ("TERM", "TMUX", "TMUX_PANE", "PWD", "OLDPWD", "SHLVL", "_", "IFS", "OPTIND", "LINENO")
).union(("UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO"))
# Leaves alternate screen, bracketed paste, mouse and focus reporting; shows the cursor; default colours.
_SCREEN_RESET: Final = (
    r"\033[?1049l\033[?2004l\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?1004l\033[?25h\033[<u\033[0m"
)


def script(launch: Launch) -> bytes:
    """The launch file's content. Raises `RUNTIME_FAILED` for what no process can be given: an argument or variable of
    more than 128 KiB, a NUL byte, a malformed variable name."""
    _check(launch)
    env = {"COLORTERM": "truecolor", **launch.env}
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in sorted(env.items()) if name not in _SHELLS_OWN
    )
    command = " ".join(map(shlex.quote, launch.argv))
    cwd, folder = shlex.quote(launch.cwd), shlex.quote(launch.folder)
    restore = f"; restore it with: ao session restore {launch.label}" if launch.label else ""
    text = f"""\
_ao_folder={folder}
_ao_shell={shlex.quote(launch.env.get("SHELL", ""))}
unset {" ".join(_TERMINAL)}
{exports}\
_ao_ended() {{
  (umask 077; printf '%s\\n' "$1" >"$_ao_folder/{EXIT}")
  trap - INT QUIT
  printf '{_SCREEN_RESET}\\n'
  stty sane 2>/dev/null
  printf '[ao] %s%s\\n' "$2" {shlex.quote(restore)}
  [ -x "$_ao_shell" ] || _ao_shell=/bin/sh
  exec "$_ao_shell" -i
}}
trap : INT QUIT
cd -- {cwd} || {{
  cd /
  (umask 077; printf '0\\n' >"$_ao_folder/{PID}")
  _ao_ended {CWD_MISSING} "the agent was not started: its working directory is missing"
}}
unset OLDPWD
(
  read -r _ao_pid _ao_rest </proc/self/stat
  (umask 077; printf '%s\\n' "$_ao_pid" >"$_ao_folder/{PID}")
  exec {command}
)
_ao_code=$?
_ao_ended "$_ao_code" "the agent ended with code $_ao_code"
"""
    return os.fsencode(text)


def number(content: bytes | None) -> int | None:
    """The number in a `pid` or `exit` file, None while it isn't completely written."""
    if content is None or not content.endswith(b"\n") or not content.strip().isdigit():
        return None
    return int(content)


def _check(launch: Launch) -> None:
    _check_names(launch.env)
    texts = [("argument", text) for text in launch.argv]
    texts += [(f"environment variable {name}", f"{name}={value}") for name, value in launch.env.items()]
    texts.append(("working directory", launch.cwd))
    if not launch.argv or not launch.cwd:
        raise AoError("RUNTIME_FAILED", "nothing to run: the agent's command or working directory is empty")
    for what, text in texts:
        if (size := len(os.fsencode(text)) + 1) > _LONGEST:
            raise AoError(
                "RUNTIME_FAILED",
                f"an {what} has {size} bytes; the system passes at most {_LONGEST} to a program",
                hint="shorten the prompt or the rules",
            )
        if "\0" in text:
            raise AoError("RUNTIME_FAILED", f"an {what} contains a NUL byte")


def _check_names(env: Mapping[str, str]) -> None:
    for name in env:
        if not _NAME.fullmatch(name):
            raise AoError("RUNTIME_FAILED", f"{name!r} is not a name for an environment variable")

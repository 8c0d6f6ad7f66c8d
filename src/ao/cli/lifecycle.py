"""`ao start` and `ao stop`: a daemon in the background, and its end.

Start watches the process it made as well as the run file, so a daemon that dies at once is reported at once, with what
it logged. Stop acts only on a daemon that proved to be this installation's, and returns when its process is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import time

from ao.cli.client import PROBE_TIMEOUT_S, refusal, token, unreachable, user_token
from ao.cli.errors import CliError
from ao.cli.foreground import module_command
from ao.cli.grammar import Command, Option
from ao.cli.inspection import READY, SERVICE, STALE, STOPPED, Inspection, inspect
from ao.cli.loopback import Answer, ProtocolError, exchange
from ao.cli.output import emit, emit_json
from ao.cli.status import as_json
from ao.paths import format_duration, read_run_file, remove_run_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ao.cli.context import Context
    from ao.cli.grammar import Values
    from ao.paths import Paths

DEFAULT_TIMEOUT_S = 10.0
_POLL_S = 0.02
_TERM_GRACE_S = 5.0
_LOG_TAIL_BYTES = 8_192
_LOG_TAIL_LINES = 12
UNAUTHORIZED, FORBIDDEN = 401, 403
# A daemon started from inside a session would otherwise pass that session's identity on to every agent it starts.
SESSION_VARIABLES = ("AO_SESSION_ID", "AO_PROJECT_ID", "AO_ISSUE_ID", "AO_TOKEN", "AO_BIN", "TMUX", "TMUX_PANE")


def _start(context: Context, values: Values) -> None:
    paths = context.paths
    timeout_s = values.number("timeout", DEFAULT_TIMEOUT_S)
    deadline = time.monotonic() + (timeout_s if timeout_s > 0 else DEFAULT_TIMEOUT_S)
    log_file = context.absolute(values.text("log-file")) if values.text("log-file") else paths.log_file
    found = inspect(paths)
    if found.state != READY:
        with _turn(paths, deadline):
            found = _bring_up(context, log_file, deadline)
    if values.on("json"):
        emit_json(as_json(found, paths))
    else:
        emit(f"AO daemon ready (pid {found.pid}, port {found.run.port if found.run else 0})")


@contextlib.contextmanager
def _turn(paths: Paths, deadline: float) -> Iterator[None]:
    """One `ao start` at a time: a second one waits, and then finds the first one's daemon instead of racing it."""
    home = os.path.dirname(paths.run_file)
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        lock = os.open(os.path.join(home, "start.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CliError(f"cannot write in {home}: {error.strerror}", code="HOME_UNWRITABLE") from None
    try:
        while not _locked(lock):
            if time.monotonic() > deadline:
                raise CliError("another ao start is still at it", code="DAEMON_START_TIMEOUT")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(lock)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bring_up(context: Context, log_file: str, deadline: float) -> Inspection:
    paths = context.paths
    found = inspect(paths, timeout_s=_probe_time(deadline))
    if found.state == READY:
        return found
    if found.state not in (STOPPED, STALE):
        found = _await_ready(paths, deadline, "process exists but did not become ready", log_file)
        if found.state == READY:
            return found
    if found.state == STALE:
        _discard_stale(found, paths)
    return _launch(context, log_file, deadline)


def _probe_time(deadline: float) -> float:
    return min(max(deadline - time.monotonic(), 0.05), PROBE_TIMEOUT_S)


def _launch(context: Context, log_file: str, deadline: float) -> Inspection:
    paths = context.paths
    environment = {name: value for name, value in context.environ.items() if name not in SESSION_VARIABLES}
    environment |= {name: value for name, value in paths.environment().items() if name in paths.explicit}
    try:
        home = os.path.dirname(paths.run_file)
        os.makedirs(os.path.dirname(log_file), mode=0o700, exist_ok=True)
        log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CliError(f"cannot write {error.filename}: {error.strerror}", code="LOG_UNWRITABLE") from None
    try:
        before = os.fstat(log).st_size
        child = subprocess.Popen(
            module_command("ao.daemon"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(log)
    return _await_child(paths, child, deadline, (log_file, before))


def _await_child(paths: Paths, child: subprocess.Popen[bytes], deadline: float, log: tuple[str, int]) -> Inspection:
    """Wait until the child serves. It may lose a race against another `ao start`; then the winner is awaited."""
    exited = False
    while not exited:
        exited = child.poll() is not None
        # The run file is written last, so there is nobody to ask before it names a living process.
        found = inspect(paths, timeout_s=_probe_time(deadline))
        if found.state == READY:
            child.returncode = child.returncode or 0  # it outlives us: no complaint about a running child
            return found
        if exited and found.state in (STOPPED, STALE):
            hint = _last_words(*log) or f"nothing was logged to {log[0]}"
            raise CliError(
                f"daemon exited with code {child.returncode} during start", code="DAEMON_START_FAILED", hint=hint
            )
        _check_deadline(found, deadline, "", log[0])
        time.sleep(_POLL_S)
    found = _await_ready(paths, deadline, "another daemon is starting", log[0])
    if found.state != READY:
        raise CliError("the daemon that was starting has ended", code="DAEMON_START_FAILED", hint="see: ao logs")
    return found


def _await_ready(paths: Paths, deadline: float, prefix: str, log_file: str) -> Inspection:
    """Wait for a daemon that exists: it is ready, or it has ended meanwhile."""
    while True:
        found = inspect(paths, timeout_s=_probe_time(deadline))
        if found.state in (READY, STOPPED, STALE):
            return found
        _check_deadline(found, deadline, prefix, log_file)
        time.sleep(_POLL_S)


def _check_deadline(found: Inspection, deadline: float, prefix: str, log_file: str) -> None:
    if time.monotonic() < deadline:
        return
    what = f"daemon did not become ready in time (last state: {found.state}); log: {log_file}"
    raise CliError(f"{prefix}: {what}" if prefix else what, code="DAEMON_START_TIMEOUT", hint=found.error)


def _last_words(log_file: str, offset: int) -> str:
    """The last lines logged since `offset`."""
    with open(log_file, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(offset, end - _LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n  ".join([f"the end of {log_file}:", *lines]) if lines else ""


def _stop(context: Context, values: Values) -> None:
    paths = context.paths
    timeout_s = values.number("timeout", DEFAULT_TIMEOUT_S)
    # Held from before the proof: what is stopped below is the very process that proved itself.
    pid, process = _hold(paths)
    try:
        found = inspect(paths)
        if found.state == STALE:
            _discard_stale(found, paths)
        elif found.pid != pid or (process is None and found.state != STOPPED):
            raise CliError("the daemon changed meanwhile; nothing was stopped", code="DAEMON_UNVERIFIED")
        elif process is not None:
            timeout_s = timeout_s if timeout_s > 0 else DEFAULT_TIMEOUT_S
            _end(found, process, context, timeout_s, force=values.on("force"))
    finally:
        if process is not None:
            os.close(process)
    if values.on("json"):
        emit_json({"state": STOPPED, "runFile": paths.run_file, "dataDir": paths.data_dir})
    else:
        emit("AO daemon stopped")


def _hold(paths: Paths) -> tuple[int, int | None]:
    """The process the run file names and a pidfd of it, as far as there is one."""
    pid = 0
    try:
        run = read_run_file(paths.run_file)
        pid = run.pid if run else 0
        return pid, os.pidfd_open(pid) if pid else None
    except OSError:
        # Gone or unreadable; `inspect` finds out which.
        return pid, None


def _discard_stale(found: Inspection, paths: Paths) -> None:
    """Remove a run file whose daemon is gone; refuse when it leads to the daemon of another installation."""
    if found.identity.get("service") == SERVICE and found.identity.get("pid") == found.pid:
        raise CliError(
            found.error, code="DAEMON_FOREIGN", hint="nothing was changed; check AO_RUN_FILE and AO_DATA_DIR"
        )
    remove_run_file(paths.run_file, found.pid)


def _end(found: Inspection, process: int, context: Context, timeout_s: float, *, force: bool) -> None:
    """Stop the daemon if it proves to be ours, and wait for its end."""
    pid, paths = found.pid, context.paths
    if not found.owned and not (force and holds_data(pid, paths.data_dir)):
        what = f"process {pid} is alive but can't be verified as this installation's daemon"
        hint = "nothing was stopped" + ("" if force else "; ao stop --force also stops one that doesn't answer")
        raise CliError(f"{what}: {found.error or found.state}", code="DAEMON_UNVERIFIED", hint=hint)
    if found.owned and found.run:
        _ask_to_stop(found.run.port, context, force=force)
    gone = found.owned and _ended(process, timeout_s)
    if not gone and not (force and _signal_to_end(process)):
        hint = "ao stop --force ends it by signals; see: ao logs"
        what = f"process {pid} did not exit within {format_duration(timeout_s)}"
        raise CliError(what, code="DAEMON_STOP_TIMEOUT", hint=hint)
    remove_run_file(paths.run_file, pid)


def _ask_to_stop(port: int, context: Context, *, force: bool) -> None:
    """Ask with the session's own token inside a session: that agents don't stop the daemon is the daemon's decision.

    A session of another daemon has a token that says nothing here; then, as outside, it is the user who asks.
    """
    user = user_token(context.paths)
    bearer = token(context.paths, context.environ)
    try:
        answer = _post_shutdown(port, bearer)
        if answer.status == UNAUTHORIZED and bearer != user:
            answer = _post_shutdown(port, user)
    except (OSError, ProtocolError) as error:
        if force:
            return
        raise unreachable(error) from None
    if answer.status == FORBIDDEN or not (force or 200 <= answer.status < 300):
        raise refusal(answer)


def _post_shutdown(port: int, bearer: str) -> Answer:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return exchange(port, "POST", "/shutdown", timeout_s=PROBE_TIMEOUT_S, body=b"{}", headers=headers)


def _signal_to_end(process: int) -> bool:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            return True
        if _ended(process, _TERM_GRACE_S):
            return True
    return False


def _ended(process: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def holds_data(pid: int, data_dir: str) -> bool:
    """Whether `pid` runs our daemon module and has files of this data directory open (Linux; False if unreadable)."""
    root = os.path.realpath(data_dir) + os.sep
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        descriptors = os.listdir(f"/proc/{pid}/fd")
        targets = [os.readlink(f"/proc/{pid}/fd/{name}") for name in descriptors]
    except OSError:
        return False
    return b"ao.daemon" in words and any(target.startswith(root) for target in targets)


COMMANDS = {
    "start": Command(
        "start",
        _start,
        options=(
            Option("--timeout", "how long to wait for it to be ready (default 10s)", "DURATION", kind="duration"),
            Option("--log-file", "where its output goes (default daemon.log beside the run file)", "PATH"),
            Option("--json", "print its status as JSON"),
        ),
        details="Does nothing when the daemon already runs. Settings come from config.toml and AO_ variables.",
        examples=("ao start", "ao start --timeout 30s"),
    ),
    "stop": Command(
        "stop",
        _stop,
        options=(
            Option("--timeout", "how long to wait for its end (default 10s)", "DURATION", kind="duration"),
            Option("--force -f", "then SIGTERM, then SIGKILL"),
            Option("--json", "print JSON"),
        ),
        details="Sessions are not ended: their agents keep running, and the next daemon takes them up again.",
        examples=("ao stop", "ao stop --force --timeout 3s"),
    ),
}

"""What is known of the daemon without its help: run file, process, and whether the one that answers is the one named.

`status`, `start` and `stop` decide by this. Ownership needs service, process id and (where both sides tell it) the
data directory to agree; a live process id alone proves nothing, since ids are used again.
"""

from __future__ import annotations

import os

from ao.cli.client import PROBE_TIMEOUT_S, refusal, unreachable
from ao.cli.errors import CliError
from ao.cli.loopback import Answer, Exchange, ProtocolError
from ao.paths import RunFile, decode_json, process_alive, read_run_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ao.paths import Paths

SERVICE = "agent-orchestrator-daemon"
STOPPED, STALE, UNHEALTHY, NOT_READY, READY = "stopped", "stale", "unhealthy", "not_ready", "ready"


class Inspection:
    """The daemon's state and the evidence: run file, the words of healthz and readyz, what went wrong.

    `owned` tells that the process the run file names answered as our service for our data directory.
    """

    __slots__ = ("error", "health", "identity", "owned", "ready", "run", "state")

    def __init__(self, state: str, run: RunFile | None, error: str = "") -> None:
        self.state = state
        self.run = run
        self.error = error
        self.health = ""
        self.ready = ""
        self.owned = False
        self.identity: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        """The process the run file names; 0 when there is none."""
        return self.run.pid if self.run else 0


def inspect(paths: Paths, *, timeout_s: float = PROBE_TIMEOUT_S) -> Inspection:
    """Look at the run file and probe the daemon it names. Raises `CliError` when the file can't be read."""
    try:
        run = read_run_file(paths.run_file)
    except OSError as error:
        raise CliError(f"cannot read {paths.run_file}: {error.strerror}", code="RUN_FILE_UNREADABLE") from None
    if run is None:
        return Inspection(STOPPED, None)
    if not run.pid:
        return Inspection(STALE, run, "the run file is malformed")
    if not process_alive(run.pid):
        return Inspection(STALE, run, f"process {run.pid} is gone")
    found = Inspection(UNHEALTHY, run)
    _probe(found, run, paths, timeout_s)
    return found


def _probe(found: Inspection, run: RunFile, paths: Paths, timeout_s: float) -> None:
    (health, health_error), (ready, ready_error) = _ask(run.port, ("/healthz", "/readyz"), timeout_s)
    found.error = health_error
    if not health:
        return
    found.identity = health
    foreign = _foreign(health, run, paths)
    if foreign:
        found.state, found.error = STALE, foreign
        return
    found.owned = True
    found.health = str(health.get("status") or "")
    if found.health != "ok":
        found.error = f"healthz says {found.health!r}"
        return
    found.ready = str(ready.get("status") or "")
    found.error = ready_error
    found.state = READY if found.ready == "ready" else NOT_READY


def _foreign(health: dict[str, Any], run: RunFile, paths: Paths) -> str:
    """Why the answering process isn't the daemon of this installation; empty when it is."""
    if health.get("service") != SERVICE:
        return f"port {run.port} belongs to another service"
    if health.get("pid") != run.pid:
        return f"port {run.port} is answered by process {health.get('pid')}, not {run.pid}"
    serves = health.get("dataDir")
    if isinstance(serves, str) and serves and os.path.realpath(serves) != os.path.realpath(paths.data_dir):
        return f"the daemon on port {run.port} serves {serves}, not {paths.data_dir}"
    return ""


def _ask(port: int, targets: tuple[str, ...], timeout_s: float) -> list[tuple[dict[str, Any], str]]:
    """For each route, asked at the same time, the JSON object it answers and an empty string, or what went wrong."""
    calls = [Exchange(port, timeout_s) for _ in targets]
    try:
        refused = [_begin(call, target) for call, target in zip(calls, targets, strict=True)]
        return [
            ({}, error) if error else _finish(call, target)
            for call, target, error in zip(calls, targets, refused, strict=True)
        ]
    finally:
        for call in calls:
            call.close()


def _begin(call: Exchange, target: str) -> str:
    try:
        call.send("GET", target, None, {})
    except OSError as error:
        return unreachable(error).message
    return ""


def _finish(call: Exchange, target: str) -> tuple[dict[str, Any], str]:
    try:
        status = call.read_head()
        answer = Answer(status, call.headers, call.read_body())
    except (OSError, ProtocolError) as error:
        return {}, unreachable(error).message
    if not 200 <= status < 300:
        return {}, f"{target}: {refusal(answer).message}"
    try:
        fields = decode_json(answer.body.decode("utf-8", "replace"))
    except ValueError as error:
        return {}, f"{target}: {error}"
    return (fields, "") if isinstance(fields, dict) else ({}, f"{target}: not a JSON object")

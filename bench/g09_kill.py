"""G9: `kill?wait=agent`, from the request until the agent is gone and until the answer is there.

The agent exits on SIGTERM. Gone is seen through a pidfd of the agent's own process.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from pathlib import Path

from bench.measure import ROUNDS, Row, absolute
from bench.place import Daemon, Place

KILLS = 8


def main(place: Place) -> list[Row]:
    """Both times at 100 and 5,000 files."""
    return [row for files in (100, 5000) for row in _measure(place, files)]


def _measure(place: Place, files: int) -> list[Row]:
    rounds: list[list[tuple[float, float]]] = []
    with place.daemon() as daemon:
        daemon.register("kill", place.repository(files))
        for _ in range(ROUNDS):
            rounds.append([])
            for session in daemon.spawn("kill", KILLS):
                rounds[-1].append(_kill(daemon, session))
                _settle(daemon, session)
    gone = [[one for one, _ in samples] for samples in rounds]
    answered = [[other for _, other in samples] for samples in rounds]
    return [
        absolute("G9", f"kill → agent gone, {files:,} files", gone, limit=5.0),
        absolute("G9", f"kill → answer, {files:,} files", answered, limit=10.0),
    ]


def _kill(daemon: Daemon, session: str) -> tuple[float, float]:
    client = daemon.client()
    request = client.encode("POST", f"/api/v1/sessions/{session}/kill?wait=agent", {})
    agent = os.pidfd_open(agent_pid(session))
    try:
        start = time.perf_counter()
        client.socket.sendall(request)
        if not select.select([agent], [], [], 20)[0]:
            raise TimeoutError(f"the agent of {session} did not end")
        gone = time.perf_counter() - start
        client.answer()
        return gone, time.perf_counter() - start
    finally:
        os.close(agent)
        client.close()


def _settle(daemon: Daemon, session: str) -> None:
    """Let the deferred part end, so that it isn't measured with the next kill."""
    client = daemon.client()
    while client.call("GET", f"/api/v1/sessions/{session}?phaseNot=ending")["session"]["phase"] != "ended":
        continue
    client.close()


def agent_pid(session: str) -> int:
    """The process of a session's agent: the `cat` that the bench's program becomes. Raises `TimeoutError`."""
    mark = f"AO_SESSION_ID={session}".encode()
    deadline = time.perf_counter() + 5
    while time.perf_counter() < deadline:
        for entry in Path("/proc").glob("[0-9]*"):
            if _is_agent(entry, mark):
                return int(entry.name)
    raise TimeoutError(f"no agent of {session}")


def _is_agent(entry: Path, mark: bytes) -> bool:
    with contextlib.suppress(OSError):
        return (entry / "comm").read_bytes() == b"cat\n" and mark in (entry / "environ").read_bytes().split(b"\0")
    return False

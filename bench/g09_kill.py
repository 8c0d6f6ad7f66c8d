"""G9: `kill?wait=agent`, from the request until the agent is gone and until the answer is there.

The agent exits on SIGTERM. Gone is seen through a pidfd of the agent's own process.
"""

from __future__ import annotations

import os
import select
import time

from bench.measure import ROUNDS, Row, absolute
from bench.place import Daemon, Place

KILLS = 8


def main(place: Place) -> list[Row]:
    """Both times at 100 and 5,000 files."""
    rows = []
    for files in (100, 5000):
        gone: list[list[float]] = []
        answered: list[list[float]] = []
        with place.daemon() as daemon:
            daemon.register("kill", place.repository(files))
            for _ in range(ROUNDS):
                gone.append([])
                answered.append([])
                for session in daemon.spawn("kill", KILLS):
                    ended, back = _kill(daemon, session)
                    gone[-1].append(ended)
                    answered[-1].append(back)
                    _settle(daemon, session)
        rows.append(absolute("G9", f"kill → agent gone, {files:,} files", gone, limit=5.0))
        rows.append(absolute("G9", f"kill → answer, {files:,} files", answered, limit=10.0))
    return rows


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
    """The process of a session's agent: the `cat` that the bench's program became."""
    mark = f"AO_SESSION_ID={session}".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/comm", "rb") as comm, open(f"/proc/{name}/environ", "rb") as environ:
                if comm.read() == b"cat\n" and mark in environ.read().split(b"\0"):
                    return int(name)
        except OSError:
            continue
    raise RuntimeError(f"no agent of {session}")

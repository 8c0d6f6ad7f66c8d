"""G3: a cold spawn, from the request to the agent's `main()`, against the floor that nobody can go below.

Floor: `git worktree add -b` and then `tmux new-session` on a running server, until the same agent program reports
through the same pipe. Both use one repository; worktrees stay until the end, for ext4 gets slow after mass deletion.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from pathlib import Path

from bench.measure import Row, pairs, ratio
from bench.place import Daemon, Place

SIZES = ((100, 1.15), (5000, 1.05))


def main(place: Place) -> list[Row]:
    """One row for each size of repository."""
    return [_measure(place, files, limit) for files, limit in SIZES]


def _measure(place: Place, files: int, limit: float) -> Row:
    repository = place.repository(files)
    with place.daemon() as daemon:
        daemon.register("cold", repository)
        client = daemon.client()
        request = client.encode("POST", "/api/v1/sessions?wait=seeded", {"projectId": "cold", "prompt": "wait"})

        def ours() -> float:
            start = time.perf_counter()
            client.socket.sendall(request)
            reached = daemon.pipe.wait(b"main ")
            client.answer()
            return reached - start

        floor = _Floor(daemon, repository)
        try:
            samples = pairs(ours, floor)
        finally:
            floor.end()
    return ratio("G3", f"spawn → agent's main(), {files:,} files", samples, limit=limit)


class _Floor:
    """`git worktree add -b`, then `tmux new-session`, on a tmux server of its own."""

    def __init__(self, daemon: Daemon, repository: Path) -> None:
        self.repository = repository
        self.pipe = daemon.pipe
        self.home = daemon.home
        self.env = daemon.env | {"AO_BENCH_PIPE": str(daemon.pipe.path), "AO_SESSION_ID": "floor"}
        self.program = daemon.home / "bench-agent"
        self.tmux = ["tmux", "-S", str(daemon.home / "floor.sock"), "-f", os.devnull]
        self.numbers = itertools.count()
        self._run(*self.tmux, "new-session", "-d", "-s", "keep", "cat")

    def __call__(self) -> float:
        name = f"floor-{next(self.numbers)}"
        folder = str(self.home / name)
        start = time.perf_counter()
        self._run("git", "-C", str(self.repository), "worktree", "add", "-q", "-b", name, folder)
        self._run(*self.tmux, "new-session", "-d", "-s", name, "-c", folder, str(self.program))
        return self.pipe.wait(b"main ") - start

    def end(self) -> None:
        """End the server with all that runs in it."""
        self._run(*self.tmux, "kill-server")

    def _run(self, *argv: str) -> None:
        subprocess.run(argv, env=self.env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

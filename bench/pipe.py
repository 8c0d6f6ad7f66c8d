"""The pipe through which the bench's agents say what reaches them, with the time of arrival."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

PATIENCE_S = 30.0


class Pipe:
    """The reading end. It holds a writing end too, so that it never sees an end of file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.seen = b""

    def close(self) -> None:
        """Close the end."""
        os.close(self.file)

    def wait(self, for_bytes: bytes) -> float:
        """When (`time.perf_counter`) `for_bytes` arrived; what came up to it is consumed. Raises `TimeoutError`."""
        deadline = time.perf_counter() + PATIENCE_S
        while True:
            before, found, after = self.seen.partition(for_bytes)
            if found:
                self.seen = after
                return time.perf_counter()
            if not select.select([self.file], [], [], max(0.0, deadline - time.perf_counter()))[0]:
                raise TimeoutError(f"{for_bytes!r} did not reach the agent; last: {before[-200:]!r}")
            self.seen += os.read(self.file, 1 << 16)

    def skip(self) -> None:
        """Forget what has arrived so far."""
        self.seen = b""
        while select.select([self.file], [], [], 0)[0]:
            os.read(self.file, 1 << 16)

"""G13: what the daemon costs while nothing happens, with 0 and with 100 idle sessions.

CPU is the scheduler's own count of the daemon's run time (`/proc/<pid>/task/*/schedstat`, nanoseconds), wake-ups are
its voluntary context switches; both over a quiet window, the median of three.
"""

from __future__ import annotations

import os
import statistics
import time

from bench.measure import ROUNDS, Row
from bench.place import Place

WINDOW_S = 10.0
SETTLE_S = 5.0


def main(place: Place) -> list[Row]:
    """CPU share and wake-ups a second for both counts."""
    rows = []
    for sessions, cpu_limit, wake_limit in ((0, 0.05, 1.0), (100, 0.2, 5.0)):
        with place.daemon() as daemon:
            daemon.register("idle", place.repository(10))
            daemon.spawn("idle", sessions)
            time.sleep(SETTLE_S)
            windows = [_window(daemon.pid) for _ in range(ROUNDS)]
        cpu = statistics.median(window[0] for window in windows)
        wakes = statistics.median(window[1] for window in windows)
        detail = f"three windows of {WINDOW_S:.0f} s, worst {max(window[0] for window in windows):.3f} %"
        rows.append(Row("G13", f"idle CPU, {sessions} sessions", cpu, "%", cpu_limit, detail))
        rows.append(Row("G13", f"wake-ups a second, {sessions} sessions", wakes, "/s", wake_limit))
    return rows


def _window(pid: int) -> tuple[float, float]:
    before = _spent(pid)
    start = time.perf_counter()
    time.sleep(WINDOW_S)
    seconds = time.perf_counter() - start
    after = _spent(pid)
    return (after[0] - before[0]) / 1e9 / seconds * 100, (after[1] - before[1]) / seconds


def _spent(pid: int) -> tuple[int, int]:
    nanoseconds = switches = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            nanoseconds += int(file.read().split()[0])
        with open(f"/proc/{pid}/task/{task}/status") as file:
            switches += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    if not nanoseconds:
        raise RuntimeError("this kernel counts no run time (schedstats)")
    return nanoseconds, switches

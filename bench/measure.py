"""Samples, pairs and the rows that are printed."""

from __future__ import annotations

import gc
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAIRS = 20
ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """One figure: `value` is judged against `limit` (both in `unit`, smaller is better unless `at_least`)."""

    goal: str
    what: str
    value: float
    unit: str
    limit: float
    detail: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


Sample = Callable[[], float]
"""Runs the thing once and returns the seconds that count."""


def pairs(ours: Sample, floor: Sample, *, count: int = PAIRS, warm_up: int = 2) -> tuple[list[float], list[float]]:
    """Interleaved samples of both, the order within a pair alternating, after `warm_up` pairs that don't count."""
    took: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    for number in range(count + warm_up):
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {which: (ours, floor)[which]() for which in order}
        if number >= warm_up:
            took[0].append(seconds[0])
            took[1].append(seconds[1])
    return took


def ratio(goal: str, what: str, samples: tuple[Sequence[float], Sequence[float]], *, limit: float) -> Row:
    """The median of the pairs' ratios, with both medians and our p99 as detail."""
    ours, floor = samples
    value = statistics.median(one / other for one, other in zip(ours, floor, strict=True))
    return Row(goal, what, value, "×", limit, f"{ms(ours)} to {ms(floor)}, p99 {percentile(ours, 99) * 1e3:.1f} ms")


def over(goal: str, what: str, samples: tuple[Sequence[float], Sequence[float]], *, limit: float) -> Row:
    """The median of what ours takes beyond the floor, in milliseconds."""
    ours, floor = samples
    value = statistics.median(one - other for one, other in zip(ours, floor, strict=True)) * 1e3
    return Row(goal, what, value, "ms", limit, f"{ms(ours)} to {ms(floor)}, p99 {percentile(ours, 99) * 1e3:.1f} ms")


def absolute(goal: str, what: str, rounds: Sequence[Sequence[float]], *, limit: float, at: float = 50) -> Row:
    """A percentile in milliseconds, as the median over rounds of seconds."""
    value = statistics.median(percentile(samples, at) for samples in rounds) * 1e3
    flat = [sample for samples in rounds for sample in samples]
    return Row(goal, what, value, "ms", limit, f"{len(flat)} samples, p99 {percentile(flat, 99) * 1e3:.2f} ms")


def percentile(samples: Sequence[float], at: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, round(at / 100 * len(ordered) + 0.5) - 1))]


def ms(samples: Sequence[float]) -> str:
    """The median in milliseconds, as text."""
    return f"{statistics.median(samples) * 1e3:.2f} ms"


def command(argv: Sequence[str | Path], env: Mapping[str, str], *, cwd: Path | None = None) -> Sample:
    """A sample that runs a command to its end; raises `CalledProcessError` when it fails."""

    def run() -> float:
        start = time.perf_counter()
        subprocess.run(argv, env=dict(env), cwd=cwd, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return run

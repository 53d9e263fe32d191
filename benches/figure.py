"""One figure: its name and goal, the samples of its rounds, and the line that is printed."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME_WIDTH = 58
PERCENT = {"p50": 50, "p99": 99}


@dataclass(frozen=True, slots=True)
class Goal:
    """The largest p50 and p99 wanted, ns; None where none is set."""

    p50_ns: float | None = None
    p99_ns: float | None = None

    def text(self) -> str:
        """Return the goal as it stands at the end of a line; nothing without one."""
        parts = [f"{name} ≤ {_time(ns)}" for name, ns in (("p50", self.p50_ns), ("p99", self.p99_ns)) if ns is not None]
        return f"goal {', '.join(parts)}" if parts else ""

    def met(self, p50_ns: float, p99_ns: float) -> bool:
        """Say whether both hold; equal is within."""
        return p50_ns <= (self.p50_ns or math.inf) and p99_ns <= (self.p99_ns or math.inf)


NO_GOAL = Goal()


@dataclass(slots=True)
class Figure:
    """What was measured. Each round's percentiles count once: the figure is the median over rounds."""

    name: str
    goal: Goal = NO_GOAL
    note: str = ""
    p50s_ns: list[float] = field(default_factory=list)
    p99s_ns: list[float] = field(default_factory=list)
    count: int = 0

    def add(self, samples_ns: Sequence[float], more_p50_ns: float = 0, more_p99_ns: float = 0) -> None:
        """Take one round in; `more_*` is what the samples do not contain."""
        ordered = sorted(samples_ns)
        self.p50s_ns.append(quantile(ordered, PERCENT["p50"]) + more_p50_ns)
        self.p99s_ns.append(quantile(ordered, PERCENT["p99"]) + more_p99_ns)
        self.count += len(ordered)

    def line(self) -> str:
        """Return the one line of this figure."""
        p50_ns, p99_ns = statistics.median(self.p50s_ns), statistics.median(self.p99s_ns)
        verdict = ("ok" if self.goal.met(p50_ns, p99_ns) else "OVER") if self.goal != NO_GOAL else ""
        tail = "  ".join(part for part in (self.goal.text(), verdict, self.note and f"({self.note})") if part)
        numbers = f"p50 {_time(p50_ns):>9}  p99 {_time(p99_ns):>9}  n {self.count:<10,}"
        return f"{self.name:<{NAME_WIDTH}}  {numbers}  {tail}".rstrip()


def quantile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest sample that `percent` % do not exceed. `ordered` is sorted and not empty."""
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


def interleave(rounds: Sequence[tuple[Figure, Callable[[], Sequence[float]]]], times: int) -> list[Figure]:
    """Run every figure's round in turn, `times` times after one to warm up, so that a busy moment hits all alike."""
    for _, run in rounds:
        run()
    for _ in range(times):
        for figure, run in rounds:
            figure.add(run())
    return [figure for figure, _ in rounds]


def _time(ns: float) -> str:
    if ns < 1_000:
        return f"{ns:.3g} ns" if ns < 100 else f"{ns:.0f} ns"
    if ns < 1_000_000:
        return f"{ns / 1_000:.2f} µs" if ns < 10_000 else f"{ns / 1_000:.1f} µs"
    return f"{ns / 1_000_000:.1f} ms"

"""`make bench`: one line per figure. An argument runs only the lines whose name contains it."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

import calls
import durable
import rust
import wire
from figure import quantile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def facts() -> Iterator[str]:
    """Say what was measured on, and how busy it was."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    rustc = rust.compiler()
    yield f"machine: {os.cpu_count()} CPUs, {_processor()}, {platform.system()} {platform.release()}, {python}, {rustc}"
    yield f"load: {' '.join(f'{load:.2f}' for load in os.getloadavg())} (1, 5 and 15 minutes); nothing is pinned"
    spent = sorted(-perf_counter_ns() + perf_counter_ns() for _ in range(20_000))
    yield f"timer: a pair of readings costs {quantile(spent, 50):.0f} ns; no figure has it subtracted"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _subjects(part: str) -> list[ModuleType]:
    """Return what has to run. For lines of the wire or the journal alone the Rust benchmarks are not even built."""
    for subject, others in ((wire, (calls, durable)), (durable, (calls, wire))):
        if _has(subject, part) and not any(_has(other, part) for other in others):
            return [subject]
    return [rust, calls, durable, wire]


def _has(subject: ModuleType, part: str) -> bool:
    return any(part in name for name in subject.NAMES)


def main() -> None:
    """Print the facts, then each figure as its part ends."""
    part = " ".join(sys.argv[1:])
    for line in facts():
        print(line, flush=True)
    shown = 0
    for subject in _subjects(part):
        for figure in subject.figures(lambda name: part in name):
            print(figure.line(), flush=True)
            shown += 1
    print(f"load: {' '.join(f'{load:.2f}' for load in os.getloadavg())} at the end")
    if not shown:
        raise SystemExit(f"no figure's name contains {part!r}")


if __name__ == "__main__":
    main()

"""The Rust side: runs criterion, then reads the samples that it wrote.

A sample is the mean of many runs of a few nanoseconds each, so p99 here is that of sample means: it shows how steady a
figure is, not the slowest single run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import peers
from figure import Figure, Goal

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
BENCH = ["cargo", "bench", "--locked", "--quiet", "--bench", "*", "--"]
LENGTH = ["--warm-up-time", "1", "--measurement-time", "3", "--noplot"]
BRIEF = ["--warm-up-time", "0.3", "--measurement-time", "1", "--noplot"]  # what stands beside a figure
BESIDE = re.compile(", (peer|floor): ")

THREADS = "decision: verdict, 8 native threads on one desk"
FLOOR = ", floor: one look at each byte"  # the last line of a decoder's group

GOALS = {
    "decision: verdict with all controls on": Goal(60),
    "decision: verdict, walking two levels": Goal(100),
    THREADS: Goal(1_000),
    "histogram record": Goal(10),
}


def figures(wanted: Callable[[str], bool]) -> list[Figure]:
    """Measure what is wanted. Raises CalledProcessError, with cargo's words shown, when it does not build."""
    print("Building the Rust benchmarks (the first time takes some minutes) ...", file=sys.stderr, flush=True)
    listed = _cargo(["--list", "--format", "terse"], os.environ)
    names = [line.removesuffix(": benchmark") for line in listed.splitlines() if line.endswith(": benchmark")]
    chosen = [name for name in names if wanted(_title(name))]
    labels = peers.names(name.removesuffix(FLOOR) for name in names if name.endswith(FLOOR))
    if not chosen and not any(map(wanted, labels.values())):
        return []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as frames:
        environ = {**os.environ, "CRITERION_HOME": folder, "FRAMES": frames}
        for beside, length in ((False, LENGTH), (True, BRIEF)):
            these = [name for name in chosen if bool(BESIDE.search(name)) == beside]
            _cargo([*length, f"^({'|'.join(map(_literal, these))})$"], environ)
        found = dict(map(_figure, Path(folder).glob("**/new/sample.json")))
        return _in_order(names, found, peers.figures(Path(frames), wanted))


def _in_order(names: list[str], found: dict[str, Figure], beside: dict[str, Figure]) -> list[Figure]:
    """Return the figures as the benchmarks are listed, each decoder's peer from Python at the end of its group."""
    rows = []
    for name in names:
        rows.append(found.get(name))
        rows.append(beside.get(name.removesuffix(FLOOR)) if name.endswith(FLOOR) else None)
    return [row for row in rows if row is not None]


def compiler() -> str:
    """Return the compiler's name and version; nothing without one."""
    rustc = shutil.which("rustc")
    if rustc is None:
        return "no rustc"
    return subprocess.run([rustc, "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def _title(name: str) -> str:
    return f"{name}, Rust"


def _literal(name: str) -> str:
    """Escape what means something in a regular expression, and nothing else: Rust's dialect refuses the rest."""
    return re.sub(r"[.+*?()|\[\]{}^$\\]", r"\\\g<0>", name)


def _cargo(arguments: list[str], environ: os._Environ[str] | dict[str, str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  (our own arguments)
            [*BENCH, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SystemExit("make bench needs cargo on the PATH") from None
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        done.check_returncode()
    return done.stdout


def _figure(path: Path) -> tuple[str, Figure]:
    about = json.loads(path.with_name("benchmark.json").read_text())
    samples = json.loads(path.read_text())
    name = about["full_id"]
    parts = (about["throughput"] or {}).get("Elements", 1)  # of one run, where it is many frames
    figure = Figure(_title(name), GOALS.get(name, Goal()))
    figure.add([time / runs / parts for time, runs in zip(samples["times"], samples["iters"], strict=True)])
    figure.count = int(sum(samples["iters"])) * parts
    if name == THREADS:
        figure.note = f"{1e9 / figure.p50s_ns[0]:,.0f} a second"
    return name, figure

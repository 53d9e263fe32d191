"""Many random sessions: `python -m oracle.soak COUNT [FIRST_SEED]` with tests/ on the path; appends to docs/proof.md.

With `--resume --sessions TOTAL` it goes on after the highest seed in that table until TOTAL sessions agreed, so that
parts of at most `--minutes` add up.
"""

import argparse
import hashlib
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from random import Random

import proof

from .scenario import Session
from .tally import tally

STEPS = 50
TOGETHER = 100  # sessions that a worker runs between two looks at the clock
MOST_TOLD = 10  # disagreements that are told in full
PROOF = "oracle"
FIGURE = re.compile(r"\| oracle \|[^|]*\| ([\d,]+) sessions of (\d+) steps, seeds (\d+) to (\d+), (\d+) disagreed")


@dataclass
class Found:
    """What some sessions of successive seeds showed: how many, what each met, and where the two sides disagreed."""

    sessions: int = 0
    met: Counter[str] = field(default_factory=Counter)
    disagreed: list[str] = field(default_factory=list)


def digest(seeds: Iterable[int], steps: int = STEPS) -> str:
    """Return the hash of the journals and states that these sessions end with."""
    found = hashlib.sha256()
    for seed in seeds:
        world = Session(Random(seed)).run(steps)
        found.update(repr(world.journal).encode() + world.desk.state())
    return found.hexdigest()


def sessions(seeds: range, steps: int) -> Found:
    """Run some sessions; whatever ends one early counts as a disagreement."""
    found = Found(len(seeds))
    for seed in seeds:
        try:
            found.met += tally(Session(Random(seed)).run(steps))
        except Exception as error:  # noqa: BLE001 - a panic or a refused call of the real side is one, too
            found.disagreed.append(f"seed {seed}: {type(error).__name__}: {error}\n")
    return found


def run(seeds: range, steps: int = STEPS, workers: int = 2, minutes: float = 30) -> Found:
    """Run sessions of successive seeds in processes, as far as they come in the minutes given."""
    found, end, running = Found(), time.monotonic() + minutes * 60, deque[Future[Found]]()
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for part in parts(seeds):
            running.append(pool.submit(sessions, part, steps))
            if len(running) > 2 * workers:
                add(found, running.popleft().result())
            if time.monotonic() > end:
                break
        while running:
            add(found, running.popleft().result())
    return found


def parts(seeds: range) -> Iterator[range]:
    """Return the same seeds in short ranges."""
    return (seeds[at : at + TOGETHER] for at in range(0, len(seeds), TOGETHER))


def add(found: Found, part: Found) -> None:
    """Add the next part, and print its disagreements, if there were not many."""
    found.sessions += part.sessions
    found.met.update(part.met)
    for story in part.disagreed[: max(MOST_TOLD - len(found.disagreed), 0)]:
        print(story, flush=True)
    found.disagreed += part.disagreed


def proved(table: str, steps: int) -> tuple[int, int]:
    """Return how many sessions of so many steps a table's rows tell of, all agreeing, and the highest seed so far."""
    rows = [[int(cell.replace(",", "")) for cell in row] for row in FIGURE.findall(table)]
    rows = [row for row in rows if row[1] == steps]
    return sum(row[0] for row in rows if not row[4]), max((row[3] for row in rows), default=0)


def main(words: list[str]) -> int:
    """Run what the words ask for, append a row, and return whether something disagreed."""
    asked = options(words)
    left, first = asked.count, asked.first
    if asked.resume:
        agreed, highest = proved(proof.TABLE.read_text(encoding="utf-8"), asked.steps)
        left, first = asked.sessions - agreed, highest + 1
    if left <= 0:
        print(f"{asked.sessions:,} sessions of {asked.steps} steps agreed already")
        return 0
    at, began = proof.commit(), time.monotonic()
    found = run(range(first, first + left), asked.steps, asked.workers, asked.minutes)
    seeds, took = f"seeds {first} to {first + found.sessions - 1}", f"{time.monotonic() - began:.0f} s"
    disagreed = f"{len(found.disagreed)} disagreed"
    proof.append(PROOF, first, f"{found.sessions:,} sessions of {asked.steps} steps, {seeds}, {disagreed}, {took}", at)
    return bool(found.disagreed)


def options(words: list[str]) -> argparse.Namespace:
    """Read the words of a command line."""
    parser = argparse.ArgumentParser(prog="oracle.soak", description="The real desk against the oracle.")
    parser.add_argument("count", type=int, nargs="?", default=1_000, help="sessions (1,000)")
    parser.add_argument("first", type=int, nargs="?", default=1, help="the first seed (1)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each session ({STEPS})")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--minutes", type=float, default=30, help="when to stop at the latest (30)")
    parser.add_argument("--resume", action="store_true", help="go on after the highest seed in docs/proof.md")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="in all, with --resume (1,000,000)")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

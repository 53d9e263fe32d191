"""Every fault 100 times with the whole engine: `python tests/soak_faults.py [N [SECONDS]]`; appends to docs/proof.md.

A round is each row of the catalogue once, in an order of its own, with one engine and one offline market. What was
reached is remembered beside the table, in target/, so a run that was ended, or ran out of its SECONDS, is gone on with
by the next at the same commit. At the end: 1,000 reconnects, after which nothing more is held.

The feed's settings are the shipped ones but for two: each pause is the one of a first failure, since faults in a row
stand for faults days apart, and the budgets of connects and snapshots are lifted, since they would make it days.
"""

import json
import multiprocessing
import random
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import proof
from fault_rows import ROWS, Rig, cuts, held, resident_kb

from pytrader.pacing import Backoff, Budget
from pytrader.sandbox.process import OfflineMarket

REACHED = proof.ROOT / "target" / "soak_faults.json"
LANES = 4  # engines side by side; nearly all of a round is waiting
RECONNECTS = 1_000
GOAL_S = 0.5
FAULTS = {f"{name} {row.kind} {row.way}".strip(): row for name, rows in ROWS.items() for row in rows}


@contextmanager
def engine(seed):
    """Run an engine on an offline market of its own."""
    Backoff.next_s = lambda pause: pause.first_s * pause.random.uniform(0.5, 1.0)
    Budget.take = lambda *_: 0.0
    with (
        OfflineMarket.start(seed, "calm") as market,
        tempfile.TemporaryDirectory() as folder,
        Rig(market, Path(folder) / "engine") as rig,
    ):
        yield rig


def meet_each(seed):
    """Meet each fault once; return seconds to an open gate by row, the oldest book of an order (ns), and the looks."""
    names = random.Random(seed).sample(list(FAULTS), len(FAULTS))
    took = {}
    with engine(seed) as rig:
        for name in names:
            try:
                took[name] = rig.meet(FAULTS[name])
                rig.proved()
            except AssertionError as error:
                raise AssertionError(f"round {seed}, {name}, after {list(took)}: {error}") from None
        return took, rig.gate.oldest_ns, rig.gate.looks


def reconnect(count):
    """Return what is held more after `count` reconnects, and in how much more memory."""
    with engine(7) as rig:
        cuts(rig, 20)
        before, resident = held(), resident_kb()
        cuts(rig, count)
        time.sleep(1)
        after, grown = held(), resident_kb() - resident
        rig.proved()
    assert after <= before, (before, after)
    return f"{count:,} reconnects: threads and descriptors {before} before, {after} after; {grown:+,} kB"


def reached(at):
    """Return the rounds that a run at the same commit ended with."""
    kept = json.loads(REACHED.read_text()) if REACHED.exists() else {}
    return kept.get(at, [])


def main(wanted, seconds):
    """Go on until all is reached or the time is over."""
    at, end_s = proof.commit(), time.monotonic() + seconds
    rounds = reached(at)
    with ProcessPoolExecutor(LANES, multiprocessing.get_context("spawn")) as lanes:
        while len(rounds) < wanted and time.monotonic() < end_s:
            first = len(rounds) + 1
            rounds += lanes.map(meet_each, range(first, min(first + LANES, wanted + 1)))
            REACHED.parent.mkdir(exist_ok=True)
            REACHED.write_text(json.dumps({at: rounds}))
            print(f"{len(rounds)} of {wanted} rounds", flush=True)
    proof.append("faults", 1, figure(rounds), at)
    if len(rounds) >= wanted:
        proof.append("faults, reconnects", 7, reconnect(RECONNECTS), at)
        REACHED.unlink()


def figure(rounds):
    """Return the row's text."""
    bounded = sorted(took for met, _, _ in rounds for name, took in met.items() if FAULTS[name].loses)
    p99 = bounded[int(len(bounded) * 0.99)]
    looks, oldest_ns = sum(looks for _, _, looks in rounds), max(oldest_ns for _, oldest_ns, _ in rounds)
    p50_ms, p99_ms, worst_ms = (took * 1e3 for took in (bounded[len(bounded) // 2], p99, bounded[-1]))
    return (
        f"{len(rounds) * len(FAULTS):,} faults: {len(rounds)} of each of {len(FAULTS)} kinds; {looks:,} looks: no "
        f"order passed over an unsynced book, or one older than {oldest_ns / 1e6:,.0f} ms; gate open again "
        f"p50 {p50_ms:.0f}, p99 {p99_ms:.0f}, worst {worst_ms:.0f} ms "
        f"(goal p99 500 ms: {'ok' if p99 <= GOAL_S else 'OVER'})"
    )


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:]]
    main(int(numbers[0]) if numbers else 100, numbers[1] if len(numbers) > 1 else 86_400.0)

"""Every fault 100 times with the whole engine: `python tests/soak_faults.py [N [SECONDS]]`; appends to docs/proof.md.

Each row of the catalogue that has N runs at one commit appends a figure of its own. What was reached is remembered
beside the table, in target/, so a run that was ended, or ran out of its SECONDS, is gone on with by the next. At the
end: 1,000 reconnects, after which nothing more is held.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import proof
from fault_rows import ROWS, Rig, cuts, held, resident_kb

from pytrader import pacing
from pytrader.sandbox.process import OfflineMarket

REACHED = proof.ROOT / "target" / "soak_faults.json"
ON_ONE_ENGINE = 60.0  # seconds; then a new one begins, with a new journal
RECONNECTS = 1_000
GOAL_S = 0.5
FAULTS = {f"{name} {row.kind} {row.way}".strip(): row for name, rows in ROWS.items() for row in rows}


class Reached:
    """The seconds to an open gate of each run so far, by row, and the worst age of an order's book."""

    def __init__(self, at):
        """Go on where a run at the same commit ended."""
        self.at, self.rows, self.oldest_ns, self.looks = at, {}, 0, 0
        if REACHED.exists() and (kept := json.loads(REACHED.read_text()))["at"] == at:
            self.__dict__.update(kept)

    def save(self):
        """Remember."""
        REACHED.parent.mkdir(exist_ok=True)
        REACHED.write_text(json.dumps(self.__dict__))


def next_row(reached, wanted):
    """Return the name and fault that was met least often, or None when all were met often enough."""
    name = min(FAULTS, key=lambda name: len(reached.rows.get(name, [])))
    return None if len(reached.rows.get(name, [])) >= wanted else (name, FAULTS[name])


def run(market, reached, wanted, end_s):
    """Meet faults with one engine for a while."""
    with tempfile.TemporaryDirectory() as temporary, Rig(market, Path(temporary) / "engine") as rig:
        until_s = min(end_s, time.monotonic() + ON_ONE_ENGINE)
        while time.monotonic() < until_s and (due := next_row(reached, wanted)):
            name, row = due
            reached.rows.setdefault(name, []).append(rig.meet(row))
            rig.proved()
        reached.oldest_ns = max(reached.oldest_ns, rig.gate.oldest_ns)
        reached.looks += rig.gate.looks
        reached.save()


def reconnect(market, count):
    """Return what is held more after `count` reconnects, and in how much more memory."""
    with tempfile.TemporaryDirectory() as temporary, Rig(market, Path(temporary) / "engine") as rig:
        cuts(rig, 20)
        before, resident = held(), resident_kb()
        cuts(rig, count)
        time.sleep(1)
        after, grown = held(), resident_kb() - resident
        rig.proved()
    assert after <= before, (before, after)
    return f"{count:,} reconnects: threads and descriptors {before} before, {after} after; {grown:+,} kB"


def main(wanted, seconds):
    """Go on until all is reached or the time is over."""
    at = proof.commit()
    reached, end_s = Reached(at), time.monotonic() + seconds
    pacing.Backoff.next_s = lambda _: 0.025  # the pauses and budgets of the real feed would make it days
    pacing.Budget.take = lambda *_: 0.0
    with OfflineMarket.start(7, "calm") as market:
        while time.monotonic() < end_s and next_row(reached, wanted):
            run(market, reached, wanted, end_s)
        proof.append("faults", 7, figure(reached), at)
        if not next_row(reached, wanted):
            proof.append("faults, reconnects", 7, reconnect(market, RECONNECTS), at)
            REACHED.unlink(missing_ok=True)


def figure(reached):
    """Return the row's text."""
    runs = sum(map(len, reached.rows.values()))
    fewest = min(map(len, reached.rows.values()))
    bounded = sorted(took for name, all_of_it in reached.rows.items() if FAULTS[name].loses for took in all_of_it)
    p99 = bounded[int(len(bounded) * 0.99)]
    return (
        f"{runs:,} faults of {len(reached.rows)} kinds, at least {fewest} of each; {reached.looks:,} looks: no order "
        f"passed over an unsynced book, or one older than {reached.oldest_ns / 1e6:,.0f} ms; gate open again p99 "
        f"{p99 * 1e3:.0f} ms, worst {bounded[-1] * 1e3:.0f} ms (goal p99 500 ms: {'ok' if p99 <= GOAL_S else 'OVER'})"
    )


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:]]
    main(int(numbers[0]) if numbers else 100, numbers[1] if len(numbers) > 1 else 86_400.0)

"""Many more kills than the tests run: `python tests/soak_crash.py N [SEED]`; appends a row to docs/proof.md.

A part of any size proves for itself, so a longer proof is several runs with seeds of their own.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

import crashes
import proof
from sessions import PROFILE

from pytrader.sandbox.process import OfflineMarket

ON_ONE_JOURNAL = 50  # kills; more would mostly read the same long journal again


def main(count: int, seed: int) -> None:
    """Kill `count` engines; an assertion ends the run where something is not as it must be."""
    at, dice, began = proof.commit(), random.Random(seed), time.monotonic()
    events = released = told = 0
    with OfflineMarket.start(seed, "busy") as market:
        for first in range(0, count, ON_ONE_JOURNAL):
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / PROFILE
                folder.mkdir()
                for kill in crashes.kills(market, folder, dice, min(ON_ONE_JOURNAL, count - first)):
                    crashes.continues(kill)
                    crashes.began_as_the_fold(kill)
                    told += crashes.told_what_is_saved(kill)
                events += len(kill.after)
                released += crashes.released_with_intent(kill.after)
    took = f"{time.monotonic() - began:.0f} s"
    figure = f"{count} kills, {events:,} events, {released:,} orders left, {told:,} events told: none lost; {took}"
    proof.append("kill -9", seed, figure, at)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(numbers[0], numbers[1] if len(numbers) > 1 else time.time_ns() // 1_000_000_000)

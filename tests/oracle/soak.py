"""Many more sessions than the tests run: `python -m tests.oracle.soak N [FIRST_SEED]` from the repository's root."""

import hashlib
import sys
import time
from collections.abc import Iterable
from random import Random

from .scenario import Session

STEPS = 120


def digest(seeds: Iterable[int]) -> str:
    """Return the hash of the journals and states that these sessions end with."""
    found = hashlib.sha256()
    for seed in seeds:
        world = Session(Random(seed)).run(STEPS)
        found.update(repr(world.journal).encode() + world.desk.state())
    return found.hexdigest()


def main(count: int, first: int) -> int:
    """Run `count` sessions of seeds from `first` on; print each disagreement; return how many there were."""
    begun, failed = time.monotonic(), 0
    for seed in range(first, first + count):
        try:
            Session(Random(seed)).run(STEPS)
        except AssertionError as error:
            failed += 1
            print(f"seed {seed}: {error}\n")
    print(f"{count} sessions of {STEPS} steps, {failed} disagreed, {time.monotonic() - begun:.1f} s")
    return failed


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]] + [1]
    sys.exit(bool(main(numbers[0], numbers[1])))

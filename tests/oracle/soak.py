"""Many more sessions than the tests run: `python -m tests.oracle.soak N [FIRST_SEED]` from the repository's root."""

import sys
import time
from random import Random

from .scenario import Session

STEPS = 120


def main(count: int, first: int) -> int:
    """Run `count` sessions of seeds from `first` on; print each disagreement; return how many there were."""
    begun, failed = time.monotonic(), 0
    for seed in range(first, first + count):
        try:
            Session(Random(seed)).run(STEPS)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__} {error}\n")
    print(f"{count} sessions of {STEPS} steps, {failed} disagreed, {time.monotonic() - begun:.1f} s")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, (sys.argv[1:] + ["1"])[:2]))))

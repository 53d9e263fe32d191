"""Damaged input by the ten million: `python tests/soak_fuzz.py [SECONDS]`; appends rows to docs/proof.md.

Each target runs in parts, each from the seed behind the last one proved in that table, until it has had its inputs: a
run that was ended goes on where it was. At most SECONDS (1,800) a call. A wrong input ends the run with its seed.
"""

import os
import re
import signal
import subprocess
import sys
import time

import proof

INPUTS = 10**7  # of each target
PART = 10**6  # inputs a row
LONG_S = 1_800
# Test file, its crate, and the tests in it; the book's inputs are sequences of 60 steps each.
TARGETS = {
    "decoders": ("engine", "fuzz_wire", 1),
    "session": ("link", "fuzz_session", 1),
    "bridge": ("engine", "fuzz_book", 60),
}


def proved(name: str, table: str) -> int:
    """Return the highest seed of this target in the table."""
    rows = re.findall(rf"\| fuzz {name} \| \d+ \| seeds \d+ to (\d+) ", table)
    return max(map(int, rows), default=0)


def part(name: str, first: int, count: int, left_s: float) -> bool:
    """Run seeds from `first` on and append their row; False if the time ended before they did."""
    crate, test, _ = TARGETS[name]
    at, began = proof.commit(), time.monotonic()
    command = ["cargo", "test", "--locked", "--quiet", "--release", "-p", crate, "--test", test]
    environ = {**os.environ, "FUZZ": str(count), "SEED": str(first)}
    running = subprocess.Popen(command, cwd=proof.ROOT, env=environ, start_new_session=True)
    try:
        code = running.wait(timeout=max(left_s, 1))
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)  # the test that cargo started, too
        running.wait()
        return False
    if code:
        sys.exit(f"FUZZ={count} SEED={first} {' '.join(command)} failed")
    took = f"{time.monotonic() - began:.0f} s"
    row = f"seeds {first} to {first + count - 1} of each target: none panicked, hung or disagreed; {took}"
    proof.append(f"fuzz {name}", first, row, at)
    return True


def main(limit_s: float) -> None:
    """Go on with every target until it is done or the time is over."""
    ends = time.monotonic() + limit_s
    for name, (_, _, steps) in TARGETS.items():
        goal, each = -(-INPUTS // steps), PART // steps
        while (last := proved(name, proof.TABLE.read_text(encoding="utf-8"))) < goal:
            if not part(name, last + 1, min(each, goal - last), ends - time.monotonic()):
                print(f"the time is over; fuzz {name} stands at {last} of {goal}")
                return


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else LONG_S)

"""The desk and the published market under many threads: `python tests/soak_threads.py [SEED]`; rows for docs/proof.md.

Runs the engine's own tests with the numbers of a proof; an assertion in them ends the run.
"""

import os
import re
import subprocess
import sys
import time

import proof

TEST = ["cargo", "test", "--locked", "--quiet", "--release", "-p", "engine"]
LOOM = ["--target-dir", "target/loom"]
DECISIONS, READS, HALTS = 10**8, 10**9, 10**4


def printed(test, *options, **environ):
    """Run one test file of the engine and return what it printed but for the runner's own words."""
    command = [*TEST, *options, "--test", test, "--", "--nocapture"]
    run = subprocess.run(
        command, cwd=proof.ROOT, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True, check=False
    )
    if run.returncode:
        sys.exit(f"{run.stdout}\n{' '.join(command)} failed")
    return run.stdout


def figure(test, first, **environ):
    """Return the line that a stress test prints; it begins with the number `first`."""
    line = re.search(rf"^{first} .*$", printed(test, **environ), re.MULTILINE)[0]
    return re.sub(r"\b\d{4,}\b", lambda digits: f"{int(digits[0]):,}", line)


def explored():
    """Run loom; return how much it went through."""
    began = time.monotonic()
    counts = re.findall(r"(\d+) interleavings", printed("loom", *LOOM, RUSTFLAGS="--cfg loom"))
    took = time.monotonic() - began
    return f"{len(counts)} models, {sum(map(int, counts)):,} interleavings of at most 3 pre-emptions; {took:.0f} s"


def main(seed):
    """Append one row for each proof."""
    at = proof.commit()
    proof.append("loom", None, explored(), at)
    decisions = figure("desk_stress", DECISIONS, DECISIONS=str(DECISIONS), SEED=str(seed))
    proof.append("decisions of 8 threads", seed, decisions, at)
    proof.append("reads of the published market", None, figure("seqlock_stress", READS, READS=str(READS)), at)
    proof.append("halts under load", None, figure("desk_halt", HALTS, HALTS=str(HALTS)), at)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else time.time_ns() // 1_000_000_000)

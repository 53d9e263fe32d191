"""Mutation testing of the engine: `python tests/soak_mutants.py [SHARD]`; appends a row to docs/proof.md.

SHARD is `k/n`, the part k (from 0) of n; without it all mutants. What is mutated, and which mutants behave as the code
does and so cannot be caught, stands in .cargo/mutants.toml. A mutant that survives ends the run with its name.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import proof

SEED = 1
# Every run of a mutant tries the same cases, few of them; a failing one need not be made small.
CASES = {"PROPTEST_CASES": "64", "PROPTEST_RNG_SEED": str(SEED), "PROPTEST_MAX_SHRINK_ITERS": "0"}
MEMORY = 8 << 30  # bytes a process; a mutant that loops may also collect without end
OUTCOMES = {"caught": "caught", "timeout": "timed out", "unviable": "do not compile", "missed": "survived"}
ALL_CAUGHT, MISSED, TIMED_OUT = 0, 2, 3  # of cargo-mutants; a mutant that hangs is caught by its deadline


def mutate(shard: str, folder: Path) -> dict:
    """Run one shard and return the outcomes of cargo-mutants; its other failures end the run."""
    words = ["cargo", "mutants", "--jobs", "1", "--shard", shard, "--output", str(folder)]
    done = subprocess.run(words, cwd=proof.ROOT, env={**os.environ, **CASES}, check=False)
    assert done.returncode in {ALL_CAUGHT, MISSED, TIMED_OUT}, f"cargo mutants ended with {done.returncode}"
    return json.loads((folder / "mutants.out" / "outcomes.json").read_text(encoding="utf-8"))


def main(shard: str) -> None:
    """Run a shard, append its row, and fail if a mutant survived."""
    at, began = proof.commit(), time.monotonic()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as temporary:
        found = mutate(shard, Path(temporary))
    took = f"{time.monotonic() - began:.0f} s"
    parts = [f"{found[key]} {word}" for key, word in OUTCOMES.items()]
    proof.append(f"mutants {shard}", SEED, f"{found['total_mutants']} mutants: {', '.join(parts)}; {took}", at)
    if found["missed"]:
        sys.exit("a mutant survived: its name stands above")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "0/1")

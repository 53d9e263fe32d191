"""The feed under load for ten minutes: `python tests/soak_feed_load.py [SECONDS]`; appends a row to docs/proof.md.

25,000 frames a second over TLS on loopback, ten bursts of 6,500 frames in 10 ms, and audits. The bound on the lag is
for a machine that does nothing else: server and client share its cores.
"""

import sys
import tempfile
from pathlib import Path

import load
import proof

LAG_P99_MS = 5.0
BURSTS = 10


def main(seconds):
    """Run, append the row, and fail unless all was received, in time and in the same memory."""
    at = proof.commit()
    with tempfile.TemporaryDirectory() as folder:
        seen = load.run(Path(folder), seconds, bursts=BURSTS)
    seen.whole()
    met = seen.is_flat() and seen.client["lag_ms"]["p99"] < LAG_P99_MS and seen.client["lost"] == 0
    counters = seen.client["counters"]
    audits = f"{counters['audits']} audits, {counters['divergences']} diverged"
    goal = f"goal: none lost, p99 < {LAG_P99_MS:.0f} ms, memory +2 MiB at most: {'ok' if met else 'OVER'}"
    proof.append("feed under load", None, f"{seen.text()}; {audits} ({goal})", at)
    if not met:
        sys.exit("the goal was missed")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)

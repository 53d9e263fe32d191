"""A journal of 10^6 events, loaded and taken up: `python tests/soak_load.py [N]`; appends a row to docs/proof.md."""

import itertools
import sys
import tempfile
import time
from pathlib import Path

import proof
from paper_market import depth, paper_on

from pytrader import Book, Desk
from pytrader.journal import Journal
from pytrader.opening import recover

BATCH = 4_096  # events a commit, about what the journal's thread takes at most
GOAL_S = 3.0
ROUNDS = 3
SIZES = itertools.cycle(["5", "6"])  # a size that changes is there anew


def trade(journal, count):
    """Write at least `count` events of market orders that buy and sell in turn; return the rules and the seconds."""
    paper, updates = paper_on(size="5", max_daily_loss_e8=10**13), itertools.count(9)
    seconds = 0.0
    while journal.last_seq < count:
        while len(paper.journal) < BATCH:
            for order in ("buy 0.01", "sell 0.01"):
                update, size = next(updates), next(SIZES)
                paper.frame(depth(update, [["26795.00", size]], [["26796.00", size]]))
                assert paper.submit(order).accepted
                paper.advance(0.5)
        began = time.perf_counter()
        journal.append(paper.journal)
        seconds += time.perf_counter() - began
        paper.journal.clear()
        paper.events.clear()
    return paper.rules, seconds


def timed(action):
    """Return the seconds of the fastest round."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    return min(took)


def main(wanted):
    """Write the journal, then measure."""
    at = proof.commit()
    with tempfile.TemporaryDirectory() as temporary:
        journal = Journal.open(Path(temporary))
        rules, write_s = trade(journal, wanted)
        count, size = journal.last_seq, (Path(temporary) / "journal.sqlite3").stat().st_size
        load_s = timed(lambda: sum(1 for _ in journal.load()))
        recover_s = timed(lambda: recover(Desk(Book(), rules), journal))
        journal.close()
    figure = (
        f"written in {write_s:.1f} s ({count / write_s:,.0f} events/s, {size / 1e6:.0f} MB); loaded and verified in"
        f" {load_s:.2f} s; with its fold into a desk {recover_s:.2f} s, best of {ROUNDS}"
        f" (goal {GOAL_S:.0f} s: {'ok' if recover_s <= GOAL_S else 'OVER'})"
    )
    proof.append(f"load of {count:,} events", None, figure, at)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10**6)

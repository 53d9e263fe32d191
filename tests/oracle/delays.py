"""The venue's delays, asked of the real simulator one order at a time: the oracle need not reproduce them."""

import functools

from pytrader import _core

from .frames import Frames
from .settings import rules

PROBED = 200


@functools.cache
def delays(seed: int, most: int = PROBED) -> dict[tuple[int, bool], int]:
    """Return the delays of orders 1.. and (True) of cancels about them, ns."""
    book = _core.Book()
    desk = _core.Desk(book, rules(max_orders_per_second=50, stale_after_ms=10_000))
    now = 10**9
    desk.start(seed, mono_ns=now, utc_ns=now)
    frames = Frames()
    book.apply(frames.depth([("100", "1")], [("101", "1")]), now)
    assert book.offer_snapshot(frames.snapshot([], [], below=1)) in {"bridged", "waiting"}
    simulator = _core.Simulator(book, desk, seed=seed)
    found = {}
    for number in range(1, most + 1):
        book.apply(frames.depth([], []), now)
        desk.submit("buy", 10**8, 50 * 10**8, mono_ns=now, utc_ns=now)
        for cancel in (False, True):
            if cancel:
                desk.cancel(number, now, now)
            desk.committed(desk.next_events(100, 0)[-1][0], now)
            (simulator.cancel if cancel else simulator.submit)(number)
            simulator.step(now, now)
            due = simulator.next_due_ns()
            assert due is not None
            found[number, cancel] = due - now
            now = due
            simulator.step(now, now)
    return found

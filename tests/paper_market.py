"""Books and desks for tests that need no market beside them: a deep, still BTC/USDT book in the venue's own bytes."""

import json

from pytrader import Book, Desk, PaperDesk
from pytrader.paper import RULES


def depth(update_id, bids, asks):
    """Return a depth frame that follows update `update_id - 1`."""
    sides = {"b": bids, "a": asks}
    return json.dumps(
        {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": update_id, "u": update_id, **sides}, separators=(",", ":")
    ).encode()


def snapshot(update_id, bids, asks):
    """Return the REST snapshot at `update_id`."""
    return json.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks}).encode()


def ladder(price, sign, levels=20, size="1"):
    """Return levels a dollar apart, away from `price`."""
    return [[f"{price + sign * step}.00", size] for step in range(levels)]


def live_book(price=26_795, size="1", recv_ns=None):
    """Return a synchronised book, received now or then: bids at `price` and below, asks a dollar above."""
    book = Book()
    bids, asks = ladder(price, -1, size=size), ladder(price + 1, 1, size=size)
    book.apply(depth(8, bids[:1], asks[:1]), recv_ns)
    assert book.offer_snapshot(snapshot(7, bids, asks)) == "bridged"
    return book


def desk_on(book, now=(), **changes):
    """Return a desk started now, or at `now` (monotonic and UTC ns); nothing is committed yet."""
    desk = Desk(book, {**RULES, "stale_after_ms": 10_000, **changes})
    desk.start(1, False, *now)
    return desk


def paper_on(price=26_795, size="1", **changes):
    """Return a paper desk on the same book, on its own clock."""
    paper = PaperDesk(**changes)
    bids, asks = ladder(price, -1, size=size), ladder(price + 1, 1, size=size)
    paper.frame(depth(8, bids[:1], asks[:1]))
    assert paper.snapshot(snapshot(7, bids, asks)) == "bridged"
    return paper

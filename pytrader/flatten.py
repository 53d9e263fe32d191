"""Closing the position: cancel what rests, then reducing slices inside the limits until the desk is flat."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import orjson

from pytrader._core import format_e8
from pytrader.grammar import Order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrader.trader import Trader

SLICE_S = 2.0
LONGEST_S = 60.0
PAUSE_S = 0.05


def flatten(trader: Trader) -> Iterator[str]:
    """Close the position; yield one line of progress for each step. The last line says whether it is flat."""
    deadline = monotonic() + LONGEST_S
    trader.cancel_all()
    trader.wait_closed(SLICE_S)
    while (position := trader.position_e8()) != 0:
        if monotonic() > deadline:
            yield f"Not flat: position {format_e8(position)} is left after {LONGEST_S:.0f} s; try `flatten` again"
            return
        yield from _slice(trader, position)
    yield "Flat: the position is 0."


def _slice(trader: Trader, position: int) -> Iterator[str]:
    """Send one reducing order as large as passes; wait where the rate limit or the book says so."""
    side = "sell" if position > 0 else "buy"
    quantity = abs(position)
    verdict = trader.check(Order(side, quantity, reduce_only=True))
    if not verdict.accepted and verdict.detail is not None:
        refused = orjson.loads(verdict.detail)
        largest = trader.parse_quantity(refused["largest"]) if refused["largest"] else 0
        if largest == 0:
            waits = [breach.get("retry_after_ms", 0) for breach in refused["breaches"]]
            yield from _wait(trader, max(waits), refused["sentence"])
            return
        quantity = min(quantity, largest)
    ticket = trader.submit(Order(side, quantity, reduce_only=True))
    ticket.wait(SLICE_S)
    left = trader.position_e8()
    yield f"Flattening: {side.upper()} {format_e8(quantity)} sent, position now {format_e8(left)}"


def _wait(trader: Trader, wait_ms: int, sentence: str) -> Iterator[str]:
    if wait_ms == 0:
        yield sentence.replace("Order rejected:", "Flattening waits:")
    trader.pause(max(wait_ms / 1_000, PAUSE_S) if wait_ms else 1.0)

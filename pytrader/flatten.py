"""Closing the position: cancel what rests, then reducing slices inside the limits until the desk is flat."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from pytrader._core import format_e8, parse_e8
from pytrader.grammar import Order

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytrader.trader import Trader

SLICE_S = 2.0
LONGEST_S = 60.0
PAUSE_S = 1.0
# Refusals that pass by themselves; any other needs a person.
PASSING = frozenset({"RATE_LIMIT", "QUEUE_FULL", "BOOK_UNSYNCED", "BOOK_STALE", "BOOK_CROSSED", "NOT_REDUCING"})


def flatten(trader: Trader) -> Iterator[str]:
    """Close the position; yield one line of progress for each step. The last line says whether it is flat."""
    deadline = monotonic() + LONGEST_S
    trader.cancel_all()
    trader.wait_closed(SLICE_S)
    while (position := trader.position_e8()) != 0:
        if monotonic() > deadline:
            yield f"Not flat: position {format_e8(position)} is left after {LONGEST_S:.0f} s; try `flatten` again"
            return
        refused = yield from _slice(trader, position)
        if refused is not None:
            yield f"Not flat: position {format_e8(position)} is left. {refused}"
            return
    yield "Flat: the position is 0."


def _slice(trader: Trader, position: int) -> Generator[str, None, str | None]:
    """Send one reducing order; return the refusal that no waiting helps against, if there is one."""
    side = "sell" if position > 0 else "buy"
    quantity = abs(position)
    refused = _refusal(trader, Order(side, quantity, reduce_only=True))
    if refused is not None and refused["largest"] is not None:
        quantity = _even_slice(quantity, parse_e8(refused["largest"]), trader.step_e8)
        refused = _refusal(trader, Order(side, quantity, reduce_only=True))
    if refused is not None:
        return (yield from _wait(trader, refused))
    ticket = trader.submit(Order(side, quantity, reduce_only=True))
    ticket.wait_over(SLICE_S)
    if ticket.accepted:
        left = format_e8(trader.position_e8())
        yield f"Flattening: {side.upper()} {format_e8(quantity)} sent, position now {left}"
    return None


def _even_slice(position: int, largest: int, step: int) -> int:
    """Return slices of about equal size, so that the last is no dust that the venue would refuse."""
    count = -(-position // largest)
    return min(largest, -(-position // (count * step)) * step)


def _refusal(trader: Trader, order: Order) -> dict[str, Any] | None:
    detail = trader.check(order).detail
    return None if detail is None else orjson.loads(detail)


def _wait(trader: Trader, refused: dict[str, Any]) -> Generator[str, None, str | None]:
    sentence = str(refused["sentence"])
    codes = {breach["code"] for breach in refused["breaches"]} - {"NOTIONAL_EXCEEDS_MAX"}  # smaller slices help there
    if not codes or not codes <= PASSING:
        return sentence
    wait_ms = max(breach.get("retry_after_ms", 0) for breach in refused["breaches"])
    if not wait_ms:
        yield sentence.replace("Order rejected:", "Flattening waits:")
    trader.pause(wait_ms / 1_000 or PAUSE_S)
    return None

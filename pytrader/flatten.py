"""Closing the position: cancel what rests, then reducing slices inside every rule until the desk is flat."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from pytrader._core import format_e8, parse_e8
from pytrader.grammar import Order

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytrader._core import Verdict
    from pytrader.trader import Trader

SLICE_S = 2.0
LONGEST_S = 60.0  # without progress
PAUSE_S, AGAIN_S = 1.0, 0.05
# Refusals that pass by themselves; any other needs a person.
PASSING = frozenset(
    {
        *("RATE_LIMIT", "REPEATED_ORDER", "ATTEMPTS", "QUEUE_FULL", "BOOK_UNSYNCED", "BOOK_STALE", "BOOK_CROSSED"),
        *("NOT_REDUCING", "SELF_MATCH"),  # own orders that are still being cancelled
        "PRICE_BAND",  # a book so thin that not even a small slice stays inside: new levels come
    }
)
# Closed to whatever does not reduce: what stands beside NOT_REDUCING goes with it.
CLOSED = frozenset({"HALTED", "DAILY_LOSS"})
HINT = "; use `flatten` or `reduce`"
_Detail = dict[str, Any]


def flatten(trader: Trader) -> Iterator[str]:
    """Close the position; yield one line of progress for each step. The last line says whether it is flat.

    Flat is only said once the journal has it that the position is 0 and no order is open.
    """
    trader.cancel_all()
    trader.wait_closed(SLICE_S)
    deadline, least, told = monotonic() + LONGEST_S, abs(trader.position_e8()), ""
    while not trader.is_flat():
        if monotonic() > deadline:
            yield f"Not flat: {_left(trader)} after {LONGEST_S:.0f} s; try `flatten` again"
            return
        said, gives_up = yield from _step(trader, told)
        if gives_up is not None:
            yield f"Not flat: position {format_e8(trader.position_e8())} is left. {gives_up}"
            return
        told = said
        if (held := abs(trader.position_e8())) < least:
            deadline, least = monotonic() + LONGEST_S, held
    yield "Flat: the position is 0."


def _left(trader: Trader) -> str:
    """Return what keeps the desk from being flat."""
    position, count = trader.position_e8(), trader.open_orders()
    if position:
        return f"position {format_e8(position)} is left"
    if count:
        return f"the position is 0, but {count} {'order is' if count == 1 else 'orders are'} still open"
    return "the position is 0, but the journal does not have it"


def _step(trader: Trader, told: str) -> Generator[str, None, tuple[str, str | None]]:
    """Do the next thing that helps; return what it waits for, and the refusal that no waiting helps against."""
    position = trader.position_e8()
    if not position:  # an order that is open may still be filled: nothing is flat before it has ended
        text = f"Flattening waits: {_left(trader)}"
        yield from _once(text, told)
        trader.wait_closed(PAUSE_S)
        return text, None
    order, refused = _slice(trader, position)
    if refused is None:
        ticket = trader.submit(order)
        if ticket.accepted:
            ticket.wait_over(SLICE_S)
            left = format_e8(trader.position_e8())
            yield f"Flattening: {order.side.upper()} {format_e8(order.quantity_e8)} sent, position now {left}"
            return "", None
        refused = _detail(ticket.verdict)
    return (yield from _wait(trader, refused, told))


def _slice(trader: Trader, position: int) -> tuple[Order, _Detail | None]:
    """Return a reducing order that is as large as the rules allow, and why it would be refused all the same."""
    whole = abs(position) - abs(position) % trader.step_e8 or abs(position)  # less than a lot cannot be sent
    order = Order("sell" if position > 0 else "buy", whole, reduce_only=True)
    verdict = trader.check(order)
    if verdict.accepted:
        return order, None
    refused = _detail(verdict)
    if refused["largest"] is None:
        return order, refused
    quantity = _even_slice(whole, parse_e8(refused["largest"]), trader.step_e8)
    order = Order(order.side, quantity, reduce_only=True)
    verdict = trader.check(order)
    return order, None if verdict.accepted else _detail(verdict)


def _even_slice(position: int, largest: int, step: int) -> int:
    """Return slices of about equal size, so that the last is no dust that the venue would refuse."""
    count = -(-position // largest)
    return min(largest, -(-position // (count * step)) * step)


def _detail(verdict: Verdict) -> _Detail:
    facts: _Detail = orjson.loads(verdict.detail or "{}")
    return {"breaches": [], "largest": None, "sentence": str(verdict.reason), **facts}


def _wait(trader: Trader, refused: _Detail, told: str) -> Generator[str, None, tuple[str, str | None]]:
    """Wait for what stands against a slice, if it passes by itself."""
    sentence = str(refused["sentence"]).replace(HINT, "")
    if refused["largest"] is not None:  # the market has moved since the slice was cut
        trader.pause(AGAIN_S)
        return told, None
    codes = {breach["code"] for breach in refused["breaches"]} - {"NOTIONAL_EXCEEDS_MAX"}  # smaller slices help there
    if "NOT_REDUCING" in codes:
        codes -= CLOSED
    if not codes or not codes <= PASSING:
        return "", sentence
    wait_s = max(breach.get("retry_after_ms", 0) for breach in refused["breaches"]) / 1_000
    text = told if 0 < wait_s <= PAUSE_S else sentence.replace("Order rejected:", "Flattening waits:")
    yield from _once(text, told)
    if "SELF_MATCH" in codes:
        trader.wait_closed(PAUSE_S)
    else:
        trader.pause(wait_s or PAUSE_S)
    return text, None


def _once(text: str, told: str) -> Iterator[str]:
    """Say what is waited for, unless it was the last thing said."""
    if text != told:
        yield text

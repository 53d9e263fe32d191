"""What happens in the market, in no exchange's words.

Times are virtual ns, prices ticks (0.01 USDT), sizes lots (0.00001 BTC).
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

Levels: TypeAlias = Sequence[tuple[int, int]]  # (tick, lots), best first; in changes 0 lots means the level is gone


class Top(NamedTuple):
    """The best prices or sizes changed; the book stands at `update_id`."""

    at_ns: int
    update_id: int
    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class Trades(NamedTuple):
    """One market order's trades, best price first, numbered from `first_id`; after it the book is at `update_id`."""

    at_ns: int
    update_id: int
    first_id: int
    fills: Sequence[tuple[int, int]]
    buys: bool


class Cut(NamedTuple):
    """Every level changed by the updates `first_id` to `last_id`: those of 100 ms, or of a second when `slow`."""

    at_ns: int
    first_id: int
    last_id: int
    bids: Levels
    asks: Levels
    slow: bool


Happening: TypeAlias = Top | Trades | Cut

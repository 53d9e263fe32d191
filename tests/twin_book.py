"""An order book of two dictionaries, to hold the engine's against: nothing here is shared with it."""

from __future__ import annotations

import heapq
from decimal import Decimal


def e8(text: str) -> int:
    """Return a decimal text as a multiple of 10⁻⁸, exactly."""
    value = Decimal(text).scaleb(8)
    assert value == int(value), text
    return int(value)


class TwinBook:
    """Prices and quantities as multiples of 10⁻⁸, by side; quantity 0 removes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def change(self, side: str, price: str, quantity: str) -> None:
        """Set one level of "bid" or "ask", or remove it."""
        levels = self.bids if side == "bid" else self.asks
        if e8(quantity):
            levels[e8(price)] = e8(quantity)
        else:
            levels.pop(e8(price), None)

    def best(self, count: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best levels of both sides, best first."""
        bids, asks = heapq.nlargest(count, self.bids), heapq.nsmallest(count, self.asks)
        return [(price, self.bids[price]) for price in bids], [(price, self.asks[price]) for price in asks]

    def top(self) -> tuple[int, int, int, int]:
        """Return bid, its quantity, ask and its quantity."""
        (bid, ask) = max(self.bids), min(self.asks)
        return bid, self.bids[bid], ask, self.asks[ask]

"""An order book as anyone would write it first: two dictionaries. Slow, and too simple to be wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytrader._core import Book

# What a book publishes, levels a side.
PUBLISHED = 100


def e8(text: str) -> int:
    """Return a decimal text as an integer of 10⁻⁸."""
    return int(Decimal(text).scaleb(8))


class DullBook:
    """Bids and asks, by price."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.sides: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}

    def take(self, *, whole: bool, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        """Apply one frame, which replaces everything if it is `whole`."""
        for side, levels in (("bid", bids), ("ask", asks)):
            book = {} if whole else self.sides[side]
            book.update({e8(price): e8(size) for price, size, *_ in levels})
            self.sides[side] = {price: size for price, size in book.items() if size}

    def levels(self, side: str) -> list[tuple[int, int]]:
        """Return all levels of a side, best first."""
        return sorted(self.sides[side].items(), reverse=side == "bid")


def all_levels(book: Book, remove: Callable[[list[int], list[int]], bytes]) -> dict[str, list[tuple[int, int]]]:
    """Return every level of `book`, which it is emptied for: what it publishes is taken out until nothing is left.

    `remove` makes the frame that takes the bids and asks of these prices out.
    """
    found: dict[str, list[tuple[int, int]]] = {"bid": [], "ask": []}
    while any(seen := [book.levels(side, PUBLISHED) for side in found]):
        for side, levels in zip(found, seen, strict=True):
            found[side] += levels
        bids, asks = ([price for price, _ in levels] for levels in seen)
        assert book.apply(remove(bids, asks)) == "depth"
    return found

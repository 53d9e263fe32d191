"""The venues by name. A new one is its file and one line here."""

from __future__ import annotations

from typing import Protocol

from pytrader.venues.binance import Binance
from pytrader.venues.venue import Instrument, KeepAlive, Venue, VenueError


class MakeVenue(Protocol):
    """How a venue is made: a symbol, and where to reach it if not at its public hosts."""

    def symbol_of(self, base: str, quote: str) -> str:
        """Return the symbol of the market of `base` against `quote`, as the venue writes it."""

    def __call__(self, symbol: str = ..., stream_base: str = ..., rest_base: str = ...) -> Venue:
        """Return the venue's words for `symbol`."""


VENUES: dict[str, MakeVenue] = {
    "binance": Binance,
}

__all__ = ["VENUES", "Binance", "Instrument", "KeepAlive", "MakeVenue", "Venue", "VenueError"]

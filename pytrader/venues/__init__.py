"""The venues by name. A new one is its file and one line here."""

from __future__ import annotations

from typing import Protocol

from pytrader.venues.binance import Binance
from pytrader.venues.binance_sbe import BinanceSbe
from pytrader.venues.binance_usdm import BinanceUsdm
from pytrader.venues.bybit import Bybit
from pytrader.venues.coinbase import Coinbase
from pytrader.venues.okx import Okx
from pytrader.venues.venue import Instrument, KeepAlive, Venue, VenueError


class MakeVenue(Protocol):
    """How a venue is made: a symbol, and where to reach it if not at its public hosts."""

    def __call__(self, symbol: str = ..., stream_base: str = ..., rest_base: str = ...) -> Venue:
        """Return the venue's words for `symbol`."""

    @staticmethod
    def symbol_of(base: str, quote: str) -> str:
        """Return the venue's name of the market of two assets, in upper case: "BTCUSDT"."""


VENUES: dict[str, MakeVenue] = {
    "binance": Binance,
    "bybit": Bybit,
    "okx": Okx,
    "coinbase": Coinbase,
    "binance-sbe": BinanceSbe,
    "binance-usdm": BinanceUsdm,
}


def spelled(venue: str, symbol: str) -> str:
    """Return `symbol` as the venue writes it: BASE/QUOTE is put in its words, any other text is taken for them.

    Raises KeyError for a venue that is not in the registry.
    """
    symbol_of = VENUES[venue].symbol_of
    base, slash, quote = symbol.partition("/")
    return symbol_of(base, quote) if slash else symbol


__all__ = [
    "VENUES",
    "Binance",
    "BinanceSbe",
    "BinanceUsdm",
    "Bybit",
    "Coinbase",
    "Instrument",
    "KeepAlive",
    "MakeVenue",
    "Okx",
    "Venue",
    "VenueError",
    "spelled",
]

"""Binance spot, in its own words. Only its data hosts: they serve public market data and take no orders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

import orjson

from pytrader.venues.venue import (
    Instrument,
    OpenVenue,
    VenueError,
    asset,
    held_ns,
    most_e8,
    positive_e8,
    read_json,
    row_of,
    usual_advices,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STREAM_BASE = "wss://data-stream.binance.vision"
REST_BASE = "https://data-api.binance.vision"
# The most that Binance gives; a level beyond it is unknown until it changes. Costs 250 of 6,000 a minute.
SNAPSHOT_LEVELS = 5_000
AUDIT_LEVELS = 1_000  # costs 50

# Milliseconds, or microseconds where the stream was asked for them (timeUnit=MICROSECOND).
_EVENT_TIME = re.compile(rb'"E": ?([0-9]{16}|[0-9]{1,13})\b')

_REFUSED = "'s firewall refused this address: wait some minutes, and try without VPN or proxy"
_BANNED = "Binance banned this address for asking too often: the feed waits as long as it was told to"


@dataclass(frozen=True, slots=True)
class Binance(OpenVenue):
    """One spot symbol. The bases can point elsewhere: the offline market speaks the same protocol on loopback."""

    name: ClassVar[str] = "binance"
    advices: ClassVar[Mapping[int, str]] = {**usual_advices("Binance", _REFUSED), 418: _BANNED}

    symbol: str = "BTCUSDT"
    stream_base: str = STREAM_BASE
    rest_base: str = REST_BASE

    @staticmethod
    def symbol_of(base: str, quote: str) -> str:
        """Return Binance's name of a market: "BTCUSDT"."""
        return base + quote

    def stream_url(self) -> str:
        """Return the combined stream of bookTicker, depth each 100 ms and trades."""
        return f"{self.stream_base.rstrip('/')}/stream?streams={'/'.join(self._streams())}"

    def opening_texts(self) -> Sequence[str]:
        """Return nothing: the address subscribes."""
        return []

    def resubscribe_texts(self) -> Sequence[str]:
        """Return SUBSCRIBE for the same three streams."""
        return [orjson.dumps({"method": "SUBSCRIBE", "params": self._streams(), "id": 1}).decode()]

    def snapshot_url(self) -> str:
        """Return the depth snapshot's address, 5,000 levels a side."""
        return self._rest("depth", limit=str(SNAPSHOT_LEVELS))

    def audit_url(self) -> str:
        """Return the depth snapshot's address, 1,000 levels a side."""
        return self._rest("depth", limit=str(AUDIT_LEVELS))

    def instrument_url(self) -> str:
        """Return exchangeInfo's address for the one symbol."""
        return self._rest("exchangeInfo")

    def parse_instrument(self, body: bytes) -> Instrument:
        """Return tick, step and minima of the symbol in an exchangeInfo answer. Raise VenueError without them."""
        try:
            row = row_of(read_json(body)["symbols"], "symbol", self.symbol)
            return _instrument(row, {rule["filterType"]: rule for rule in row["filters"]})
        except (KeyError, TypeError) as error:
            raise VenueError(f"exchangeInfo lacks {error}") from error

    def event_ns(self, frame: bytes) -> int | None:
        """Return `E` of a depth frame or a trade; a bookTicker has none."""
        found = _EVENT_TIME.search(frame)
        if found is None:
            return None
        return held_ns(int(found[1]) * (1_000 if len(found[1]) == 16 else 1_000_000))

    def _streams(self) -> list[str]:
        name = self.symbol.lower()
        return [f"{name}@bookTicker", f"{name}@depth@100ms", f"{name}@trade"]

    def _rest(self, method: str, **more: str) -> str:
        return f"{self.rest_base.rstrip('/')}/api/v3/{method}?{urlencode({'symbol': self.symbol, **more})}"


def _instrument(row: Mapping[str, Any], rules: Mapping[str, Mapping[str, Any]]) -> Instrument:
    notional = rules.get("NOTIONAL") or rules["MIN_NOTIONAL"]
    return Instrument(
        symbol=row["symbol"],
        base=asset(row, "baseAsset"),
        quote=asset(row, "quoteAsset"),
        tick_e8=positive_e8(rules["PRICE_FILTER"], "tickSize"),
        step_e8=positive_e8(rules["LOT_SIZE"], "stepSize"),
        min_quantity_e8=positive_e8(rules["LOT_SIZE"], "minQty"),
        max_quantity_e8=most_e8(rules["LOT_SIZE"], "maxQty"),
        # Futures call it otherwise.
        min_notional_e8=positive_e8(notional, "minNotional" if "minNotional" in notional else "notional"),
        trading=row["status"] == "TRADING",
    )

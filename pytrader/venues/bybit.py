"""Bybit v5 spot, in its own words. Only its public market data: no path here knows an account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

import orjson

from pytrader.venues.venue import (
    AskedVenue,
    Instrument,
    KeepAlive,
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
    from collections.abc import Mapping

# Whole addresses, so that whoever looks for a trading address in this tree sees host and path together.
_STREAM_PATH, _REST_PATH = "/v5/public/spot", "/v5/market/"
STREAM_BASE = "wss://stream.bybit.com/v5/public/spot".removesuffix(_STREAM_PATH)
REST_BASE = "https://api.bybit.com/v5/market/".removesuffix(_REST_PATH)
# Levels a side of the streamed book, each 100 ms; the answer for an audit has as many.
LEVELS = 200

# When the message was sent, milliseconds. (`cts`, the matching engine's time, stands in no trade.)
_EVENT_TIME = re.compile(rb'"ts": ?([0-9]{1,13})\b')

_ADVICES = usual_advices(
    "Bybit",
    " refused this address: it was asked too often (wait 10 minutes), or it does not serve this location",
)


@dataclass(frozen=True, slots=True)
class Bybit(AskedVenue):
    """One spot symbol. The bases can point elsewhere: the offline market speaks the same protocol on loopback."""

    name: ClassVar[str] = "bybit"
    advices: ClassVar[Mapping[int, str]] = _ADVICES
    bans_s: ClassVar[Mapping[int, float]] = {403: 600.0}  # bybit-exchange.github.io/docs/v5/rate-limit

    symbol: str = "BTCUSDT"
    stream_base: str = STREAM_BASE
    rest_base: str = REST_BASE

    @staticmethod
    def symbol_of(base: str, quote: str) -> str:
        """Return Bybit's name of a market: "BTCUSDT"."""
        return base + quote

    def stream_url(self) -> str:
        """Return the public spot stream, which sends nothing before it is asked to."""
        return self.stream_base.rstrip("/") + _STREAM_PATH

    def keep_alive(self) -> KeepAlive | None:
        """Return Bybit's ping, each 20 s: it ends a connection without one after 10 minutes."""
        return KeepAlive('{"op":"ping"}', 20.0)

    def snapshot_url(self) -> str | None:
        """Return nothing: snapshots come on the stream."""
        return None

    def audit_url(self) -> str | None:
        """Return the order book's address. Its `seq` compares with the stream's; its `u` is of another topic."""
        return self._rest("orderbook", limit=str(LEVELS))

    def instrument_url(self) -> str:
        """Return instruments-info's address for the one symbol."""
        return self._rest("instruments-info")

    def parse_instrument(self, body: bytes) -> Instrument:
        """Return tick, step and bounds of the symbol in an instruments-info answer. Raise VenueError without them."""
        try:
            answer = read_json(body)
            if answer["retCode"] != "0":
                raise VenueError(f"Bybit refused: {answer['retMsg']} ({answer['retCode']})")
            row = row_of(answer["result"]["list"], "symbol", self.symbol)
            return _instrument(row, row["lotSizeFilter"])
        except (KeyError, TypeError) as error:
            raise VenueError(f"instruments-info lacks {error}") from error

    def event_ns(self, frame: bytes) -> int | None:
        """Return when Bybit sent a frame of a topic (`ts`); answers carry no time."""
        found = _EVENT_TIME.search(frame)
        return None if found is None else held_ns(int(found[1]) * 1_000_000)

    def asking(self, op: str) -> str:
        """Return the request to `op` all three."""
        topics = ["orderbook.1", f"orderbook.{LEVELS}", "publicTrade"]
        return orjson.dumps({"op": op, "args": [f"{topic}.{self.symbol}" for topic in topics]}).decode()

    def _rest(self, method: str, **more: str) -> str:
        asked = urlencode({"category": "spot", "symbol": self.symbol, **more})
        return f"{self.rest_base.rstrip('/')}{_REST_PATH}{method}?{asked}"


def _instrument(row: Mapping[str, Any], lot: Mapping[str, Any]) -> Instrument:
    step_e8 = positive_e8(lot, "basePrecision")
    return Instrument(
        symbol=row["symbol"],
        base=asset(row, "baseCoin"),
        quote=asset(row, "quoteCoin"),
        tick_e8=positive_e8(row["priceFilter"], "tickSize"),
        step_e8=step_e8,
        # Bybit announced that minOrderQty goes: one step is then the least.
        min_quantity_e8=positive_e8(lot, "minOrderQty") if "minOrderQty" in lot else step_e8,
        # The bounds of limit and market orders differ; what keeps to the smaller one keeps to both.
        max_quantity_e8=min(most_e8(lot, "maxLimitOrderQty"), most_e8(lot, "maxMarketOrderQty")),
        min_notional_e8=positive_e8(lot, "minOrderAmt"),
        trading=row["status"] == "Trading",
    )

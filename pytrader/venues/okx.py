"""OKX v5 spot, in its own words. Only its public channels and market data: no path here knows an account."""

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

# Whole addresses, so that whoever looks for a trading address in this tree sees host and path together. Port 443: OKX
# closes 8443, which many examples still name.
_STREAM_PATH, _MARKET_PATH, _PUBLIC_PATH = "/ws/v5/public", "/api/v5/market/", "/api/v5/public/"
STREAM_BASE = "wss://ws.okx.com/ws/v5/public".removesuffix(_STREAM_PATH)
REST_BASE = "https://openapi.okx.com/api/v5/market/".removesuffix(_MARKET_PATH)
# Levels a side, of the streamed book and of the fetched one: the most that OKX gives.
LEVELS = 400

_CHANNELS = ("bbo-tbt", "books", "trades")
# Milliseconds, as a text.
_EVENT_TIME = re.compile(rb'"ts": ?"([0-9]{1,13})"')

_ADVICES = usual_advices("OKX", "'s firewall refused this address: wait some minutes, and try without VPN or proxy")


@dataclass(frozen=True, slots=True)
class Okx(AskedVenue):
    """One spot symbol. The bases can point elsewhere: the offline market speaks the same protocol on loopback."""

    name: ClassVar[str] = "okx"
    advices: ClassVar[Mapping[int, str]] = _ADVICES

    symbol: str = "BTC-USDT"
    stream_base: str = STREAM_BASE
    rest_base: str = REST_BASE

    @staticmethod
    def symbol_of(base: str, quote: str) -> str:
        """Return OKX's name of a market: "BTC-USDT"."""
        return f"{base}-{quote}"

    def stream_url(self) -> str:
        """Return the public stream, which sends nothing before it is asked to."""
        return self.stream_base.rstrip("/") + _STREAM_PATH

    def keep_alive(self) -> KeepAlive | None:
        """Return OKX's ping, each 20 s: it ends a connection that was silent for 30 s."""
        return KeepAlive("ping", 20.0)

    def snapshot_url(self) -> str | None:
        """Return the book's address: the stream may begin without a snapshot."""
        return self._rest(_MARKET_PATH + "books", sz=str(LEVELS))

    def audit_url(self) -> str | None:
        """Return the book's address."""
        return self.snapshot_url()

    def instrument_url(self) -> str:
        """Return the address of the one symbol's rules."""
        return self._rest(_PUBLIC_PATH + "instruments", instType="SPOT")

    def parse_instrument(self, body: bytes) -> Instrument:
        """Return tick, step and bounds of the symbol in an answer about instruments. Raise VenueError without them."""
        try:
            answer = read_json(body)
            if answer["code"] != "0":
                raise VenueError(f"OKX refused: {answer['msg']} ({answer['code']})")
            return _instrument(row_of(answer["data"], "instId", self.symbol))
        except (KeyError, TypeError) as error:
            raise VenueError(f"instruments lacks {error}") from error

    def event_ns(self, frame: bytes) -> int | None:
        """Return the time of a book, a top or a trade (`ts`); answers and notices carry none."""
        found = _EVENT_TIME.search(frame)
        return None if found is None else held_ns(int(found[1]) * 1_000_000)

    def asking(self, op: str) -> str:
        """Return the request to `op` all three."""
        args = [{"channel": channel, "instId": self.symbol} for channel in _CHANNELS]
        return orjson.dumps({"op": op, "args": args}).decode()

    def _rest(self, path: str, **more: str) -> str:
        return f"{self.rest_base.rstrip('/')}{path}?{urlencode({'instId': self.symbol, **more})}"


def _instrument(row: Mapping[str, Any]) -> Instrument:
    return Instrument(
        symbol=row["instId"],
        base=asset(row, "baseCcy"),
        quote=asset(row, "quoteCcy"),
        tick_e8=positive_e8(row, "tickSz"),
        step_e8=positive_e8(row, "lotSz"),
        min_quantity_e8=positive_e8(row, "minSz"),
        # Of limit orders: the bound of market orders counts quote, and can be empty. Most markets say 999999999999.
        max_quantity_e8=most_e8(row, "maxLmtSz"),
        min_notional_e8=1,  # OKX has no least notional
        trading=row["state"] == "live",
    )

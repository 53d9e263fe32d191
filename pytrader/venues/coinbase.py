"""Coinbase Advanced Trade, in its own words. Only its public market data: no path here knows an account."""

from __future__ import annotations

import re
from calendar import timegm
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

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
    usual_advices,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Whole addresses, so that whoever looks for a trading address in this tree sees host and path together.
_PRODUCTS = "/api/v3/brokerage/market/products/"
STREAM_BASE = "wss://advanced-trade-ws.coinbase.com"
REST_BASE = "https://api.coinbase.com/api/v3/brokerage/market/products/".removesuffix(_PRODUCTS)

# When the message was sent, UTC with up to nine decimals. (An update's own event_time is older, and each row has one.)
_SENT = re.compile(
    rb'"timestamp": ?"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z"'
)
# Any of them, and the product takes no order that fills at once.
_CLOSED = ("trading_disabled", "is_disabled", "cancel_only", "post_only", "view_only", "auction_mode")

_ADVICES = usual_advices("Coinbase", " refused this address: try without VPN or proxy")


@dataclass(frozen=True, slots=True)
class Coinbase(OpenVenue):
    """One spot product. The bases can point elsewhere: the offline market speaks the same protocol on loopback."""

    name: ClassVar[str] = "coinbase"
    message_max: ClassVar[int] = 16 << 20  # the whole book comes at once
    advices: ClassVar[Mapping[int, str]] = _ADVICES

    symbol: str = "BTC-USDT"
    stream_base: str = STREAM_BASE
    rest_base: str = REST_BASE

    @staticmethod
    def symbol_of(base: str, quote: str) -> str:
        """Return Coinbase's name of a market: "BTC-USDT"."""
        return f"{base}-{quote}"

    def stream_url(self) -> str:
        """Return the market-data stream, which is closed unless it is asked for something within 5 s."""
        return self.stream_base.rstrip("/")

    def opening_texts(self) -> Sequence[str]:
        """Return the subscriptions, one a channel. Heartbeats keep the others open when nothing happens."""
        return [self._asking("subscribe", channel) for channel in ("heartbeats", "level2", "market_trades")]

    def resubscribe_texts(self) -> Sequence[str]:
        """Return the book's end and new beginning, which brings a snapshot, and the other subscriptions again."""
        return [self._asking("unsubscribe", "level2"), *self.opening_texts()]

    def snapshot_url(self) -> str | None:
        """Return nothing: snapshots come on the stream, and the public answers lag behind it by a cache."""
        return None

    def audit_url(self) -> str | None:
        """Return nothing: no public answer has a number that compares with the stream's."""
        return None

    def instrument_url(self) -> str:
        """Return the product's address."""
        return f"{self.rest_base.rstrip('/')}{_PRODUCTS}{self.symbol}"

    def parse_instrument(self, body: bytes) -> Instrument:
        """Return tick, step and bounds of the product. Raise VenueError without them, or if it is another's alias."""
        try:
            row = read_json(body)
            if row["product_id"] != self.symbol:
                raise VenueError(f"asked for {self.symbol}, and the answer is about {row['product_id']}")
            if alias := row.get("alias"):
                raise VenueError(f"{self.symbol} shares the book of {alias}, which its frames name: use symbol {alias}")
            return _instrument(row)
        except (KeyError, TypeError, AttributeError) as error:
            raise VenueError(f"the product lacks {error}") from error

    def event_ns(self, frame: bytes) -> int | None:
        """Return when Coinbase sent a message; an error carries no time, and neither does one of a 13th month."""
        found = _SENT.search(frame)
        if found is None:
            return None
        try:
            seconds = timegm(tuple(int(part) for part in found.groups()[:6]))
        except ValueError:
            return None
        return held_ns(seconds * 1_000_000_000 + int((found[7] or b"0").ljust(9, b"0")))

    def _asking(self, what: str, channel: str) -> str:
        return orjson.dumps({"type": what, "product_ids": [self.symbol], "channel": channel}).decode()


def _instrument(row: Mapping[str, Any]) -> Instrument:
    return Instrument(
        symbol=row["product_id"],
        base=asset(row, "base_currency_id"),
        quote=asset(row, "quote_currency_id"),
        tick_e8=positive_e8(row, "price_increment"),
        step_e8=positive_e8(row, "base_increment"),
        min_quantity_e8=positive_e8(row, "base_min_size"),
        max_quantity_e8=most_e8(row, "base_max_size"),
        min_notional_e8=positive_e8(row, "quote_min_size"),
        trading=row["status"] == "online" and not any(row.get(word) for word in _CLOSED),
    )

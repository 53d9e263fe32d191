"""Binance spot's binary market streams, in its own words. Its host serves market data alone, and wants a key for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pytrader.venues.binance import REST_BASE, Binance
from pytrader.venues.venue import VenueError, held_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrader.setting_kinds import Secret

# The whole address, so that whoever looks for a trading address in this tree sees host and path together.
STREAM_BASE = "wss://stream-sbe.binance.com/stream".removesuffix("/stream")
_SCHEMA = (1).to_bytes(2, "little")
_NO_KEY = (
    "venue binance-sbe needs an Ed25519 API key of Binance (no permission, no signature): make one in Binance's API "
    "management and set BINANCE_SBE_API_KEY in the environment or .env, or take venue binance, which needs none"
)
_BAD_KEY = "the key for venue binance-sbe must be of 1 to 256 visible ASCII characters: set BINANCE_SBE_API_KEY again"


@dataclass(frozen=True, slots=True)
class BinanceSbe(Binance):
    """One spot symbol by its binary streams: depth each 20 ms. Snapshots and rules come as for the text streams."""

    name: ClassVar[str] = "binance-sbe"

    symbol: str = "BTCUSDT"
    stream_base: str = STREAM_BASE
    rest_base: str = REST_BASE
    api_key: Secret | None = field(default=None, repr=False)

    def headers(self) -> Mapping[str, str]:
        """Return the key's header. Raise VenueError, which says what to do, without a key that can be sent."""
        if self.api_key is None:
            raise VenueError(_NO_KEY)
        text = self.api_key.reveal()
        if not re.fullmatch("[!-~]{1,256}", text):
            raise VenueError(_BAD_KEY)
        return {"X-MBX-APIKEY": text}

    def event_ns(self, frame: bytes) -> int | None:
        """Return the event's time in a binary frame (it stands first), or `E` of a text."""
        if frame[4:6] != _SCHEMA:
            return Binance.event_ns(self, frame)
        return held_ns(int.from_bytes(frame[8:16], "little", signed=True) * 1_000) if len(frame) >= 16 else None

    def _streams(self) -> list[str]:
        name = self.symbol.lower()
        return [f"{name}@bestBidAsk", f"{name}@depth", f"{name}@trade"]

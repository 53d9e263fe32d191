"""Binance USD-M futures, in its own words. Only its public streams and answers: no path here knows an account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

from pytrader.venues.binance import Binance

# Whole addresses, so that whoever looks for a trading address in this tree sees host and path together. Binance took
# the paths without /public out of service in April 2026.
_STREAM_PATH = "/public/stream"
STREAM_BASE = "wss://fstream.binance.com/public/stream".removesuffix(_STREAM_PATH)
REST_BASE = "https://fapi.binance.com/fapi/v1/depth".removesuffix("/fapi/v1/depth")
# The most that the futures give.
SNAPSHOT_LEVELS = 1_000


@dataclass(frozen=True, slots=True)
class BinanceUsdm(Binance):
    """One futures symbol. The streams are spot's by name; their frames name the frame that they follow."""

    name: ClassVar[str] = "binance-usdm"

    symbol: str = "BTCUSDT"
    stream_base: str = STREAM_BASE
    rest_base: str = REST_BASE

    def stream_url(self) -> str:
        """Return the combined stream of bookTicker, depth each 100 ms and trades."""
        return f"{self.stream_base.rstrip('/')}{_STREAM_PATH}?streams={'/'.join(self._streams())}"

    def snapshot_url(self) -> str:
        """Return the depth snapshot's address, 1,000 levels a side."""
        return self._rest("depth", limit=str(SNAPSHOT_LEVELS))

    def instrument_url(self) -> str:
        """Return exchangeInfo's address; it tells every symbol, whatever is asked."""
        return f"{self.rest_base.rstrip('/')}/fapi/v1/exchangeInfo"

    def _rest(self, method: str, **more: str) -> str:
        return f"{self.rest_base.rstrip('/')}/fapi/v1/{method}?{urlencode({'symbol': self.symbol, **more})}"

"""Which dialects there are, and which of them a request is for."""

from dataclasses import dataclass

from pytrader.sandbox.dialects.binance import Binance
from pytrader.sandbox.dialects.binance_sbe import BinanceSbe
from pytrader.sandbox.dialects.binance_usdm import BinanceUsdm
from pytrader.sandbox.dialects.bybit import Bybit
from pytrader.sandbox.dialects.coinbase import Coinbase
from pytrader.sandbox.dialects.dialect import Asked, Dialect
from pytrader.sandbox.dialects.okx import CHECKSUMS, Okx
from pytrader.sandbox.market import Market

__all__ = ["CHECKSUMS", "Options", "every", "of_rest", "of_stream"]


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen about a dialect."""

    okx_checksum: str = "zero"  # one of `CHECKSUMS`
    okx_snapshot: bool = True  # whether a subscription to `books` begins with one


def every(market: Market, options: Options | None = None) -> list[Dialect]:
    """Return every dialect over `market`; the last one, Binance spot, takes the requests that nobody else does."""
    chosen = options or Options()
    okx = Okx(market, checksum=chosen.okx_checksum, snapshot=chosen.okx_snapshot)
    return [Bybit(market), okx, Coinbase(market), BinanceUsdm(market), BinanceSbe(market), Binance(market)]


def of_stream(dialects: list[Dialect], asked: Asked) -> Dialect | None:
    """Return the dialect that takes this WebSocket upgrade, or None."""
    return next((dialect for dialect in dialects if dialect.takes_stream(asked)), None)


def of_rest(dialects: list[Dialect], path: str) -> Dialect:
    """Return the dialect of a REST path."""
    return next((dialect for dialect in dialects if path.startswith(dialect.rest_prefixes)), dialects[-1])

"""The REST side in Binance's shapes: pure answers from a market, no socket."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pytrader.sandbox import frames
from pytrader.sandbox.book import Book
from pytrader.sandbox.dialects.reading import read_count

MOST_LEVELS: Final = 5_000
DEFAULT_LEVELS: Final = 100
Query: TypeAlias = Mapping[str, str]
JSON: Final = "application/json;charset=UTF-8"

_FILTERS: Final = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "100.00000000", "stepSize": "0.00000000"},
    {
        "filterType": "NOTIONAL",
        "minNotional": "5.00000000",
        "applyMinToMarket": True,
        "maxNotional": "9000000.00000000",
        "applyMaxToMarket": False,
        "avgPriceMins": 5,
    },
]
_RATE_LIMITS: Final = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
]


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: int, message: str) -> Reply:
    """Return an error in the exchange's shape, for example `{"code":-1121,"msg":"Invalid symbol."}`."""
    return Reply(status, json.dumps({"code": code, "msg": message}, separators=(",", ":")))


def answer(method: str, path: str, query: Query, book: Book, now_ms: int) -> Reply:
    """Answer one request for market data; `now_ms` is the exchange's clock, UTC."""
    if method != "GET":
        return error(405, -1000, f"{method} is not supported here.")
    answered = _PATHS.get(path)
    return answered(query, book, now_ms) if answered else error(404, -1000, f"No such path: {path}")


def _ping(_query: Query, _book: Book, _now_ms: int) -> Reply:
    return Reply(200, "{}")


def _time(_query: Query, _book: Book, now_ms: int) -> Reply:
    return Reply(200, f'{{"serverTime":{now_ms}}}')


def _symbol_error(query: Query) -> Reply | None:
    symbol = query.get("symbol")
    if not symbol:
        return error(400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    return None if symbol == frames.SYMBOL else error(400, -1121, "Invalid symbol.")


def _depth(query: Query, book: Book, _now_ms: int) -> Reply:
    limit = query.get("limit", str(DEFAULT_LEVELS))
    if refused := _symbol_error(query):
        return refused
    if (count := read_count(limit, 999_999)) is None:
        return error(400, -1100, "Illegal characters found in parameter 'limit'; legal range is '1' to '5000'.")
    count = min(count, MOST_LEVELS)
    return Reply(200, frames.snapshot(book.update_id, book.bids.top(count), book.asks.top(count)))


def _book_ticker(query: Query, book: Book, _now_ms: int) -> Reply:
    if refused := _symbol_error(query):
        return refused
    bid, bid_lots, ask, ask_lots = book.top()
    ticker = {
        "symbol": frames.SYMBOL,
        "bidPrice": frames.price_text(bid),
        "bidQty": frames.quantity_text(bid_lots),
        "askPrice": frames.price_text(ask),
        "askQty": frames.quantity_text(ask_lots),
    }
    return Reply(200, json.dumps(ticker, separators=(",", ":")))


def _exchange_info(query: Query, _book: Book, now_ms: int) -> Reply:
    if "symbol" in query and (refused := _symbol_error(query)):
        return refused
    symbol = {
        "symbol": frames.SYMBOL,
        "status": "TRADING",
        "baseAsset": "BTC",
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "filters": _FILTERS,
        "permissions": [],
    }
    info = {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": _RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": [symbol],
    }
    return Reply(200, json.dumps(info, separators=(",", ":")))


_PATHS: Final[dict[str, Callable[[Query, Book, int], Reply]]] = {
    "/api/v3/ping": _ping,
    "/api/v3/time": _time,
    "/api/v3/exchangeInfo": _exchange_info,
    "/api/v3/depth": _depth,
    "/api/v3/ticker/bookTicker": _book_ticker,
}

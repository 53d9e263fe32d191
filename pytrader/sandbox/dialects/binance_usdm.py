"""Binance's USD-M futures: streams below `/public`, REST below `/fapi/v1`.

Their ids are shared by all symbols there, so that those of one symbol leave gaps: here the market's ids times seven.
Only `pu`, the last `u` of the frame before, chains the depth frames.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from pytrader.sandbox import frames
from pytrader.sandbox.book import Book
from pytrader.sandbox.dialects.binance import Binance
from pytrader.sandbox.dialects.dialect import Asked, Kind, Message
from pytrader.sandbox.dialects.feeds import Changes, WholeBookFeed, shown
from pytrader.sandbox.dialects.reading import read_count
from pytrader.sandbox.happenings import Happening, Levels, Top, Trades
from pytrader.sandbox.market import Market
from pytrader.sandbox.rest import Reply, error

IDS: Final = 7  # ids of all symbols for each of ours
DEPTHS_NS: Final = {
    "btcusdt@depth@0ms": 20_000_000,
    "btcusdt@depth@100ms": 100_000_000,
    "btcusdt@depth": 250_000_000,  # also a multiple of the beat
    "btcusdt@depth@250ms": 250_000_000,
    "btcusdt@depth@500ms": 500_000_000,
}
LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)

_FILTERS: Final = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "1000", "stepSize": "0.00001"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00001", "maxQty": "120", "stepSize": "0.00001"},
    {"filterType": "MIN_NOTIONAL", "notional": "5"},
]


def price(ticks: int) -> str:
    """Return a price with the contract's 2 decimals."""
    return f"{ticks // 100}.{ticks % 100:02d}"


def quantity(lots: int) -> str:
    """Return a quantity with the contract's 5 decimals."""
    return f"{lots // 100_000}.{lots % 100_000:05d}"


def _levels(levels: Levels) -> str:
    pairs = [f'["{price(tick)}","{quantity(lots)}"]' for tick, lots in levels]
    return f"[{','.join(pairs)}]"


class _Depth(WholeBookFeed):
    """One depth stream."""

    def __init__(self, market: Market, stream: str, every_ns: int) -> None:
        super().__init__(market, every_ns)
        self._stream = stream

    def said(self, changes: Changes) -> Iterable[Message]:
        at_ms, before = self.market.now_ms(), IDS * (changes.first_id - 1)
        text = (
            f'{{"e":"depthUpdate","E":{at_ms},"T":{at_ms},"s":"BTCUSDT","U":{before + IDS // 2 + 1},'
            f'"u":{IDS * changes.last_id},"pu":{before},"b":{_levels(changes.bids)},"a":{_levels(changes.asks)}}}'
        )
        return (Message(Kind.DEPTH, self._stream, text),)


class BinanceUsdm(Binance):
    """The perpetual BTCUSDT."""

    name = "binance-usdm"
    rest_prefixes: ClassVar[tuple[str, ...]] = ("/fapi/",)
    snapshot_paths: ClassVar[tuple[str, ...]] = ("/fapi/v1/depth",)
    most_messages_a_second = 10
    root = "/public"

    def __init__(self, market: Market) -> None:
        """Speak of `market`."""
        super().__init__(market)
        self.feeds = {stream: _Depth(market, stream, every_ns) for stream, every_ns in DEPTHS_NS.items()}

    def told(self, happened: Sequence[Happening]) -> list[Message]:
        """Return bookTicker and trade frames."""
        made: list[Message] = []
        for told in happened:
            at_ms = self.market.utc_ns(told.at_ns) // 1_000_000
            if isinstance(told, Top) and frames.BOOK_TICKER in self.wanted:
                made.append(Message(Kind.TOP, frames.BOOK_TICKER, _book_ticker(at_ms, told)))
            elif isinstance(told, Trades) and frames.TRADE in self.wanted:
                made += [Message(Kind.TRADE, frames.TRADE, text) for text in _trades(at_ms, told)]
        return made

    def rest(self, asked: Asked, old: Book | None) -> Reply:  # noqa: PLR0911 - one a path
        """Answer depth, exchangeInfo, time, ping and ticker/bookTicker."""
        if asked.method != "GET":
            return error(405, -1000, f"{asked.method} is not supported here.")
        symbol, now_ms = asked.query.get("symbol"), self.market.now_ms()
        match asked.path.removeprefix("/fapi/v1/"):
            case "ping":
                return Reply(200, "{}")
            case "time":
                return Reply(200, f'{{"serverTime":{now_ms}}}')
            case "exchangeInfo":
                return Reply(200, json.dumps(_exchange_info(now_ms), separators=(",", ":")))
            case "depth" | "ticker/bookTicker" if not symbol:
                return error(400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
            case "depth" | "ticker/bookTicker" if symbol != frames.SYMBOL:
                return error(400, -1121, "Invalid symbol.")
            case "depth":
                return _depth(asked.query.get("limit", "500"), old or self.market.book, now_ms)
            case "ticker/bookTicker":
                bid, bid_lots, ask, ask_lots = self.market.book.top()
                ticker = {"symbol": frames.SYMBOL, "bidPrice": price(bid), "bidQty": quantity(bid_lots)}
                ticker |= {"askPrice": price(ask), "askQty": quantity(ask_lots)}
                times = {"time": now_ms, "lastUpdateId": IDS * self.market.book.update_id}
                return Reply(200, json.dumps(ticker | times, separators=(",", ":")))
        return error(404, -5000, f"Path {asked.path}, Method GET is invalid")


def _book_ticker(at_ms: int, told: Top) -> str:
    return (
        f'{{"e":"bookTicker","u":{IDS * told.update_id},"s":"BTCUSDT","b":"{price(told.bid)}",'
        f'"B":"{quantity(told.bid_lots)}","a":"{price(told.ask)}","A":"{quantity(told.ask_lots)}",'
        f'"T":{at_ms},"E":{at_ms}}}'
    )


def _trades(at_ms: int, told: Trades) -> list[str]:
    sold = "false" if told.buys else "true"
    return [
        f'{{"e":"trade","E":{at_ms},"T":{at_ms},"s":"BTCUSDT","t":{number},"p":"{price(tick)}","q":"{quantity(lots)}",'
        f'"X":"MARKET","m":{sold}}}'
        for number, (tick, lots) in enumerate(told.fills, told.first_id)
    ]


def _depth(limit: str, book: Book, now_ms: int) -> Reply:
    count = read_count(limit, LIMITS[-1])
    if count is None or count not in LIMITS:
        return error(400, -4021, f"{limit} is not valid depth limit.")
    update_id, bids, asks = shown(book, count)
    head = f'{{"lastUpdateId":{IDS * update_id},"E":{now_ms},"T":{now_ms},'
    return Reply(200, f'{head}"bids":{_levels(bids)},"asks":{_levels(asks)}}}')


def _exchange_info(now_ms: int) -> dict[str, Any]:
    symbol = {
        "symbol": frames.SYMBOL,
        "pair": frames.SYMBOL,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 5,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": _FILTERS,
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}]
    info = {"timezone": "UTC", "serverTime": now_ms, "futuresType": "U_MARGINED", "rateLimits": limits}
    return info | {"exchangeFilters": [], "assets": [], "symbols": [symbol]}

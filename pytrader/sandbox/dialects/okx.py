"""OKX v5: `/ws/v5/public`, REST below `/api/v5/public` and `/api/v5/market`.

`seqId` is the market's update id. A `books` update links to the one before by `prevSeqId`; about every 60 s without a
change an empty one says that both are the same.
"""

import json
import secrets
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final

from pytrader.sandbox.book import Book
from pytrader.sandbox.dialects.dialect import NOT_FOUND, Asked, Close, Dialect, Kind, Message, Talk, Words
from pytrader.sandbox.dialects.feeds import WindowFeed, shown
from pytrader.sandbox.dialects.numbers import price, size
from pytrader.sandbox.dialects.reading import read_count, read_json
from pytrader.sandbox.happenings import Happening, Levels, Trades
from pytrader.sandbox.market import Market
from pytrader.sandbox.rest import Reply

INSTRUMENT: Final = "BTC-USDT"
PATH: Final = "/ws/v5/public"
BOOKS: Final = "books"
TRADES: Final = "trades"
MS: Final = 1_000_000
KEEP_ALIVE_NS: Final = 60_000 * MS
SILENCE_S: Final = 30.0
MOST_OPS: Final = 480  # of one connection in an hour
HOUR_S: Final = 3600.0
MOST_ID: Final = 32
CHECKSUM_LEVELS: Final = 25
VIP: Final = ("books-l2-tbt", "books50-l2-tbt")
CHECKSUMS: Final = ("zero", "none", "crc32")  # as today's frames have it, without the field, or as it was until 2026


def _levels(levels: Levels) -> str:
    """Return price, size, the obsolete "0", and a number of orders that we make up of the size."""
    rows = [f'["{price(tick)}","{size(lots)}","0","{1 + lots % 7 if lots else 0}"]' for tick, lots in levels]
    return f"[{','.join(rows)}]"


def checksum(bids: Levels, asks: Levels) -> int:
    """Return the signed CRC32 over the best 25 levels: bid and ask in turn, `price:size` each."""
    parts = []
    for place in range(CHECKSUM_LEVELS):
        parts += [f"{price(side[place][0])}:{size(side[place][1])}" for side in (bids, asks) if place < len(side)]
    unsigned = zlib.crc32(":".join(parts).encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


class BooksFeed(WindowFeed):
    """`books`: 400 levels, a snapshot and then updates of 100 ms."""

    def __init__(self, market: Market, checksums: str) -> None:
        """Publish with `checksums`, one of `CHECKSUMS`."""
        super().__init__(market, 400, 100 * MS, KEEP_ALIVE_NS)
        self._checksums = checksums

    def snapshot(self) -> Message:
        """Return the state as last published, whole."""
        return Message(Kind.SNAPSHOT, BOOKS, self._text("snapshot", -1, self.bids.levels, self.asks.levels))

    def said(self, before_id: int, bids: Levels, asks: Levels) -> Iterable[Message]:
        """Return the update that links to `before_id`."""
        return (Message(Kind.DEPTH, BOOKS, self._text("update", before_id, bids, asks)),)

    def quiet(self) -> Iterable[Message]:
        """Return the empty update of a minute without a change."""
        return self.said(self.update_id, (), ())

    def _text(self, action: str, before_id: int, bids: Levels, asks: Levels) -> str:
        return (
            f'{{"arg":{{"channel":"{BOOKS}","instId":"{INSTRUMENT}"}},"action":"{action}","data":[{{'
            f'"asks":{_levels(asks)},"bids":{_levels(bids)},"ts":"{self.market.now_ms()}",{self._checksum()}'
            f'"prevSeqId":{before_id},"seqId":{self.update_id}}}]}}'
        )

    def _checksum(self) -> str:
        if self._checksums == "none":
            return ""
        value = checksum(self.bids.levels, self.asks.levels) if self._checksums == "crc32" else 0
        return f'"checksum":{value},'


class WholeFeed(WindowFeed):
    """`bbo-tbt` and `books5`: the best levels, whole each time."""

    def __init__(self, market: Market, channel: str, count: int, every_ns: int, extra: str) -> None:
        """Publish `count` levels; `extra` is JSON that this channel has besides."""
        super().__init__(market, count, every_ns)
        self._channel = channel
        self._extra = extra

    def snapshot(self) -> Message:
        """Return the state as last published."""
        text = (
            f'{{"arg":{{"channel":"{self._channel}","instId":"{INSTRUMENT}"}},"data":[{{'
            f'"asks":{_levels(self.asks.levels)},"bids":{_levels(self.bids.levels)},{self._extra}'
            f'"ts":"{self.market.now_ms()}","seqId":{self.update_id}}}]}}'
        )
        return Message(Kind.TOP, self._channel, text)

    def said(self, before_id: int, bids: Levels, asks: Levels) -> Iterable[Message]:  # noqa: ARG002 - the feeds' signature
        """Return the new state."""
        return (self.snapshot(),)


def trade_rows(at_ms: int, told: Trades) -> list[str]:
    """Return one row a price of a market order: the last trade's id, the sum of sizes, and how many they were."""
    grouped: dict[int, tuple[int, int, int]] = {}  # tick -> last id, lots, count
    for number, (tick, lots) in enumerate(told.fills, told.first_id):
        _, sum_lots, count = grouped.get(tick, (0, 0, 0))
        grouped[tick] = number, sum_lots + lots, count + 1
    side = "buy" if told.buys else "sell"
    return [
        f'{{"instId":"{INSTRUMENT}","tradeId":"{number}","px":"{price(tick)}","sz":"{size(lots)}","side":"{side}",'
        f'"ts":"{at_ms}","count":"{count}","source":"0","seqId":{told.update_id}}}'
        for tick, (number, lots, count) in grouped.items()
    ]


class OkxTalk(Talk):
    """One connection: `op` requests in JSON, `ping` in plain text."""

    dialect: "Okx"

    def __init__(self, dialect: "Okx", now_s: float) -> None:
        """Begin with nothing subscribed."""
        super().__init__(dialect, now_s)
        self._conn_id = secrets.token_hex(4)
        self._ops_left = MOST_OPS
        self._hour_ends_s = now_s + HOUR_S

    def answer(self, text: str) -> Words:
        """Answer `ping`, or carry out one request."""
        if text == "ping":
            return (Message(Kind.PONG, "", "pong"),)
        try:
            asked = read_json(text)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return (self._error("60012", f"Illegal request: {text}", {}),)
        args, request_id = asked.get("args"), asked.get("id")
        if request_id is not None and not _is_request_id(request_id):
            return (self._error("60033", "The id parameter is invalid.", {}),)
        if asked.get("op") not in ("subscribe", "unsubscribe") or not isinstance(args, list) or not args:
            return (self._error("60012", f"Illegal request: {text}", asked),)
        if self._ops_left <= 0:
            return (self._error("60014", "Requests too frequent", asked),)
        self._ops_left -= 1
        return [word for arg in args for word in self._changed(arg, text, asked)]

    def _changed(self, arg: Any, text: str, asked: dict[str, Any]) -> list[Message]:  # noqa: ANN401 - of a client's JSON
        """Subscribe or unsubscribe one channel."""
        if not isinstance(arg, dict) or not isinstance(arg.get("channel"), str):
            return [self._error("60012", f"Illegal request: {text}", asked)]
        channel, instrument = arg["channel"], arg.get("instId")
        if channel in VIP and instrument == INSTRUMENT:
            told = "Your trading fee tier doesn't meet the requirement to access this channel"
            return [self._error("64003", told, asked)]
        unknown = channel not in (*self.dialect.feeds, TRADES) or self.dialect.denies(channel)
        if unknown or instrument != INSTRUMENT:
            wrong = f"Wrong URL or channel:{channel},instId:{instrument} doesn't exist. "
            told = wrong + "Please use the correct URL, channel and parameters referring to API document."
            return [self._error("60018", told, asked)]
        known = {"channel": channel, "instId": instrument}
        done = Message(Kind.REPLY, "", self._event({"event": asked["op"], "arg": known}, asked))
        if asked["op"] == "unsubscribe":
            self.leave(channel)
            return [done]
        self.listen(channel)
        return [done, *self.dialect.first(channel)]

    def _error(self, code: str, told: str, asked: dict[str, Any]) -> Message:
        return Message(Kind.REPLY, "", self._event({"event": "error", "code": code, "msg": told}, asked))

    def _event(self, event: dict[str, Any], asked: dict[str, Any]) -> str:
        named = {"id": asked["id"]} if asked.get("id") else {}
        return json.dumps(named | event | {"connId": self._conn_id}, separators=(",", ":"))

    def idle(self, now_s: float, sent_s: float, heard_s: float) -> Words:  # noqa: ARG002 - the dialects' signature
        """Close a connection on which nothing was pushed for 30 s."""
        if now_s >= self._hour_ends_s:
            self._ops_left, self._hour_ends_s = MOST_OPS, now_s + HOUR_S
        return (Close(4004, "No data received in 30s."),) if now_s - sent_s >= SILENCE_S else ()

    def shutdown(self, now_ms: int) -> Words:  # noqa: ARG002 - the dialects' signature
        """Send the notice of a service upgrade."""
        told = "The connection will soon be closed for a service upgrade. Please reconnect."
        return (Message(Kind.NOTICE, "", self._event({"event": "notice", "code": "64008", "msg": told}, {})),)


def _is_request_id(value: Any) -> bool:  # noqa: ANN401 - of a client's JSON
    return isinstance(value, str) and len(value) <= MOST_ID and (not value or (value.isascii() and value.isalnum()))


class Okx(Dialect):
    """v5, public channels of BTC-USDT."""

    name = "okx"
    rest_prefixes: ClassVar[tuple[str, ...]] = ("/api/v5/",)
    snapshot_paths: ClassVar[tuple[str, ...]] = ("/api/v5/market/books",)

    def __init__(self, market: Market, *, checksum: str = "zero", snapshot: bool = True) -> None:
        """Speak of `market`; `checksum` is one of `CHECKSUMS`, `snapshot` whether `books` begins with one."""
        super().__init__(market)
        self._snapshot = snapshot
        self._books = BooksFeed(market, checksum)
        arg = f'"instId":"{INSTRUMENT}",'
        bbo = WholeFeed(market, "bbo-tbt", 1, 10 * MS, "")
        self.feeds = {BOOKS: self._books, "bbo-tbt": bbo, "books5": WholeFeed(market, "books5", 5, 100 * MS, arg)}

    def takes_stream(self, asked: Asked) -> bool:
        """Take every `/ws/v5/` path."""
        return asked.path.startswith("/ws/v5/")

    def talk(self, asked: Asked, now_s: float) -> Talk | int:
        """Begin on the public path."""
        return OkxTalk(self, now_s) if asked.path == PATH else NOT_FOUND

    def first(self, channel: str) -> list[Message]:
        """Return what a new subscription begins with."""
        feed = self.feeds.get(channel)
        if isinstance(feed, BooksFeed):
            return [feed.snapshot()] if self._snapshot else []
        return [feed.snapshot()] if isinstance(feed, WholeFeed) else []

    def told(self, happened: Sequence[Happening]) -> list[Message]:
        """Return the trades."""
        if TRADES not in self.wanted:
            return []
        head = f'{{"arg":{{"channel":"{TRADES}","instId":"{INSTRUMENT}"}},"data":['
        orders = [told for told in happened if isinstance(told, Trades)]
        return [Message(Kind.TRADE, TRADES, f"{head}{row}]}}") for told in orders for row in self._rows(told)]

    def _rows(self, told: Trades) -> list[str]:
        return trade_rows(self.market.utc_ns(told.at_ns) // MS, told)

    def rest(self, asked: Asked, old: Book | None) -> Reply:
        """Answer public/time, public/instruments, market/books, market/trades."""
        routes: dict[str, Callable[[Asked, Book | None], Reply]] = {
            "/api/v5/public/time": lambda _asked, _old: _shell(json.dumps([{"ts": str(self.market.now_ms())}])),
            "/api/v5/public/instruments": self._instruments,
            "/api/v5/market/books": self._rest_books,
            "/api/v5/market/trades": self._recent,
        }
        answered = routes.get(asked.path)
        if answered is None or asked.method != "GET":
            return _error(404, "50002" if answered else "404", "Invalid method" if answered else "Not Found")
        return answered(asked, old)

    def _instruments(self, asked: Asked, _old: Book | None) -> Reply:
        if asked.query.get("instType") not in ("SPOT", "SWAP", "FUTURES", "OPTION", "MARGIN"):
            return _error(400, "51000", "Parameter instType error")
        if asked.query.get("instId", INSTRUMENT) != INSTRUMENT:
            return _error(200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        return _shell(json.dumps([_INSTRUMENT] if asked.query["instType"] == "SPOT" else []))

    def _rest_books(self, asked: Asked, old: Book | None) -> Reply:
        """Return the book as last published if somebody hears `books`, else as it is now."""
        if wrong := _instrument_error(asked):
            return wrong
        if not (count := read_count(asked.query.get("sz", "1"), 400)):
            return _error(400, "51000", "Parameter sz error")
        published = self._books.shown(count) if self._books.active and not old else None
        seq_id, bids, asks = published or shown(old or self.market.book, count)
        head = f'[{{"asks":{_levels(asks)},"bids":{_levels(bids)},'
        return _shell(f'{head}"ts":"{self.market.now_ms()}","seqId":{seq_id}}}]')

    def _recent(self, asked: Asked, _old: Book | None) -> Reply:
        if wrong := _instrument_error(asked):
            return wrong
        rows = [row for told in self.market.recent for row in self._rows(told)]
        return _shell(f"[{','.join(rows[::-1][:100])}]")

    def failure(self, status: int) -> Reply:
        """Return the exchange's shell around its code for too many requests, or for a service that is away."""
        if status in (418, 429):
            return _error(status, "50011", "Too Many Requests")
        return _error(status, "50001", "Service temporarily unavailable. Please try again later.")


def _instrument_error(asked: Asked) -> Reply | None:
    if not asked.query.get("instId"):
        return _error(400, "50014", "Parameter instId can not be empty.")
    if asked.query["instId"] != INSTRUMENT:
        return _error(200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    return None


def _shell(data: str) -> Reply:
    return Reply(200, f'{{"code":"0","msg":"","data":{data}}}')


def _error(status: int, code: str, told: str) -> Reply:
    return Reply(status, json.dumps({"code": code, "msg": told, "data": []}, separators=(",", ":")))


_INSTRUMENT: Final = {
    "alias": "",
    "baseCcy": "BTC",
    "category": "1",
    "ctMult": "",
    "ctType": "",
    "ctVal": "",
    "ctValCcy": "",
    "expTime": "",
    "instFamily": "",
    "instId": INSTRUMENT,
    "instIdCode": 1_000_000_000,
    "instType": "SPOT",
    "lever": "10",
    "listTime": "1548133413000",
    "lotSz": "0.00001",
    "maxLmtAmt": "1000000",
    "maxLmtSz": "9999999999",
    "maxMktAmt": "1000000",
    "maxMktSz": "1000000",
    "minSz": "0.00001",
    "optType": "",
    "quoteCcy": "USDT",
    "ruleType": "normal",
    "settleCcy": "",
    "state": "live",
    "stk": "",
    "tickSz": "0.01",
    "uly": "",
    "upcChg": [],
}

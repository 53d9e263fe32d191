"""Bybit v5 spot: `/v5/public/spot`, `/v5/public/misc/status`, REST below `/v5/market`.

Its books come with a snapshot on the stream, then changes whose `u` rises by one a frame; `seq` is the market's update
id. Level 1 is only ever a snapshot, repeated with the same `u` after 3 s without a change.
"""

import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from pytrader.sandbox.book import Book
from pytrader.sandbox.dialects.dialect import NOT_FOUND, Asked, Close, Dialect, Kind, Message, Talk, Words
from pytrader.sandbox.dialects.feeds import WindowFeed, shown
from pytrader.sandbox.dialects.numbers import price, size
from pytrader.sandbox.dialects.reading import read_count, read_json
from pytrader.sandbox.happenings import Happening, Levels, Trades
from pytrader.sandbox.market import Market
from pytrader.sandbox.rest import Reply

SYMBOL: Final = "BTCUSDT"
SPOT: Final = "/v5/public/spot"
STATUS: Final = "/v5/public/misc/status"
STATUS_TOPIC: Final = "system.status"
TRADES: Final = "publicTrade.BTCUSDT"
EVERY_NS: Final = {1: 10_000_000, 50: 20_000_000, 200: 100_000_000, 1000: 200_000_000}  # levels -> cadence
MS: Final = 1_000_000
REPEAT_NS: Final = 3_000 * MS
FIRST_U: Final = 18_521_288
MOST_ARGS: Final = 10
MOST_TRADES: Final = 1024  # in one message
IDLE_S: Final = 600.0


def _levels(levels: Levels) -> str:
    pairs = [f'["{price(tick)}","{size(lots)}"]' for tick, lots in levels]
    return f"[{','.join(pairs)}]"


class BookFeed(WindowFeed):
    """One `orderbook.<levels>` topic."""

    def __init__(self, market: Market, count: int) -> None:
        """Publish the best `count` levels at the topic's cadence."""
        super().__init__(market, count, EVERY_NS[count], REPEAT_NS if count == 1 else None)
        self.topic = f"orderbook.{count}.{SYMBOL}"
        self.u = FIRST_U

    def start(self) -> None:
        """Begin with a state of its own number."""
        super().start()
        self.u += 1

    def snapshot(self) -> Message:
        """Return the state as last published, whole."""
        text = self._text("snapshot", self.bids.levels, self.asks.levels)
        return Message(Kind.TOP if self.count == 1 else Kind.SNAPSHOT, self.topic, text)

    def said(self, before_id: int, bids: Levels, asks: Levels) -> Iterable[Message]:  # noqa: ARG002 - the feeds' signature
        """Return a snapshot of level 1, or the changes of a deeper book."""
        self.u += 1
        if self.count == 1:
            return (self.snapshot(),)
        return (Message(Kind.DEPTH, self.topic, self._text("delta", bids, asks)),)

    def quiet(self) -> Iterable[Message]:
        """Repeat level 1."""
        return (self.snapshot(),)

    def _text(self, kind: str, bids: Levels, asks: Levels) -> str:
        at_ms = self.market.now_ms()
        return (
            f'{{"topic":"{self.topic}","ts":{at_ms},"type":"{kind}","data":{{"s":"{SYMBOL}","b":{_levels(bids)},'
            f'"a":{_levels(asks)},"u":{self.u},"seq":{self.update_id}}},"cts":{at_ms}}}'
        )


def trades(at_ms: int, told: Trades) -> list[str]:
    """Return the messages of one market order: at most 1,024 trades in each, all with one `seq`."""
    rows = [
        f'{{"i":"2290{number:015d}","T":{at_ms},"p":"{price(tick)}","v":"{size(lots)}",'
        f'"S":"{"Buy" if told.buys else "Sell"}","seq":{told.update_id},"s":"{SYMBOL}","BT":false,"RPI":false}}'
        for number, (tick, lots) in enumerate(told.fills, told.first_id)
    ]
    return [
        f'{{"topic":"{TRADES}","ts":{at_ms},"type":"snapshot","data":[{",".join(rows[first : first + MOST_TRADES])}]}}'
        for first in range(0, len(rows), MOST_TRADES)
    ]


class BybitTalk(Talk):
    """One connection: `op` requests."""

    dialect: "Bybit"

    def __init__(self, dialect: "Bybit", now_s: float, known: Iterable[str]) -> None:
        """Offer the topics in `known`."""
        super().__init__(dialect, now_s)
        self._known = frozenset(known)
        self._conn_id = f"{secrets.token_hex(10)}-{self.number:x}"

    def answer(self, text: str) -> Words:
        """Carry out one request: ping, subscribe or unsubscribe."""
        try:
            asked = read_json(text)
        except ValueError:
            found = text.strip()[:1]
            return self._refused(
                f"Failed to decode incoming data:readObjectStart: expect {{ or n, but found {found}", {}
            )
        if not isinstance(asked, dict):
            return self._refused("Failed to decode incoming data:readObjectStart: expect { or n", {})
        match asked.get("op"):
            case "ping":
                return (Message(Kind.PONG, "", self._reply("pong", asked, success=True)),)
            case "subscribe" | "unsubscribe":
                return self._changed(asked)
        return self._refused("error:invalid op", asked)

    def _changed(self, asked: dict[str, Any]) -> Words:
        """Change what is heard: all of the request, or nothing."""
        args, subscribes = asked.get("args"), asked["op"] == "subscribe"
        if not isinstance(args, list) or not args or not all(isinstance(topic, str) for topic in args):
            return self._refused("error:invalid args", asked)
        if len(args) > MOST_ARGS:
            return self._refused("args size >10", asked)
        for topic in args:
            if topic not in self._known or (subscribes and self.dialect.denies(topic)):
                return self._refused(f"error:handler not found,topic:{topic}", asked)
            if subscribes and (topic in self.topics or args.count(topic) > 1):
                return self._refused(f"error:already subscribed,topic:{topic}", asked)
        words = [Message(Kind.REPLY, "", self._reply(asked["op"], asked, success=True))]
        for topic in args:
            if not subscribes:
                self.leave(topic)
            elif self.listen(topic) and isinstance(feed := self.dialect.feeds.get(topic), BookFeed):
                words.append(feed.snapshot())
        return words

    def _refused(self, why: str, asked: dict[str, Any]) -> Words:
        return (Message(Kind.REPLY, "", self._reply(why, asked, success=False)),)

    def _reply(self, said: str, asked: dict[str, Any], *, success: bool) -> str:
        reply: dict[str, Any] = {"success": success, "ret_msg": said, "conn_id": self._conn_id}
        if isinstance(asked.get("req_id"), str):
            reply["req_id"] = asked["req_id"]
        reply["op"] = asked.get("op", "")
        return json.dumps(reply, separators=(",", ":"))

    def idle(self, now_s: float, sent_s: float, heard_s: float) -> Words:  # noqa: ARG002 - the dialects' signature
        """Cut a client that has said nothing for ten minutes."""
        return (Close(1006),) if now_s - heard_s >= IDLE_S else ()

    def shutdown(self, now_ms: int) -> Words:
        """Push the maintenance to a listener of `system.status`; a market-data connection just ends."""
        if STATUS_TOPIC not in self.topics:
            return super().shutdown(now_ms)
        row: dict[str, Any] = {"id": "offline", "title": "restart", "state": "ongoing"}
        row |= {"begin": str(now_ms), "end": str(now_ms)}
        row |= {"href": "", "serviceTypes": [2, 3, 4, 5], "product": [1, 2]}
        row |= {"uidSuffix": [], "maintainType": 1, "env": 1}
        text = json.dumps({"topic": STATUS_TOPIC, "ts": now_ms, "data": [row]}, separators=(",", ":"))
        return (Message(Kind.NOTICE, STATUS_TOPIC, text),)


class Bybit(Dialect):
    """v5, spot, public."""

    name = "bybit"
    rest_prefixes: ClassVar[tuple[str, ...]] = ("/v5/",)
    snapshot_paths: ClassVar[tuple[str, ...]] = ("/v5/market/orderbook",)
    pings = False

    def __init__(self, market: Market) -> None:
        """Speak of `market`."""
        super().__init__(market)
        self._books = [BookFeed(market, levels) for levels in EVERY_NS]
        self.feeds = {feed.topic: feed for feed in self._books}

    def takes_stream(self, asked: Asked) -> bool:
        """Take every `/v5/` path."""
        return asked.path.startswith("/v5/")

    def talk(self, asked: Asked, now_s: float) -> Talk | int:
        """Begin on one of the two paths."""
        if asked.path == SPOT:
            return BybitTalk(self, now_s, [*self.feeds, TRADES])
        return BybitTalk(self, now_s, [STATUS_TOPIC]) if asked.path == STATUS else NOT_FOUND

    def told(self, happened: Sequence[Happening]) -> list[Message]:
        """Return the trades."""
        if TRADES not in self.wanted:
            return []
        made: list[Message] = []
        for told in happened:
            if isinstance(told, Trades):
                made += [Message(Kind.TRADE, TRADES, text) for text in self._trades(told)]
        return made

    def rest(self, asked: Asked, old: Book | None) -> Reply:  # noqa: PLR0911 - one a path
        """Answer time, instruments-info, orderbook and recent-trade."""
        now_ns, category = self.market.utc_ns(), asked.query.get("category")
        match asked.path.removeprefix("/v5/market/"):
            case _ if asked.method != "GET":
                return self._shell(10001, "Request method is not supported")
            case "time":
                return self._shell(result={"timeSecond": str(now_ns // 10**9), "timeNano": str(now_ns)})
            case "instruments-info" | "orderbook" | "recent-trade" if category != "spot":
                return self._shell(10001, "params error: Category is invalid")
            case "instruments-info":
                rows = [_INSTRUMENT] if asked.query.get("symbol", SYMBOL) == SYMBOL else []
                return self._shell(result={"category": "spot", "list": rows})
            case "orderbook" | "recent-trade" if asked.query.get("symbol") != SYMBOL:
                return self._shell(10001, "Not supported symbols")
            case "orderbook":
                return self._orderbook(asked.query.get("limit", "1"), old)
            case "recent-trade":
                return self._shell(result={"category": "spot", "list": self._recent()})
        return Reply(404, "")

    def _orderbook(self, limit: str, old: Book | None) -> Reply:
        """Return the book as last published by a topic deep enough that somebody hears, else as it is now."""
        if not (count := read_count(limit, 1000)):
            return self._shell(10001, "params error: limit should between 1 and 1000")
        feed = next((feed for feed in self._books if feed.active and feed.count >= max(count, 50)), None)
        published = None if feed is None or old else feed.shown(count)
        seq, bids, asks = published or shown(old or self.market.book, count)
        at_ms = self.market.now_ms()
        result = {"s": SYMBOL, "a": _pairs(asks), "b": _pairs(bids), "ts": at_ms, "u": self._books[-1].u, "seq": seq}
        return self._shell(result=result | {"cts": at_ms})

    def _recent(self) -> list[dict[str, Any]]:
        rows = [json.loads(text)["data"] for told in self.market.recent for text in self._trades(told)]
        names = {"i": "execId", "s": "symbol", "p": "price", "v": "size", "S": "side", "BT": "isBlockTrade"}
        flat = [row for data in rows for row in data][::-1][:60]
        return [{name: row[key] for key, name in names.items()} | {"time": str(row["T"])} for row in flat]

    def _trades(self, told: Trades) -> list[str]:
        return trades(self.market.utc_ns(told.at_ns) // MS, told)

    def _shell(self, code: int = 0, said: str = "OK", result: dict[str, Any] | None = None, status: int = 200) -> Reply:
        shell = {
            "retCode": code,
            "retMsg": said,
            "result": result or {},
            "retExtInfo": {},
            "time": self.market.now_ms(),
        }
        return Reply(status, json.dumps(shell, separators=(",", ":")))

    def failure(self, status: int) -> Reply:
        """Return the exchange's shell around its code for too many requests, or for a fault of its own."""
        if status in (403, 418, 429):
            return self._shell(10006, "Too many visits. Exceeded the API Rate Limit.", status=status)
        return self._shell(10016, "Internal server error.", status=status)


def _pairs(levels: Levels) -> list[list[str]]:
    return [[price(tick), size(lots)] for tick, lots in levels]


_INSTRUMENT: Final = {
    "symbol": SYMBOL,
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "innovation": "0",
    "status": "Trading",
    "marginTrading": "utaOnly",
    "stTag": "0",
    "lotSizeFilter": {
        "basePrecision": "0.00001",
        "quotePrecision": "0.0000001",
        "minOrderQty": "0.00001",
        "maxOrderQty": "83",
        "minOrderAmt": "5",
        "maxOrderAmt": "8000000",
        "maxLimitOrderQty": "83",
        "maxMarketOrderQty": "41.5",
        "postOnlyMaxLimitOrderSize": "60000",
    },
    "priceFilter": {"tickSize": "0.01"},
    "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
}

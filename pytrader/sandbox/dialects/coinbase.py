"""Coinbase Advanced Trade: WebSocket path `/`, REST below `/api/v3/brokerage`.

One product's book under two names. `sequence_num` counts every message of a connection over all its channels, from 0;
only error messages are not counted.
"""

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar, Final

from pytrader.sandbox.book import Book
from pytrader.sandbox.dialects.coinbase_texts import (
    PRODUCTS,
    book_texts,
    product,
    ticker_text,
    trades_text,
    update_texts,
)
from pytrader.sandbox.dialects.dialect import Asked, Close, Dialect, Feed, Kind, Message, Talk, Words
from pytrader.sandbox.dialects.feeds import Changes, WholeBookFeed, shown
from pytrader.sandbox.dialects.numbers import price, rfc3339, size
from pytrader.sandbox.dialects.reading import read_count, read_json
from pytrader.sandbox.happenings import Happening, Trades
from pytrader.sandbox.market import Market
from pytrader.sandbox.rest import Reply

LEVEL2: Final = "level2"
HEARTBEATS: Final = "heartbeats"
MARKET_TRADES: Final = "market_trades"
TICKER: Final = "ticker"
CHANNELS: Final = (LEVEL2, HEARTBEATS, MARKET_TRADES, TICKER)
LEVEL2_NS: Final = 50_000_000
TICKER_NS: Final = 50_000_000
TRADES_NS: Final = 250_000_000
HEARTBEAT_NS: Final = 1_000_000_000
SUBSCRIBE_WITHIN_S: Final = 5.0
EVERY_LEVEL: Final = 1 << 20  # more than there are
FIRST_TRADES: Final = 50  # in the snapshot of `market_trades`


def _topic(channel: str, name: str) -> str:
    return f"{channel}:{name}"


class Level2(WholeBookFeed):
    """One product's changes, with the whole book first."""

    def __init__(self, market: Market, name: str) -> None:
        """Publish under a product's `name`."""
        super().__init__(market, LEVEL2_NS)
        self._name = name

    def snapshot(self) -> Message:
        """Return the whole book of now; a change that a later update repeats is absolute and does no harm."""
        at = rfc3339(self.market.utc_ns(), 6)
        rows = update_texts(*shown(self.market.book, EVERY_LEVEL)[1:], at)
        return Message(Kind.SNAPSHOT, _topic(LEVEL2, self._name), book_texts("snapshot", self._name, rows))

    def said(self, changes: Changes) -> Iterable[Message]:
        """Return the changes since the last update."""
        rows = update_texts(changes.bids, changes.asks, rfc3339(self.market.utc_ns(), 6))
        return (Message(Kind.DEPTH, _topic(LEVEL2, self._name), book_texts("update", self._name, rows)),)


class MarketTrades(Feed):
    """One product's trades of 250 ms in one message, newest first."""

    def __init__(self, market: Market, name: str) -> None:
        """Publish under a product's `name`."""
        super().__init__(market, TRADES_NS)
        self._name = name
        self.waiting: list[Trades] = []

    def start(self) -> None:
        """Forget what nobody waited for."""
        super().start()
        self.waiting = []

    def snapshot(self) -> Message:
        """Return the last trades."""
        return self._message("snapshot", list(self.market.recent), FIRST_TRADES)

    def publish(self) -> Iterable[Message]:
        """Return the trades since the last time, if there were any."""
        told, self.waiting = self.waiting, []
        return (self._message("update", told, None),) if told else ()

    def _message(self, kind: str, told: list[Trades], most: int | None) -> Message:
        text = trades_text(kind, self._name, told, self.market.epoch_ms, most)
        return Message(Kind.TRADE, _topic(MARKET_TRADES, self._name), text)


class Ticker(Feed):
    """One product's best prices and last price, when they have changed."""

    def __init__(self, market: Market, name: str) -> None:
        """Publish under a product's `name`."""
        super().__init__(market, TICKER_NS)
        self._name = name
        self._said: tuple[int, ...] = ()

    def _state(self) -> tuple[int, ...]:
        last = self.market.recent[-1].fills[-1][0] if self.market.recent else self.market.book.bids.best()
        return (last, *self.market.book.top())

    def snapshot(self) -> Message:
        """Return the ticker of now."""
        return Message(Kind.TOP, _topic(TICKER, self._name), ticker_text("snapshot", self._name, self._state()))

    def publish(self) -> Iterable[Message]:
        """Return the ticker if it has changed."""
        state = self._state()
        if state == self._said:
            return ()
        self._said = state
        return (Message(Kind.TOP, _topic(TICKER, self._name), ticker_text("update", self._name, state)),)


class Heartbeats(Feed):
    """A sign of life each second, with a counter."""

    def __init__(self, market: Market) -> None:
        """Count the market's seconds."""
        super().__init__(market, HEARTBEAT_NS)

    def publish(self) -> Iterable[Message]:
        """Return this second's."""
        now_ns, counter = self.market.utc_ns(), self.market.now_ns // HEARTBEAT_NS
        at = rfc3339(now_ns, 9).replace("T", " ").removesuffix("Z")
        event = f'{{"current_time":"{at} +0000 UTC m=+{counter}.000000000","heartbeat_counter":{counter}}}'
        return (Message(Kind.BEAT, HEARTBEATS, f'"channel":"{HEARTBEATS}"\n[{event}]'),)


class CoinbaseTalk(Talk):
    """One connection: a subscription a channel, and a number for every message."""

    dialect: "Coinbase"

    def __init__(self, dialect: "Coinbase", now_s: float) -> None:
        """Begin; the first subscription must come soon."""
        super().__init__(dialect, now_s)
        self._next = 0
        self._subscribed = False

    @property
    def key(self) -> Hashable:
        """Nobody else has this connection's numbers."""
        return None

    def heard(self, made: Iterable[Message]) -> list[Message]:
        """Return what was subscribed to, numbered."""
        return self._numbered(super().heard(made))

    def _numbered(self, messages: Iterable[Message]) -> list[Message]:
        """Put time and number between the channel and the events."""
        at, numbered = rfc3339(self.dialect.market.utc_ns(), 9), []
        for kind, topic, payload in messages:
            assert isinstance(payload, str)
            channel, _, events = payload.partition("\n")
            text = f'{{{channel},"timestamp":"{at}","sequence_num":{self._next},"events":{events}}}'
            numbered.append(Message(kind, topic, text))
            self._next += 1
        return numbered

    def answer(self, text: str) -> Words:
        """Carry out one subscribe or unsubscribe."""
        try:
            asked = read_json(text)
        except ValueError:
            return (_error("failed to parse message"),)
        if not isinstance(asked, dict) or asked.get("type") not in ("subscribe", "unsubscribe"):
            return (_error("unknown message type"),)
        channel, names = asked.get("channel"), asked.get("product_ids", [])
        if channel not in CHANNELS or self.dialect.denies(channel):
            return (_error(f"channel {channel} does not exist" if channel else "no channel provided"),)
        if not isinstance(names, list) or (channel != HEARTBEATS and not names):
            return (_error("no product_ids provided"),)
        if wrong := [name for name in names if name not in PRODUCTS]:
            return (_error(f"{wrong[0]} is not a valid product"),)
        self._subscribed = True
        return self._changed(channel, names, subscribes=asked["type"] == "subscribe")

    def _changed(self, channel: str, names: list[str], *, subscribes: bool) -> Words:
        """Send the snapshots, then all subscriptions as they are now."""
        topics = [HEARTBEATS] if channel == HEARTBEATS else [_topic(channel, name) for name in names]
        messages = []
        for topic in topics:
            if not subscribes:
                self.leave(topic)
                continue
            self.listen(topic)
            feed = self.dialect.feeds[topic]
            if isinstance(feed, Level2 | MarketTrades | Ticker):
                messages.append(feed.snapshot())
        heard: dict[str, list[str]] = {}
        for topic in sorted(self.topics):
            known, _, name = topic.partition(":")
            heard.setdefault(known, []).append(name or known)
        events = json.dumps([{"subscriptions": heard}], separators=(",", ":"))
        return self._numbered([*messages, Message(Kind.REPLY, "", f'"channel":"subscriptions"\n{events}')])

    def idle(self, now_s: float, sent_s: float, heard_s: float) -> Words:  # noqa: ARG002 - the dialects' signature
        """Drop a client that has not subscribed in time."""
        late = not self._subscribed and now_s - self.opened_s >= SUBSCRIBE_WITHIN_S
        return (Close(1008, "subscribe within 5 seconds"),) if late else ()


def _error(told: str) -> Message:
    return Message(Kind.REPLY, "", json.dumps({"type": "error", "message": told}, separators=(",", ":")))


class Coinbase(Dialect):
    """Advanced Trade, market data."""

    name = "coinbase"
    rest_prefixes: ClassVar[tuple[str, ...]] = ("/api/v3/brokerage/",)
    snapshot_paths: ClassVar[tuple[str, ...]] = ("/api/v3/brokerage/market/product_book",)
    pings = False
    most_messages_a_second = 8

    def __init__(self, market: Market) -> None:
        """Speak of `market`."""
        super().__init__(market)
        self._trades = [MarketTrades(market, name) for name in PRODUCTS]
        self.feeds = {HEARTBEATS: Heartbeats(market)}
        for name, trades in zip(PRODUCTS, self._trades, strict=True):
            self.feeds[_topic(LEVEL2, name)] = Level2(market, name)
            self.feeds[_topic(MARKET_TRADES, name)] = trades
            self.feeds[_topic(TICKER, name)] = Ticker(market, name)

    def takes_stream(self, asked: Asked) -> bool:
        """Take the root."""
        return asked.path in ("", "/")

    def talk(self, asked: Asked, now_s: float) -> Talk | int:  # noqa: ARG002 - the dialects' signature
        """Begin."""
        return CoinbaseTalk(self, now_s)

    def told(self, happened: Sequence[Happening]) -> list[Message]:
        """Let the trades wait for their message."""
        for feed in self._trades:
            if feed.active:
                feed.waiting += [told for told in happened if isinstance(told, Trades)]
        return []

    def rest(self, asked: Asked, old: Book | None) -> Reply:  # noqa: PLR0911 - one a path
        """Answer time, market/products, market/products/<id>, its ticker, and market/product_book."""
        path = asked.path.removeprefix("/api/v3/brokerage/")
        words = path.split("/")
        if asked.method != "GET":
            return _failed(405, "METHOD_NOT_ALLOWED", "method not allowed")
        if path == "time":
            now_ns = self.market.utc_ns()
            second = now_ns // 10**9
            times = {"iso": rfc3339(now_ns, 6), "epochSeconds": str(second), "epochMillis": str(now_ns // 10**6)}
            return _json(times)
        if path == "market/products":
            rows = [self._product(name) for name in PRODUCTS]
            return _json({"products": rows, "num_products": len(rows)})
        if path == "market/product_book":
            return self._product_book(asked, old)
        if words[:2] == ["market", "products"] and len(words) == 3:
            if words[2] not in PRODUCTS:
                return _failed(404, "NOT_FOUND", "valid product_id is required")
            return _json(self._product(words[2]))
        return _failed(404, "NOT_FOUND", "not found")

    def _product(self, name: str) -> dict[str, Any]:
        return product(name, self.market.book.bids.best())

    def _product_book(self, asked: Asked, old: Book | None) -> Reply:
        name, limit = asked.query.get("product_id", ""), asked.query.get("limit", "")
        if name not in PRODUCTS:
            return _failed(400, "INVALID_ARGUMENT", "valid product_id is required")
        count = read_count(limit, EVERY_LEVEL) if limit else EVERY_LEVEL
        if count is None:
            return _failed(400, "INVALID_ARGUMENT", "limit must be a number")
        book = old or self.market.book
        sides = {
            side: [{"price": price(tick), "size": size(lots)} for tick, lots in levels]
            for side, levels in zip(("bids", "asks"), shown(book, count)[1:], strict=True)
        }
        bid, _, ask, _ = book.top()
        figures = {"last": price(bid), "mid_market": price(bid), "spread_bps": "0", "spread_absolute": price(ask - bid)}
        return _json({"pricebook": {"product_id": name, **sides, "time": rfc3339(self.market.utc_ns(), 6)}} | figures)

    def failure(self, status: int) -> Reply:
        """Return the exchange's error object."""
        if status in (418, 429):
            return _failed(status, "RESOURCE_EXHAUSTED", "Too many requests")
        return _failed(status, "INTERNAL", "Internal error")


def _json(body: object) -> Reply:
    return Reply(200, json.dumps(body, separators=(",", ":")))


def _failed(status: int, name: str, told: str) -> Reply:
    body = {"error": name, "error_details": told, "message": told}
    return Reply(status, json.dumps(body, separators=(",", ":")))

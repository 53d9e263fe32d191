"""Binance spot's SBE streams: binary frames (schema 1, version 0), control as JSON text on the same connection.

The API key is only asked for, never checked. REST is Binance spot's own.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from pytrader.sandbox import frames
from pytrader.sandbox.dialects.binance import Binance, BinanceTalk
from pytrader.sandbox.dialects.dialect import Asked, Feed, Kind, Message, Talk
from pytrader.sandbox.dialects.feeds import Changes, WholeBookFeed, shown
from pytrader.sandbox.happenings import Happening, Levels, Top, Trades
from pytrader.sandbox.market import Market

BEST: Final = "btcusdt@bestBidAsk"
DIFFS: Final = "btcusdt@depth"
PARTIAL: Final = "btcusdt@depth20"
US: Final = 1_000
DIFFS_NS: Final = 20_000_000
PARTIAL_NS: Final = 50_000_000
PARTIAL_LEVELS: Final = 20
KEY_HEADER: Final = "x-mbx-apikey"
UNAUTHORIZED: Final = 401

_SCHEMA: Final = (1, 0)
_SYMBOL: Final = bytes((len(frames.SYMBOL),)) + frames.SYMBOL.encode()
_EXPONENTS: Final = (-2, -5)  # of ticks and lots
_TRADES: Final = struct.Struct("<HHHHqqbbHI")  # header, times, exponents, size of the group
_TRADE: Final = struct.Struct("<qqqB")
_BEST: Final = struct.Struct("<HHHHqqbbqqqq")
_PARTIAL: Final = struct.Struct("<HHHHqqbb")
_DIFF: Final = struct.Struct("<HHHHqqqbb")
_GROUP: Final = struct.Struct("<HH")
_LEVEL: Final = struct.Struct("<qq")


def trades(at_us: int, told: Trades) -> bytes:
    """Return a TradesStreamEvent (10000) of one market order; times in microseconds."""
    head = _TRADES.pack(18, 10_000, *_SCHEMA, at_us, at_us, *_EXPONENTS, _TRADE.size, len(told.fills))
    sold = not told.buys
    numbered = enumerate(told.fills, told.first_id)
    return head + b"".join(_TRADE.pack(number, tick, lots, sold) for number, (tick, lots) in numbered) + _SYMBOL


def best(at_us: int, told: Top) -> bytes:
    """Return a BestBidAskStreamEvent (10001)."""
    return _BEST.pack(50, 10_001, *_SCHEMA, at_us, told.update_id, *_EXPONENTS, *told[2:]) + _SYMBOL


def partial(at_us: int, update_id: int, bids: Levels, asks: Levels) -> bytes:
    """Return a DepthSnapshotStreamEvent (10002)."""
    head = _PARTIAL.pack(18, 10_002, *_SCHEMA, at_us, update_id, *_EXPONENTS)
    return head + _levels(bids) + _levels(asks) + _SYMBOL


def diff(at_us: int, changes: Changes) -> bytes:
    """Return a DepthDiffStreamEvent (10003)."""
    head = _DIFF.pack(26, 10_003, *_SCHEMA, at_us, changes.first_id, changes.last_id, *_EXPONENTS)
    return head + _levels(changes.bids) + _levels(changes.asks) + _SYMBOL


def _levels(levels: Levels) -> bytes:
    return _GROUP.pack(_LEVEL.size, len(levels)) + b"".join([_LEVEL.pack(tick, lots) for tick, lots in levels])


class _Diffs(WholeBookFeed):
    """The changes of 20 ms."""

    def __init__(self, market: Market) -> None:
        super().__init__(market, DIFFS_NS)

    def said(self, changes: Changes) -> Iterable[Message]:
        return (Message(Kind.DEPTH, DIFFS, diff(self.market.utc_ns() // US, changes)),)


class _Partial(Feed):
    """The best 20 levels, whole, if the book has changed."""

    def __init__(self, market: Market) -> None:
        super().__init__(market, PARTIAL_NS)
        self._said_id = 0

    def publish(self) -> Iterable[Message]:
        if self.market.book.update_id == self._said_id:
            return ()
        self._said_id, bids, asks = shown(self.market.book, PARTIAL_LEVELS)
        text = partial(self.market.utc_ns() // US, self._said_id, bids, asks)
        return (Message(Kind.SNAPSHOT, PARTIAL, text),)


class SbeTalk(BinanceTalk):
    """Binary frames have no wrapping."""

    def wrap(self, message: Message) -> Message:
        """Return the message as it is."""
        return message


class BinanceSbe(Binance):
    """Spot, in binary: the paths of Binance with a key in the header, or the same below `/sbe`, where it is a must."""

    name = "binance-sbe"
    rest_prefixes: ClassVar[tuple[str, ...]] = ()
    snapshot_paths: ClassVar[tuple[str, ...]] = ()
    root = "/sbe"

    def __init__(self, market: Market) -> None:
        """Speak of `market`."""
        super().__init__(market)
        self.feeds = {DIFFS: _Diffs(market), PARTIAL: _Partial(market)}

    def takes_stream(self, asked: Asked) -> bool:
        """Take `/sbe/...`, and Binance's own paths if the upgrade carries a key."""
        return super().takes_stream(asked) or (KEY_HEADER in asked.headers and super().takes_stream(_below(asked)))

    def talk(self, asked: Asked, now_s: float) -> Talk | int:
        """Begin, or refuse a client without a key."""
        if not asked.headers.get(KEY_HEADER):
            return UNAUTHORIZED
        return super().talk(asked if asked.path.startswith(self.root) else _below(asked), now_s)

    def begun(self, now_s: float, streams: list[str], *, wrapped: bool) -> Talk:
        """Return the conversation."""
        return SbeTalk(self, now_s, streams, wrapped=wrapped)

    def told(self, happened: Sequence[Happening]) -> list[Message]:
        """Return trades and best prices as they happen."""
        made = []
        for told in happened:
            at_us = self.market.utc_ns(told.at_ns) // US
            if isinstance(told, Top) and BEST in self.wanted:
                made.append(Message(Kind.TOP, BEST, best(at_us, told)))
            elif isinstance(told, Trades) and frames.TRADE in self.wanted:
                made.append(Message(Kind.TRADE, frames.TRADE, trades(at_us, told)))
        return made


def _below(asked: Asked) -> Asked:
    return Asked(asked.method, BinanceSbe.root + asked.path, asked.query, asked.headers)

"""Binance's market-data texts, and their WebSocket frames.

Prices are ticks (0.01 USDT) and quantities lots (0.00001 BTC); the exchange writes both with 8 decimals.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

from pytrader.sandbox.happenings import Cut, Happening, Levels, Top, Trades

SYMBOL: Final = "BTCUSDT"
BOOK_TICKER: Final = "btcusdt@bookTicker"
DEPTH: Final = "btcusdt@depth@100ms"
SLOW_DEPTH: Final = "btcusdt@depth"
TRADE: Final = "btcusdt@trade"

STREAMS: Final = (BOOK_TICKER, DEPTH, SLOW_DEPTH, TRADE)

Frame: TypeAlias = tuple[int, str, str]  # virtual time in ns, stream name, JSON of its `data`


def price_text(ticks: int) -> str:
    """Return a price as the exchange writes it: 2679540 -> `26795.40000000`."""
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def quantity_text(lots: int) -> str:
    """Return a quantity as the exchange writes it: 25000 -> `0.25000000`."""
    return f"{lots // 100_000}.{lots % 100_000:05d}000"


def levels_text(levels: Levels) -> str:
    """Return the JSON array of price and quantity pairs."""
    pairs = [
        f'["{tick // 100}.{tick % 100:02d}000000","{lots // 100_000}.{lots % 100_000:05d}000"]' for tick, lots in levels
    ]
    return f"[{','.join(pairs)}]"


def book_ticker(update_id: int, bid: int, bid_lots: int, ask: int, ask_lots: int) -> str:
    """Return the text of `@bookTicker`, which has no type and no time."""
    return (
        f'{{"u":{update_id},"s":"BTCUSDT","b":"{price_text(bid)}","B":"{quantity_text(bid_lots)}",'
        f'"a":"{price_text(ask)}","A":"{quantity_text(ask_lots)}"}}'
    )


def trade(at_ms: int, trade_id: int, tick: int, lots: int, buys: bool) -> str:
    """Return the text of one `@trade`; `m` (the buyer was the maker) is true when the market order sold."""
    return (
        f'{{"e":"trade","E":{at_ms},"s":"BTCUSDT","t":{trade_id},"p":"{price_text(tick)}","q":"{quantity_text(lots)}",'
        f'"T":{at_ms},"m":{"false" if buys else "true"},"M":true}}'
    )


def depth(at_ms: int, first_id: int, last_id: int, bids: Levels, asks: Levels) -> str:
    """Return the text of a diff depth frame that holds every change from `first_id` to `last_id`."""
    return (
        f'{{"e":"depthUpdate","E":{at_ms},"s":"BTCUSDT","U":{first_id},"u":{last_id},'
        f'"b":{levels_text(bids)},"a":{levels_text(asks)}}}'
    )


def snapshot(update_id: int, bids: Levels, asks: Levels) -> str:
    """Return the body of `GET /api/v3/depth`."""
    return f'{{"lastUpdateId":{update_id},"bids":{levels_text(bids)},"asks":{levels_text(asks)}}}'


def combined(stream: str, data: str) -> str:
    """Return the wrapping of `/stream`."""
    return f'{{"stream":"{stream}","data":{data}}}'


def of(happened: Iterable[Happening], epoch_ms: int, wanted: Iterable[str] = STREAMS) -> list[Frame]:
    """Return the frames of the `wanted` streams, in order; `epoch_ms` is added to their event times."""
    made: list[Frame] = []
    for told in happened:
        at_ms = epoch_ms + told.at_ns // 1_000_000
        if isinstance(told, Top):
            if BOOK_TICKER in wanted:
                made.append((told.at_ns, BOOK_TICKER, book_ticker(*told[1:])))
        elif isinstance(told, Trades):
            if TRADE in wanted:
                made += _trades(told, at_ms)
        elif (stream := SLOW_DEPTH if told.slow else DEPTH) in wanted:
            made.append((told.at_ns, stream, _depth(told, at_ms)))
    return made


def _trades(told: Trades, at_ms: int) -> list[Frame]:
    return [
        (told.at_ns, TRADE, trade(at_ms, trade_id, tick, lots, told.buys))
        for trade_id, (tick, lots) in enumerate(told.fills, told.first_id)
    ]


def _depth(cut: Cut, at_ms: int) -> str:
    return depth(at_ms, cut.first_id, cut.last_id, cut.bids, cut.asks)


def websocket(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return one unmasked frame (RFC 6455 section 5.2); `opcode` is 1 for text, 2 for binary, 0 to go on."""
    size, first = len(payload), opcode | (0x80 if final else 0)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def websocket_text(text: str) -> bytes:
    """Return one unmasked final text frame."""
    return websocket(1, text.encode())

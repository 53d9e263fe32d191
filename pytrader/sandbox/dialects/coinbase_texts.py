"""Coinbase's JSON: a channel, a line feed where a connection puts time and number, then the events."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pytrader.sandbox.dialects.numbers import price, rfc3339, size
from pytrader.sandbox.happenings import Levels, Trades

PRODUCTS: Final = ("BTC-USDT", "BTC-USD")
_NUMBERED: Final = re.compile(r'(\{"channel":"\w+","timestamp":"[^"]*","sequence_num":)(\d+)')


def numbered_less(payload: str | bytes, count: int) -> str | bytes:
    """Return a message with a `sequence_num` that is `count` lower; one that has none as it is."""
    if isinstance(payload, bytes) or not (head := _NUMBERED.match(payload)):
        return payload
    return f"{head[1]}{int(head[2]) - count}{payload[head.end() :]}"


def update_texts(bids: Levels, asks: Levels, at: str) -> list[str]:
    """Return the rows of a book message, all of one event time."""
    sides = (("bid", bids), ("offer", asks))
    return [
        f'{{"side":"{side}","event_time":"{at}","price_level":"{price(tick)}","new_quantity":"{size(lots)}"}}'
        for side, levels in sides
        for tick, lots in levels
    ]


def book_texts(kind: str, name: str, rows: Sequence[str]) -> str:
    """Return a `snapshot` or an `update` of one product's book."""
    return f'"channel":"l2_data"\n[{{"type":"{kind}","product_id":"{name}","updates":[{",".join(rows)}]}}]'


def trades_text(kind: str, name: str, told: Sequence[Trades], epoch_ms: int, most: int | None) -> str:
    """Return up to `most` trades, newest first. `side` is the maker's."""
    rows = []
    for order in told:
        at, side = rfc3339(epoch_ms * 1_000_000 + order.at_ns, 6), "SELL" if order.buys else "BUY"
        rows += [
            f'{{"product_id":"{name}","trade_id":"{number}","price":"{price(tick)}","size":"{size(lots)}",'
            f'"time":"{at}","side":"{side}"}}'
            for number, (tick, lots) in enumerate(order.fills, order.first_id)
        ]
    return f'"channel":"market_trades"\n[{{"type":"{kind}","trades":[{",".join(rows[::-1][:most])}]}}]'


def ticker_text(kind: str, name: str, state: Sequence[int]) -> str:
    """Return a ticker of (last, bid, its lots, ask, its lots); the figures of days and weeks are made up."""
    last, bid, bid_lots, ask, ask_lots = state
    past = (
        f'"low_24_h":"{price(last)}","high_24_h":"{price(last)}","low_52_w":"{price(last)}","high_52_w":"{price(last)}"'
    )
    return (
        f'"channel":"ticker"\n[{{"type":"{kind}","tickers":[{{"type":"ticker","product_id":"{name}",'
        f'"price":"{price(last)}","volume_24_h":"11005.5",{past},"price_percent_chg_24_h":"0",'
        f'"best_bid":"{price(bid)}","best_ask":"{price(ask)}","best_bid_quantity":"{size(bid_lots)}",'
        f'"best_ask_quantity":"{size(ask_lots)}"}}]}}]'
    )


def product(name: str, last: int) -> dict[str, Any]:
    """Return one product of the REST side; `last` is its price in ticks."""
    base, quote = name.split("-")
    switches = ("is_disabled", "new", "cancel_only", "limit_only", "post_only", "trading_disabled", "auction_mode")
    row: dict[str, Any] = {
        "product_id": name,
        "price": price(last),
        "price_percentage_change_24h": "0",
        "volume_24h": "11005.5",
        "volume_percentage_change_24h": "0",
        "base_increment": "0.00001",
        "quote_increment": "0.01",
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_min_size": "0.00001",
        "base_max_size": "3400",
        "base_name": "Bitcoin",
        "quote_name": quote,
        "watched": False,
        "status": "online",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "product_type": "SPOT",
        "mid_market_price": "",
        "alias": "",
        "alias_to": [],
        "base_display_symbol": base,
        "quote_display_symbol": quote,
        "view_only": False,
        "price_increment": "0.01",
        "display_name": f"{base}-{quote}",
        "product_venue": "CBE",
    }
    return row | dict.fromkeys(switches, False)

"""A frame of book changes with one more bid, above every ask: what crosses a client's book, in each dialect's words."""

import re
import struct
from typing import Final

from pytrader.sandbox.dialects.numbers import price

ABOVE_TICKS: Final = 1_000  # above the best ask, so that the next market order does not uncross it
_LOTS: Final = 100_000
_SBE_BIDS: Final = 34  # where the group of bids begins, behind the fields of a depth frame
_GROUP, _LEVEL = struct.Struct("<HH"), struct.Struct("<qq")

# Dialect -> where its bids begin, and one level of 1 BTC.
_BIDS: Final = {
    "binance": ('"b":[', '["{price}","1.00000000"]'),
    "binance-usdm": ('"b":[', '["{price}","1.00000000"]'),
    "bybit": ('"b":[', '["{price}","1"]'),
    "okx": ('"bids":[', '["{price}","1","0","1"]'),
    "coinbase": ('"updates":[', '{{"side":"bid","event_time":"{at}","price_level":"{price}","new_quantity":"1"}}'),
}
_AT: Final = re.compile(r'"event_time":"([^"]*)"')


def crossed(dialect: str, payload: str | bytes, best_ask: int) -> str | bytes:
    """Return the dialect's frame of book changes with a bid above `best_ask`, ticks."""
    tick = best_ask + ABOVE_TICKS
    if isinstance(payload, bytes):
        return _binary(payload, tick)
    opening, level = _BIDS[dialect]
    at = _AT.search(payload)
    written = level.format(price=price(tick), at=at[1] if at else "")
    head, found, tail = payload.partition(opening)
    assert found, f"no bids in {payload[:80]}"
    return f"{head}{found}{written}{'' if tail.startswith(']') else ','}{tail}"


def _binary(payload: bytes, tick: int) -> bytes:
    size, count = _GROUP.unpack_from(payload, _SBE_BIDS)
    levels = _GROUP.pack(size, count + 1) + _LEVEL.pack(tick, _LOTS)
    return payload[:_SBE_BIDS] + levels + payload[_SBE_BIDS + _GROUP.size :]

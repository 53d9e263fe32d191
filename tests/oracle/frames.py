"""Binance's frames, on one axis of update ids."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

Rows = Iterable[tuple[object, object]]


@dataclass
class Frames:
    """Writes frames one after the other. `last_id` is the newest id given out, `depth_id` the last depth frame's."""

    last_id: int = 1_000
    depth_id: int = 1_000

    def depth(self, bids: Rows, asks: Rows, *, gap: bool = False) -> bytes:
        """Write the next depth frame; with `gap` one before it is missing."""
        first = self.depth_id + (2 if gap else 1)
        self.last_id = self.depth_id = max(self.last_id, first) + 1
        data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": self.depth_id}
        return framed("depth@100ms", data | {"b": rows(bids), "a": rows(asks)})

    def snapshot(self, bids: Rows, asks: Rows, *, below: int = 0) -> bytes:
        """Write a snapshot as of the last depth frame, or of `below` ids before it (but after the frame before)."""
        body = {"lastUpdateId": self.depth_id - below, "bids": rows(bids), "asks": rows(asks)}
        return orjson.dumps(body)

    def ticker(self, bid: object, bid_size: object, ask: object, ask_size: object) -> bytes:
        """Write the next best prices."""
        self.last_id += 1
        prices = {"b": str(bid), "B": str(bid_size), "a": str(ask), "A": str(ask_size)}
        return framed("bookTicker", {"u": self.last_id, "s": "BTCUSDT"} | prices)

    def trade(self, price: object, size: object) -> bytes:
        """Write a print."""
        data = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 1, "p": str(price), "q": str(size), "T": 1, "m": True}
        return framed("trade", data | {"M": True})


def rows(levels: Rows) -> list[list[str]]:
    """Return levels as the venue writes them."""
    return [[str(price), str(size)] for price, size in levels]


def framed(stream: str, data: dict[str, object]) -> bytes:
    """Return the bytes of one combined-stream frame."""
    return orjson.dumps({"stream": f"btcusdt@{stream}", "data": data})

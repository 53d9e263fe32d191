"""Made-up frames in the venue's documented shape: combined streams of BTCUSDT, tick 0.01, lot 0.00001.

The prices stay around one middle, so that bids never meet asks; three of ten depth levels are removals.
"""

from __future__ import annotations

from random import Random

MIDDLE = 6_500_000  # ticks: bids end below it, asks begin at it
LEVELS = 1_000  # a side, in the snapshot


def price(ticks: int) -> str:
    """Return a price as the venue writes it."""
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def wrap(stream: str, data: str) -> bytes:
    """Return `data` as a message of a combined stream."""
    return f'{{"stream":"btcusdt@{stream}","data":{data}}}'.encode()


def book_tickers(count: int) -> list[bytes]:
    """Return bookTicker frames of about 146 bytes whose update ids rise."""
    draw = Random(7)

    def frame(index: int) -> bytes:
        at = MIDDLE + draw.randrange(-50, 50)
        sides = f'"b":"{price(at)}","B":"{_size(draw)}","a":"{price(at + 1)}","A":"{_size(draw)}"'
        return wrap("bookTicker", f'{{"u":{60_000_000_000 + index},"s":"BTCUSDT",{sides}}}')

    return [frame(index) for index in range(count)]


def depths(count: int, side: int) -> list[bytes]:
    """Return depth frames of `side` levels each way; the first joins `snapshot()`, each one the one before it."""
    draw = Random(11)

    def frame(index: int) -> bytes:
        first, last = 40 * index + 1, 40 * index + 40
        head = f'"e":"depthUpdate","E":1760000000000,"s":"BTCUSDT","U":{first},"u":{last}'
        return wrap("depth@100ms", f'{{{head},"b":[{_levels(draw, side, -1)}],"a":[{_levels(draw, side, 1)}]}}')

    return [frame(index) for index in range(count)]


def snapshot(update_id: int = 0) -> bytes:
    """Return the body of a depth request: 1,000 levels a side, one tick apart."""
    bids = ",".join(f'["{price(MIDDLE - 1 - step)}","1.00000000"]' for step in range(LEVELS))
    asks = ",".join(f'["{price(MIDDLE + step)}","1.00000000"]' for step in range(LEVELS))
    return f'{{"lastUpdateId":{update_id},"bids":[{bids}],"asks":[{asks}]}}'.encode()


def _levels(draw: Random, count: int, sign: int) -> str:
    """Return levels from the touch outwards, the touch itself always among them and never removed."""
    offsets = {0}
    while len(offsets) < count:
        offsets.add(int(draw.expovariate(1 / 60)))
    touch = MIDDLE - 1 if sign < 0 else MIDDLE
    rows = (f'["{price(touch + sign * offset)}","{_size(draw, 0.3 if offset else 0)}"]' for offset in sorted(offsets))
    return ",".join(rows)


def _size(draw: Random, removed: float = 0.0) -> str:
    return "0.00000000" if draw.random() < removed else f"{draw.expovariate(0.8) + 0.00001:.5f}000"

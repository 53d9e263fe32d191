"""Frames of a busy market: ten times the mix and the sizes of the recordings' busiest second, made up, ids to fill in.

One second of the market is made once and repeated. Every frame carries a number of one sequence as its id, so that a
frame that is missing shows wherever it was.
"""

import itertools
import random
from dataclasses import dataclass

FIRST_ID = 10_000_000_001  # the width of an id never changes
TICKS = 1_000  # a second
A_TICK = 25  # frames
RATE = TICKS * A_TICK  # frames a second
MIX = {"trade": 954, "bookTicker": 505, "depth": 10}  # frames of the busiest second
MIDDLE = 6_183_763  # ticks of 0.01: bids end below it, asks begin at it
REACH = 2_000  # levels a side that a frame may touch
# Levels of a depth frame that so many percent of the recorded ones do not exceed.
LEVELS = {0: 1, 10: 7, 25: 12, 50: 22, 75: 45, 90: 104, 95: 173, 99: 386, 100: 1_076}


@dataclass(slots=True)
class Tick:
    """Frames that are sent together: a text with a place for each id, and what its depth frame does to the book."""

    text: bytes
    depth_at: int | None  # which of the frames is the depth frame
    bids: dict
    asks: dict


def price(ticks):
    """Return a price as the venue writes it."""
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def framed(payload, ids):
    """Return `payload` as a frame whose `ids` places of `%d` become eleven digits each."""
    size = len(payload) + ids * (len(str(FIRST_ID)) - len("%d"))
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    return head.replace(b"%", b"%%") + payload.encode()


def second(dice):
    """Return the ticks of one second: 25,000 frames in the recorded mix and sizes."""
    depths = round(RATE * MIX["depth"] / sum(MIX.values()))
    sizes = [_levels_at(100 * index / (depths - 1)) for index in range(depths)]
    dice.shuffle(sizes)
    with_depth = {index * TICKS // depths: size for index, size in enumerate(sizes)}
    trades = round(RATE * MIX["trade"] / sum(MIX.values()))
    others = [True] * trades + [False] * (RATE - depths - trades)
    dice.shuffle(others)
    kinds = iter(others)
    return [_tick(dice, kinds, with_depth.get(index)) for index in range(TICKS)]


def _levels_at(percent):
    for (low, least), (high, most) in itertools.pairwise(LEVELS.items()):
        if percent <= high:
            return round(least + (most - least) * (percent - low) / (high - low))
    raise AssertionError(percent)


def _tick(dice, kinds, levels):
    depth_at, bids, asks, frames = None, {}, {}, []
    if levels is not None:
        depth_at, bids = dice.randrange(A_TICK), _side(dice, (levels + 1) // 2, -1)
        asks = _side(dice, levels // 2, 1)
    for index in range(A_TICK):
        if index == depth_at:
            frames.append(framed(_depth(bids, asks), 2))
        else:
            frames.append(framed(_trade(dice) if next(kinds) else _ticker(dice), 1))
    return Tick(b"".join(frames), depth_at, bids, asks)


def _size(dice):
    return f"{dice.randrange(9)}.{dice.randrange(1, 100_000):05d}000"


def _side(dice, count, sign):
    """Return levels by price; three of ten are removed, the touch never."""
    offsets = dice.sample(range(REACH), count) if count > 60 else {int(dice.expovariate(1 / 60)) for _ in range(count)}
    touch = MIDDLE - 1 if sign < 0 else MIDDLE
    return {
        price(touch + sign * at): "0.00000000" if at and dice.random() < 0.3 else _size(dice) for at in sorted(offsets)
    }


def rows(levels):
    """Return levels as the venue writes them."""
    return ",".join(f'["{at}","{size}"]' for at, size in levels)


def _trade(dice):
    at = price(MIDDLE - dice.randrange(2))
    data = f'"e":"trade","E":1723161255343,"s":"BTCUSDT","t":%d,"p":"{at}","q":"{_size(dice)}","T":1723161255342'
    return f'{{"stream":"btcusdt@trade","data":{{{data},"m":true,"M":true}}}}'


def _ticker(dice):
    sides = f'"b":"{price(MIDDLE - 1)}","B":"{_size(dice)}","a":"{price(MIDDLE)}","A":"{_size(dice)}"'
    return f'{{"stream":"btcusdt@bookTicker","data":{{"u":%d,"s":"BTCUSDT",{sides}}}}}'


def _depth(bids, asks):
    head = '"e":"depthUpdate","E":1723161255343,"s":"BTCUSDT","U":%d,"u":%d'
    data = f'{head},"b":[{rows(bids.items())}],"a":[{rows(asks.items())}]'
    return f'{{"stream":"btcusdt@depth@100ms","data":{{{data}}}}}'


class Market:
    """The market behind the frames: gives them their ids, and knows its book."""

    def __init__(self):
        """Begin with a thousand levels a side, before the first frame."""
        self._ticks = itertools.cycle(second(random.Random(5)))
        self.next_id, self.depth_id = FIRST_ID, FIRST_ID - 1
        self._bids = {price(MIDDLE - 1 - at): "1.00000000" for at in range(1_000)}
        self._asks = {price(MIDDLE + at): "1.00000000" for at in range(1_000)}

    def tick(self):
        """Return the bytes of the next 25 frames."""
        tick, ids = next(self._ticks), list(range(self.next_id, self.next_id + A_TICK))
        self.next_id += A_TICK
        if tick.depth_at is not None:
            last = ids[tick.depth_at]
            ids.insert(tick.depth_at, self.depth_id + 1)
            self._bids.update(tick.bids)
            self._asks.update(tick.asks)
            self.depth_id = last
        return tick.text % tuple(ids)

    def snapshot(self, limit):
        """Return the body of a depth request as the book stands: `limit` levels a side."""
        sides = []
        for levels, falling in ((self._bids, True), (self._asks, False)):
            there = [(float(at), at, size) for at, size in levels.items() if float(size)]
            there.sort(reverse=falling)
            sides.append(rows((at, size) for _, at, size in there[:limit]))
        return f'{{"lastUpdateId":{self.depth_id},"bids":[{sides[0]}],"asks":[{sides[1]}]}}'.encode()

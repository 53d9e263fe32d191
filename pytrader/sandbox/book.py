"""The resting book: integer ticks and lots, one update id a level change, what changed since the last depth frame."""

from bisect import bisect_left, insort


class Ladder:
    """One side of the book. A level's key is its tick (bids) or minus its tick (asks): the best key is the last one."""

    __slots__ = ("changed", "changed_slow", "keys", "lots", "sign")

    def __init__(self, sign: int) -> None:
        """Start empty; `sign` is 1 for bids and -1 for asks."""
        self.sign = sign
        self.keys: list[int] = []  # ascending
        self.lots: dict[int, int] = {}  # tick -> lots, always > 0
        self.changed: dict[int, None] = {}  # ticks changed since the last 100 ms frame
        self.changed_slow: dict[int, None] = {}  # ticks of past 100 ms frames since the last 1,000 ms frame

    def best(self) -> int:
        """Return the best price in ticks. The flow keeps both sides filled, so an empty side is our own mistake."""
        return self.sign * self.keys[-1]

    def place(self, tick: int, lots: int) -> None:
        """Set the level's absolute quantity; 0 removes it."""
        if lots == 0:
            del self.lots[tick]
            del self.keys[bisect_left(self.keys, self.sign * tick)]
        else:
            if tick not in self.lots:
                insort(self.keys, self.sign * tick)
            self.lots[tick] = lots
        self.changed[tick] = None

    def top(self, count: int) -> list[tuple[int, int]]:
        """Return up to `count` levels as (tick, lots), best first."""
        return [(self.sign * key, self.lots[self.sign * key]) for key in self.keys[: -count - 1 : -1]]

    def take_changes(self) -> list[tuple[int, int]]:
        """Return every level changed since the last call as (tick, lots now), best first; 0 lots means it is gone."""
        changed = sorted(self.changed, reverse=self.sign > 0)
        self.changed_slow.update(self.changed)
        self.changed.clear()
        return [(tick, self.lots.get(tick, 0)) for tick in changed]

    def take_slow_changes(self) -> list[tuple[int, int]]:
        """Return every level of the 100 ms frames since the last call, in the same form."""
        changed = sorted(self.changed_slow, reverse=self.sign > 0)
        self.changed_slow.clear()
        return [(tick, self.lots.get(tick, 0)) for tick in changed]


class Book:
    """Both sides and the update id: it grows by exactly one with every level change."""

    __slots__ = ("asks", "bids", "update_id")

    def __init__(self, first_update_id: int) -> None:
        """Start empty at `first_update_id`."""
        self.bids = Ladder(1)
        self.asks = Ladder(-1)
        self.update_id = first_update_id

    def place(self, ladder: Ladder, tick: int, lots: int) -> None:
        """Set one level and count the change."""
        ladder.place(tick, lots)
        self.update_id += 1

    def top(self) -> tuple[int, int, int, int]:
        """Return (bid tick, bid lots, ask tick, ask lots)."""
        bid, ask = self.bids.keys[-1], -self.asks.keys[-1]
        return bid, self.bids.lots[bid], ask, self.asks.lots[ask]

    def spread(self) -> int:
        """Return the spread in ticks; below 1 would be a crossed book, which must never happen."""
        return -self.asks.keys[-1] - self.bids.keys[-1]

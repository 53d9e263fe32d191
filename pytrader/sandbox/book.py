"""The resting book: integer ticks and lots, one update id a level change, what changed since the last depth frame."""

from bisect import bisect_left, insort
from collections.abc import Iterable

from pytrader.sandbox.happenings import Levels


class Ladder:
    """One side of the book. A level's key is its tick (bids) or minus its tick (asks): the best key is the last one."""

    __slots__ = ("changed", "changed_slow", "keys", "lots", "sign", "watched")

    def __init__(self, sign: int) -> None:
        """Start empty; `sign` is 1 for bids and -1 for asks."""
        self.sign = sign
        self.keys: list[int] = []  # ascending
        self.lots: dict[int, int] = {}  # tick -> lots, always > 0
        self.changed: dict[int, None] = {}  # ticks changed since the last 100 ms frame
        self.changed_slow: dict[int, None] = {}  # ticks of past 100 ms frames since the last 1,000 ms frame
        self.watched: list[dict[int, None]] = []  # further records of changed ticks, emptied by whoever added them

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
        for record in self.watched:
            record[tick] = None

    def top(self, count: int) -> list[tuple[int, int]]:
        """Return up to `count` levels as (tick, lots), best first."""
        return [(self.sign * key, self.lots[self.sign * key]) for key in self.keys[: -count - 1 : -1]]

    def take_changes(self) -> list[tuple[int, int]]:
        """Return every level changed since the last call as (tick, lots now), best first; 0 lots means it is gone."""
        changed = self.now(self.changed)
        self.changed_slow.update(self.changed)
        self.changed.clear()
        return changed

    def take_slow_changes(self) -> list[tuple[int, int]]:
        """Return every level of the 100 ms frames since the last call, in the same form."""
        changed = self.now(self.changed_slow)
        self.changed_slow.clear()
        return changed

    def now(self, ticks: Iterable[int]) -> list[tuple[int, int]]:
        """Return these levels as (tick, lots now), best first; 0 lots means it is gone."""
        return [(tick, self.lots.get(tick, 0)) for tick in sorted(ticks, reverse=self.sign > 0)]


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


class Watch:
    """Every level change from now on, taken in pieces whose update ids follow each other."""

    def __init__(self, book: Book) -> None:
        """Start watching `book`."""
        self._book = book
        self._ticks: tuple[dict[int, None], dict[int, None]] = {}, {}
        self.last_id = book.update_id
        for ladder, ticks in zip((book.bids, book.asks), self._ticks, strict=True):
            ladder.watched.append(ticks)

    def take(self) -> tuple[int, int, Levels, Levels] | None:
        """Return (first id, last id, bids, asks) of the changes since the last call, or None if there were none."""
        book, first_id = self._book, self.last_id + 1
        if book.update_id < first_id:
            return None
        taken = book.bids.now(self._ticks[0]), book.asks.now(self._ticks[1])
        for ticks in self._ticks:
            ticks.clear()
        self.last_id = book.update_id
        return first_id, self.last_id, *taken

    def stop(self) -> None:
        """Watch no more."""
        for ladder, ticks in zip((self._book.bids, self._book.asks), self._ticks, strict=True):
            ladder.watched[:] = [record for record in ladder.watched if record is not ticks]

"""Orders acting on the book: makers away from and at the touch, takers, pushes that move the price.

Every act leaves the book uncrossed with both sides filled. Quantities are lots (0.00001 BTC), prices ticks (0.01 USDT).
Sizes and distances are quantiles of the recordings (taken near 61,700 USDT), distances in proportion to the price.
"""

from bisect import bisect_left
from collections.abc import Sequence
from random import Random
from typing import Final, TypeAlias

from pytrader.sandbox.book import Book, Ladder
from pytrader.sandbox.draws import TABLE_SIZE, quantile_table
from pytrader.sandbox.scenario import Scenario

RECORDED_TICKS: Final = 6_170_000  # price at which distances were measured
LOTS: Final = 100_000  # lots in 1 BTC
FEWEST_LEVELS: Final = 1_050
MOST_LEVELS: Final = 4_000
SPACING: Final = 22  # mean ticks between two levels near the touch, at the recorded price
DENSE: Final = 25_000  # ticks from the touch within which levels lie that dense
RECENT: Final = 64

DEEP_SIZE: Final = (
    (0, 9e-5),
    (0.05, 1e-4),
    (0.1, 1.2e-4),
    (0.25, 2e-4),
    (0.5, 2e-3),
    (0.75, 0.045),
    (0.9, 0.37),
    (0.99, 1.5),
    (1, 5.5),
)
TOUCH_TARGET: Final = ((0, 2e-4), (0.1, 0.01), (0.25, 0.2), (0.5, 1.3), (0.75, 3.0), (0.9, 4.2), (0.99, 6.0), (1, 8.0))
TOUCH_STEP: Final = ((0, 1e-4), (0.1, 5e-4), (0.25, 0.02), (0.5, 0.12), (0.75, 0.4), (0.9, 0.8), (0.99, 2.5), (1, 5.0))
FIRST_STEP: Final = ((0, 9e-5), (0.25, 2e-3), (0.5, 0.045), (0.75, 0.2), (0.9, 0.45), (1, 2.0))
TRADE_SIZE: Final = (
    (0, 8e-5),
    (0.25, 1.1e-4),
    (0.5, 6.6e-4),
    (0.75, 0.014),
    (0.9, 0.057),
    (0.95, 0.1),
    (0.99, 0.324),
    (1, 1.5),
)
DISTANCE: Final = (
    (0, 1),
    (0.05, 60),
    (0.1, 150),
    (0.25, 750),
    (0.5, 2700),
    (0.75, 8000),
    (0.9, 14500),
    (0.98, 30000),
    (1, 620000),
)
PUSH: Final = ((0, 1), (0.1, 2), (0.25, 15), (0.5, 60), (0.75, 140), (0.9, 300), (0.99, 1100), (1, 2500))

Fill: TypeAlias = tuple[int, int]  # price in ticks, quantity in lots


class Flow:
    """The people of the market. All chance comes from `rng`, so equal seeds act equally."""

    def __init__(self, rng: Random, book: Book, scenario: Scenario, start_ticks: int) -> None:
        """Fill `book` around `start_ticks` and remember how `scenario` acts."""
        near = start_ticks / RECORDED_TICKS
        dust = -(-LOTS * 550 // start_ticks) if start_ticks > 0 else 0  # 5.50 USDT: just above the smallest order
        size = scenario.size_scale * LOTS
        self.rng = rng
        self.book = book
        self.dust = dust
        self._tail = -1 / scenario.take_tail
        self._deep_size = quantile_table(DEEP_SIZE, size, dust)
        self._target = quantile_table(TOUCH_TARGET, size, dust)
        self._step = quantile_table(TOUCH_STEP, size, dust)
        self._first = quantile_table(FIRST_STEP, size, dust)
        self._trade = quantile_table(TRADE_SIZE, LOTS, dust)
        self._distance = quantile_table(DISTANCE, near, 1)
        self._push = quantile_table(PUSH, near * scenario.push_scale, 1)
        self._spare = [0.7 * near * SPACING * (1 + (d / (near * DENSE)) ** 2) for d in self._distance]
        self._recent: list[tuple[Ladder, int]] = []
        self._pressure_up = True
        self._targets = {1: self._draw(self._target), -1: self._draw(self._target)}
        self._fill(start_ticks, near)

    def _draw(self, table: Sequence[int]) -> int:
        return table[int(self.rng.random() * TABLE_SIZE)]

    def _fill(self, start_ticks: int, near: float) -> None:
        far = round(start_ticks * 0.1)
        for ladder, first in ((self.book.bids, start_ticks), (self.book.asks, start_ticks + 1)):
            ladder.place(first, self._draw(self._target))
            away = 1
            while away < far:
                spacing = near * SPACING * (1 + (away / (near * DENSE)) ** 2)
                away += 1 + int(self.rng.expovariate(1 / spacing))
                ladder.place(first - ladder.sign * away, self._draw(self._deep_size))
            while len(ladder.keys) < FEWEST_LEVELS:  # at low prices so many ticks are not that near
                away = 1 + int(self.rng.random() * far)
                ladder.place(first - ladder.sign * away, self._draw(self._deep_size))
            ladder.changed.clear()

    def deep(self) -> None:
        """Change one level behind the best one: add, resize or remove, so that the density stays what it was."""
        random = self.rng.random
        if self._recent and random() < 0.3:
            ladder, tick = self._recent[int(random() * len(self._recent))]
            self._revise(ladder, tick)
            return
        ladder = self.book.bids if random() < 0.5 else self.book.asks
        draw = int(random() * TABLE_SIZE)
        keys = ladder.keys
        key = keys[-1] - self._distance[draw]
        place = bisect_left(keys, key)
        if keys[place] == key:
            self._revise(ladder, ladder.sign * key)
            return
        gap = keys[place] - keys[place - 1] if place else MOST_LEVELS
        if len(keys) < FEWEST_LEVELS or (random() * (gap + self._spare[draw]) < gap and len(keys) < MOST_LEVELS):
            self._add(ladder, ladder.sign * key)
        elif place:
            self._revise(ladder, ladder.sign * keys[place - 1])

    def _add(self, ladder: Ladder, tick: int) -> None:
        self.book.place(ladder, tick, self._draw(self._deep_size))
        if len(self._recent) < RECENT:
            self._recent.append((ladder, tick))
        else:
            self._recent[int(self.rng.random() * RECENT)] = (ladder, tick)

    def _revise(self, ladder: Ladder, tick: int) -> None:
        """Remove or resize a level behind the best one; a recent level that is gone is quoted again."""
        behind = ladder.keys[-1] - ladder.sign * tick
        if behind <= 0:
            return
        if tick in ladder.lots and (self.rng.random() < 0.85 and len(ladder.keys) > FEWEST_LEVELS):
            self.book.place(ladder, tick, 0)
        else:
            self.book.place(ladder, tick, self._draw(self._deep_size))

    def touch(self) -> None:
        """Add to or take from a best level; one whose makers have had enough is pulled, which moves the price."""
        ladder = self.book.bids if self.rng.random() < 0.5 else self.book.asks
        best = ladder.best()
        lots, step = ladder.lots[best], self._draw(self._step)
        if self.rng.random() < 0.04:
            self._targets[ladder.sign] = self._draw(self._target)
        wants_more = lots < self._targets[ladder.sign]
        grows = self.rng.random() < (0.85 if wants_more else 0.25)
        if grows:
            self.book.place(ladder, best, lots + step)
        elif lots - step >= self.dust:
            self.book.place(ladder, best, lots - step)
        elif not wants_more and self.book.spread() == 1:
            self._pressure_up = ladder.sign < 0
            self.book.place(ladder, best, 0)
        else:
            self.book.place(ladder, best, self.dust + self._draw(self._first))

    def trade_count(self) -> int:
        """Draw how many trades one market order makes: mostly one, now and then hundreds."""
        return min(750, int((1 - self.rng.random()) ** self._tail))

    def take(self, buys: bool, count: int) -> list[Fill]:
        """Let a market order of `count` pieces eat the other side; return its trades, best price first.

        One level change per level it touched. It stops before a side would hold fewer than `FEWEST_LEVELS`.
        """
        ladder = self.book.asks if buys else self.book.bids
        fills: list[Fill] = []
        tick = ladder.best()
        rest = ladder.lots[tick]
        for _ in range(count):
            piece = self._draw(self._trade)
            while piece >= rest and len(ladder.keys) > FEWEST_LEVELS:
                fills.append((tick, rest))
                piece -= rest
                self.book.place(ladder, tick, 0)
                tick = ladder.best()
                rest = ladder.lots[tick]
            piece = min(piece, rest - 1)
            if piece > 0:
                fills.append((tick, piece))
                rest -= piece
        if rest != ladder.lots[tick]:
            self.book.place(ladder, tick, rest)
        self._pressure_up = buys
        return fills

    def push(self, up: bool) -> list[Fill]:
        """Move the price: makers step back over some distance, a market order takes what stands in the way."""
        ladder = self.book.asks if up else self.book.bids
        limit = ladder.keys[-1] - self._draw(self._push)
        first = bisect_left(ladder.keys, limit)
        stepping_back = [ladder.sign * key for key in ladder.keys[first:-1]]
        for tick in stepping_back[: max(0, len(ladder.keys) - FEWEST_LEVELS)]:
            self.book.place(ladder, tick, 0)
        best = ladder.best()
        left = min(ladder.lots[best], self._draw(self._first))
        if left != ladder.lots[best]:
            self.book.place(ladder, best, left)
        return self.take(up, self.trade_count())

    def close_spread(self) -> None:
        """Quote inside a spread wider than one tick: mostly behind the move, sometimes back against it."""
        width = self.book.spread()
        if width <= 1:
            return
        follows = self.rng.random() < 0.72
        bids, asks = self.book.bids, self.book.asks
        step = width - 1 if self.rng.random() < 0.45 else 1 + int(self.rng.random() * (width - 1))
        ladder = bids if self._pressure_up == follows else asks
        tick = bids.best() + step if ladder is bids else asks.best() - step
        self._targets[ladder.sign] = self._draw(self._target)
        self.book.place(ladder, tick, self._draw(self._first))

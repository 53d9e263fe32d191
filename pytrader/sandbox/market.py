"""The synthetic market: virtual time, arrivals in bursts, and what happens in it.

`Market.happen(until_ns)` returns what happened in a stretch of virtual time, in no exchange's words. It depends on
seed, scenario, rate and start price only, never on how the time is cut into stretches; `epoch_ms` alone ties event
times to a wall clock. `Market.advance` says the same in Binance's texts.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

from pytrader.sandbox import frames
from pytrader.sandbox.book import Book
from pytrader.sandbox.flow import Fill, Flow
from pytrader.sandbox.happenings import Cut, Happening, Top, Trades
from pytrader.sandbox.scenario import Scenario

START_TICKS: Final = 2_679_540
FIRST_UPDATE_ID: Final = 50_000_000_000
FIRST_TRADE_ID: Final = 3_700_000_000
SLOT_NS: Final = 10_000_000  # activity is constant within one slot
DEPTH_NS: Final = 100_000_000
SLOW_DEPTH_EVERY: Final = 10
BEAT_NS: Final = 10_000_000  # exchanges publish at multiples of it
RECENT_ORDERS: Final = 100
FARTHEST: Final = 2  # a price that is so many times the first one, or such a part of it, goes no farther
MS: Final = 1_000_000

Act: TypeAlias = tuple[int, int, Callable[[int, int], None], int]  # when (ns), tie-break, what, its argument


class Market:
    """One seeded market. Not thread-safe; time only moves in `advance`."""

    def __init__(
        self, seed: int, scenario: Scenario, *, rate: float = 1.0, start_ticks: int = START_TICKS, epoch_ms: int = 0
    ) -> None:
        """Build the book at virtual time 0.

        `rate` (> 0) multiplies every arrival rate; `start_ticks` is the first best bid in 0.01 USDT; `epoch_ms` is
        added to the event times of frames.
        """
        self.rng = Random(seed)  # noqa: S311 - a market, not a secret
        self.scenario = scenario
        self.epoch_ms = epoch_ms
        self.now_ns = 0
        self.book = Book(FIRST_UPDATE_ID)
        self.flow = Flow(self.rng, self.book, scenario, start_ticks)
        self._rate = rate
        self._start_ticks = start_ticks
        self.recent: deque[Trades] = deque(maxlen=RECENT_ORDERS)  # the last market orders, oldest first
        self._happened: list[Happening] = []
        self._acts: list[Act] = []
        self._act_number = 0
        self._trade_id = FIRST_TRADE_ID
        self._top = self.book.top()
        self._mood = 0.0
        self._excited = 0.0
        self._silent_until_ns = 0
        self._lively_until_ns = 0
        self._cut_id = self._slow_cut_id = self.book.update_id
        self._schedule(0, self._slot, 0)
        self._schedule(DEPTH_NS, self._cut, 1)

    def next_due_ns(self) -> int:
        """Return the virtual time of the next thing that happens."""
        return self._acts[0][0]

    def now_ms(self) -> int:
        """Return the market's clock, UTC."""
        return self.utc_ns() // MS

    def utc_ns(self, at_ns: int | None = None) -> int:
        """Return a virtual time, or now, on the market's clock, UTC."""
        return self.epoch_ms * MS + (self.now_ns if at_ns is None else at_ns)

    def advance(self, until_ns: int) -> list[frames.Frame]:
        """Let everything up to and including `until_ns` happen and return the Binance frames it makes, in order."""
        return frames.of(self.happen(until_ns), self.epoch_ms)

    def happen(self, until_ns: int) -> list[Happening]:
        """Let everything up to and including `until_ns` happen and return it, in order."""
        acts = self._acts
        while acts[0][0] <= until_ns:
            at_ns, _, act, argument = heapq.heappop(acts)
            act(at_ns, argument)
        self.now_ns = max(self.now_ns, until_ns)
        happened, self._happened = self._happened, []
        return happened

    def _schedule(self, at_ns: int, act: Callable[[int, int], None], argument: int) -> None:
        self._act_number += 1
        heapq.heappush(self._acts, (at_ns, self._act_number, act, argument))

    def _slot(self, at_ns: int, _: int) -> None:
        """Draw the arrivals of the next slot from the slow mood and the excitement of recent pushes."""
        scenario, rng = self.scenario, self.rng
        self._schedule(at_ns + SLOT_NS, self._slot, 0)
        keep = math.exp(-SLOT_NS / 1e9 / scenario.mood_seconds)
        self._mood = self._mood * keep + rng.gauss(0, scenario.mood_spread * math.sqrt(1 - keep * keep))
        self._excited *= math.exp(-SLOT_NS / MS / scenario.excite_ms)
        if self._is_silent(at_ns):
            return
        mood = math.exp(self._mood - scenario.mood_spread**2 / 2) * self._rate
        excited = min(self._excited, 20.0 * self._rate)
        steady = math.sqrt(mood * self._rate)  # away from the touch activity swings less
        self._arrivals(at_ns, scenario.deep_rate * (steady + excited), self._deep)
        self._arrivals(at_ns, scenario.touch_rate * (mood + excited), self._touch_flurry)
        self._arrivals(at_ns, scenario.take_rate * mood, self._take)
        self._arrivals(at_ns, scenario.run_rate * mood, self._run)
        if scenario.fall_s[0] * 1e9 <= at_ns < scenario.fall_s[1] * 1e9:
            self._arrivals(at_ns, scenario.fall_rate * self._rate, self._fall)

    def _is_silent(self, at_ns: int) -> bool:
        silence_s, rng = self.scenario.silence_s, self.rng
        if silence_s is None:
            return False
        if at_ns >= self._lively_until_ns:
            self._silent_until_ns = at_ns + int(rng.uniform(*silence_s) * 1e9)
            self._lively_until_ns = self._silent_until_ns + int(rng.uniform(*self.scenario.lively_s) * 1e9)
        return at_ns < self._silent_until_ns

    def _arrivals(self, start_ns: int, rate: float, act: Callable[[int, int], None]) -> None:
        draw, per_ns = self.rng.expovariate, rate / 1e9
        if per_ns <= 0:
            return
        at_ns = start_ns + draw(per_ns)
        while at_ns < start_ns + SLOT_NS:
            self._schedule(int(at_ns), act, 0)
            at_ns += draw(per_ns)

    def _burst_size(self, mean: float) -> int:
        return 1 + int(self.rng.expovariate(1.0) * (mean - 0.5)) if mean > 1 else 1

    def _deep(self, _at_ns: int, count: int) -> None:
        for _ in range(count or self._burst_size(self.scenario.deep_size)):
            self.flow.deep()

    def _touch_flurry(self, at_ns: int, _: int) -> None:
        for _ in range(self._burst_size(self.scenario.touch_size)):
            self._schedule(at_ns, self._touch, 0)
            at_ns += self._short_gap()

    def _short_gap(self) -> int:
        """Draw the time between two acts of one burst: mostly microseconds, else about a millisecond."""
        if self.rng.random() < 0.55:
            return 1_000 + int(self.rng.random() * 2_000)
        return 1_000 + int(self.rng.expovariate(1 / 1.5e6))

    def _touch(self, at_ns: int, _: int) -> None:
        self.flow.touch()
        self._tell_top(at_ns)

    def _take(self, at_ns: int, _: int) -> None:
        buys = self.rng.random() < self._appetite()
        self._tell_trades(at_ns, self.flow.take(buys, self.flow.trade_count()), buys)
        self._tell_top(at_ns)

    def _run(self, at_ns: int, _: int) -> None:
        self._pushes(at_ns, int(self.rng.random() < self._appetite()))

    def _fall(self, at_ns: int, _: int) -> None:
        self._pushes(at_ns, int(self._appetite() == 1.0))

    def _appetite(self) -> float:
        """Return how likely somebody buys: as likely as not, and alone where chance has led the price too far away.

        It has no memory of a right price: left to itself for days, or at a high rate, it would reach zero.
        """
        bid = self.book.bids.best()
        if bid * FARTHEST < self._start_ticks:
            return 1.0
        return 0.0 if bid > self._start_ticks * FARTHEST else 0.5

    def _pushes(self, at_ns: int, up: int) -> None:
        """Start a run: several pushes in one direction, each of which sets off re-quotes."""
        for _ in range(self._burst_size(self.scenario.run_size)):
            self._schedule(at_ns, self._push, up)
            at_ns += int(self.rng.expovariate(1 / (self.scenario.push_gap_ms * MS)))

    def _push(self, at_ns: int, up: int) -> None:
        self._tell_trades(at_ns, self.flow.push(bool(up)), bool(up))
        self._tell_top(at_ns)
        self._excited += self.scenario.excite
        for _ in range(3):
            at_ns += self._short_gap()
            self._schedule(at_ns, self._deep, self._burst_size(self.scenario.push_deep / 3))

    def _close(self, at_ns: int, _: int) -> None:
        self.flow.close_spread()
        self._tell_top(at_ns)

    def _tell_trades(self, at_ns: int, fills: list[Fill], buys: bool) -> None:
        if fills:
            told = Trades(at_ns, self.book.update_id, self._trade_id, fills, buys)
            self._happened.append(told)
            self.recent.append(told)
            self._trade_id += len(fills)

    def _tell_top(self, at_ns: int) -> None:
        """Tell the best prices or sizes if they changed; see to it that a wide spread closes soon."""
        top = self.book.top()
        if top == self._top:
            return
        assert top[0] < top[2], f"the book is crossed: bid {top[0]}, ask {top[2]}"
        self._top = top
        self._happened.append(Top(at_ns, self.book.update_id, *top))
        if top[2] - top[0] > 1:
            self._schedule(at_ns + self._short_gap(), self._close, 0)

    def _cut(self, at_ns: int, number: int) -> None:
        """Tell the level changes of the last 100 ms, and each tenth time those of the last second."""
        book = self.book
        self._schedule(at_ns + DEPTH_NS, self._cut, number + 1)
        if book.update_id > self._cut_id:
            changes = book.bids.take_changes(), book.asks.take_changes()
            self._happened.append(Cut(at_ns, self._cut_id + 1, book.update_id, *changes, slow=False))
            self._cut_id = book.update_id
        if number % SLOW_DEPTH_EVERY == 0 and book.update_id > self._slow_cut_id:
            slow = book.bids.take_slow_changes(), book.asks.take_slow_changes()
            self._happened.append(Cut(at_ns, self._slow_cut_id + 1, book.update_id, *slow, slow=True))
            self._slow_cut_id = book.update_id

"""Counts of a stream of values in bounded memory: how often each came, and the most within any time."""

from __future__ import annotations

from collections import deque
from itertools import accumulate

VALUES_MAX = 1 << 17
"""So many different values are told apart; beyond that, values that lie close together are counted as one."""


class Tally:
    """How often each value came: exact until VALUES_MAX different ones came, then to a step that doubles as needed.

    `step` is 1 while every value is exact. `count`, `least` and `most` always are; without a value the last two are 0.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.step, self.count, self.least, self.most = 1, 0, 0, 0
        self._counts: dict[int, int] = {}

    def add(self, value: int) -> None:
        """Count one value."""
        if not self.count:
            self.least = self.most = value
        elif value < self.least:
            self.least = value
        elif value > self.most:
            self.most = value
        self.count += 1
        at = value // self.step
        self._counts[at] = self._counts.get(at, 0) + 1
        while len(self._counts) > VALUES_MAX:
            self._double_step()

    def rows(self) -> list[tuple[int, int]]:
        """Return (value, how often), ascending; a value stands for those less than `step` above it."""
        return [(max(self.least, at * self.step), count) for at, count in sorted(self._counts.items())]

    def quantiles(self, per_mille: list[int]) -> list[int]:
        """Return for each (ascending, 1 to 1,000) the least value that so many of a thousand do not exceed.

        Less than `step` too low. Raises IndexError without a value.
        """
        rows, found, at = self.rows(), [], 0
        reached = list(accumulate(count for _, count in rows))
        for part in per_mille:
            while reached[at] * 1_000 < self.count * part:
                at += 1
            found.append(rows[at][0])
        return found

    def _double_step(self) -> None:
        counts, self._counts = self._counts, {}
        self.step *= 2
        for at, count in counts.items():
            self._counts[at // 2] = self._counts.get(at // 2, 0) + count


class Peak:
    """The most that came within any `width_ns`, half open: what comes exactly that much later is in the next."""

    def __init__(self, width_ns: int) -> None:
        """Begin with nothing."""
        self._width_ns, self.most = width_ns, 0
        self._times: deque[int] = deque()

    def add(self, at_ns: int) -> None:
        """Count one more at this time, not before the last one."""
        times = self._times
        while times and times[0] <= at_ns - self._width_ns:
            times.popleft()
        times.append(at_ns)
        self.most = max(self.most, len(times))

    def begin_anew(self) -> None:
        """Join nothing of what came so far with what comes now."""
        self._times.clear()

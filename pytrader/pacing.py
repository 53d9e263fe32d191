"""How often to try: a growing, jittered delay and a sliding budget. Time is an argument; nothing here waits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


@dataclass(slots=True)
class Backoff:
    """Delays that double from `first_s` to `last_s` seconds, each shortened at random by up to a half."""

    random: Random
    first_s: float = 0.2
    last_s: float = 30.0
    failures: int = 0

    def next_s(self) -> float:
        """Return the delay before the next try, seconds, and count a failure. There is no last try."""
        full_s = min(self.last_s, self.first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return full_s * self.random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again from the shortest delay."""
        self.failures = 0


@dataclass(slots=True)
class Budget:
    """At most `count` uses in any `window_s` seconds."""

    count: int
    window_s: float
    used_s: deque[float] = field(default_factory=deque)

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before the next use is allowed, seconds; 0 when it is allowed now."""
        while self.used_s and now_s - self.used_s[0] >= self.window_s:
            self.used_s.popleft()
        return 0.0 if len(self.used_s) < self.count else self.used_s[0] + self.window_s - now_s

    def use(self, now_s: float) -> None:
        """Count one use at `now_s`."""
        self.used_s.append(now_s)

    def take(self, now_s: float) -> float:
        """Count one use if it is allowed at `now_s`, and return 0; otherwise return how long to wait, seconds."""
        wait_s = self.wait_s(now_s)
        if wait_s == 0:
            self.use(now_s)
        return wait_s

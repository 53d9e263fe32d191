"""What became of orders: committed events by order, for whoever waits for them."""

from __future__ import annotations

from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrader.events import Event

KEPT = 4_096


def ending(events: list[Event]) -> Event | None:
    """Return the event that ended an order, None while it is open. A stray fill of it may come later."""
    return next((event for event in reversed(events) if event.kind == "ended" or event.facts.get("done")), None)


def is_over(events: list[Event]) -> bool:
    """Tell whether one of an order's events ended it."""
    return ending(events) is not None


def is_settled(events: list[Event]) -> bool:
    """Tell whether an order has ended or rests."""
    return is_over(events) or any(event.kind == "resting" for event in events)


class Outcomes:
    """An outlet that keeps the events of the newest 4,096 orders of this run and wakes those who wait for one."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._changed = Condition()
        self._orders: dict[int, list[Event]] = {}
        self._flying: set[int] = set()
        self._refusals: dict[int, Event] = {}
        self._seq = 0

    def expect(self, order_id: int) -> None:
        """Count an accepted order as in flight, before its first event is durable."""
        with self._changed:
            if not is_settled(self._orders.get(order_id, [])):
                self._flying.add(order_id)

    def take(self, event: Event) -> None:
        """Keep one committed event."""
        with self._changed:
            self._seq = event.seq
            if event.kind == "refused":
                self._keep(self._refusals, event.seq, event)
            foreign = event.facts.get("cause") == "FOREIGN_FILL"  # its number may be given to an order of ours later
            if event.order_id is not None and not foreign:
                self._take_order(event.order_id, event)
            self._changed.notify_all()

    def _take_order(self, order_id: int, event: Event) -> None:
        events = self._orders.get(order_id, [])
        events.append(event)
        self._keep(self._orders, order_id, events)
        if is_settled(events):
            self._flying.discard(order_id)
        elif event.kind == "accepted":  # an order of an earlier run rests: what comes of it, nobody waits for
            self._flying.add(order_id)

    @staticmethod
    def _keep(kept: dict[int, Any], key: int, value: object) -> None:
        kept[key] = value
        if len(kept) > KEPT:
            kept.pop(next(iter(kept)))

    def of(self, order_id: int) -> list[Event]:
        """Return a copy of an order's events so far, oldest first."""
        with self._changed:
            return list(self._orders.get(order_id, ()))

    def wait_durable(self, seq: int, timeout_s: float) -> bool:
        """Wait until event `seq` is durable; false if it still is not after `timeout_s`."""
        return self._wait(lambda: self._seq >= seq, timeout_s)

    def refusal(self, seq: int, timeout_s: float) -> Event | None:
        """Wait until event `seq`, the last of one decision, is durable; return the refusal that stands in it, if any.

        A refusal that halts trading has events behind it; a decision without an event has `seq` 0.
        """
        if not self.wait_durable(seq, timeout_s):
            return None
        with self._changed:
            return next((event for at, event in reversed(self._refusals.items()) if at <= seq), None)

    def wait(self, order_id: int, until: Callable[[list[Event]], bool], timeout_s: float) -> list[Event]:
        """Wait until an order's events satisfy `until`, at most `timeout_s`; return what is known then."""
        self._wait(lambda: until(self._orders.get(order_id, [])), timeout_s)
        return self.of(order_id)

    def wait_quiet(self, timeout_s: float) -> bool:
        """Wait until no order is in flight (resting orders are not); false if some still are after `timeout_s`."""
        return self._wait(lambda: not self._flying, timeout_s)

    def _wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Wait in slices, so that the main thread still sees signals."""
        deadline = monotonic() + timeout_s
        with self._changed:
            while not ready():
                left = deadline - monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.1))
        return True

"""A book and a desk on a clock of your own: the terminal's rules and events, without threads, files or a network.

Time moves only as it is told to; the journal is a list. The same frames, orders and seed give the same events
everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from pytrader._core import Book, Desk, Simulator, Verdict
from pytrader.events import Event, read
from pytrader.grammar import Order
from pytrader.orders import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

E8 = 10**8
SECOND_NS = 10**9
MARK_NS = SECOND_NS // 10
# The brief's limits and Binance's filters for BTC/USDT (venue's exchangeInfo, 2026-10).
RULES: Mapping[str, str | int] = {
    "execution": "simulated",
    "venue": "binance",
    "symbol": "BTCUSDT",
    "base": "BTC",
    "quote": "USDT",
    "tick_e8": E8 // 100,
    "step_e8": E8 // 100_000,
    "min_quantity_e8": E8 // 100_000,
    "max_quantity_e8": 9_000 * E8,
    "min_notional_e8": 5 * E8,
    "max_order_notional_e8": 50_000 * E8,
    "max_position_e8": 5 * E8,
    "max_orders_per_second": 5,
    "max_daily_loss_e8": 10_000 * E8,
    "price_band_e8": E8 // 20,
    "max_attempts_per_second": 50,
    "runaway_refusals": 200,
    "repeat_window_ms": 0,
    "slippage_e8": 0,
    "stale_after_ms": 2_000,
}


class PaperDesk:
    """Trades on frames that you feed, at times that you set."""

    def __init__(
        self,
        *,
        seed: int = 1,
        utc_ns: int = 0,
        min_delay_ms: int = 10,
        max_delay_ms: int = 100,
        taker_fee_e8: int = 0,
        maker_fee_e8: int = 0,
        **rules: str | int,
    ) -> None:
        """Begin at `utc_ns` with an empty book. `rules` change entries of `RULES`; ValueError names an unknown one.

        Fees are fractions of the notional in units of 10⁻⁸: a basis point is 10,000.
        """
        if unknown := rules.keys() - RULES.keys():
            raise ValueError(f"unknown rules {sorted(unknown)}; known: {sorted(RULES)}")
        self.rules = {**RULES, **rules}
        self.book = Book(str(self.rules["venue"]), str(self.rules["symbol"]))
        self.desk = Desk(self.book, self.rules)
        self._simulator = Simulator(
            self.book,
            self.desk,
            seed=seed,
            min_delay_ms=min_delay_ms,
            max_delay_ms=max_delay_ms,
            taker_fee_e8=taker_fee_e8,
            maker_fee_e8=maker_fee_e8,
        )
        self.mono_ns, self._utc_start_ns = SECOND_NS, utc_ns - SECOND_NS
        self._mark_ns = SECOND_NS
        self.events: list[Event] = []
        self.journal: list[tuple[int, int, int, bytes]] = []
        self.desk.start(seed, False, *self.now)
        self._commit()

    @property
    def now(self) -> tuple[int, int]:
        """Return the virtual time: monotonic and UTC nanoseconds."""
        return self.mono_ns, self.mono_ns + self._utc_start_ns

    def frame(self, frame: bytes) -> str:
        """Feed one frame of the venue as received now; return what it was, such as "top", "depth" or "trade"."""
        return self.book.apply(frame, self.mono_ns)

    def receive(self, frame: bytes, mono_ns: int) -> str:
        """Let time pass until `mono_ns`, then feed a frame as received then, and let the venue react to it.

        The position is marked ten times a second, as the running program does.
        """
        self.move_to(mono_ns)
        what = self.book.apply(frame, self.mono_ns)
        if self.mono_ns >= self._mark_ns:
            self.desk.mark(*self.now)
            self._mark_ns = self.mono_ns + MARK_NS
        self._settle()
        return what

    def snapshot(self, body: bytes) -> str:
        """Offer the venue's depth snapshot; return "bridged" once book and frames join."""
        return self.book.offer_snapshot(body)

    def submit(self, order: str | Order) -> Verdict:
        """Decide an order, such as `"buy 0.25"` or `"sell 0.1 @ 68000 ioc"`; it leaves on its way at once.

        Raises CommandError for a text that is no order.
        """
        command = parse(order) if isinstance(order, str) else order
        if not isinstance(command, Order):
            raise TypeError(f"not an order: {order!r}")
        side, quantity, limit, tif = command.side, command.quantity_e8, command.limit_e8, command.tif
        verdict = self.desk.submit(side, quantity, limit, tif, command.reduce_only, command.client_id, *self.now)
        self._settle()
        return verdict

    def cancel(self, order_id: int) -> bool:
        """Ask for the end of an open order; false if it is not open."""
        asked = self.desk.cancel(order_id, *self.now) is not None
        self._settle()
        return asked

    def cancel_all(self) -> None:
        """Ask for the end of every open order."""
        self.desk.cancel_all(False, *self.now)
        self._settle()

    def move_to(self, mono_ns: int) -> None:
        """Let time pass until `mono_ns`, never back; what was to arrive before then arrives on the book as it is."""
        self._deliver(mono_ns)
        self.mono_ns = max(self.mono_ns, mono_ns)

    def arrive(self) -> None:
        """Let time pass until nothing is on its way any more; resting orders stay."""
        while (due := self._simulator.next_due_ns()) is not None:
            self.move_to(due + 1)

    def advance(self, seconds: float) -> list[Event]:
        """Let `seconds` pass; return the events of that time, oldest first."""
        known, end_ns = len(self.events), self.mono_ns + round(seconds * SECOND_NS)
        self._deliver(end_ns + 1)
        self.mono_ns = end_ns
        self.desk.mark(*self.now)
        self._settle()
        return self.events[known:]

    def status(self) -> dict[str, Any]:
        """Return the desk on one page; decimals are text."""
        page: dict[str, Any] = orjson.loads(self.desk.status(*self.now))
        return page

    def _deliver(self, before_ns: int) -> None:
        while (due := self._simulator.next_due_ns()) is not None and due < before_ns:
            self.mono_ns = max(self.mono_ns, due)
            self._settle()

    def _settle(self) -> None:
        """Commit, hand over, and let the venue do what is due now, until nothing more follows."""
        self._commit()
        while self._simulator.step(*self.now) or self._commit():
            self._commit()

    def _commit(self) -> int:
        rows = self.desk.next_events(1_000_000, 0)
        if rows:
            self.desk.committed(rows[-1][0], self.mono_ns)
        for row in rows:
            self.journal.append(row)
            self._route(read(row))
        return len(rows)

    def _route(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "accepted":
            self._simulator.submit(event.facts["order"])
        elif event.kind == "cancel_requested":
            self._simulator.cancel(event.facts["order"])

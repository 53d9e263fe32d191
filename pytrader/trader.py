"""Trading, for the terminal and for programs: orders and what became of them, the book, the status."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import orjson

from pytrader import books, halt_file, outcomes, whatif
from pytrader._core import EngineFault, parse_e8
from pytrader.flatten import flatten
from pytrader.grammar import Order
from pytrader.orders import parse
from pytrader.status import Snapshot, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal
    from pathlib import Path

    from pytrader._core import Book, Desk, Top, Verdict
    from pytrader.events import Event
    from pytrader.lines import Market

SYNC_WAIT_S = 10.0
ORDER_WAIT_S = 5.0
_SLICE_S = 0.02


@dataclass(frozen=True, slots=True)
class Ticket:
    """An order that was asked for: its verdict, and a way to wait for its outcome."""

    order: Order
    verdict: Verdict
    outcomes: outcomes.Outcomes

    @property
    def accepted(self) -> bool:
        """Tell whether the order passed every check."""
        return self.verdict.accepted

    @property
    def order_id(self) -> int | None:
        """Return the order's number; None when it was refused."""
        return self.verdict.order_id

    @property
    def untold(self) -> bool:
        """Tell whether the order was refused without an event (ATTEMPTS, a full queue): nothing else tells of it."""
        return not self.verdict.accepted and self.verdict.seq == 0

    def wait(self, timeout_s: float = ORDER_WAIT_S) -> list[Event]:
        """Wait until the order has ended or rests; return its durable events so far, or the refusal.

        Of a refusal without an event there is nothing to wait for: the list is empty, `verdict` has everything.
        """
        if self.order_id is None:
            refusal = self.outcomes.refusal(self.verdict.seq, timeout_s)
            return [] if refusal is None else [refusal]
        return self.outcomes.wait(self.order_id, outcomes.is_settled, timeout_s)

    def wait_over(self, timeout_s: float = ORDER_WAIT_S) -> list[Event]:
        """Wait until the order has ended; return its durable events so far."""
        return [] if self.order_id is None else self.outcomes.wait(self.order_id, outcomes.is_over, timeout_s)


class Trader:
    """One desk with its book. Every method may be called from any thread."""

    def __init__(
        self,
        desk: Desk,
        book: Book,
        kept: outcomes.Outcomes,
        folder: Path,
        market: Market,
        *,
        kept_books: Sequence[books.KeptBook] = (),
    ) -> None:
        """Trade at `desk` on `book`; `kept` receives the committed events; `folder` holds the journal.

        `kept_books` are those that `venues` shows, the traded one first.
        """
        self._kept_books = kept_books
        self.desk, self.book, self.outcomes = desk, book, kept
        self.folder, self.market = folder, market
        self.step_e8 = parse_e8(self.status()["instrument"]["step"])

    def buy(self, quantity: str | Decimal, limit: str | Decimal | None = None, **more: Any) -> Ticket:  # noqa: ANN401
        """Buy at market, or at `limit`; `tif` "ioc" or "gtc", `reduce_only` True or False. Decimals are exact.

        `client_id` is your own name for the order, 1 to 32 letters and digits: a second one of that name is refused, in
        any run on this journal. Raises ValueError for a name or an amount that is none.
        """
        return self.submit(_order("buy", quantity, limit, **more))

    def sell(self, quantity: str | Decimal, limit: str | Decimal | None = None, **more: Any) -> Ticket:  # noqa: ANN401
        """Sell at market, or at `limit`; as `buy`."""
        return self.submit(_order("sell", quantity, limit, **more))

    def submit(self, order: Order) -> Ticket:
        """Have an order decided at once; what follows is told after it is durable."""
        verdict = self.desk.submit(*_asked(order))
        if verdict.order_id is not None:
            self.outcomes.expect(verdict.order_id)
        return Ticket(order, verdict, self.outcomes)

    def check(self, order: Order) -> Verdict:
        """Return the verdict that `submit` would give, changing nothing."""
        return self.desk.check(*_asked(order))

    def whatif(self, order: Order | str) -> whatif.WhatIf:
        """Return what an order, or its text such as `"buy 0.25"`, would do now: nothing is sent, kept or counted.

        Verdict, room and estimate are read one after the other: on a moving book they may be a frame apart. Raises
        CommandError for a text that is no command, TypeError for one that is no order.
        """
        asked = parse(order) if isinstance(order, str) else order
        if not isinstance(asked, Order):
            raise TypeError(f"not an order: {order!r}")
        bids, asks = (self.book.levels(side, whatif.LEVELS) for side in ("bid", "ask"))
        return whatif.answer(asked, self.check(asked), self.desk.status(), bids, asks)

    def cancel(self, order_id: int) -> int | None:
        """Ask for the end of an open order; return the event that must be durable for it, None if it is not open.

        Raises EngineFault after the engine failed, as `cancel_all` does.
        """
        seq = self.desk.cancel(order_id)
        self._demand_engine()
        return seq

    def cancel_all(self) -> int:
        """Ask for the end of every open order; return the event that must be durable for it."""
        seq = self.desk.cancel_all()
        self._demand_engine()
        return seq

    def _demand_engine(self) -> None:
        """Raise EngineFault if the engine has failed: what it answered then means nothing."""
        self.desk.open_orders()

    def halt(self, reason: str = "") -> int:
        """Stop trading at once, until `resume`; open orders are asked to end. Return the event to wait for."""
        return self.desk.halt("OPERATOR", reason or "asked for at the terminal")

    def is_durable(self, seq: int, timeout_s: float = ORDER_WAIT_S) -> bool:
        """Wait until event `seq` is in the journal; false if it still is not after `timeout_s`."""
        return self.outcomes.wait_durable(seq, timeout_s)

    def resume(self) -> str:
        """Let trading go on; return what happened in a sentence."""
        file = self.folder / halt_file.NAME
        if file.exists():
            return f"Still halted: remove the file {file} first."
        if (halted := self.status()["halted"]) is None:
            return "Trading is not halted."
        try:
            seq = self.desk.resume()
        except EngineFault as fault:  # the journal cannot be written, or is far behind: no reason to end the session
            return f"Still halted, {fault}; {halted['cause']}: {halted['detail']}"
        durable = self.is_durable(seq)
        return "Trading goes on." if durable else "Trading goes on, but the journal does not have it yet."

    def flatten(self) -> Iterator[str]:
        """Close the position by reducing orders inside the limits; yield progress, last whether it is flat."""
        return flatten(self)

    def position_e8(self) -> int:
        """Return the signed position, 10⁻⁸ base."""
        return self.desk.position_e8()

    def open_orders(self) -> int:
        """Return how many orders are open: on their way, resting, or being cancelled."""
        return self.desk.open_orders()

    def is_flat(self) -> bool:
        """Tell whether the position is 0, no order is open, and the journal has all that made it so."""
        page = self.status()
        return page["position"] == "0" and page["counts"]["open"] == 0 and self.is_durable(page["seq"])

    def top(self) -> Top:
        """Return the best prices with their age and state."""
        return self.book.top()

    def book_state(self, top: Top) -> str:
        """Return "live", "stale", "crossed" (a missing side too), or how far a book is that is not synchronised."""
        if self._kept_books:
            return self._kept_books[0].state_of(top)
        return "live" if top.synced else top.sync

    def venues(self) -> books.VenueTable:
        """Return every book that is kept, the traded one first, and the spread between the venues."""
        return books.table(self._kept_books)

    def status(self) -> dict[str, Any]:
        """Return everything the desk knows of itself; decimals are text."""
        page: dict[str, Any] = orjson.loads(self.desk.status())
        return page

    def snapshot(self) -> Snapshot:
        """Return the one page that every view shows."""
        page = self.desk.status()
        return snapshot(
            page,
            self.book.top(),
            self.book.frame_latency(),
            self._kept_books[0].counters() if self._kept_books else self.book.counters(),
            last_reject=orjson.loads(page)["last_refusal"],
            price_decimals=self.market.decimals,
        )

    def wait_synced(self, timeout_s: float = SYNC_WAIT_S) -> bool:
        """Wait until the book can be traded on; false if it still cannot after `timeout_s`."""
        return _wait_until(lambda: self.book.top().synced, timeout_s)

    def wait_quiet(self, timeout_s: float) -> bool:
        """Wait until no order is in flight; resting orders are not."""
        return self.outcomes.wait_quiet(timeout_s)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until no order is open at all."""
        return _wait_until(lambda: self.desk.open_orders() == 0, timeout_s)

    def pause(self, seconds: float) -> None:
        """Sleep in slices, so that signals are seen."""
        _wait_until(lambda: False, seconds)


def _wait_until(ready: Any, timeout_s: float) -> bool:  # noqa: ANN401 - a test without arguments
    deadline = monotonic() + timeout_s
    while not ready():
        left = deadline - monotonic()
        if left <= 0:
            return False
        sleep(min(left, _SLICE_S))
    return True


def _asked(order: Order) -> tuple[str, int, int | None, str | None, bool, str | None]:
    return order.side, order.quantity_e8, order.limit_e8, order.tif, order.reduce_only, order.client_id


def _order(
    side: str,
    quantity: str | Decimal,
    limit: str | Decimal | None = None,
    tif: str | None = None,
    reduce_only: bool = False,
    *,
    client_id: str | None = None,
) -> Order:
    limit_e8 = None if limit is None else parse_e8(str(limit))
    tif = tif or (None if limit is None else "gtc")
    return Order(side, parse_e8(str(quantity)), limit_e8, tif, reduce_only, client_id)

"""The desk's decisions and its day, one dull step at a time. Every method notes the events that it expects."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from . import rules
from .exact import ZERO
from .ledger import Ledger
from .market import Market
from .orders import Order, Request, Stamp
from .rules import Limits

DAY_NS = 86_400 * 10**9
MINUTE_NS = 60 * 10**9
JUMP_NS = 2 * 10**9  # a larger change between the two clocks is a jump
Event = dict[str, Any]


@dataclass
class Day:
    """One UTC day: its number, the equity it began with, and the loss that latched it."""

    number: int
    start_equity: Decimal
    latched: Decimal | None = None


class Desk:
    """Orders, money and stops. Time is an argument; it runs back only where somebody resumes after a jump."""

    def __init__(self, market: Market, limits: Limits, mono_ns: int, utc_ns: int) -> None:
        """Begin at a moment with nothing."""
        self.market, self.limits = market, limits
        self.mono_ns, self.utc_ns = mono_ns, utc_ns
        self.ledger = Ledger()
        self.orders: dict[int, Order] = {}
        # What is ten seconds old when the next one comes is forgotten for good, whatever the wall clock says later.
        self.recent: list[Order] = []  # accepted orders
        self.refusals: list[Stamp] = []  # journaled refusals since the last `resumed`
        self.attempts: list[int] = []  # monotonic times of the orders that this process judged
        self.capped = 0  # orders that it did not even judge
        self.ids: set[str] = set()  # of every accepted order
        self.halted: str | None = None  # why
        self.journal, self.executor = True, True
        self.offset_ns: int | None = None  # UTC less monotonic time of this process's newest command
        self.suspect = False  # the clock jumped, and nobody resumed since
        self.day = Day(utc_ns // DAY_NS, ZERO)
        self.last_price: Decimal | None = None  # of the last journaled mark or fill
        self.marked_ns: int | None = None  # UTC of the last journaled mark, None once a fill came after it
        self.counts = {"accepted": 0, "refused": 0, "filled": 0, "canceled": 0}
        self.events: list[Event] = []
        self.note("opened")
        self.note("day_started", day=self.day.number, start_equity=ZERO)
        self.note("started", limits=limits.told())
        self.at(mono_ns, utc_ns)

    def note(self, kind: str, **facts: object) -> None:
        """Expect an event at the time of the command."""
        self.events.append({"kind": kind, "at": (self.mono_ns, self.utc_ns), **facts})

    # ---- time

    def at(self, mono_ns: int, utc_ns: int) -> None:
        """Take a command's time, or the last seen if that is later; look whether the clock jumped; begin its day."""
        jumped, before, self.offset_ns = self.would_jump(mono_ns, utc_ns), self.offset_ns, utc_ns - mono_ns
        self.mono_ns, self.utc_ns = max(self.mono_ns, mono_ns), max(self.utc_ns, utc_ns)
        if jumped:
            self.suspect = True
            self.note("clock_jumped", by_ns=self.offset_ns - (before or 0))
            self.stop("CLOCK")
            self.ask_end(self.open(), "HALTED")
        number = self.utc_ns // DAY_NS
        if number > self.day.number and not self.suspect:
            self.day = Day(number, self.day_start_equity())
            self.note("day_started", day=number, start_equity=self.day.start_equity)

    def would_jump(self, mono_ns: int, utc_ns: int) -> bool:
        """Return whether a command of this time shows, for the first time, that the clocks moved apart."""
        moved = 0 if self.offset_ns is None else utc_ns - mono_ns - self.offset_ns
        return abs(moved) > JUMP_NS and not self.suspect

    def day_start_equity(self) -> Decimal:
        """Return what the last journaled mark, or a fill after it, makes of the position."""
        return self.ledger.equity(self.last_price or ZERO)

    # ---- money

    def mark_price(self) -> Decimal:
        """Return the closing side of a synced, uncrossed book of any age, else the last journaled mark or fill."""
        known = self.market.synced and self.market.two_sided()
        closing = self.market.closing(self.ledger.position) if known else None
        return closing if closing is not None else self.last_price or ZERO

    def equity(self) -> Decimal:
        """Return profit so far, open position and fees included."""
        return self.ledger.equity(self.mark_price())

    def loss(self) -> Decimal:
        """Return the day's loss, negative for a profit."""
        return self.day.start_equity - self.equity()

    def lost_too_much(self) -> bool:
        """Return whether the day's loss has reached its limit, or had when it latched; exactly there it has.

        A book that cannot be trusted now trips nothing; a flat desk needs none.
        """
        known = self.live() or not self.ledger.position
        return self.day.latched is not None or (known and self.loss() >= self.limits.daily_loss)

    def mark(self, mono_ns: int, utc_ns: int) -> None:
        """Value the position; latch on a loss; journal one mark a minute while a position is open."""
        self.at(mono_ns, utc_ns)
        if self.day.latched is None and self.lost_too_much():
            self.day.latched = self.loss()
            self.note("loss_latched", day=self.day.number, loss=self.day.latched)
            self.ask_end(self.beyond([], self.open()), "DAILY_LOSS")
        due = self.marked_ns is None or not 0 <= self.utc_ns - self.marked_ns < MINUTE_NS
        if self.ledger.position and due and self.live():
            self.marked_ns, self.last_price = self.utc_ns, self.mark_price()
            self.note("marked", price=self.last_price)

    def live(self) -> bool:
        """Return whether the book may be priced on."""
        return self.market.state(self.mono_ns, self.limits.stale_after_ns) == "live"

    def beyond(self, first: list[Order], then: list[Order]) -> list[Order]:
        """Return which of `then`, taken one after the other behind `first`, do not reduce the position.

        One that is asked to end still counts, because it can fill before it ends.
        """
        counted, found = list(first), []
        for order in then:
            if not rules.reduces(order.request.side, order.left, self.ledger.position, counted):
                found.append(order)
            counted.append(order)
        return found

    # ---- decisions

    def open(self) -> list[Order]:
        """Return the orders without an end, oldest first."""
        return [order for order in self.orders.values() if order.state != "ended"]

    def proved_reducing(self, request: Request) -> bool:
        """Return whether a reduce-only order really reduces."""
        return request.reduce and rules.reduces(request.side, request.quantity, self.ledger.position, self.open())

    def breaches(self, request: Request) -> list[str]:
        """Return the code of every broken rule, in the order of the checks."""
        proved = self.proved_reducing(request)
        codes = rules.shape_breaches(request, self.limits)
        codes += ["DUPLICATE_ID"] if request.client_id in self.ids else []
        codes += ["NOT_REDUCING"] if request.reduce and not proved else []
        codes += [] if self.journal else ["JOURNAL_UNHEALTHY"]
        codes += [] if self.executor else ["EXECUTOR_NOT_READY"]
        codes += ["HALTED"] if self.halted and not proved else []
        state = self.market.state(self.mono_ns, self.limits.stale_after_ns)
        codes += [rules.BOOK_CODES[state]] if state != "live" else []
        codes += ["DAILY_LOSS"] if self.lost_too_much() and not proved else []
        return codes + self.room_breaches(request)

    def room_breaches(self, request: Request) -> list[str]:
        """Return the codes of full queues, windows and limits."""
        codes = ["QUEUE_FULL"] if len(self.open()) >= rules.MOST_OPEN else []
        codes += ["RATE_LIMIT"] if self.orders_now() <= 0 else []
        codes += ["REPEATED_ORDER"] if self.repeated(request) else []
        cost = rules.notional(request, request.quantity, self.market, self.limits)
        if cost is not None and self.market.two_sided() and cost < self.limits.min_notional:
            codes.append("MIN_NOTIONAL")
        if cost is not None and cost > self.limits.order_notional:
            codes.append("NOTIONAL_EXCEEDS_MAX")
        after = rules.position_after(request, request.quantity, self.ledger.position, self.open())
        codes += rules.position_breach(after, request.side, self.limits)
        worst = rules.worst_price(request, request.quantity, self.market, self.limits)
        codes += ["PRICE_BAND"] if rules.outside_band(request.side, worst, self.market, self.limits) else []
        return codes + (["SELF_MATCH"] if rules.matches_own(request.side, worst, self.open()) else [])

    def repeated(self, request: Request) -> bool:
        """Return whether an order with the same terms was accepted within the window."""
        terms = request.terms()
        same = [order.stamp[0] for order in self.recent if order.request.terms() == terms]
        return rules.stamps_in_window(same, self.mono_ns, self.limits.repeat_ns) > 0

    def orders_now(self) -> int:
        """Return how many orders the window still takes."""
        stamps = [order.stamp[0] for order in self.recent]
        return self.limits.per_second - rules.stamps_in_window(stamps, self.mono_ns)

    def has_slot(self, mono_ns: int) -> bool:
        """Return whether an order would be judged at all at a time, or the last seen if that is later."""
        return rules.stamps_in_window(self.attempts, max(self.mono_ns, mono_ns)) < self.limits.attempts

    def largest(self, request: Request, codes: list[str]) -> Decimal | None:
        """Return the largest size that passes; None if something else than size is in the way."""
        if not codes or set(codes) - rules.SIZE_CODES:
            return None
        found = rules.largest(request, self.ledger.position, self.open(), self.market, self.limits)
        repeats = found is not None and self.repeated(replace(request, quantity=found))
        return None if repeats else found

    def submit(self, request: Request, mono_ns: int, utc_ns: int) -> list[str]:
        """Decide an order; return the codes of its refusal, none if accepted."""
        if not self.has_slot(mono_ns):
            self.capped += 1
            return ["ATTEMPTS"]
        self.at(mono_ns, utc_ns)
        self.attempts.append(self.mono_ns)
        codes = self.breaches(request)
        if codes:
            self.refuse(request, codes)
            return codes
        (bid, _), (ask, _) = self.market.top()
        self.counts["accepted"] += 1
        number = len(self.orders) + 1
        self.orders[number] = Order(number, request, bid, ask, (self.mono_ns, self.utc_ns))
        self.recent = [order for order in self.recent if self.kept(order.stamp)] + [self.orders[number]]
        self.ids |= {request.client_id} - {None}
        cost = rules.notional(request, request.quantity, self.market, self.limits)
        self.note("accepted", order=number, notional=cost, bid=bid, ask=ask, request=request.told())
        self.end_what_no_longer_reduces()
        return []

    def refuse(self, request: Request, codes: list[str]) -> None:
        """Refuse an order; too many in too short a time are a program that ran away, which stops everything."""
        self.counts["refused"] += 1
        self.note("refused", codes=codes, largest=self.largest(request, codes), request=request.told())
        self.refusals = [*filter(self.kept, self.refusals), (self.mono_ns, self.utc_ns)]
        stamps = [mono_ns for mono_ns, _ in self.refusals]
        many = rules.stamps_in_window(stamps, self.mono_ns, rules.RUNAWAY_NS) >= self.limits.runaway
        if many and not self.halted:
            self.stop("RUNAWAY", f"{self.limits.runaway} refusals in 10 s")
            self.ask_end(self.open(), "HALTED")

    def end_what_no_longer_reduces(self) -> None:
        """Ask for the end of sent reduce-only orders that no longer reduce; what has not left is checked at release."""
        reducing = [order for order in self.open() if order.request.reduce]
        others = [order for order in self.open() if not order.request.reduce]
        self.ask_end([order for order in self.beyond(others, reducing) if order.state != "accepted"], "NOT_REDUCING")

    # ---- ends

    def ask_end(self, orders: list[Order], reason: str) -> None:
        """Ask for the end of orders that nobody asked about yet."""
        for order in orders:
            if order.canceling is None:
                order.canceling = reason
                self.note("cancel_requested", order=order.number, reason=reason)

    def cancel(self, number: int, mono_ns: int, utc_ns: int) -> bool:
        """Ask for the end of one order; return whether it is open."""
        self.at(mono_ns, utc_ns)
        found = [order for order in self.open() if order.number == number]
        self.ask_end(found, "USER")
        return bool(found)

    def cancel_all(self, reason: str, mono_ns: int, utc_ns: int) -> None:
        """Ask for the end of every open order."""
        self.at(mono_ns, utc_ns)
        self.ask_end(self.open(), reason)

    def stop(self, cause: str, detail: str | None = None) -> None:
        """Stop trading unless it is stopped; None stands for words that no rule gives."""
        if not self.halted:
            self.halted = cause
            self.note("halted", cause=cause, **({} if detail is None else {"detail": detail}))

    def halt(self, cause: str, detail: str, mono_ns: int, utc_ns: int) -> None:
        """Stop trading and ask for the end of every open order."""
        self.at(mono_ns, utc_ns)
        self.stop(cause, detail)
        self.ask_end(self.open(), "HALTED")

    def resume(self, mono_ns: int, utc_ns: int) -> None:
        """Let trading go on, forgive refusals and believe the clock; its new day begins with the next command."""
        self.at(mono_ns, utc_ns)
        if self.suspect:  # a time that was held counts no more
            self.utc_ns = utc_ns
        if self.halted:
            self.halted, self.suspect, self.refusals = None, False, []
            self.note("resumed")

    def end(self, order: Order, reason: str) -> None:
        """Expect an order's end without (the rest of) its fill."""
        order.state = "ended"
        self.counts["canceled"] += 1
        self.note("ended", order=order.number, state="canceled", reason=reason, filled=order.filled)

    def release(self, order: Order) -> bool:
        """Check the permit right before sending; refused, the order ends with the reason."""
        others = [other for other in self.open() if other is not order]
        proved = order.request.reduce and rules.reduces(order.request.side, order.left, self.ledger.position, others)
        state = self.market.state(self.mono_ns, self.limits.stale_after_ns)
        reasons = [order.canceling] if order.canceling else []
        reasons += ["NOT_REDUCING"] if order.request.reduce and not proved else []
        reasons += [] if self.journal else ["JOURNAL_UNHEALTHY"]
        reasons += [] if self.executor else ["EXECUTOR_NOT_READY"]
        reasons += ["HALTED"] if self.halted and not proved else []
        reasons += [rules.BOOK_CODES[state]] if state != "live" else []
        reasons += ["DAILY_LOSS"] if self.lost_too_much() and not proved else []
        if reasons:
            self.end(order, reasons[0])
            return False
        order.state = "sent"
        self.note("released", order=order.number)
        return True

    def restart(self, market: Market, limits: Limits, journaled_ns: int, now: tuple[int, int]) -> list[Order]:
        """Begin anew from the journal, whose last event has the UTC time `journaled_ns`; return what rests again.

        A time that no event tells of is forgotten. The windows of what was journaled go on by UTC.
        """
        (mono_ns, utc_ns), old = now, self.limits
        self.market, self.limits, self.mono_ns, self.utc_ns = market, limits, mono_ns, journaled_ns
        self.journal, self.executor = True, True
        self.attempts, self.capped, self.offset_ns = [], 0, None
        self.at(mono_ns, utc_ns)
        self.note("started", limits=limits.told())
        if limits.told() != old.told():
            self.note("limits_changed", old=old.told(), new=limits.told())
        self.refusals = self.carried(self.refusals)
        orders = list(self.orders.values())
        for order, stamp in zip(orders, self.carried([order.stamp for order in orders]), strict=True):
            order.stamp = stamp
        for order in self.open():
            order.this_run = False
            if order.canceling or order.state != "resting":
                self.end(order, order.canceling or "RESTART")
        return self.open()

    def kept(self, stamp: Stamp) -> bool:
        """Return whether a moment is still remembered when something new joins it."""
        return self.mono_ns - stamp[0] < rules.RUNAWAY_NS

    def carried(self, stamps: list[Stamp]) -> list[Stamp]:
        """Return an earlier run's moments on this run's monotonic clock, going by UTC; what came first stays first."""
        carried: list[Stamp] = []
        for _, utc_ns in reversed(stamps):
            latest = carried[-1][0] if carried else self.mono_ns
            carried.append((min(latest, self.mono_ns - max(self.utc_ns - utc_ns, 0)), utc_ns))
        return carried[::-1]

    def rested(self, order: Order) -> None:
        """Expect that an order rests from now on."""
        order.state = "resting"
        self.note("resting", order=order.number)

    def fill(self, order: Order, trades: list[tuple[Decimal, Decimal, Decimal]], maker: bool) -> None:
        """Book the trades of one report, (price, quantity, fee) each, and expect its event."""
        realised, cash = self.ledger.realised, self.ledger.cash
        for price, quantity, fee in trades:
            self.ledger.trade(order.request.side, price, quantity, fee)
            order.filled += quantity
        self.last_price, self.marked_ns = trades[-1][0], None
        done = order.left == 0
        if done:
            order.state = "ended"
            self.counts["filled"] += 1
        self.note(
            "filled",
            order=order.number,
            filled=sum((quantity for _, quantity, _ in trades), ZERO),
            done=done,
            trades=trades,
            cost=abs(self.ledger.cash - cash),
            maker=maker,
            realised=self.ledger.realised - realised,
            fee=sum((fee for _, _, fee in trades), ZERO),
            receipt=self.receipt(order, trades),
        )
        self.end_what_no_longer_reduces()

    def receipt(self, order: Order, trades: list[tuple[Decimal, Decimal, Decimal]]) -> dict[str, Decimal | int]:
        """Return a fill's cost against the middle at decision and at arrival, and how long it took."""
        side, half = (1 if order.request.side == "buy" else -1), Decimal("0.5")
        decided, ((bid, _), (ask, _)) = (order.bid + order.ask) * half, self.market.top()
        arrived, whole = (bid + ask) * half, sum((quantity for _, quantity, _ in trades), ZERO)
        order.cost += sum((price * quantity for price, quantity, _ in trades), ZERO)
        # Monotonic clocks of two runs have nothing in common: an order of an earlier run is timed by UTC.
        mono_ns, utc_ns = order.stamp
        return {
            "elapsed_ns": self.mono_ns - mono_ns if order.this_run else max(self.utc_ns - utc_ns, 0),
            "decision_mid": decided,
            "arrival_mid": arrived,
            "total": sum((side * (price - decided) * quantity for price, quantity, _ in trades), ZERO),
            "delay": side * (arrived - decided) * whole,
            "drifted": order.cost > self.limits.order_notional,
        }

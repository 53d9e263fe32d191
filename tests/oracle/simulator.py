"""The simulated exchange: arrivals after a delay, a walk through the view, resting orders, size taken once."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from .desk import Desk
from .exact import UNIT_16, ZERO, from_e8, rounded_up
from .market import slipped, taken_side
from .orders import Order

BOOK_CODES = {"unsynced": "BOOK_UNSYNCED", "stale": "BOOK_STALE", "crossed": "BOOK_CROSSED"}


@dataclass(frozen=True)
class Fees:
    """Rates of 1e-8."""

    taker_e8: int = 0
    maker_e8: int = 0


@dataclass
class Taken:
    """What this desk took at one price, and what was displayed there, as of which update."""

    quantity: Decimal
    displayed: Decimal
    update_id: int


class Simulator:
    """Works for one desk. `delay_of(number, cancel)` is the venue's delay in ns, which is not reproduced here."""

    def __init__(self, desk: Desk, fees: Fees, delay_of: Callable[[int, bool], int]) -> None:
        """Begin with no order and nothing taken."""
        self.desk, self.market, self.fees, self.delay_of = desk, desk.market, fees, delay_of
        self.inbox: list[tuple[str, int]] = []
        self.due: list[tuple[int, str, int]] = []
        self.resting: list[Order] = []
        self.taken: dict[tuple[str, Decimal], Taken] = {}

    def next_due_ns(self) -> int | None:
        """Return when the next order or cancel arrives."""
        return min((due for due, _, _ in self.due), default=None)

    def submit(self, number: int) -> None:
        """Take an order whose intent is durable; it leaves at the next step."""
        if self.desk.orders[number].state != "ended":
            self.inbox.append(("order", number))

    def cancel(self, number: int) -> None:
        """Take a request to cancel; it leaves at the next step."""
        if self.desk.orders[number].state != "ended":
            self.inbox.append(("cancel", number))

    def rest(self, number: int) -> None:
        """Let an order of an earlier run rest again."""
        self.resting.append(self.desk.orders[number])

    # ---- one moment

    def step(self, mono_ns: int, utc_ns: int) -> None:
        """Send what waits, then let everything due arrive, then match what rests."""
        self.look()
        for what, number in self.inbox:
            self.send(what, self.desk.orders[number], mono_ns, utc_ns)
        self.inbox.clear()
        arrived = sorted((entry for entry in self.due if entry[0] <= mono_ns), key=lambda entry: entry[0])
        self.due = [entry for entry in self.due if entry[0] > mono_ns]
        for _, what, number in arrived:
            order = self.desk.orders[number]
            if order.state != "ended":
                self.desk.at(mono_ns, utc_ns)
                self.arrive(order) if what == "order" else self.arrive_cancel(order)
        self.match_displayed(mono_ns, utc_ns)

    def send(self, what: str, order: Order, mono_ns: int, utc_ns: int) -> None:
        """Put an order or a cancel on its way. A cancel sets out even if its order ended in the same moment."""
        if what == "order":
            self.desk.at(mono_ns, utc_ns)
            if not self.desk.release(order):
                return
        self.due.append((mono_ns + self.delay_of(order.number, what == "cancel"), what, order.number))

    def arrive(self, order: Order) -> None:
        """Fill an order as far as it goes on the view now."""
        state = self.market.state(self.desk.mono_ns, self.desk.limits.stale_after_ns)
        if state != "live":
            self.desk.end(order, BOOK_CODES[state])
            return
        trades = [self.priced(order, price, part) for price, part in self.take(order)]
        if trades:
            self.desk.fill(order, trades, maker=False)
        if order.state == "ended":
            return
        if order.request.tif == "gtc":
            self.resting.append(order)
            self.desk.rested(order)
            return
        self.desk.end(order, "NO_LIQUIDITY" if order.request.limit is None else "IOC_REMAINDER")

    def arrive_cancel(self, order: Order) -> None:
        """End an order that rests, or that is still on its way."""
        self.desk.end(order, order.canceling or "USER")
        self.resting = [other for other in self.resting if other is not order]
        self.due = [entry for entry in self.due if entry[2] != order.number]

    # ---- size

    def look(self) -> None:
        """Forget what was taken where a newer update displays another size; an unsynced book displays nothing."""
        if not self.market.synced:
            return
        update_id = self.market.update_id()
        for (side, price), taken in list(self.taken.items()):
            if update_id > taken.update_id and dict(self.market.levels(side)).get(price, ZERO) != taken.displayed:
                del self.taken[side, price]

    def take(self, order: Order) -> list[tuple[Decimal, Decimal]]:
        """Take displayed size, best first, as far as the order's quantity and limit go."""
        side, limit, left, parts = order.request.side, order.request.limit, order.left, []
        for price, displayed in self.market.levels(taken_side(side)):
            beyond = limit is not None and (price > limit if side == "buy" else price < limit)
            if beyond or not left:
                break
            taken = self.taken.setdefault((taken_side(side), price), Taken(ZERO, displayed, 0))
            part = min(left, displayed - taken.quantity)
            if part > 0:
                taken.quantity, taken.update_id = taken.quantity + part, self.market.update_id()
                parts.append((price, part))
                left -= part
        return parts

    def priced(self, order: Order, price: Decimal, quantity: Decimal) -> tuple[Decimal, Decimal, Decimal]:
        """Return one taker trade: price moved by slippage but not beyond the limit, quantity, fee."""
        side, limit = order.request.side, order.request.limit
        moved = slipped(side, price, self.desk.limits.slippage_e8)
        if limit is not None:
            moved = min(moved, limit) if side == "buy" else max(moved, limit)
        return moved, quantity, fee(moved * quantity, self.fees.taker_e8)

    # ---- resting orders

    def by_priority(self, side: str) -> list[Order]:
        """Return resting orders of a side, best priced first, then oldest."""
        sign = -1 if side == "buy" else 1
        found = [order for order in self.resting if order.request.side == side]
        return sorted(found, key=lambda order: (sign * (order.request.limit or ZERO), order.number))

    def match_displayed(self, mono_ns: int, utc_ns: int) -> None:
        """Fill resting orders that the opposite side of a live book has reached."""
        if not self.resting:
            return
        if self.market.state(max(mono_ns, self.desk.mono_ns), self.desk.limits.stale_after_ns) != "live":
            return
        for side in ("buy", "sell"):
            for order in self.by_priority(side):
                quantity = sum((part for _, part in self.take(order)), ZERO)
                self.fill_resting(order, quantity, mono_ns, utc_ns)

    def match_trade(self, price: Decimal, size: Decimal, mono_ns: int, utc_ns: int) -> None:
        """Fill resting orders that a print went strictly through; its size is given away once."""
        for side in ("buy", "sell"):
            for order in self.by_priority(side):
                limit = order.request.limit or ZERO
                if (price < limit) if side == "buy" else (price > limit):
                    part = min(size, order.left)
                    size -= part
                    self.fill_resting(order, part, mono_ns, utc_ns)

    def fill_resting(self, order: Order, quantity: Decimal, mono_ns: int, utc_ns: int) -> None:
        """Fill a resting order at its limit price."""
        if not quantity:
            return
        self.desk.at(mono_ns, utc_ns)
        limit = order.request.limit or ZERO
        self.desk.fill(order, [(limit, quantity, fee(limit * quantity, self.fees.maker_e8))], maker=True)
        self.resting = [other for other in self.resting if other.state != "ended"]


def fee(cost: Decimal, rate_e8: int) -> Decimal:
    """Return a rate of a cost, rounded up to 1e-16."""
    return rounded_up(cost * from_e8(rate_e8), UNIT_16)

"""The limits and filters, and everything they forbid about one order."""

from dataclasses import dataclass
from decimal import Decimal

from .exact import ZERO, from_e8, rounded_down
from .market import Market, taken_side, walked
from .orders import Order, Request

SECOND_NS = 10**9
RUNAWAY_NS = 10 * SECOND_NS
MOST_OPEN = 1_024
BOOK_CODES = {"unsynced": "BOOK_UNSYNCED", "stale": "BOOK_STALE", "crossed": "BOOK_CROSSED"}
# A market order that breaks only these would pass if it were smaller.
SIZE_CODES = {"NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_LONG", "POSITION_LIMIT_SHORT", "PRICE_BAND"}


@dataclass(frozen=True)
class Limits:
    """The settings of a desk, as decimals; `slippage_e8` and `band_e8` are rates of 1e-8."""

    tick: Decimal = Decimal("0.01")
    step: Decimal = Decimal("0.00001")
    min_quantity: Decimal = Decimal("0.00001")
    max_quantity: Decimal = Decimal(9000)
    min_notional: Decimal = Decimal(5)
    order_notional: Decimal = Decimal(50_000)
    position: Decimal = Decimal(5)
    per_second: int = 5
    daily_loss: Decimal = Decimal(10_000)
    slippage_e8: int = 0
    stale_after_ns: int = 2 * SECOND_NS
    band_e8: int = 5_000_000
    attempts: int = 50
    runaway: int = 200
    repeat_ns: int = 0

    def told(self) -> dict[str, Decimal | int]:
        """Return what an event says of those that may be loosened or tightened."""
        return {
            "order_notional": self.order_notional,
            "position": self.position,
            "orders_per_second": self.per_second,
            "daily_loss": self.daily_loss,
            "price_band": self.band_e8,
            "attempts_per_second": self.attempts,
            "runaway_refusals": self.runaway,
            "repeat_window_ns": self.repeat_ns,
            "stale_after_ns": self.stale_after_ns,
        }


def settings(limits: Limits) -> dict[str, Decimal]:
    """Return the same limits under the names and in the units of the program's settings."""
    return {
        "max_order_notional": limits.order_notional,
        "max_position": limits.position,
        "max_orders_per_second": Decimal(limits.per_second),
        "max_daily_loss": limits.daily_loss,
        "max_price_band_bps": from_e8(limits.band_e8) * 10_000,
        "max_attempts_per_second": Decimal(limits.attempts),
        "runaway_refusals": Decimal(limits.runaway),
        "repeat_window_ms": Decimal(limits.repeat_ns) / 10**6,
        "stale_after_ms": Decimal(limits.stale_after_ns) / 10**6,
    }


def loosened(old: Limits, new: Limits) -> set[tuple[str, Decimal, Decimal]]:
    """Return which limits let more through than before: all that are larger, but of the repeat window a smaller one."""
    rows = [(name, before, settings(new)[name]) for name, before in settings(old).items()]
    return {row for row in rows if (row[2] < row[1] if row[0] == "repeat_window_ms" else row[2] > row[1])}


def notional(request: Request, quantity: Decimal, market: Market, limits: Limits) -> Decimal | None:
    """Return what the order would cost now; None if there is nothing to price it on."""
    levels = market.levels(taken_side(request.side))
    if request.limit is None:
        found = walked(request.side, max(quantity, ZERO), levels, limits.slippage_e8)
        return found and found[0]
    if request.side == "buy" or not levels:
        return request.limit * quantity
    return max(request.limit, levels[0][0]) * quantity


def worst_price(request: Request, quantity: Decimal, market: Market, limits: Limits) -> Decimal | None:
    """Return the worst price that the order may get: its limit, or that of the last level that it takes."""
    if request.limit is not None:
        return request.limit
    if quantity <= 0:
        return None
    found = walked(request.side, quantity, market.levels(taken_side(request.side)), limits.slippage_e8)
    return found and found[1]


def outside_band(side: str, worst: Decimal | None, market: Market, limits: Limits) -> bool:
    """Return whether a price is further beyond the book than the band; exactly at its edge is not."""
    if worst is None or not market.two_sided():
        return False
    (bid, _), (ask, _) = market.top()
    if side == "buy":
        return worst > ask * (1 + from_e8(limits.band_e8))
    return worst < bid * (1 - from_e8(limits.band_e8))


def matches_own(side: str, worst: Decimal | None, orders: list[Order]) -> bool:
    """Return whether a price reaches an own open order of the other side that rests, or will."""
    if worst is None:
        return False
    others = [order.request.limit or ZERO for order in orders if order.request.side != side and order.may_rest()]
    return any(worst >= limit if side == "buy" else worst <= limit for limit in others)


def shape_breaches(request: Request, limits: Limits) -> list[str]:
    """Return the codes of what no market data is needed for."""
    codes = []
    if not limits.min_quantity <= request.quantity <= limits.max_quantity:
        codes.append("BAD_QUANTITY")
    if request.quantity % limits.step:
        codes.append("BAD_STEP")
    if request.limit is not None and (request.limit <= 0 or request.limit % limits.tick):
        codes.append("BAD_TICK")
    return codes


def open_quantity(orders: list[Order], side: str) -> Decimal:
    """Return what open orders of one side may still fill."""
    return sum((order.left for order in orders if order.request.side == side), ZERO)


def reduces(side: str, quantity: Decimal, position: Decimal, orders: list[Order]) -> bool:
    """Return whether |position| falls and keeps its sign, even after every open order of that side."""
    closing = "sell" if position > 0 else "buy"
    return bool(position) and side == closing and quantity + open_quantity(orders, side) <= abs(position)


def position_after(request: Request, quantity: Decimal, position: Decimal, orders: list[Order]) -> Decimal:
    """Return the position if this order and every open one of its side fill, and no other."""
    whole = quantity + open_quantity(orders, request.side)
    return position + whole if request.side == "buy" else position - whole


def position_breach(after: Decimal, side: str, limits: Limits) -> list[str]:
    """Return the code of the position limit if the order's own side would break it."""
    if side == "buy":
        return ["POSITION_LIMIT_LONG"] if after > limits.position else []
    return ["POSITION_LIMIT_SHORT"] if after < -limits.position else []


def stamps_in_window(stamps: list[int], mono_ns: int, window_ns: int = SECOND_NS) -> int:
    """Count the stamps in (t - window, t]."""
    return len([stamp for stamp in stamps if mono_ns - window_ns < stamp <= mono_ns])


def retry_after_ms(stamps: list[int], mono_ns: int, per_second: int) -> int:
    """Return the milliseconds, rounded up, until the window has room again."""
    held = sorted(stamp for stamp in stamps if mono_ns - SECOND_NS < stamp <= mono_ns)
    free_ns = held[len(held) - per_second] + SECOND_NS
    return -((mono_ns - free_ns) // 10**6)


def largest(request: Request, position: Decimal, orders: list[Order], market: Market, limits: Limits) -> Decimal | None:
    """Return the largest size, in steps, that passes; None if none does. Halving, since a larger size costs more."""

    def within(quantity: Decimal) -> bool:
        cost = notional(request, quantity, market, limits)
        if cost is None or cost > limits.order_notional:
            return False
        return not outside_band(request.side, worst_price(request, quantity, market, limits), market, limits)

    already = position_after(request, ZERO, position, orders)
    room = limits.position - (already if request.side == "buy" else -already)
    low, high = 0, int(rounded_down(min(limits.max_quantity, max(room, ZERO)), limits.step) / limits.step) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle * limits.step) else (low, middle)
    found = low * limits.step
    too_small = found < limits.min_quantity or (notional(request, found, market, limits) or ZERO) < limits.min_notional
    return None if too_small else found

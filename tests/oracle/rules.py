"""The limits and filters, and everything they forbid about one order (rules 1 to 4)."""

from dataclasses import dataclass
from decimal import Decimal

from .exact import ZERO, rounded_down
from .market import Market, taken_side, walked
from .orders import Order, Request

SECOND_NS = 10**9
MOST_OPEN = 1_024
BOOK_CODES = {"unsynced": "BOOK_UNSYNCED", "stale": "BOOK_STALE", "crossed": "BOOK_CROSSED"}
# A market order that breaks only these would pass if it were smaller.
SIZE_CODES = {"NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_LONG", "POSITION_LIMIT_SHORT"}


@dataclass(frozen=True)
class Limits:
    """The settings of a desk, as decimals; `slippage_e8` is a rate of 1e-8."""

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


def notional(request: Request, quantity: Decimal, market: Market, limits: Limits) -> Decimal | None:
    """Return what the order would cost now; None if there is nothing to price it on."""
    levels = market.levels(taken_side(request.side))
    if request.limit is None:
        return walked(request.side, max(quantity, ZERO), levels, limits.slippage_e8)
    if request.side == "buy" or not levels:
        return request.limit * quantity
    return max(request.limit, levels[0][0]) * quantity


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


def stamps_in_window(stamps: list[int], mono_ns: int) -> int:
    """Count the accepted orders in (t - 1 s, t]."""
    return len([stamp for stamp in stamps if mono_ns - SECOND_NS < stamp <= mono_ns])


def retry_after_ms(stamps: list[int], mono_ns: int, per_second: int) -> int:
    """Return the milliseconds, rounded up, until the window has room again."""
    held = sorted(stamp for stamp in stamps if mono_ns - SECOND_NS < stamp <= mono_ns)
    free_ns = held[len(held) - per_second] + SECOND_NS
    return -((mono_ns - free_ns) // 10**6)


def largest(request: Request, position: Decimal, orders: list[Order], market: Market, limits: Limits) -> Decimal | None:
    """Return the largest size, in steps, that passes; None if none does. Halving, since a larger size costs more."""

    def within(quantity: Decimal) -> bool:
        cost = notional(request, quantity, market, limits)
        after = position_after(request, quantity, position, orders)
        return cost is not None and cost <= limits.order_notional and not position_breach(after, request.side, limits)

    low, high = 0, int(rounded_down(limits.max_quantity, limits.step) / limits.step) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle * limits.step) else (low, middle)
    found = low * limits.step
    too_small = found < limits.min_quantity or (notional(request, found, market, limits) or ZERO) < limits.min_notional
    return None if too_small else found

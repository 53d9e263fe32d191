"""Exact decimals: any operation that would have to round raises instead."""

from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, setcontext

E8 = Decimal(10) ** 8
UNIT_16 = Decimal(1).scaleb(-16)
ZERO = Decimal(0)


def exactly() -> None:
    """Make this thread's decimals exact: 120 digits, and a trap on everything that does not fit them."""
    setcontext(Context(prec=120, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation]))


def truncated_division(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Return the quotient in units of 1e-16, truncated toward zero."""
    return (numerator / UNIT_16 // denominator) * UNIT_16  # decimal's // truncates toward zero


def rounded_up(value: Decimal, unit: Decimal) -> Decimal:
    """Return the smallest multiple of `unit` that is not below `value`."""
    whole = value // unit * unit
    return whole + unit if whole < value else whole


def rounded_down(value: Decimal, unit: Decimal) -> Decimal:
    """Return the largest multiple of `unit` that is not above `value`."""
    return -rounded_up(-value, unit)


def from_e8(value: int) -> Decimal:
    """Return the decimal of an integer of 1e-8."""
    return Decimal(value) / E8


def to_e8(value: Decimal) -> int:
    """Return the integer of 1e-8 that a decimal is."""
    scaled = value * E8
    assert scaled == int(scaled), value
    return int(scaled)

"""Figures and foreign text for a screen: rounded half-even, in natural units, unable to move a cursor."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

NOTHING = "-"
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_UNITS = ((10**9, "s"), (10**6, "ms"), (10**3, "µs"), (1, "ns"))


def printable(text: str) -> str:
    """Return `text` with every character that could move a terminal's cursor written out as an escape."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def fixed(amount: str | None, decimals: int = 2) -> str:
    """Return an exact amount rounded half-even for the screen; a dash for None, and never a minus zero."""
    if amount is None:
        return NOTHING
    value = Decimal(amount).quantize(Decimal(1).scaleb(-decimals), context=_EXACT)
    return f"{value or abs(value):f}"


def signed(amount: str, decimals: int | None = None) -> str:
    """Return an amount with its sign; exact without `decimals`."""
    text = amount if decimals is None else fixed(amount, decimals)
    return text if text.startswith("-") or not Decimal(text) else f"+{text}"


def duration(ns: int | None) -> str:
    """Return a time in its natural unit with three digits, cut: `850 ns`, `12.3 µs`, `42.1 ms`, `3.00 s`."""
    if ns is None:
        return NOTHING
    unit, name = next(each for each in _UNITS if ns >= each[0] or each[0] == 1)
    whole = ns // unit
    decimals = 0 if unit == 1 else max(0, 3 - len(str(whole)))
    part = f".{ns * 10**decimals // unit % 10**decimals:0{decimals}}" if decimals else ""
    return f"{whole}{part} {name}"

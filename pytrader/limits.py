"""The limits as events and the status page carry them, in the names and units of their settings."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MONEY_DECIMALS: Final = 16  # no limit is finer than money


class Change(NamedTuple):
    """A limit that is not what it was: the name of its setting, the value before and now, in the setting's unit."""

    name: str
    old: str
    new: str


_SETTINGS: Final = {  # name in an event -> setting, and what one unit of the setting is in the event
    "order_notional": ("max_order_notional", 1),
    "position": ("max_position", 1),
    "orders_per_second": ("max_orders_per_second", 1),
    "daily_loss": ("max_daily_loss", 1),
    "price_band": ("max_price_band_bps", 10_000),
    "attempts_per_second": ("max_attempts_per_second", 1),
    "runaway_refusals": ("runaway_refusals", 1),
    "repeat_window_ns": ("repeat_window_ms", 1_000_000),
    "stale_after_ns": ("stale_after_ms", 1_000_000),
}


def named(limits: Mapping[str, Any]) -> dict[str, str]:
    """Return the limits of an event or the status page as exact texts, by setting."""
    return {setting: _plain(Fraction(limits[key]) / unit) for key, (setting, unit) in _SETTINGS.items()}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return what differs between the limits of two starts."""
    before, now = named(old), named(new)
    return [Change(name, before[name], now[name]) for name in now if before[name] != now[name]]


def listed(changed: Sequence[tuple[str, str, str]]) -> str:
    """Return changes as one text: `max_position 2 -> 5, max_daily_loss 100 -> 200`."""
    return ", ".join(f"{name} {old} -> {new}" for name, old, new in changed)


def _plain(exact: Fraction) -> str:
    units = exact * 10**_MONEY_DECIMALS
    assert units.denominator == 1, f"{exact} is finer than any limit"
    whole, part = divmod(units.numerator, 10**_MONEY_DECIMALS)
    return f"{whole}.{part:0{_MONEY_DECIMALS}}".rstrip("0").rstrip(".")

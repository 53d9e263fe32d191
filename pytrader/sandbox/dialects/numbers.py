"""How exchanges write numbers and times."""

from datetime import UTC, datetime
from typing import Final

SECOND_NS: Final = 1_000_000_000


def price(ticks: int) -> str:
    """Return a price without trailing zeros: 2679540 -> `26795.4`."""
    whole, cents = divmod(ticks, 100)
    if not cents:
        return str(whole)
    return f"{whole}.{cents // 10}" if cents % 10 == 0 else f"{whole}.{cents:02d}"


def size(lots: int) -> str:
    """Return a size without trailing zeros: 25000 -> `0.25`, 0 -> `0`."""
    whole, part = divmod(lots, 100_000)
    return f"{whole}.{part:05d}".rstrip("0") if part else str(whole)


def rfc3339(at_ns: int, digits: int) -> str:
    """Return a time in UTC as `2026-08-09T21:05:48.228568804Z`, with 1 to 9 digits of the second's fraction."""
    second, part = divmod(at_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{f'{part:09d}'[:digits]}Z"

"""What an order would do now: the verdict, the room that each limit leaves, and a fill estimated by walking the book.

Nothing here changes anything. Prices and sizes are integers of 10⁻⁸, costs of 10⁻¹⁶; ratios are exact fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import orjson

from pytrader._core import format_e8
from pytrader.limits import named
from pytrader.lines import fixed, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrader._core import Verdict
    from pytrader.grammar import Order
    from pytrader.lines import Market

E8 = 10**8
LEVELS = 1_000  # more than the book publishes: all of it
Levels = Sequence[tuple[int, int]]  # (price, size) in 10⁻⁸, the best first
_BPS_DECIMALS = 3  # as the status page's slippage
_UNTRUSTED = frozenset({"BOOK_UNSYNCED", "BOOK_STALE", "BOOK_CROSSED"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the visible book would give: sizes in 10⁻⁸ base, `cost_e16` in 10⁻¹⁶ quote, `mid` and `average` in quote.

    What settings add to a simulated fill (slippage, fees, the time on the way) is not in it. `average`, `worst_e8` and
    `slippage_bps` are None where nothing fills, `mid` where a side is empty. Slippage is against the mid, and above
    zero where it costs.
    """

    filled_e8: int
    unfilled_e8: int
    cost_e16: int
    worst_e8: int | None
    mid: Fraction | None
    average: Fraction | None
    slippage_bps: Fraction | None


@dataclass(frozen=True, slots=True)
class Headroom:
    """One limit and what is left of it before the order: exact decimals in `unit`."""

    limit: str
    headroom: str
    unit: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer to an order that is not sent. `refusal` is what the journal would say of it, None if it passes.

    `headroom` has `notional`, `position` (on the order's side), `orders` (in this second), `daily_loss` and
    `price_band`. `worst_allowed` is the price at which that band ends, in quote; it and `estimate` are None while the
    book cannot be trusted.
    """

    order: Order
    passes: bool
    codes: tuple[str, ...]
    refusal: dict[str, Any] | None
    headroom: Mapping[str, Headroom]
    estimate: Estimate | None
    worst_allowed: Fraction | None


def answer(order: Order, verdict: Verdict, page: bytes, bids: Levels, asks: Levels) -> WhatIf:
    """Put together what `Desk.check`, `Desk.status` and `Book.levels` say of an order."""
    status = orjson.loads(page)
    live = status["permit"]["book"] == "live"  # ATTEMPTS stands alone and says nothing of the book
    trusted = live and _UNTRUSTED.isdisjoint(verdict.codes)
    return WhatIf(
        order=order,
        passes=verdict.accepted,
        codes=tuple(verdict.codes),
        refusal=None if verdict.detail is None else orjson.loads(verdict.detail),
        headroom=_headroom(order.side, status),
        estimate=estimate(order, bids, asks) if trusted else None,
        worst_allowed=_band_end(order.side, status["limits"]["price_band"], bids, asks) if trusted else None,
    )


def _band_end(side: str, band_e8: int, bids: Levels, asks: Levels) -> Fraction | None:
    best, away = (asks, E8 + band_e8) if side == "buy" else (bids, E8 - band_e8)
    return Fraction(best[0][0] * away, E8 * E8) if bids and asks else None


def _headroom(side: str, page: dict[str, Any]) -> dict[str, Headroom]:
    limits, room, profile = page["limits"], page["room"], page["profile"]
    base, quote = profile["base"], profile["quote"]
    orders = str(limits["orders_per_second"]), str(room["orders_now"])
    band = named(limits)["max_price_band_bps"]
    return {
        # Each order has the whole of this limit, and of the band, to itself.
        "notional": Headroom(limits["order_notional"], limits["order_notional"], quote),
        "position": Headroom(limits["position"], room[side], base),
        "orders": Headroom(*orders, "orders"),
        "daily_loss": Headroom(limits["daily_loss"], room["daily_loss"], quote),
        "price_band": Headroom(band, band, "bps"),
    }


def estimate(order: Order, bids: Levels, asks: Levels) -> Estimate:
    """Walk the levels that `order` takes, (price, size) and the best first, within its limit and its quantity."""
    left, cost, worst = order.quantity_e8, 0, None
    for price, size in asks if order.side == "buy" else bids:
        if not left or _is_beyond(price, order):
            break
        part = min(left, size)
        left, cost, worst = left - part, cost + part * price, price
    filled = order.quantity_e8 - left
    mid = Fraction(bids[0][0] + asks[0][0], 2 * E8) if bids and asks else None
    average = Fraction(cost, filled * E8) if filled else None
    return Estimate(filled, left, cost, worst, mid, average, _slippage_bps(order.side, average, mid))


def _is_beyond(price: int, order: Order) -> bool:
    """Tell whether a level is worse than the order's limit."""
    if order.limit_e8 is None:
        return False
    return price > order.limit_e8 if order.side == "buy" else price < order.limit_e8


def _slippage_bps(side: str, average: Fraction | None, mid: Fraction | None) -> Fraction | None:
    if average is None or mid is None:
        return None
    return (average - mid if side == "buy" else mid - average) * 10_000 / mid


def text(it: WhatIf, market: Market, details: Sequence[str]) -> str:
    """Return the answer for people; `details` are the lines of the breaches."""
    return "\n".join([_verdict(it, market), *details, *_fill(it, market), *_band(it, market), _room(it)])


def _verdict(it: WhatIf, market: Market) -> str:
    if it.refusal is not None:
        return f"Would be rejected: {str(it.refusal['sentence']).removeprefix('Order rejected: ')}"
    order = it.order
    limit = "market" if order.limit_e8 is None else market.price(Fraction(order.limit_e8, E8))
    return f"Would pass: {order.side.upper()} {format_e8(order.quantity_e8)} {market.base} @ {limit}"


def _fill(it: WhatIf, market: Market) -> list[str]:
    found, order = it.estimate, it.order
    if found is None:
        return ["  no estimate: the book cannot be trusted now"]
    lines = []
    if found.average is not None and found.worst_e8 is not None:
        average, worst = market.price(found.average), market.price(Fraction(found.worst_e8, E8))
        cost = f"cost {_money(found.cost_e16)} {market.quote}"
        lines.append(f"  fills {format_e8(found.filled_e8)} {market.base} @ {average}, worst {worst}, {cost}")
    if found.slippage_bps is not None and found.mid is not None:
        bps = fixed(found.slippage_bps, _BPS_DECIMALS)
        lines.append(f"  slippage {bps} bps against the mid {plain(found.mid)}")
    if found.unfilled_e8:
        lines.append(f"  {format_e8(found.unfilled_e8)} {market.base} {_fate(order)}")
    return lines


def _fate(order: Order) -> str:
    if order.limit_e8 is None:
        return "more than the visible book can fill"
    return "would rest" if order.tif == "gtc" else "would be canceled: not within the limit"


def _band(it: WhatIf, market: Market) -> list[str]:
    if it.worst_allowed is None:
        return []
    tick = Fraction(market.tick)
    ticks = it.worst_allowed / tick
    last = (floor(ticks) if it.order.side == "buy" else ceil(ticks)) * tick  # rounded half-even it might be refused
    return [f"  price band {it.headroom['price_band'].limit} bps: ends at {market.price(last)}"]


def _room(it: WhatIf) -> str:
    rows = (f"{name} {room.headroom} of {room.limit} {room.unit}" for name, room in _shown(it).items())
    return f"  room: {' | '.join(rows)}"


def _shown(it: WhatIf) -> dict[str, Headroom]:
    names = {"notional": "order", "position": it.order.side, "orders": "rate", "daily_loss": "loss"}
    return {names[name]: room for name, room in it.headroom.items() if name in names}


def data(it: WhatIf) -> dict[str, Any]:
    """Return the answer for programs: amounts are text, `average` with 8 decimals and bps with 3, half-even."""
    refusal = it.refusal or {"breaches": [], "largest": None, "sentence": None}
    return {
        "passes": it.passes,
        "codes": list(it.codes),
        **{name: refusal[name] for name in ("breaches", "largest", "sentence")},
        "headroom": {
            name: {"limit": room.limit, "headroom": room.headroom, "unit": room.unit}
            for name, room in it.headroom.items()
        },
        "worst_allowed": None if it.worst_allowed is None else plain(it.worst_allowed),
        "estimate": None if it.estimate is None else _estimate_data(it.estimate),
    }


def _estimate_data(found: Estimate) -> dict[str, str | None]:
    def decimal(value: Fraction | None, decimals: int) -> str | None:
        return None if value is None else plain(fixed(value, decimals))

    return {
        "filled": format_e8(found.filled_e8),
        "unfilled": format_e8(found.unfilled_e8),
        "average": decimal(found.average, 8),
        "worst": None if found.worst_e8 is None else format_e8(found.worst_e8),
        "cost": _money(found.cost_e16),
        "mid": decimal(found.mid, 9),
        "slippage_bps": decimal(found.slippage_bps, _BPS_DECIMALS),
    }


def _money(e16: int) -> str:
    return plain(Fraction(e16, E8 * E8))

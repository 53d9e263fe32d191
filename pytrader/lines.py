"""The log line of each event, in the exact words that people and scripts read. Pure: an event in, a line out.

Prices show the decimals of the tick, an average over several levels rounded half-even from the exact cost; sizes show
no trailing zeros. No float is involved. What could move a cursor or end a line is shown as an escape.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from pytrader.limits import changes, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MONEY_DECIMALS: Final = 16  # money is a whole multiple of 10^-16 and quantities of 10^-8: nothing finer exists


@dataclass(frozen=True, slots=True)
class Market:
    """What a line needs to know of the market: its assets' names and its tick as decimal text, such as "0.01"."""

    base: str
    quote: str
    tick: str

    @property
    def decimals(self) -> int:
        """Return the decimals of the tick: 0.01 has 2."""
        _, _, decimals = self.tick.partition(".")
        return len(decimals.rstrip("0"))

    def price(self, exact: Fraction) -> str:
        """Return a price with the tick's decimals, half-even."""
        return fixed(exact, self.decimals)


def line_of(kind: str, facts: Mapping[str, Any], market: Market) -> str | None:
    """Return the line of an event's kind and facts, None for a kind that has none.

    A fact that is missing or is no decimal text raises KeyError or ValueError: the desk wrote it, so we are wrong.
    """
    words = _WORDS.get(kind)
    return None if words is None else escaped(words(facts, market))


def fixed(exact: Fraction, decimals: int) -> str:
    """Return a number with exactly so many decimals, half-even: one eighth at two is 0.12."""
    units = round(exact * 10**decimals)
    digits = str(abs(units)).rjust(decimals + 1, "0")
    whole, part = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return f"{'-' if units < 0 else ''}{whole}{'.' if decimals else ''}{part}"


def plain(exact: str | Fraction) -> str:
    """Return a decimal without trailing zeros: 0.250 is 0.25."""
    return fixed(Fraction(exact), _MONEY_DECIMALS).rstrip("0").rstrip(".")


def escaped(text: str) -> str:
    """Return the text with every character that is not printable as its escape: a line stays one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _accepted(facts: Mapping[str, Any], market: Market) -> str:
    limit = "market" if facts["limit"] is None else market.price(Fraction(facts["limit"]))
    name = f", id {facts['client_id']}" if facts.get("client_id") else ""
    return f"Order accepted: {_order(facts, facts['quantity'], market)} @ {limit} (order {facts['order']}{name})"


def _filled(facts: Mapping[str, Any], market: Market) -> str:
    """Return the line of one report; it names both quantities unless the report alone is the whole order."""
    filled, quantity = Fraction(facts["filled"]), Fraction(facts["quantity"])
    size = plain(quantity) if filled == quantity else f"{plain(filled)} of {plain(quantity)}"
    price = market.price(Fraction(facts["cost"]) / filled)  # `average` is already rounded: twice is once too often
    head = "filled" if facts["done"] else "partially filled"
    elapsed_ms = (facts["elapsed_ns"] + 500_000) // 1_000_000
    return f"Order {head}: {facts['side'].upper()} {size} {market.base} @ {price} | Execution time: {elapsed_ms}ms"


def _refused(facts: Mapping[str, Any], _: Market) -> str:
    return f"Order rejected: {facts['sentence'].removeprefix('Order rejected: ')}"


def _ended(facts: Mapping[str, Any], market: Market) -> str:
    """Return the line of an order that ended incomplete, with the quantity that will not be filled any more."""
    rest = Fraction(facts["quantity"]) - Fraction(facts["filled"])
    return f"Order {facts['state']}: {_order(facts, rest, market)} (order {facts['order']}) {facts['reason']}"


def _resting(facts: Mapping[str, Any], market: Market) -> str:
    order = _order(facts, facts["quantity"], market)
    return f"Order resting: {order} @ {market.price(Fraction(facts['limit']))} (order {facts['order']})"


def _unknown(facts: Mapping[str, Any], market: Market) -> str:
    return f"Order unknown: {_order(facts, facts['quantity'], market)} (order {facts['order']}) has no answer yet"


def _stray(facts: Mapping[str, Any], market: Market) -> str:
    """Return the line of a fill that no open order accounts for; it may name no order."""
    price = market.price(Fraction(facts["cost"]) / Fraction(facts["quantity"]))
    named = "no order" if facts["order"] is None else f"order {facts['order']}"
    return f"Stray fill: {_order(facts, facts['quantity'], market)} @ {price} ({named}) {facts['cause']}"


def _order(facts: Mapping[str, Any], quantity: str | Fraction, market: Market) -> str:
    return f"{facts['side'].upper()} {plain(quantity)} {market.base}"


def _halted(facts: Mapping[str, Any], _: Market) -> str:
    cause = ": ".join(filter(None, (facts["cause"], facts["detail"])))
    return f"Trading halted: {cause}; `resume` allows orders again"


def _clock_jumped(facts: Mapping[str, Any], _: Market) -> str:
    by_ns = facts["by_ns"]
    moved = f"{fixed(Fraction(abs(by_ns), 10**9), 3)} s {'ahead' if by_ns > 0 else 'back'}"
    return f"Clock jumped: UTC went {moved} against the monotonic clock; no new day begins until `resume`"


def _limits_changed(facts: Mapping[str, Any], _: Market) -> str:
    return f"Limits changed since the last start: {listed(changes(facts['old'], facts['new']))}"


def _loss_latched(facts: Mapping[str, Any], market: Market) -> str:
    return (
        f"Daily loss limit reached: {plain(facts['loss'])} {market.quote} lost on {_date(facts['day'])} UTC;"
        " until the next UTC day only `flatten` and `reduce` pass"
    )


def _day_started(facts: Mapping[str, Any], market: Market) -> str:
    return f"Day started: {_date(facts['day'])} UTC, start equity {plain(facts['start_equity'])} {market.quote}"


def _date(day: int) -> str:
    """Return the date of a day counted from 1970-01-01."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m-%d}"


_WORDS: Final[dict[str, Callable[[Mapping[str, Any], Market], str]]] = {
    "accepted": _accepted,
    "filled": _filled,
    "resting": _resting,
    "unknown": _unknown,
    "stray": _stray,
    "refused": _refused,
    "ended": _ended,
    "halted": _halted,
    "resumed": lambda _facts, _market: "Trading resumed",
    "clock_jumped": _clock_jumped,
    "limits_changed": _limits_changed,
    "loss_latched": _loss_latched,
    "day_started": _day_started,
}

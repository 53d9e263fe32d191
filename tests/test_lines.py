"""Each event has the log line that people and scripts were promised, exact to the last digit."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrader.lines import Market, escaped, fixed, line_of, plain

BITCOIN = Market("BTC", "USDT", "0.01")


def said(kind: str, market: Market = BITCOIN, **facts: object) -> str | None:
    """Return the line of an event with these facts."""
    return line_of(kind, facts, market)


def filled(**changes: object) -> dict[str, object]:
    """Return the facts of a whole fill, or of another kind of fill."""
    facts: dict[str, object] = {"order": 1, "side": "buy", "quantity": "0.25", "filled": "0.25", "done": True}
    return facts | {"cost": "6699.025", "average": "26796.1", "elapsed_ns": 42_100_000} | changes


def test_an_accepted_market_order() -> None:
    facts = {"order": 1, "side": "buy", "quantity": "0.25", "limit": None, "tif": "ioc"}
    assert said("accepted", **facts) == "Order accepted: BUY 0.25 BTC @ market (order 1)"


def test_an_accepted_limit_order_shows_its_limit_at_the_tick() -> None:
    facts = {"order": 12, "side": "sell", "quantity": "1.50", "limit": "68000", "tif": "gtc"}
    assert said("accepted", **facts) == "Order accepted: SELL 1.5 BTC @ 68000.00 (order 12)"


def test_an_order_without_an_answer_names_what_may_still_be_filled() -> None:
    facts = {"order": 7, "side": "buy", "quantity": "0.60"}
    assert said("unknown", **facts) == "Order unknown: BUY 0.6 BTC (order 7) has no answer yet"


@pytest.mark.parametrize(("order", "named"), [(7, "order 7"), (None, "no order")])
def test_a_stray_fill_names_its_cause(order: int | None, named: str) -> None:
    facts = {"order": order, "side": "sell", "quantity": "0.3", "cost": "8038.83", "cause": "FILL_AFTER_END"}
    assert said("stray", **facts) == f"Stray fill: SELL 0.3 BTC @ 26796.10 ({named}) FILL_AFTER_END"


def test_an_order_with_a_name_of_its_own_is_told_by_it() -> None:
    facts = {"order": 1, "side": "buy", "quantity": "0.25", "limit": None, "tif": "ioc", "client_id": "abc123"}
    assert said("accepted", **facts) == "Order accepted: BUY 0.25 BTC @ market (order 1, id abc123)"


def test_a_whole_fill() -> None:
    assert said("filled", **filled()) == "Order filled: BUY 0.25 BTC @ 26796.10 | Execution time: 42ms"


def test_a_part_of_an_order() -> None:
    facts = filled(filled="0.1", cost="2679.61", done=False)
    assert said("filled", **facts) == "Order partially filled: BUY 0.1 of 0.25 BTC @ 26796.10 | Execution time: 42ms"


def test_the_last_of_several_parts_names_its_own_quantity() -> None:
    """Its price is that of this part, so the line must not claim that the whole order was filled at it."""
    facts = filled(filled="0.15", cost="4019.415", side="sell")
    assert said("filled", **facts) == "Order filled: SELL 0.15 of 0.25 BTC @ 26796.10 | Execution time: 42ms"


@pytest.mark.parametrize(
    ("cost", "quantity", "shown"),
    [
        ("100.005", "1", "100.00"),  # a tie goes to the even neighbour, below ...
        ("100.015", "1", "100.02"),  # ... or above
        ("100.0050000000000001", "1", "100.01"),  # one unit of money beyond the tie decides
        ("100.0149999999999999", "1", "100.01"),
        ("200", "3", "66.67"),
        ("0.004", "1", "0.00"),
        ("999999999999.999", "1", "1000000000000.00"),
    ],
)
def test_an_average_is_rounded_half_even_once_and_from_the_exact_cost(cost: str, quantity: str, shown: str) -> None:
    facts = filled(quantity=quantity, filled=quantity, cost=cost, average="1")
    assert said("filled", **facts) == f"Order filled: BUY {quantity} BTC @ {shown} | Execution time: 42ms"


@pytest.mark.parametrize(
    ("ns", "shown"), [(0, "0ms"), (499_999, "0ms"), (500_000, "1ms"), (3_600 * 10**9, "3600000ms")]
)
def test_execution_time_is_rounded_to_a_whole_millisecond(ns: int, shown: str) -> None:
    assert str(said("filled", **filled(elapsed_ns=ns))).endswith(f"| Execution time: {shown}")


@pytest.mark.parametrize(
    ("tick", "shown"), [("0.01", "26796.10"), ("0.10", "26796.1"), ("1", "26796"), ("0.00001", "26796.10000")]
)
def test_prices_have_the_decimals_of_the_tick(tick: str, shown: str) -> None:
    assert f"@ {shown} |" in str(said("filled", Market("BTC", "USDT", tick), **filled()))


def test_a_refusal_says_its_sentence_once() -> None:
    sentence = "Order rejected: Notional exceeds $50,000 limit; position would be 10 BTC, limit 5 BTC."
    assert said("refused", sentence=sentence) == sentence
    assert said("refused", sentence="Notional exceeds.") == "Order rejected: Notional exceeds."


@pytest.mark.parametrize("state", ["canceled", "rejected", "expired"])
def test_an_order_that_ended_incomplete_names_what_is_left_and_why(state: str) -> None:
    facts = {"order": 3, "side": "buy", "quantity": "0.25", "filled": "0.1", "state": state, "reason": "IOC_REMAINDER"}
    assert said("ended", **facts) == f"Order {state}: BUY 0.15 BTC (order 3) IOC_REMAINDER"


def test_halts_and_their_end_and_the_day() -> None:
    assert said("halted", cause="OPERATOR", detail="typed halt") == (
        "Trading halted: OPERATOR: typed halt; `resume` allows orders again"
    )
    assert said("halted", cause="OPERATOR", detail="") == "Trading halted: OPERATOR; `resume` allows orders again"
    assert said("resumed") == "Trading resumed"
    assert said("loss_latched", day=20_779, loss="10000.50") == (
        "Daily loss limit reached: 10000.5 USDT lost on 2026-11-22 UTC; until the next UTC day only `flatten` and"
        " `reduce` pass"
    )
    assert said("day_started", day=20_779, start_equity="-12.50") == (
        "Day started: 2026-11-22 UTC, start equity -12.5 USDT"
    )


@pytest.mark.parametrize("kind", ["opened", "started", "released", "cancel_requested", "marked", "to_come"])
def test_other_kinds_have_no_line(kind: str) -> None:
    assert said(kind, order=1) is None


def test_a_line_stays_one_line_and_moves_no_cursor() -> None:
    shown = said("halted", cause="DISK\n2026 forged", detail="\x1b[2J\x00\u202etxt\u2028é")
    assert shown == (
        "Trading halted: DISK\\n2026 forged: \\x1b[2J\\x00\\u202etxt\\u2028é; `resume` allows orders again"
    )


@given(st.text())
def test_whatever_is_escaped_can_be_printed(text: str) -> None:
    assert escaped(text).isprintable()
    assert escaped(text) == text or not text.isprintable()


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**12), st.integers(0, 8))
def test_rounding_equals_the_decimal_module(numerator: int, denominator: int, decimals: int) -> None:
    exact = Fraction(numerator, denominator * 10**6)
    context = Context(prec=80, rounding=ROUND_HALF_EVEN)
    twin = context.quantize(context.divide(numerator, denominator * 10**6), Decimal(1).scaleb(-decimals))
    assert Decimal(fixed(exact, decimals)) == twin
    assert len(fixed(exact, decimals).partition(".")[2]) == decimals


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=8))
def test_a_plain_decimal_has_the_same_value_and_no_trailing_zero(value: Decimal) -> None:
    shown = plain(f"{value:f}")
    assert Decimal(shown) == value
    assert not ("." in shown and shown.endswith(("0", ".")))

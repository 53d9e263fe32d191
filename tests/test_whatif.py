"""`whatif`: the verdict, the room and the estimate that it gives are right, and it changes nothing."""

import io
import json
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paper_market import depth, desk_on, live_book
from sessions import PROFILE, events, folded, on, rows_of, run

from pytrader import Book, format_e8
from pytrader.grammar import Order
from pytrader.lines import Market
from pytrader.orders import CommandError, Flatten, parse
from pytrader.outcomes import Outcomes
from pytrader.pipe import Pipe
from pytrader.sandbox.process import OfflineMarket
from pytrader.trader import Trader
from pytrader.whatif import answer, estimate

E8 = 10**8
SIZES = st.integers(1, 10**12)
PRICES = st.integers(1, 10**13)


def decimals(levels):
    """Return levels as decimals."""
    return [(Decimal(price) / E8, Decimal(size) / E8) for price, size in levels]


def dull_walk(order, bids, asks):
    """Return (filled, unfilled, cost, worst) by taking one level after the other, in decimals."""
    buys = order.side == "buy"
    filled = cost = Decimal(0)
    worst = None
    for price, size in decimals(asks if buys else bids):
        left = Decimal(order.quantity_e8) / E8 - filled
        limit = None if order.limit_e8 is None else Decimal(order.limit_e8) / E8
        if left == 0 or (limit is not None and (price > limit if buys else price < limit)):
            break
        taken = min(left, size)
        filled, cost, worst = filled + taken, cost + taken * price, price
    return filled, Decimal(order.quantity_e8) / E8 - filled, cost, worst


@st.composite
def books(draw):
    """Return the levels of both sides, the best first, uncrossed; a side may be empty."""
    prices = sorted(draw(st.sets(PRICES, max_size=12)))
    cut = draw(st.integers(0, len(prices)))
    sized = [(price, draw(SIZES)) for price in prices]
    return sized[:cut][::-1], sized[cut:]


ORDERS = st.builds(Order, st.sampled_from(["buy", "sell"]), SIZES, st.none() | PRICES)


@given(ORDERS, books())
@example(Order("buy", 2 * E8), ([(99 * E8, E8)], [(101 * E8, E8), (102 * E8, E8)]))
@example(Order("sell", 2 * E8, 99 * E8), ([(99 * E8, E8), (98 * E8, E8)], [(101 * E8, E8)]))
@example(Order("buy", E8), ([], []))
def test_estimate_is_what_a_dull_walk_in_decimals_gives(order, book):
    """Size, rest, cost and worst price are equal, difference 0; average and slippage follow from them."""
    bids, asks = book
    found = estimate(order, bids, asks)
    with localcontext(prec=80):
        filled, unfilled, cost, worst = dull_walk(order, bids, asks)
        assert (Decimal(found.filled_e8) / E8, Decimal(found.unfilled_e8) / E8) == (filled, unfilled)
        assert Decimal(found.cost_e16) / E8**2 == cost
        assert (found.worst_e8 is None) == (worst is None) == (filled == 0) == (found.average is None)
        if worst is not None:
            assert Decimal(found.worst_e8) / E8 == worst
            assert found.average == Fraction(cost) / Fraction(filled)
        if bids and asks:
            mid = Fraction(decimals(bids)[0][0] + decimals(asks)[0][0]) / 2
            assert found.mid == mid
            if worst is not None:
                signed = found.average / mid - 1 if order.side == "buy" else 1 - found.average / mid
                assert found.slippage_bps == signed * 10_000
        else:
            assert (found.mid, found.slippage_bps) == (None, None)


@pytest.fixture
def trader(tmp_path):
    """Trade on a still book: a BTC at each dollar from 26795 down and from 26796 up, twenty levels a side."""
    book = live_book()
    return Trader(desk_on(book), book, Outcomes(), tmp_path, Market("BTC", "USDT", "0.01"))


def answered(trader, *lines, as_json=False):
    """Return what a pipe answers to lines, and its exit code."""
    out = io.StringIO()
    code = Pipe(trader, out, as_json=as_json, show_top=lambda _: None).run(lines)
    return out.getvalue(), code


def answered_well(trader, line):
    """Return the lines of an answer that counts as no error."""
    text, code = answered(trader, line)
    assert code == 0
    return text.splitlines()


def test_order_that_passes_is_answered_with_room_and_fill(trader):
    """The text has every number; two thirds of the way between two levels is rounded at the tick alone."""
    assert answered_well(trader, "whatif buy 1.5") == [
        "Would pass: BUY 1.5 BTC @ market",
        "  fills 1.5 BTC @ 26796.33, worst 26797.00, cost 40194.5 USDT",
        "  slippage 0.311 bps against the mid 26795.5",
        "  price band 500 bps: ends at 28135.80",
        "  room: order 50000 of 50000 USDT | buy 5 of 5 BTC | rate 5 of 5 orders | loss 10000 of 10000 USDT",
    ]


def test_order_that_fails_is_answered_with_every_breach(trader):
    """Codes and numbers are those of the order itself; what the visible book cannot fill is named."""
    assert answered_well(trader, "whatif sell 30") == [
        "Would be rejected: Notional exceeds $50,000 limit; position would be -30 BTC, limit 5 BTC.",
        "  NOTIONAL_EXCEEDS_MAX  value 803470  limit 50000  headroom 50000",
        "  POSITION_LIMIT_SHORT  value -30  limit 5  headroom 5",
        "  largest size that passes: 1.86605",
        "  fills 20 BTC @ 26785.50, worst 26776.00, cost 535710 USDT",
        "  slippage 3.732 bps against the mid 26795.5",
        "  10 BTC more than the visible book can fill",
        "  price band 500 bps: ends at 25455.25",
        "  room: order 50000 of 50000 USDT | sell 5 of 5 BTC | rate 5 of 5 orders | loss 10000 of 10000 USDT",
    ]
    verdict = trader.submit(Order("sell", 30 * E8)).verdict
    assert trader.whatif("sell 30").codes == tuple(verdict.codes) == ("NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_SHORT")
    assert trader.whatif("sell 30").refusal["sentence"] == verdict.reason


def test_answer_as_json_keeps_every_amount_as_text(trader):
    """The two forms of the question give the same answer."""
    short, long = '{"whatif": "buy", "quantity": 1.5}', '{"command": "whatif", "order_side": "buy", "quantity": "1.5"}'
    text, code = answered(trader, short, long, as_json=True)
    first, second = map(json.loads, text.splitlines())
    assert (first, code) == (second, 0)
    assert first == {
        "whatif": "buy 1.5",
        "passes": True,
        "codes": [],
        "breaches": [],
        "largest": None,
        "sentence": None,
        "headroom": {
            "notional": {"limit": "50000", "headroom": "50000", "unit": "USDT"},
            "position": {"limit": "5", "headroom": "5", "unit": "BTC"},
            "orders": {"limit": "5", "headroom": "5", "unit": "orders"},
            "daily_loss": {"limit": "10000", "headroom": "10000", "unit": "USDT"},
            "price_band": {"limit": "500", "headroom": "500", "unit": "bps"},
        },
        "worst_allowed": "28135.8",
        "estimate": {
            "filled": "1.5",
            "unfilled": "0",
            "average": "26796.33333333",
            "worst": "26797",
            "cost": "40194.5",
            "mid": "26795.5",
            "slippage_bps": "0.311",
        },
    }


def test_room_counts_what_is_open_and_what_was_accepted(trader):
    """An accepted order takes room on its side and a slot of the second; a question takes neither."""
    assert trader.submit(Order("buy", E8, 26_000 * E8, "gtc")).accepted
    for _ in range(20):
        found = trader.whatif("buy 4.5 @ 10000 gtc")
    assert found.codes == ("POSITION_LIMIT_LONG",)
    assert (found.headroom["position"].headroom, found.headroom["orders"].headroom) == ("4", "4")
    assert trader.whatif("sell 1").headroom["position"].headroom == "5"


@pytest.mark.parametrize(
    ("line", "fate"),
    [
        ("whatif buy 1 @ 26000", "  1 BTC would rest"),
        ("whatif buy 1 @ 26000 ioc", "  1 BTC would be canceled: not within the limit"),
        ("whatif sell 1.8 @ 26795", "  0.8 BTC would rest"),
        ("whatif buy 1 reduce", None),
    ],
)
def test_what_would_become_of_the_rest_is_said(trader, line, fate):
    """A limit keeps the fill within it; an order that is filled whole has no rest."""
    lines = answered(trader, line)[0].splitlines()
    assert (fate in lines) if fate else not [line for line in lines if "would rest" in line or "canceled" in line]
    assert ("NOT_REDUCING" in "".join(lines)) == ("reduce" in line)


@pytest.mark.parametrize("text", ["buy 1", "sell 100", "buy 0.1 @ 26000", "sell 0.000001", "buy 1 reduce"])
def test_nothing_changes_whether_it_passes_or_not(trader, text):
    """The state is the same text, there is no event, and no slot of the second is taken."""
    trader.desk.next_events(100, 0)
    before = trader.desk.state()
    for _ in range(50):
        trader.whatif(text)
    assert trader.desk.state() == before
    assert trader.desk.next_events(100, 0) == []
    assert trader.status()["room"]["orders_now"] == 5


def test_no_estimate_is_given_on_a_book_that_cannot_be_trusted(tmp_path):
    """The verdict names the book; the exit code is that of missing data."""
    book = Book()
    unsynced = Trader(desk_on(book), book, Outcomes(), tmp_path, Market("BTC", "USDT", "0.01"))
    found = unsynced.whatif("buy 1")
    assert "BOOK_UNSYNCED" in found.codes
    assert (found.estimate, found.worst_allowed) == (None, None)
    pipe = Pipe(unsynced, out := io.StringIO(), as_json=False, show_top=lambda _: None)
    pipe._waited = True
    pipe.execute(parse("whatif buy 1"))
    assert pipe.code == 5
    assert "  no estimate: the book cannot be trusted now" in out.getvalue().splitlines()


def test_price_at_which_the_band_ends_is_the_last_that_passes(trader):
    """Exactly there the order passes, a tick beyond it does not: the answer and the core mean the same price."""
    for side, tick in (("buy", Decimal("0.01")), ("sell", Decimal("-0.01"))):
        exact = trader.whatif(f"{side} 1").worst_allowed
        end = Decimal(exact.numerator) / exact.denominator
        last = end.quantize(Decimal("0.01"), ROUND_FLOOR if side == "buy" else ROUND_CEILING)
        assert trader.whatif(f"{side} 1 @ {last}").passes
        assert trader.whatif(f"{side} 1 @ {last + tick}").codes == ("PRICE_BAND",)


@pytest.mark.parametrize(("side", "beyond"), [("buy", "0.01"), ("sell", "-0.01")])
def test_price_that_is_shown_as_the_end_of_the_band_passes(tmp_path, side, beyond):
    """Seven basis points of either price end within a tick: an order at the price that is read off is not refused."""
    book = live_book()
    desk = desk_on(book, price_band_e8=70_000)
    trader = Trader(desk, book, Outcomes(), tmp_path, Market("BTC", "USDT", "0.01"))
    (shown,) = re.findall(r"price band 7 bps: ends at ([\d.]+)\n", answered(trader, f"whatif {side} 1")[0])
    assert trader.whatif(f"{side} 1 @ {shown}").passes
    assert trader.whatif(f"{side} 1 @ {Decimal(shown) + Decimal(beyond)}").codes == ("PRICE_BAND",)


def test_no_estimate_is_given_on_such_a_book_whatever_the_verdict_names():
    """Beyond the attempts of a second no rule is asked: ATTEMPTS stands alone, and the book is lost all the same."""
    now = 10**12, 1_795_000_000 * 10**9
    book = live_book(recv_ns=now[0])
    desk = desk_on(book, now, max_attempts_per_second=1)
    at = {"mono_ns": now[0], "utc_ns": now[1]}
    assert desk.submit("buy", 10**6, **at).accepted
    book.apply(depth(20, [["26795.00", "1"]], []), now[0])
    sides = (book.levels(side, 20) for side in ("bid", "ask"))
    found = answer(Order("buy", E8), desk.check("buy", E8, **at), desk.status(*now), *sides)
    assert found.codes == ("ATTEMPTS",)
    assert (found.estimate, found.worst_allowed) == (None, None)


def test_only_an_order_can_be_asked_about(trader):
    """What does not parse, or is another command, is named."""
    with pytest.raises(CommandError, match="quantity"):
        trader.whatif("buy -1")
    for other in ("flatten", Flatten()):
        with pytest.raises(TypeError, match="not an order"):
            trader.whatif(other)


def test_program_answers_and_its_journal_holds_no_trace(tmp_path):
    """A piped session of questions leaves a journal without an order; the first question waits for the book."""
    with OfflineMarket.start(5) as market:
        script = "whatif buy 0.25\nwhatif sell 9\n" + "whatif buy 0.01\n" * 20
        result = run([*on(market, tmp_path), "--json"], tmp_path, script)
    assert (result.code, result.err) == (0, "")
    assert [answer["passes"] for answer in result.answers] == [True, False, *[True] * 20]
    assert result.answers[1]["codes"] == ["NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_SHORT"]
    assert Decimal(result.answers[0]["estimate"]["filled"]) == Decimal("0.25")
    assert {event.kind for event in events(tmp_path)} <= {"opened", "started", "day_started"}
    assert json.loads(folded(rows_of(tmp_path / PROFILE)).status())["counts"]["refused"] == 0


@given(SIZES, st.none() | PRICES)
def test_question_is_written_as_the_order_with_one_word_before_it(size, price):
    limit = "" if price is None else f" @ {format_e8(price)} ioc"
    order = f"buy {format_e8(size)}{limit}"
    assert parse(f"whatif {order}").order == parse(order)

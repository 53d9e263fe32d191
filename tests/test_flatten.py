"""Closing a position: slices inside the limits until it is flat, and an honest word where it cannot be."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from paper_market import depth, ladder, paper_on

from pytrader import flatten as flattening
from pytrader._core import parse_e8
from pytrader.flatten import flatten
from pytrader.grammar import Order
from pytrader.outcomes import is_settled

E8 = 10**8
PRICE = 85_000  # the notional limit lets 0.588 BTC pass at once


class PaperTrader:
    """A trader on virtual time: waiting lets the time of a paper desk pass; frames keep its book fresh meanwhile."""

    step_e8 = 1_000

    def __init__(self, paper, *, feed=True):
        """Trade on `paper`; without `feed` the market falls silent."""
        self.paper, self.feed, self.update_id = paper, feed, 8
        self.sizes = "2", "3"
        self.signs = {0}

    def pass_time(self, seconds):
        """Let time pass in steps of 10 ms; each second has a new depth frame, whose sizes are whole again."""
        for _ in range(round(seconds * 100)):
            self.paper.advance(0.01)
            self.signs.add((self.position_e8() > 0) - (self.position_e8() < 0))
            if self.feed:
                self.update_id += 1
                size = self.sizes[self.update_id % 2]
                bids, asks = ladder(PRICE, -1, size=size), ladder(PRICE + 1, 1, size=size)
                self.paper.frame(depth(self.update_id, bids, asks))

    def submit(self, order):
        verdict = self.paper.submit(order)
        return SimpleNamespace(
            verdict=verdict,
            accepted=verdict.accepted,
            wait_over=lambda timeout_s: self.settle(verdict.order_id, timeout_s),
        )

    def settle(self, order_id, timeout_s):
        for _ in range(round(timeout_s * 100)):
            events = [event for event in self.paper.events if event.order_id == order_id]
            if order_id is None or is_settled(events):
                return
            self.pass_time(0.01)

    def check(self, order):
        side, quantity, reduce_only = order.side, order.quantity_e8, order.reduce_only
        return self.paper.desk.check(side, quantity, None, None, reduce_only, None, *self.paper.now)

    def cancel_all(self):
        self.paper.desk.cancel_all(False, *self.paper.now)
        self.pass_time(0.01)

    def wait_closed(self, timeout_s):
        for _ in range(round(timeout_s * 100)):
            if self.paper.desk.open_orders():
                self.pass_time(0.01)

    def open_orders(self):
        return self.paper.desk.open_orders()

    def is_flat(self):
        page = self.paper.status()
        return page["position"] == "0" and page["counts"]["open"] == 0

    def position_e8(self):
        return self.paper.desk.position_e8()

    def pause(self, seconds):
        self.pass_time(seconds + 0.01)


@pytest.fixture
def holding(monkeypatch):
    """Give a function that makes a trader with a position; the deadline is counted on the same virtual time."""

    def hold(side, quantity_e8, **rules):
        paper = paper_on(PRICE, size="2", **{"min_delay_ms": 10, "max_delay_ms": 100, **rules})
        trader = PaperTrader(paper)
        monkeypatch.setattr(flattening, "monotonic", lambda: paper.mono_ns / 1e9)
        trader.pass_time(0.05)
        while (left := quantity_e8 - abs(trader.position_e8())) > 0:
            assert trader.submit(Order(side, min(left, E8 // 2))).verdict.accepted
            trader.pass_time(0.3 + rules.get("repeat_window_ms", 0) / 1_000)
        trader.pass_time(1 + rules.get("repeat_window_ms", 0) / 1_000)
        return trader

    return hold


def accepted(trader):
    return [event for event in trader.paper.events if event.kind == "accepted"]


@pytest.mark.parametrize(("entry", "way_out"), [("buy", "sell"), ("sell", "buy")])
def test_five_btc_are_closed_in_nine_slices_within_the_limits(holding, entry, way_out):
    """About two seconds: each slice is as large as the notional allows, five in any second, and all only reduce."""
    trader = holding(entry, 5 * E8)
    opened, began_ns = len(accepted(trader)), trader.paper.mono_ns
    said = list(flatten(trader))
    slices = accepted(trader)[opened:]
    assert len(slices) == 9
    assert {(event.facts["side"], event.facts["reduce"]) for event in slices} == {(way_out, True)}
    assert all(parse_e8(event.facts["notional"].partition(".")[0]) <= 50_000 * E8 for event in slices)
    stamps = [event.mono_ns for event in slices]
    assert all(later - early >= 10**9 for early, later in zip(stamps, stamps[5:], strict=False))
    assert trader.position_e8() == 0
    assert trader.paper.mono_ns - began_ns < 3 * 10**9
    assert len([line for line in said if line.startswith(f"Flattening: {way_out.upper()} ")]) == 9
    assert said[-1] == "Flat: the position is 0."


def test_position_of_nothing_is_flat_at_once(holding):
    assert list(flatten(holding("buy", 0))) == ["Flat: the position is 0."]


def test_resting_orders_are_cancelled_first(holding):
    """A resting order would open what is being closed."""
    trader = holding("buy", E8 // 2)
    assert trader.submit(Order("buy", E8 // 2, 20_000 * E8, "gtc")).verdict.accepted
    trader.pass_time(0.2)
    assert list(flatten(trader))[-1] == "Flat: the position is 0."
    ended = [event.facts["reason"] for event in trader.paper.events if event.kind == "ended"]
    assert ended == ["USER"]
    assert trader.paper.desk.open_orders() == 0


def test_a_halt_and_a_loss_latch_let_it_pass(holding):
    trader = holding("buy", E8)
    trader.paper.desk.halt("OPERATOR", "test", *trader.paper.now)
    assert list(flatten(trader))[-1] == "Flat: the position is 0."


def test_silent_market_is_waited_for_and_then_given_up_honestly(holding):
    """It says why it waits, and after a minute that the position is still there."""
    trader = holding("buy", E8 // 4)
    trader.feed = False
    trader.pass_time(3)
    began_ns = trader.paper.mono_ns
    said = list(flatten(trader))
    assert trader.position_e8() == E8 // 4
    assert said[0].startswith("Flattening waits: ")
    assert said[-1] == "Not flat: position 0.25 is left after 60 s; try `flatten` again"
    assert trader.paper.mono_ns - began_ns < 62 * 10**9
    assert len(accepted(trader)) == 1


def refusals(trader):
    return [event for event in trader.paper.events if event.kind == "refused"]


# ---- inside the newer rules


@pytest.mark.parametrize(("entry", "way_out"), [("buy", "sell"), ("sell", "buy")])
def test_orders_in_flight_are_counted_under_a_halt_too(holding, entry, way_out):
    """One is on its way when the halt comes: whether it fills or is cancelled, no slice turns the position over."""
    trader = holding(entry, E8)
    trader.signs.clear()
    assert trader.submit(Order(entry, E8 // 2)).verdict.accepted
    assert trader.submit(Order(way_out, E8 // 4, reduce_only=True)).verdict.accepted
    trader.paper.desk.halt("OPERATOR", "test", *trader.paper.now)
    assert list(flatten(trader))[-1] == "Flat: the position is 0."
    assert (trader.position_e8(), trader.open_orders()) == (0, 0)
    assert len(trader.signs - {0}) == 1
    assert trader.submit(Order(entry, E8 // 4)).verdict.codes == ["HALTED"]


def test_flat_is_not_said_while_an_order_can_still_fill(monkeypatch):
    """Nothing is held, but what was sent takes 3 s: its fill beats the cancel, and is closed before the word."""
    paper = paper_on(PRICE, size="2", min_delay_ms=3_000, max_delay_ms=3_000)
    trader = PaperTrader(paper)
    monkeypatch.setattr(flattening, "monotonic", lambda: paper.mono_ns / 1e9)
    trader.pass_time(0.05)
    assert trader.submit(Order("buy", E8 // 4)).verdict.accepted
    said = list(flatten(trader))
    assert said == [
        "Flattening waits: the position is 0, but 1 order is still open",
        "Flattening: SELL 0.25 sent, position now 0.25",
        *[line for line in said[2:-1] if line.startswith("Flattening waits: ")],
        "Flat: the position is 0.",
    ]
    assert (trader.position_e8(), trader.open_orders()) == (0, 0)


def test_order_that_never_ends_is_named_and_never_called_flat(holding):
    """It is given up after a minute: the position is 0, and still could change."""
    trader = holding("buy", 0)
    trader.is_flat = lambda: False
    trader.open_orders = lambda: 2
    trader.wait_closed = trader.pass_time
    assert list(flatten(trader)) == [
        "Flattening waits: the position is 0, but 2 orders are still open",
        "Not flat: the position is 0, but 2 orders are still open after 60 s; try `flatten` again",
    ]


@pytest.mark.parametrize("halted", [False, True])
def test_own_order_that_is_slow_to_end_is_waited_for_under_latch_and_halt_too(monkeypatch, halted):
    """With it counted nothing is left to reduce, so the latch and the halt are named too: all pass with its end."""
    paper = paper_on(PRICE, size="2", min_delay_ms=5_000, max_delay_ms=5_000, max_daily_loss_e8=E8 // 10)
    trader = PaperTrader(paper)
    monkeypatch.setattr(flattening, "monotonic", lambda: paper.mono_ns / 1e9)
    trader.pass_time(0.05)
    assert trader.submit(Order("buy", E8 // 4)).accepted
    trader.pass_time(6)
    assert paper.status()["loss_latched"]
    assert trader.submit(Order("sell", E8 // 8, reduce_only=True)).accepted
    if halted:
        paper.desk.halt("OPERATOR", "test", *paper.now)
    said = list(flatten(trader))
    assert said[0].startswith("Flattening waits: The order would not reduce the position; ")
    assert not [line for line in said if "use `flatten`" in line]
    assert said[-1] == "Flat: the position is 0."


def test_part_of_a_lot_is_all_that_stays(holding):
    """A fill of parts of a lot leaves some: every whole lot is closed, and the rest is named with the rule."""
    trader = holding("buy", E8)
    trader.sizes = "0.12345678", "0.12345678"
    trader.pass_time(1.1)
    assert trader.submit(Order("sell", E8 // 2, PRICE * E8, "ioc")).accepted
    trader.pass_time(0.5)
    trader.sizes = "2", "3"
    trader.pass_time(1.1)
    assert trader.position_e8() % trader.step_e8
    said = list(flatten(trader))
    assert trader.position_e8() == 322
    assert said[-1].startswith("Not flat: position 0.00000322 is left. Order rejected: Quantity 0.00000322 BTC is ")


def test_repeat_window_is_waited_out(holding):
    """Even slices are identical orders: each waits for the one before, none is refused, and a minute is no limit."""
    trader = holding("buy", 5 * E8, repeat_window_ms=10_000, max_orders_per_second=50)
    opened, began_ns = len(accepted(trader)), trader.paper.mono_ns
    said = list(flatten(trader))
    slices = accepted(trader)[opened:]
    assert said[-1] == "Flat: the position is 0."
    assert trader.paper.mono_ns - began_ns > 70 * 10**9
    assert refusals(trader) == []
    for early, later in pairwise(slices):
        assert later.mono_ns - early.mono_ns >= 10**10 or early.facts["quantity"] != later.facts["quantity"]
    assert [line for line in said if "same order was accepted" in line]


@pytest.mark.parametrize(("entry", "way_out"), [("buy", "sell"), ("sell", "buy")])
def test_slices_stay_inside_the_band_of_a_thin_book(holding, entry, way_out):
    """A basis point of 85,000 is nine levels of 0.05 or 0.06: no slice is larger than what they hold."""
    trader = holding(entry, 2 * E8, price_band_e8=10_000)
    opened = len(accepted(trader))
    trader.sizes = "0.05", "0.06"
    trader.pass_time(0.05)
    assert list(flatten(trader))[-1] == "Flat: the position is 0."
    slices = accepted(trader)[opened:]
    assert len(slices) >= 4
    assert {event.facts["side"] for event in slices} == {way_out}
    assert max(parse_e8(event.facts["quantity"]) for event in slices) <= 9 * 6 * E8 // 100
    assert refusals(trader) == []


def test_book_too_thin_for_any_slice_is_waited_for(holding):
    """What the band holds is less than the venue takes: it says so once, and goes on when there is more."""
    trader = holding("buy", E8, price_band_e8=10_000)
    trader.sizes = "0.00001", "0.000005"
    trader.pass_time(0.05)
    steps = flatten(trader)
    assert "outside the band" in next(steps)
    trader.sizes = "2", "3"
    said = list(steps)
    assert not [line for line in said if "band" in line]
    assert said[-1] == "Flat: the position is 0."


def test_own_orders_that_are_still_being_cancelled_are_waited_for(holding, monkeypatch):
    """A slice that would meet an own resting order waits for that one's end."""
    trader = holding("sell", 3 * E8, min_delay_ms=100, max_delay_ms=100, max_order_notional_e8=500_000 * E8)
    assert trader.submit(Order("sell", E8 // 10, (PRICE + 2) * E8, "gtc")).verdict.accepted
    trader.pass_time(0.3)
    assert trader.open_orders() == 1
    monkeypatch.setattr(flattening, "SLICE_S", 0)
    said = list(flatten(trader))
    assert "would meet the own order" in said[0]
    assert said[-1] == "Flat: the position is 0."
    assert refusals(trader) == []


def test_attempts_cap_is_waited_out(holding):
    """A program that asks too often takes the attempts of its flatten too; the next second has new ones."""
    trader = holding("buy", E8 // 4, max_attempts_per_second=2)
    while trader.submit(Order("buy", 9 * E8)).verdict.codes != ["ATTEMPTS"]:
        pass
    assert list(flatten(trader))[-1] == "Flat: the position is 0."

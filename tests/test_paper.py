"""The paper desk: the program's own rules on the caller's own clock, the same bytes for the same input."""

from decimal import Decimal
from threading import Barrier, Thread

import orjson
import pytest
from paper_market import depth, desk_on, ladder, live_book, paper_on

import pytrader
from pytrader import CommandError, Order
from pytrader.events import read
from pytrader.lines import Market, line_of

MARKET = Market("BTC", "USDT", "0.01")
SESSION = ("buy 0.25", "sell 0.1 @ 26000 ioc", "buy 9", "sell 1.5", "buy 0.3 @ 20000", "buy 1.6")


def session(**changes):
    """Run a session and return its journal."""
    paper = paper_on(utc_ns=1_795_000_000 * 10**9, **changes)
    for order in SESSION:
        paper.submit(order)
        paper.advance(0.25)
    paper.cancel(4)
    paper.advance(1)
    return paper.journal


def lines(events):
    """Return the log lines of events."""
    return [text for event in events if (text := line_of(event.kind, event.facts, MARKET)) is not None]


def test_same_frames_orders_and_seed_give_the_same_bytes():
    """Numbers, times and bodies alike."""
    first = session(seed=7)
    assert first == session(seed=7)
    assert [row[3] for row in first] != [row[3] for row in session(seed=8)]
    kinds = {read(row).kind for row in first}
    assert {"accepted", "refused", "released", "filled", "resting", "cancel_requested", "ended"} <= kinds


def test_journal_folds_into_the_same_state():
    """Live state and replayed state are the same text."""
    paper = paper_on(seed=3)
    for order in SESSION:
        paper.submit(order)
        paper.advance(0.2)
    other = pytrader.Desk(pytrader.Book(), paper.rules)
    other.recover(paper.journal)
    assert other.state() == paper.desk.state()


def test_journal_with_unknown_orders_and_stray_fills_is_taken_up():
    """An order without an answer keeps its reservation; a fill of nobody's order counts in position and fees."""
    paper = paper_on()
    paper.submit("buy 0.3 @ 20000")
    paper.advance(1)
    seq, mono_ns, utc_ns, _ = paper.journal[-1]
    trade = {"price": "20000", "quantity": "0.1", "fee": "0.5", "id": "t-1"}
    facts = {"order": None, "side": "sell", "quantity": "0.1", "trades": [trade], "cost": "2000", "average": "20000"}
    bodies = [
        {"unknown": {"order": 1, "side": "buy", "quantity": "0.3"}},
        {"stray": facts | {"realised": "0", "fee": "0.5", "cause": "FOREIGN_FILL"}},
    ]
    rows = [(seq + count, mono_ns, utc_ns, orjson.dumps(body)) for count, body in enumerate(bodies, 1)]
    other = pytrader.Desk(pytrader.Book(), paper.rules)
    other.recover([*paper.journal, *rows])
    page = orjson.loads(other.status())
    assert (page["position"], page["fees"], page["duplicates"]) == ("-0.1", "0.5", 0)
    assert [(order["order"], order["state"]) for order in page["open_orders"]] == [(1, "unknown")]
    assert orjson.loads(other.state())["orders"]["buys"] == "0.3"


def test_partial_fill_names_both_quantities_and_cancels_the_rest():
    """At the best price there is one coin: an immediate order for 1.2 gets it, and the rest is cancelled."""
    paper = paper_on()
    paper.submit("buy 1.2 @ 26796 ioc")
    said = lines(paper.advance(0.1))
    assert said[0].startswith("Order partially filled: BUY 1 of 1.2 BTC @ 26796.00 | Execution time: ")
    assert said[1] == "Order canceled: BUY 0.2 BTC (order 1) IOC_REMAINDER"


def test_nothing_happens_until_time_passes():
    """An accepted order is on its way; its fill comes between 10 and 100 ms later."""
    paper = paper_on()
    assert paper.submit("buy 0.1").accepted
    assert [event.kind for event in paper.events[-2:]] == ["accepted", "released"]
    assert paper.advance(0.009) == []
    (filled,) = paper.advance(0.091)
    assert 10**7 <= filled.facts["delay_ns"] <= 10**8
    assert filled.facts["elapsed_ns"] == filled.facts["delay_ns"]


def test_loss_of_exactly_the_limit_trips_by_the_mark_alone():
    """The bid falls until the day has lost 10 USDT to the cent: the mark latches, and only reducing orders pass."""
    paper = paper_on(max_daily_loss_e8=10 * 10**8)
    paper.submit("buy 1")
    paper.advance(0.1)
    gone = [[f"{26_795 - step}.00", "0"] for step in range(9)]
    paper.frame(depth(9, [*gone, ["26786.01", "1"]], []))
    assert paper.advance(0.1) == []
    paper.frame(depth(10, [["26786.01", "0"]], []))
    (latched,) = paper.advance(0.1)
    assert latched.kind == "loss_latched"
    assert latched.facts["loss"] == "10"
    refused = paper.submit("buy 0.01")
    assert refused.codes == ["DAILY_LOSS"]
    assert str(refused.reason).endswith("; use `flatten` or `reduce`.")
    assert paper.submit("sell 0.5 reduce").accepted
    paper.advance(86_400)
    paper.frame(depth(11, ladder(26_000, -1)[1:], []))
    assert not paper.status()["loss_latched"]


def test_silent_book_refuses_and_an_order_under_way_ends_with_the_reason():
    """Two seconds without a frame: nothing is filled at an old price."""
    paper = paper_on(min_delay_ms=3_000, max_delay_ms=3_000)
    paper.submit("buy 0.1")
    (ended,) = paper.advance(3)
    assert (ended.kind, ended.facts["reason"]) == ("ended", "BOOK_STALE")
    assert paper.submit("buy 0.1").codes == ["BOOK_STALE"]


def test_cancel_travels_and_can_lose_to_the_fill():
    """Asking twice is asking once; an order that is over cannot be cancelled."""
    paper = paper_on()
    verdict = paper.submit("buy 0.1 @ 20000")
    paper.advance(0.1)
    assert paper.cancel(verdict.order_id)
    assert [event.kind for event in paper.advance(0.1)] == ["ended"]
    assert not paper.cancel(verdict.order_id)


def test_rules_can_be_changed_and_unknown_ones_are_named():
    paper = paper_on(max_position_e8=10**8)
    assert paper.submit("buy 1.5").codes == ["POSITION_LIMIT_LONG"]
    with pytest.raises(ValueError, match="max_positon_e8"):
        pytrader.PaperDesk(max_positon_e8=1)


def test_only_orders_can_be_submitted():
    paper = paper_on()
    assert paper.submit(Order("buy", 10**7)).accepted
    with pytest.raises(TypeError):
        paper.submit("status")
    with pytest.raises(CommandError):
        paper.submit("buy")


def test_fills_and_ledger_agree_to_the_last_digit():
    """Cash and cost are sums of the fills, counted with Decimal."""
    paper = paper_on(seed=5)
    for order in ("buy 1.5", "sell 0.7", "sell 1.3", "buy 0.2"):
        assert paper.submit(order).accepted
        paper.advance(0.4)
        assert paper.events[-1].kind == "filled"
    sign = {"buy": -1, "sell": 1}
    fills = [event.facts for event in paper.events if event.kind == "filled"]
    cash = sum(sign[fill["side"]] * Decimal(fill["cost"]) for fill in fills)
    status = paper.status()
    assert Decimal(status["cash"]) == cash
    assert Decimal(status["position"]) == -sum(sign[fill["side"]] * Decimal(fill["filled"]) for fill in fills)
    assert Decimal(status["realised"]) == sum(Decimal(fill["realised"]) for fill in fills)


def test_two_threads_racing_for_the_last_room_get_one_order_between_them():
    """A coin of room, two threads asking for it at once, many times: exactly one is accepted each time."""
    book, rounds = live_book(), 150
    desks = [desk_on(book, max_position_e8=10**8) for _ in range(rounds)]
    verdicts = [[], []]
    gate = Barrier(2)

    def race(own):
        for desk in desks:
            gate.wait(30)
            own.append(desk.submit("buy", 10**8))

    racers = [Thread(target=race, args=(own,)) for own in verdicts]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    pairs = list(zip(*verdicts, strict=True))
    assert len(pairs) == rounds
    for pair in pairs:
        assert sorted(verdict.accepted for verdict in pair) == [False, True]
        (loser,) = [verdict for verdict in pair if not verdict.accepted]
        assert loser.codes == ["POSITION_LIMIT_LONG"]


def test_threads_racing_for_the_last_slots_of_a_second_get_five_orders():
    """Eight threads, forty orders at one instant: five pass, whoever asks."""
    now = 10**12, 10**12
    desk = desk_on(live_book(recv_ns=now[0]), now)
    gate, verdicts = Barrier(8), []

    def fire():
        gate.wait(30)
        for _ in range(5):
            verdicts.append(desk.submit("buy", 10**6, None, None, False, None, *now))  # noqa: PERF401 - not one by one

    threads = [Thread(target=fire) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [verdict.accepted for verdict in verdicts].count(True) == 5
    assert {code for verdict in verdicts for code in verdict.codes} == {"RATE_LIMIT"}

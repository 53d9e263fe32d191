"""The real desk against the oracle: equal verdicts, events, fills, money and room after every step, difference 0."""

import json
import os
import subprocess
import sys
from decimal import Decimal, getcontext, setcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.delays import delays
from oracle.directed import ASKS, BIDS, DAY_NS, STEP, TICK, UNIT, buy, events, later, leap, opened, sell
from oracle.exact import ZERO, exactly, truncated_division
from oracle.ledger import Ledger
from oracle.rules import SECOND_NS
from oracle.scenario import Session
from oracle.simulator import Fees
from oracle.soak import proved, run
from oracle.world import SEED

SEEDED_SESSIONS, DRAWN_SESSIONS, DRAWN_STEPS, WINDOWS = 10_000, 60, 50, 60


@pytest.fixture(scope="module", autouse=True)
def _own_context():
    """Give the other tests their decimal context back: the oracle's refuses to round."""
    before = getcontext()
    yield
    setcontext(before)


# ---- whole sessions


@pytest.fixture(scope="module")
def met():
    """Run the seeded sessions; each compares itself after every step, and its replay at the end."""
    found = run(range(SEEDED_SESSIONS))
    assert found.disagreed[:3] == []
    assert found.sessions == SEEDED_SESSIONS
    return found.met


def test_seeded_sessions_agree_and_meet_every_rule(met):
    """No difference anywhere, and sessions that never met a rule would show nothing about it."""
    assert {name.removeprefix("code ") for name in met if name.startswith("code ")} == {
        *("BAD_QUANTITY", "BAD_STEP", "BAD_TICK", "DUPLICATE_ID", "NOT_REDUCING", "JOURNAL_UNHEALTHY"),
        *("EXECUTOR_NOT_READY", "HALTED", "BOOK_UNSYNCED", "BOOK_STALE", "BOOK_CROSSED", "DAILY_LOSS", "RATE_LIMIT"),
        *("REPEATED_ORDER", "MIN_NOTIONAL", "NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_LONG", "POSITION_LIMIT_SHORT"),
        *("PRICE_BAND", "SELF_MATCH"),
    }
    ends = ("IOC_REMAINDER", "NO_LIQUIDITY", "USER", "HALTED", "DAILY_LOSS", "RESTART", "BOOK_STALE", "NOT_REDUCING")
    halts = ("OPERATOR", "RUNAWAY", "CLOCK")
    often = ["filled", "marked", "day_started", "loss_latched", "resting", "released", "resumed", "capped"]
    often += ["clock_jumped", "limits_changed", "largest named", "flips", "truncated", "code DUPLICATE_ID"]
    often += ["accepted with a client id", "refused with a client id", "code REPEATED_ORDER"]
    often += [f"ended {end}" for end in ends] + [f"halted {halt}" for halt in halts]
    assert not {name: met[name] for name in often if met[name] < SEEDED_SESSIONS // 100}
    assert met["started"] > SEEDED_SESSIONS * 1.1  # restarts


@given(st.randoms(use_true_random=False))
@settings(max_examples=DRAWN_SESSIONS, derandomize=True, deadline=None)
def test_drawn_sessions_agree(choose):
    """The same sessions with choices that hypothesis can shrink to a short story."""
    Session(choose).run(DRAWN_STEPS)


def test_parts_of_the_long_proof_add_up():
    """Rows of the same number of steps count, and those that disagreed only as seeds that were tried."""
    rows = [
        "| 2026-11-22 15:42 | 6b52717 | kill -9 | 1 | 200 kills |",
        "| 2026-11-22 15:43 | 6b52717 | oracle | 1 | 1,500 sessions of 50 steps, seeds 1 to 1500, 0 disagreed, 9 s |",
        "| 6b52717+ | oracle | 1501 | 99 sessions of 50 steps, seeds 1501 to 1600, 2 disagreed, 1 s |",
        "| 2026-11-22 15:45 | 6b52717 | oracle | 1 | 9,000 sessions of 40 steps, seeds 1 to 9000, 0 disagreed, 9 s |",
    ]
    assert proved("\n".join(rows), 50) == (1_500, 1_600)
    assert proved("\n".join(rows[:1]), 50) == (0, 0)


def test_time_zone_does_not_matter():
    """The trading day is the UTC day wherever the program runs: same events, same state."""
    run = "from oracle.soak import digest; print(digest(range(12)))"
    told = set()
    for zone in ("UTC0", "America/Los_Angeles", "Pacific/Kiritimati"):
        environ = os.environ | {"TZ": zone, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        told.add(subprocess.run([sys.executable, "-c", run], env=environ, check=True, capture_output=True).stdout)
    assert len(told) == 1


# ---- each limit at one unit below, exactly, and one unit above


@pytest.mark.parametrize(("off", "refused"), [(-1, []), (0, []), (1, ["NOTIONAL_EXCEEDS_MAX"])])
def test_notional_limit_by_price_and_by_size(off, refused):
    """Exactly 50,000 USDT passes, one tick or one lot more does not, for limit and market orders of both sides."""
    for request in (
        buy(2, Decimal(25_000) + TICK * off),
        buy(2 + STEP * off, 25_000),
        sell(2, Decimal(25_000) + TICK * off),
        sell(2 + STEP * off, 25_000),
        buy(2 + STEP * off),
    ):
        assert opened(per_second=50).submit(request) == refused


def test_sell_is_worth_the_better_of_limit_and_bid():
    """A sell far below the market would bring the bid, so that counts."""
    world = opened(order_notional="49998", band_e8=50_000_000)
    assert world.submit(sell(2, 12_500)) == []
    assert world.submit(sell(2 + STEP, 12_500)) == ["NOTIONAL_EXCEEDS_MAX"]


def test_slippage_counts_into_the_notional_of_a_market_order():
    """A rate of 1e-8 makes each level dearer by its rounded-up share, which two coins multiply."""
    dearer = Decimal(2) * (Decimal(25_000) + Decimal("0.00025"))
    assert opened(slippage_e8=1, order_notional=str(dearer)).submit(buy(2)) == []
    assert opened(slippage_e8=1, order_notional=str(dearer - UNIT)).submit(buy(2)) == ["NOTIONAL_EXCEEDS_MAX"]
    assert opened(slippage_e8=1, order_notional=str(dearer)).submit(buy(2 + STEP)) == ["NOTIONAL_EXCEEDS_MAX"]


@pytest.mark.parametrize(("off", "refused"), [(-1, False), (0, False), (1, True)])
def test_position_limit_counts_position_and_every_open_order(off, refused):
    """Filled, resting and in-flight size of the order's own side is taken; the other side's gives no room."""
    for send, code, near, far in ((buy, "LONG", 24_000, 26_000), (sell, "SHORT", 26_000, 24_000)):
        other = sell if send is buy else buy
        world = opened(per_second=50, delay_ms=30)
        world.submit(send(1))
        world.go(10**8)
        world.submit(send("1.5", near))
        world.go(10**8)
        world.submit(other(1, near if far == near else far))
        world.submit(send(1, near))
        codes = world.submit(send(Decimal("1.5") + STEP * off, near))
        assert codes == ([f"POSITION_LIMIT_{code}"] if refused else [])


@pytest.mark.parametrize(("quantity", "refused"), [("0.00019", True), ("0.0002", False), ("0.00021", False)])
def test_minimum_notional_of_the_venue(quantity, refused):
    """5 USDT is enough, at 25,000 a coin."""
    assert opened().submit(buy(quantity, 25_000)) == (["MIN_NOTIONAL"] if refused else [])


@pytest.mark.parametrize(("off", "refused"), [(-1, []), (0, ["BOOK_STALE"]), (1, ["BOOK_STALE"])])
def test_book_is_stale_from_two_seconds_on(off, refused):
    """An age of exactly the limit is too old."""
    world = opened(stale_after_ns=2 * SECOND_NS)
    world.go(2 * SECOND_NS + off)
    assert world.submit(buy("0.01")) == refused


@pytest.mark.parametrize(("off", "latched"), [(-UNIT, True), (ZERO, True), (UNIT, False)])
@pytest.mark.parametrize("send", [buy, sell])
def test_daily_loss_trips_exactly_at_its_limit(off, latched, send):
    """A loss of exactly the limit trips, one unit less does not; a mark alone can trip it, and a new day lifts it."""
    world = opened(fees=Fees(100_000, 0))
    world.submit(send("1.33333"))
    world.restart(world.mono_ns, daily_loss=world.oracle.loss() + off)
    world.sync(BIDS, ASKS)
    back = sell if send is buy else buy
    if latched:
        assert world.submit(send("0.01")) == ["DAILY_LOSS"]
    world.mark()
    assert world.oracle.day.latched == (world.oracle.loss() if latched else None)
    assert world.submit(back("0.01")) == (["DAILY_LOSS"] if latched else [])
    assert world.submit(back("0.01", reduce=True)) == []
    later(world, DAY_NS)
    assert world.submit(back("0.01")) == []


def test_latch_outlasts_a_profit_a_restart_and_a_clock_set_back():
    """Only the next UTC day opens it again."""
    world = opened(daily_loss="5")
    world.submit(buy(1))
    world.ticker(Decimal(24_990), Decimal(1), Decimal(24_991), Decimal(1))
    world.mark()
    world.ticker(Decimal(25_100), Decimal(1), Decimal(25_101), Decimal(1))
    assert world.submit(buy("0.01")) == ["DAILY_LOSS"]
    leap(world, -3 * DAY_NS)
    assert world.submit(buy("0.01")) == ["HALTED", "DAILY_LOSS"]
    world.resume()
    assert world.submit(buy("0.01")) == ["DAILY_LOSS"]
    world.restart(10**9)
    world.sync(BIDS, ASKS)
    assert world.submit(buy("0.01")) == ["DAILY_LOSS"]


@pytest.mark.parametrize("reason", ["HALTED", "DAILY_LOSS", "BOOK_UNSYNCED", "BOOK_STALE", "EXECUTOR_NOT_READY"])
def test_permit_is_checked_again_before_an_order_leaves(reason):
    """What happens between acceptance and release ends the order, unless it proved to reduce."""
    world = opened(daily_loss="50", stale_after_ns=2 * SECOND_NS)
    world.submit(buy(2))
    world.submit(buy("0.01"), settle=False)
    world.submit(sell("0.01", reduce=True), settle=False)
    if reason == "HALTED":
        world.halt()
    elif reason == "DAILY_LOSS":
        world.book.apply(world.frames.ticker(24_950, 1, 24_951, 1), world.mono_ns)
        world.market.tick(world.frames.last_id, Decimal(24_950), Decimal(1), Decimal(24_951), Decimal(1))
        world.mark()
    elif reason == "BOOK_UNSYNCED":
        world.lose()
    elif reason == "BOOK_STALE":
        world.stall(2 * SECOND_NS)
    else:
        world.ready(journal=True, executor=False)
    ended = {row["order"]: row["reason"] for row in events(world, "ended")}
    assert ended[2] == reason
    assert [row["order"] for row in events(world, "released")] == ([1, 3] if reason == "DAILY_LOSS" else [1])


GAPS = st.sampled_from([0, 1, 2 * 10**8, SECOND_NS - 1, SECOND_NS, SECOND_NS + 1, SECOND_NS // 5 - 1, SECOND_NS // 4])


@given(st.lists(st.tuples(GAPS, st.booleans()), min_size=8, max_size=30), st.integers(1, 6))
@settings(max_examples=WINDOWS, derandomize=True, deadline=None)
def test_rate_window_is_the_brute_force_count(gaps, per_second):
    """At every nanosecond around a second, and refused orders take no slot."""
    world = opened(per_second=per_second)
    for gap_ns, too_big in gaps:
        world.go(gap_ns)
        world.submit(buy(9) if too_big else buy("0.0002"))


def test_sixth_order_waits_until_a_second_has_passed_exactly():
    """At one nanosecond before the second is over it is refused, a restart or a late clock change nothing."""
    world = opened()
    for _ in range(5):
        assert world.submit(buy("0.001")) == []
    world.go(SECOND_NS - 2)
    world.restart(10**9)
    world.sync(BIDS, ASKS)
    assert world.submit(buy("0.001")) == ["RATE_LIMIT"]
    world.go(1)
    assert world.submit(buy("0.001"), back_ns=SECOND_NS) == ["RATE_LIMIT"]
    world.go(1)
    assert world.submit(buy("0.001")) == []


def test_queue_takes_1024_open_orders_and_no_more():
    """One that ends makes room for one."""
    world = opened(per_second=50)
    world.compare_status = lambda: None  # a thousand pages of a thousand orders
    for number in range(1_024):
        if number % 50 == 0:
            later(world, SECOND_NS)
        assert world.submit(buy("0.001", 5_000)) == []
    assert world.submit(buy("0.001", 5_000)) == ["QUEUE_FULL"]
    world.cancel(700)
    world.go(10**8)
    assert world.submit(buy("0.001", 5_000)) == []
    assert world.submit(buy("0.001", 5_000)) == ["QUEUE_FULL"]


# ---- money and fills


def test_reduction_truncates_the_cost_that_it_takes_out_toward_zero():
    """A third of 10 / 3 is cut at 1e-16, the remainder stays, and the last unit takes all."""
    exactly()
    assert truncated_division(Decimal(-10), Decimal(3)) == Decimal("-3.3333333333333333")
    for side, back in (("buy", "sell"), ("sell", "buy")):
        ledger = Ledger()
        ledger.trade(side, Decimal("33333.33"), Decimal("0.00003"), ZERO)
        ledger.trade(side, Decimal("33333.34"), Decimal("0.00004"), ZERO)
        for _ in range(6):
            ledger.trade(back, Decimal("33333.33"), STEP, ZERO)
        assert abs(ledger.cost) > 0
        ledger.trade(back, Decimal("33333.33"), STEP * 2, ZERO)
        assert abs(ledger.position) == STEP
        assert abs(ledger.cost) == STEP * Decimal("33333.33")


def test_flip_closes_everything_and_opens_the_rest():
    """Through zero in one order over two levels, and back, to the last unit."""
    world = opened(fees=Fees(33_333, 0), slippage_e8=777)
    world.submit(buy("1.00001"))
    world.submit(sell("1.99999"))
    world.go(SECOND_NS)
    world.submit(buy("1.99997"))
    world.submit(sell("0.99999"))
    assert world.oracle.ledger.position == ZERO
    assert world.oracle.ledger.cost == ZERO


def test_size_taken_stays_taken_until_a_newer_book_shows_another():
    """The same size again, or another side, gives nothing back."""
    world = opened(per_second=50, position="50", order_notional="500000")
    world.submit(buy(6))
    world.submit(buy(3))
    world.depth([(Decimal(24_999), Decimal(3))], [(Decimal(25_000), Decimal(4))])
    world.submit(buy("0.1"))
    assert [order.filled for order in world.oracle.orders.values()] == [6, 2, 0]
    world.depth([], [(Decimal(25_000), Decimal("3.5"))])
    world.submit(buy(4))
    assert world.oracle.orders[4].filled == Decimal("3.5")


def test_trade_through_fills_the_best_priced_then_the_oldest():
    """A print's size is given away once; one at the limit price itself fills nobody."""
    world = opened(per_second=50)
    for limit in (24_500, 24_600, 24_500):
        world.submit(buy("0.5", limit))
    world.trade(Decimal(24_600), Decimal(9))
    world.trade(Decimal(24_499), Decimal("1.2"))
    world.trade(Decimal(24_500), Decimal(9))
    assert [order.filled for order in world.oracle.orders.values()] == [Decimal("0.5"), Decimal("0.5"), Decimal("0.2")]


def test_venue_delays_lie_between_10_and_100_ms():
    """For orders and for cancels, the same every time, and not all alike."""
    drawn = delays(SEED)
    assert all(10**7 <= delay <= 10**8 for delay in drawn.values())
    assert len(set(drawn.values())) > len(drawn) * 0.9
    assert delays.__wrapped__(SEED, 10) == {key: drawn[key] for key in drawn if key[0] <= 10}


# ---- what once differed from the rules


def test_every_cancel_ends_its_order_unless_it_fills():
    """Rule 10 and the simulator's text: a cancel can lose to the fill, to nothing else."""
    world = opened(per_second=50, delay_ms=None)
    for number in range(1, 21):
        world.submit(buy("0.01", 20_000))
        world.cancel(number)
    world.stall(SECOND_NS)
    world.cancel_all(session_end=True)
    world.go(SECOND_NS)
    assert json.loads(world.desk.status(*world.now()))["open_orders"] == []


def test_check_says_what_submit_will_say_in_the_first_moment_of_a_day():
    """Rule 5: a latch holds until the next UTC day, for `check` as for `submit`."""
    world = opened(daily_loss="0.5")
    world.submit(buy(1))
    world.mark()
    world.go(DAY_NS)
    world.book.apply(world.frames.depth([], []), world.mono_ns)
    order = ("sell", 10**6, None, None, False, None, *world.now())
    assert world.desk.check(*order).codes == world.desk.submit(*order).codes == []


def test_largest_size_that_passes_does_pass():
    """Rule 4: the size that a refusal names can be sent."""
    world = opened(position="0.00019", band_e8=50_000_000)
    world.submit(buy(1))
    assert events(world, "refused")[0]["largest"] is None
    world.submit(buy("0.00019", 27_000))
    assert world.oracle.counts["accepted"] == 1


def test_latch_cancels_a_resting_order_that_would_turn_the_position_into_a_larger_one():
    """Rule 5: a latch cancels resting orders that would increase the position; from 1 to -2 is an increase."""
    world = opened(daily_loss="10", order_notional="500000")
    world.submit(buy(1))
    world.submit(sell(3, 26_000))
    world.submit(sell("0.5", 26_000))
    world.ticker(Decimal(24_980), Decimal(1), Decimal(24_981), Decimal(1))
    world.mark()
    assert [row["order"] for row in events(world, "cancel_requested")] == [2, 3]


def test_no_fill_takes_less_than_no_time():
    """A machine that restarted counts its monotonic clock from zero again."""
    world = opened()
    world.submit(buy("0.1", 24_000))
    world.restart(10**9)
    world.sync(BIDS, ASKS)
    world.trade(Decimal(23_000), Decimal(1))
    assert events(world, "filled")[0]["elapsed_ns"] >= 0


def test_realised_loss_latches_without_any_price():
    """Rule 5: a flat desk's loss is known whatever the book shows, and a mark alone can trip it."""
    world = opened(daily_loss="30", fees=Fees(100_000, 0))
    world.submit(buy(1))
    world.submit(sell(1))
    assert world.oracle.ledger.position == ZERO
    world.depth([(price, ZERO) for price, _ in BIDS], [])
    world.mark()
    assert len(events(world, "loss_latched")) == 1

"""The desk's controls at one unit below, exactly at, and one unit above: the real desk and the oracle agree."""

import json
from decimal import Decimal, getcontext, setcontext

import pytest
from oracle.directed import DAY_NS, STEP, TICK, buy, events, kinds, later, leap, opened, sell
from oracle.rules import SECOND_NS
from oracle.settings import limits, rules

from pytrader import _core

MS_NS, E8 = 10**6, 10**8
JUMP_NS = 2 * SECOND_NS
BAD = "0.000005"  # half a step: refused, whatever the market does


@pytest.fixture(scope="module", autouse=True)
def _own_context():
    """Give the other tests their decimal context back: the oracle's refuses to round."""
    before = getcontext()
    yield
    setcontext(before)


# ---- price band


@pytest.mark.parametrize(("off", "codes"), [(-1, []), (0, []), (1, ["PRICE_BAND"])])
@pytest.mark.parametrize("tif", ["gtc", "ioc"])
def test_price_band_ends_exactly_at_its_share_of_the_best_price(off, codes, tif):
    """Five percent above 25,000 and below 24,999; the side that is good for the book is free."""
    world = opened()
    assert world.submit(buy("0.001", 26_250 + TICK * off, tif)) == codes
    assert world.submit(sell("0.001", Decimal("23749.05") - TICK * off, tif)) == codes
    assert world.submit(buy("0.01", 1_000, "ioc")) == []
    assert world.submit(sell("0.01", 900_000, "ioc")) == []
    assert [row["largest"] for row in events(world, "refused")] == [None] * (2 * len(codes))


@pytest.mark.parametrize(("off", "codes"), [(-1, ["PRICE_BAND"]), (0, []), (1, [])])
def test_price_band_counts_the_slippage_of_a_market_order(off, codes):
    """A slippage of exactly the band passes, one that is larger by 1e-8 leaves no size."""
    for order in (buy("0.01"), sell("0.01")):
        world = opened(slippage_e8=12_345, band_e8=12_345 + off)
        assert world.submit(order) == codes
        assert [row["largest"] for row in events(world, "refused")] == [None] * len(codes)


@pytest.mark.parametrize(("off", "codes"), [(-1, []), (0, []), (1, ["PRICE_BAND"])])
def test_price_band_of_a_market_order_is_where_its_last_level_lies(off, codes):
    """A level at the end of the band is taken, one a tick beyond it is not, and the largest size stops before it."""
    for send, changed, first, last in ((buy, "asks", 25_000, 25_250), (sell, "bids", 24_999, Decimal("24749.01"))):
        beyond = last + TICK * (1 if send is buy else -1)
        levels = [(Decimal(price), Decimal(1)) for price in (first, last, beyond)]
        gone = [(Decimal(25_010 if send is buy else 24_990), Decimal(0))]
        world = opened(band_e8=1_000_000, order_notional="500000")
        world.depth(**{"bids": [], "asks": [], changed: levels + gone})
        assert world.submit(send(Decimal(2) + STEP * off)) == codes
        assert [row["largest"] for row in events(world, "refused")] == ["2"] * len(codes)


def test_price_band_of_what_the_book_does_not_show_is_that_of_its_last_level():
    """A larger order than the whole book names its notional, and passes if that is allowed."""
    world = opened(order_notional="500000", position="50")
    assert world.submit(buy(19)) == []
    assert world.submit(buy(30)) == ["NOTIONAL_EXCEEDS_MAX"]


def test_price_band_needs_a_two_sided_uncrossed_book():
    """Without one there is nothing to be far from, and the order is refused for the book itself."""
    world = opened()
    world.ticker(Decimal(25_001), Decimal(1), Decimal(25_000), Decimal(1))
    assert world.submit(buy("0.01", 90_000)) == ["BOOK_CROSSED"]
    assert world.submit(buy(0, 90_000)) == ["BAD_QUANTITY", "BOOK_CROSSED"]
    world.ticker(Decimal(24_999), Decimal(1), Decimal(25_000), Decimal(1))
    assert world.submit(buy(0)) == ["BAD_QUANTITY", "MIN_NOTIONAL"]
    assert "PRICE_BAND" in world.submit(sell("0.01", 0, "ioc"))


# ---- client ids


def test_duplicate_id_of_an_accepted_order_is_refused_for_ever():
    """Open or ended, in this run or an earlier one; a refused order does not use its id up."""
    world = opened()
    assert world.submit(buy(9, client_id="a1")) == ["NOTIONAL_EXCEEDS_MAX", "POSITION_LIMIT_LONG"]
    assert world.submit(buy("0.01", client_id="a1")) == []
    assert world.submit(buy("0.01", 24_000, client_id="A1")) == []
    assert world.submit(buy("0.02", client_id="a1")) == ["DUPLICATE_ID"]
    assert world.submit(buy("0.02", client_id="A1")) == ["DUPLICATE_ID"]
    world.restart(SECOND_NS)
    world.sync([(Decimal(24_999), Decimal(1))], [(Decimal(25_000), Decimal(1))])
    assert world.submit(buy("0.02", client_id="a1")) == ["DUPLICATE_ID"]
    assert world.submit(buy("0.02")) == []
    assert [row.get("client_id") for row in events(world, "accepted")] == ["a1", "A1", None]
    assert [row["request"].get("client_id") for row in events(world, "refused")] == ["a1", "a1", "A1", "a1"]
    assert "client_id" not in events(world, "accepted")[-1]


@pytest.mark.parametrize("name", ["", "a" * 33, "a-b", "a b", "ä", "a\n"])
def test_duplicate_id_check_takes_letters_and_digits_only(name):
    """One to 32 of them; anything else is a wrong call, not a refusal."""
    world = opened()
    for call in (world.desk.submit, world.desk.check):
        with pytest.raises(ValueError, match="id"):
            call("buy", E8 // 100, None, None, False, name, *world.now())
    assert world.submit(buy("0.01", client_id="Z" * 32)) == []


# ---- repeated orders


@pytest.mark.parametrize(("off", "codes"), [(-1, ["REPEATED_ORDER"]), (0, []), (1, [])])
def test_repeated_order_window_ends_at_the_nanosecond(off, codes):
    """The same order may be sent again once the window has passed exactly, whatever its client id."""
    world = opened(repeat_ns=500 * MS_NS)
    assert world.submit(buy("0.01", 24_000, client_id="a")) == []
    assert world.submit(buy("0.01", 24_000)) == ["REPEATED_ORDER"]
    world.go(500 * MS_NS + off)
    assert world.submit(buy("0.01", 24_000, client_id="b")) == codes


def test_repeated_order_is_one_that_differs_in_nothing():
    """Another side, size, limit, time in force or reduce flag makes another order; refused ones repeat nothing."""
    world = opened(repeat_ns=10_000 * MS_NS, per_second=50)
    assert world.submit(buy("0.01")) == []
    for order in (buy("0.02"), sell("0.001", reduce=True), sell("0.001"), buy("0.01", 24_000), buy("0.01", 24_001)):
        assert world.submit(order) == []
    assert world.submit(buy("0.01", 24_000, "ioc")) == []
    assert world.submit(sell("0.001", reduce=True)) == ["REPEATED_ORDER"]
    for _ in range(2):
        assert world.submit(buy(BAD)) == ["BAD_QUANTITY", "BAD_STEP", "MIN_NOTIONAL"]
    standard = opened()
    assert [standard.submit(buy("0.01")) for _ in range(3)] == [[], [], []]


@pytest.mark.parametrize(("off", "codes"), [(-1, ["REPEATED_ORDER"]), (0, []), (1, [])])
def test_repeated_order_window_goes_on_over_a_restart(off, codes):
    """By UTC, since the two runs have no other clock in common."""
    world = opened(repeat_ns=500 * MS_NS)
    assert world.submit(buy("0.01")) == []
    world.restart(SECOND_NS, 100 * MS_NS)
    world.sync([(Decimal(24_999), Decimal(1))], [(Decimal(25_000), Decimal(1))])
    world.go(400 * MS_NS + off)
    assert world.submit(buy("0.01")) == codes


def test_repeated_order_is_not_named_as_the_largest_that_passes():
    """What a refusal says could be sent can be sent."""
    world = opened(repeat_ns=500 * MS_NS)
    assert world.submit(buy(2)) == []
    assert world.submit(buy(3)) == ["NOTIONAL_EXCEEDS_MAX"]
    assert events(world, "refused")[0]["largest"] is None


# ---- runaway


@pytest.mark.parametrize(("off", "halted"), [(-1, True), (0, False), (1, False)])
def test_runaway_halts_when_so_many_refusals_lie_within_ten_seconds(off, halted):
    """The refusal that fills the window halts, right after it is written, and takes the open orders with it."""
    world = opened(runaway=3)
    world.submit(buy("0.01", 24_000))
    world.submit(buy(BAD))
    later(world, 5 * SECOND_NS)
    world.submit(buy(BAD))
    later(world, 5 * SECOND_NS + off)
    world.submit(buy(BAD))
    assert world.oracle.halted == ("RUNAWAY" if halted else None)
    if halted:
        assert events(world, "halted") == [{"cause": "RUNAWAY", "detail": "3 refusals in 10 s"}]
        assert kinds(world)[-4:] == ["refused", "halted", "cancel_requested", "ended"]
        assert events(world, "ended")[0]["reason"] == "HALTED"
    else:
        world.submit(buy(BAD))
        assert world.oracle.halted == "RUNAWAY"


def test_runaway_is_forgiven_by_whoever_resumes():
    """Refusals before `resumed` count no more; while halted nothing halts again."""
    world = opened(runaway=2)
    for _ in range(4):
        world.submit(buy(BAD))
    assert len(events(world, "halted")) == 1
    world.resume()
    world.submit(buy(BAD))
    assert world.oracle.halted is None
    world.submit(buy(BAD))
    assert world.oracle.halted == "RUNAWAY"


def test_runaway_under_another_halt_asks_for_no_end():
    """An operator's halt stays what it is."""
    world = opened(runaway=2, delay_ms=30)
    world.submit(buy("0.5"))
    world.go(40 * MS_NS)
    world.halt()
    world.submit(sell("0.1", 26_000, reduce=True))
    for _ in range(3):
        world.submit(buy(BAD))
    assert [row["cause"] for row in events(world, "halted")] == ["OPERATOR"]
    assert events(world, "cancel_requested") == []


@pytest.mark.parametrize(("off", "halted"), [(-1, True), (0, False), (1, False)])
def test_runaway_counts_on_over_a_restart(off, halted):
    """By UTC; a single refusal more is enough for a stricter limit."""
    world = opened(runaway=200)
    world.submit(buy(BAD))
    world.restart(SECOND_NS, 4 * SECOND_NS, runaway=2)
    world.go(6 * SECOND_NS + off)
    world.submit(buy(BAD))
    assert world.oracle.halted == ("RUNAWAY" if halted else None)


# ---- attempts


@pytest.mark.parametrize(("off", "judged"), [(-1, False), (0, True), (1, True)])
def test_attempts_are_capped_for_a_second(off, judged):
    """Accepted and refused orders take a slot; what finds none is counted, and that is all."""
    world = opened(attempts=3)
    for order in (buy("0.01"), buy(BAD), sell("0.01")):
        assert world.submit(order) != ["ATTEMPTS"]
    before = len(world.journal)
    for _ in range(4):
        assert world.submit(buy("0.01")) == ["ATTEMPTS"]
    assert len(world.journal) == before
    assert world.oracle.capped == 4
    world.go(SECOND_NS + off)
    assert world.submit(buy("0.01"), back_ns=SECOND_NS) == ["ATTEMPTS"]
    assert world.submit(buy("0.01")) == ([] if judged else ["ATTEMPTS"])


def test_attempts_beyond_the_cap_are_no_refusals_and_begin_no_day():
    """A program in a loop costs nothing but a number; `check` takes no slot."""
    world = opened(attempts=2, runaway=3)
    for _ in range(5):
        assert world.desk.check("buy", E8, None, None, False, None, *world.now()).codes == []
    world.submit(buy(BAD))
    world.submit(buy(BAD))
    for _ in range(5):
        assert world.submit(buy(BAD)) == ["ATTEMPTS"]
    leap(world, DAY_NS)
    assert world.submit(buy(BAD)) == ["ATTEMPTS"]
    leap(world, -DAY_NS)
    world.mark()
    assert world.oracle.counts["refused"] == 2
    assert world.oracle.halted is None
    assert "clock_jumped" not in kinds(world)


def test_attempts_begin_anew_with_each_process():
    """The window guards the process; a restart takes longer than any loop."""
    world = opened(attempts=1)
    assert world.submit(buy("0.01")) == []
    assert world.submit(buy("0.01")) == ["ATTEMPTS"]
    world.restart(SECOND_NS)
    world.sync([(Decimal(24_999), Decimal(1))], [(Decimal(25_000), Decimal(1))])
    assert json.loads(world.desk.status(*world.now()))["attempts_capped"] == 0
    assert world.submit(buy("0.01")) == []


# ---- own orders


@pytest.mark.parametrize(("off", "codes"), [(-1, []), (0, ["SELF_MATCH"]), (1, ["SELF_MATCH"])])
@pytest.mark.parametrize("tif", ["gtc", "ioc"])
def test_self_match_begins_at_the_own_limit(off, codes, tif):
    """An order at the price of an own one, or beyond it, would trade with it."""
    world = opened()
    world.submit(buy("0.01", 24_998))
    world.submit(sell("0.01", 25_001))
    assert world.submit(sell("0.001", 24_998 - TICK * off, tif)) == codes
    assert world.submit(buy("0.001", 25_001 + TICK * off, tif)) == codes
    assert world.submit(buy("0.001", 24_998)) == []


@pytest.mark.parametrize(("away", "codes"), [(-1, ["SELF_MATCH"]), (0, ["SELF_MATCH"]), (1, [])])
def test_self_match_of_a_market_order_is_where_its_last_level_lies(away, codes):
    """The first level of the book, or the second where the first is not enough."""
    for send, other, first, second in ((sell, buy, 24_999, 24_990), (buy, sell, 25_000, 25_010)):
        sign = 1 if send is buy else -1
        world = opened(order_notional="200000")
        world.depth([(Decimal(24_998), Decimal(0))], [])
        world.submit(other("0.01", first + TICK * sign * away))
        if away >= 0:
            assert world.submit(send("0.01")) == codes
        world = opened(order_notional="200000", position="50")
        world.submit(other("0.01", second + TICK * sign * away))
        assert world.submit(send(4)) == []
        assert world.submit(send(4 + STEP)) == codes
        assert [row["largest"] for row in events(world, "refused")] == [None] * len(codes)


def test_self_match_counts_what_may_rest_in_any_state():
    """On its way, resting, being cancelled; never what ends at once, and whatever the book is like."""
    world = opened(delay_ms=30)
    world.submit(buy("0.01", 24_000), settle=False)
    assert world.submit(sell("0.001", 24_000, "ioc")) == ["SELF_MATCH"]
    world.go(30 * MS_NS)
    assert world.submit(sell("0.001", 24_000, "ioc")) == ["SELF_MATCH"]
    world.lose()
    assert world.submit(sell("0.001", 24_000, "ioc")) == ["BOOK_UNSYNCED", "SELF_MATCH"]
    world.cancel(1)
    assert world.submit(sell("0.001", 24_000, "ioc")) == ["BOOK_UNSYNCED", "SELF_MATCH"]
    world.go(30 * MS_NS)
    assert world.submit(sell("0.001", 24_000, "ioc")) == ["BOOK_UNSYNCED"]
    world = opened(delay_ms=30)
    world.submit(buy("0.01", 24_000, "ioc"))
    assert world.submit(sell("0.001", 24_000, "ioc")) == []


# ---- clocks


@pytest.mark.parametrize(("off", "jumped"), [(-1, False), (0, False), (1, True)])
@pytest.mark.parametrize("sign", [1, -1])
def test_clock_jumped_by_more_than_two_seconds_halts(off, jumped, sign):
    """Exactly two seconds pass, either way; a jump is written before the halt, and both before what shows them."""
    world = opened()
    world.submit(buy("0.01", 24_000))
    leap(world, sign * (JUMP_NS + off))
    world.mark()
    assert world.oracle.halted == ("CLOCK" if jumped else None)
    assert world.oracle.suspect is jumped
    if jumped:
        assert events(world, "clock_jumped") == [{"by_ns": sign * (JUMP_NS + off)}]
        assert kinds(world)[-4:] == ["clock_jumped", "halted", "cancel_requested", "ended"]


def test_clock_jumped_check_says_what_submit_will_say():
    """Also in the moment before the first command after a jump, forward or back, and where a day is yet to begin."""
    for ns in (JUMP_NS + 1, -JUMP_NS - 1, DAY_NS, -DAY_NS):
        world = opened()
        leap(world, ns)
        assert world.submit(buy("0.01")) == ["HALTED"]
    world = opened()
    leap(world, DAY_NS)
    world.mark()
    leap(world, -DAY_NS)
    world.resume()
    assert world.submit(buy("0.01")) == []


def test_clock_jumped_begins_no_day_until_somebody_resumes():
    """Neither latch nor day's start change; the day begins with the command after the resume."""
    world = opened(daily_loss="0.5")
    world.submit(buy(1))
    world.mark()
    leap(world, DAY_NS)
    for _ in range(2):
        world.mark()
    assert world.submit(sell("0.01")) == ["HALTED", "DAILY_LOSS"]
    assert world.oracle.day.latched is not None
    world.resume()
    assert kinds(world)[-1] == "resumed"
    world.mark()
    assert kinds(world)[-1] == "day_started"
    assert world.submit(sell("0.01")) == []


def test_clock_jumped_again_while_suspect_writes_nothing():
    """The newest offset is the one that the next is held against; small steps never add up to a jump."""
    world = opened()
    for ns in (JUMP_NS + 1, -DAY_NS, DAY_NS):
        leap(world, ns)
        world.mark()
    world.resume()
    for _ in range(5):
        leap(world, JUMP_NS)
        world.mark()
    assert kinds(world).count("clock_jumped") == 1
    leap(world, JUMP_NS + 1)
    world.resume()
    assert kinds(world)[-3:] == ["clock_jumped", "halted", "resumed"]
    assert world.submit(buy("0.01")) == []


def test_clock_jumped_under_another_halt_keeps_its_cause():
    """The jump is written, and what is open is asked to end, but a halt is a halt."""
    world = opened(delay_ms=30)
    world.submit(buy("0.5"))
    world.go(40 * MS_NS)
    world.halt()
    world.submit(sell("0.1", 26_000, reduce=True))
    leap(world, -JUMP_NS - 1)
    world.mark()
    assert [row["cause"] for row in events(world, "halted")] == ["OPERATOR"]
    assert kinds(world)[-3:] == ["clock_jumped", "cancel_requested", "marked"]


def test_clock_jumped_stays_suspect_over_a_restart():
    """A new process compares with nothing, but believes the clock only once somebody resumed."""
    world = opened()
    leap(world, DAY_NS)
    world.mark()
    world.restart(SECOND_NS, 3 * DAY_NS)
    assert world.oracle.suspect
    assert kinds(world).count("day_started") == kinds(world).count("clock_jumped") == 1
    world.resume()
    world.mark()
    assert kinds(world)[-1] == "day_started"


@pytest.mark.parametrize(("pause_s", "halted"), [(9, "RUNAWAY"), (10, None)])
def test_clock_jumped_back_before_a_restart_lets_no_window_begin_anew(pause_s, halted):
    """Orders and refusals of an earlier run count by UTC, unless they were forgotten within it: ten seconds old."""
    world = opened(runaway=3)
    world.submit(buy(BAD))
    for _ in range(2):
        leap(world, -JUMP_NS)
        world.mark()
    later(world, pause_s * SECOND_NS)
    world.submit(buy(BAD))
    world.restart(SECOND_NS)
    world.sync([(Decimal(24_999), Decimal(1))], [(Decimal(25_000), Decimal(1))])
    world.submit(buy(BAD))
    assert world.oracle.halted == halted


# ---- limits

CHANGES = {
    "order_notional": (Decimal(49_999), Decimal(50_000), Decimal(50_001)),
    "position": (Decimal("4.99999999"), Decimal(5), Decimal("5.00000001")),
    "per_second": (4, 5, 6),
    "daily_loss": (Decimal("9999.99999999"), Decimal(10_000), Decimal("10000.00000001")),
    "band_e8": (4_999_999, 5_000_000, 5_000_001),
    "attempts": (49, 50, 51),
    "runaway": (199, 200, 201),
    "repeat_ns": (501 * MS_NS, 500 * MS_NS, 499 * MS_NS),
    "stale_after_ns": (1_999 * MS_NS, 2_000 * MS_NS, 2_001 * MS_NS),
}


@pytest.mark.parametrize("name", CHANGES)
def test_limits_changed_are_written_and_looser_ones_confirmed(name):
    """Old and new stand in the journal; a start that would let more through says so and needs to be told."""
    tighter, same, looser = CHANGES[name]
    world = opened(**{name: same})
    for value, changes in ((same, 0), (tighter, 1), (looser, 2), (same, 3)):
        world.restart(SECOND_NS, SECOND_NS, **{name: value})  # compares `loosened`, the refusal to start, and the event
        assert kinds(world).count("limits_changed") == changes
    assert kinds(world)[-2:] == ["started", "limits_changed"]


def test_limits_changed_names_what_would_be_looser():
    """In the words of the settings, with both values."""
    first = _core.Desk(_core.Book(), rules(limits()))
    first.start(1, mono_ns=1, utc_ns=1)
    second = _core.Desk(_core.Book(), rules(limits(position="6", band_e8=10_000_000, daily_loss="1")))
    second.recover(first.next_events(100, 0))
    assert second.loosened() == [("max_position", "5", "6"), ("max_price_band_bps", "500", "1000")]
    with pytest.raises(ValueError, match=r"max_position 5.*6.*max_price_band_bps 500.*1000"):
        second.start(1, mono_ns=1, utc_ns=1)
    assert second.next_events(100, 0) == []
    second.start(1, loosen=True, mono_ns=1, utc_ns=1)
    assert second.loosened() == []


CAPS = {
    "order_notional": (Decimal(500_000), Decimal("500000.00000001")),
    "position": (Decimal(50), Decimal("50.00000001")),
    "per_second": (50, 51),
    "daily_loss": (Decimal(100_000), Decimal("100000.00000001")),
    "band_e8": (50_000_000, 50_000_001),
    "attempts": (500, 501),
    "runaway": (2_000, 2_001),
    "repeat_ns": (10_000 * MS_NS, 10_001 * MS_NS),
    "stale_after_ns": (10_000 * MS_NS, 10_001 * MS_NS),
}


@pytest.mark.parametrize("name", CAPS)
def test_limits_changed_beyond_their_caps_are_refused(name):
    """No setting and no confirmation gets beyond what is compiled in."""
    most, more = CAPS[name]
    _core.Desk(_core.Book(), rules(limits(**{name: most})))
    with pytest.raises(ValueError, match="cap"):
        _core.Desk(_core.Book(), rules(limits(**{name: more})))

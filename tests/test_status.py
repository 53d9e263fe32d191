"""The snapshot: one screen of text, the same facts as JSON, and nothing rounded or able to move the cursor."""

import dataclasses
from decimal import Decimal
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.formatted_text import fragment_list_to_text

from pytrader import status
from pytrader.figures import duration, fixed, printable, signed
from pytrader.repl.toolbar import toolbar
from pytrader.status import snapshot, stops, text, to_json

FAST = {
    "p50_ns": 850,
    "p90_ns": 12_345,
    "p99_ns": 42_100_000,
    "p999_ns": 3_000_000_000,
    "max_ns": 65_000_000_000,
    "count": 9,
}
DESK = {
    "profile": {"execution": "simulated", "venue": "binance", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"},
    "position": "0.25",
    "entry": "26796.1",
    "cash": "-6699.025",
    "cost": "6699.025",
    "realised": "0",
    "unrealised": "-0.175",
    "fees": "0",
    "equity": "-0.175",
    "day": {"number": 20779, "start_equity": "0", "pnl": "-0.175"},
    "halted": None,
    "loss_latched": False,
    "permit": {"journal": True, "executor": True, "book": "live"},
    "clock_suspect": False,
    "attempts_capped": 0,
    "limits": {
        "order_notional": "50000",
        "position": "5",
        "orders_per_second": 5,
        "daily_loss": "10000",
        "price_band": 5_000_000,
        "attempts_per_second": 50,
        "runaway_refusals": 200,
        "repeat_window_ns": 0,
        "stale_after_ns": 2_000_000_000,
    },
    "room": {"buy": "4.75", "sell": "5.25", "orders_now": 4, "daily_loss": "9999.825"},
    "counts": {"accepted": 3, "refused": 1, "filled": 2, "canceled": 0, "open": 1},
    "duplicates": 0,
    "open_orders": [
        {
            "order": 3,
            "side": "sell",
            "quantity": "0.1",
            "filled": "0",
            "limit": "27000",
            "tif": "gtc",
            "state": "resting",
            "client_id": "abc123",
        }
    ],
    "latency": dict.fromkeys(["decision", "journal", "execution", "total"], FAST),
    "slippage_bps": {"p50": "0.12", "p90": "0.5", "p99": "1.255", "p999": "2", "max": "2", "count": 2},
}
TOP = SimpleNamespace(
    bid_e8=2_679_540_000_000,
    bid_size_e8=180_000_000,
    ask_e8=2_679_580_000_000,
    ask_size_e8=50_000_000,
    update_id=77,
    age_ns=14_000_000,
    synced=True,
    sync="live",
    doubt="gap",  # what was wrong before it became live
)
EMPTY_TOP = SimpleNamespace(
    bid_e8=0,
    bid_size_e8=0,
    ask_e8=0,
    ask_size_e8=0,
    update_id=0,
    age_ns=2**63 - 1,
    synced=False,
    sync="empty",
    doubt="",
)
FEED = {"frames": 1234, "ignored": 4, "refused": 0, "gaps": 0, "resyncs": 1, "crossed": 0, "stale": 2, "applied": 1230}
REJECT = "Notional exceeds $50,000 limit; position would be 10 BTC, limit 5 BTC."


def made(top=TOP, last_reject=REJECT, **changes):
    """Return a snapshot of the example desk with some of its entries changed."""
    return snapshot(orjson.dumps({**DESK, **changes}), top, FAST, FEED, last_reject=last_reject)


def test_a_synchronised_book_without_one_of_its_sides_is_nowhere_called_live():
    """No order passes on it: neither the screen nor the toolbar may read as if one did."""
    top = SimpleNamespace(**{**vars(TOP), "ask_e8": 0, "ask_size_e8": 0})
    it = made(top, permit={"journal": True, "executor": True, "book": "crossed"})
    assert text(it).splitlines()[2] == "Book one-sided, NOT SYNCED, crossed, age -, - x - BTC"
    assert "| ONE-SIDED |" in fragment_list_to_text(toolbar(it))


def test_screen_shows_every_fact_in_its_place():
    """The whole screen, word for word."""
    assert text(made()).splitlines() == [
        "SIM binance BTCUSDT (simulated execution)",
        "Best Bid: 26795.40 | Best Ask: 26795.80   spread 0.4 (0.15 bps)",
        "Book live, synced, live, age 14.0 ms, 1.8 x 0.5 BTC",
        "",
        "Position    +0.25 BTC @ 26796.10   equity -0.18 USDT",
        "Profit      realised 0.00   unrealised -0.18   fees 0.00 USDT",
        "Day         -0.18 USDT, from 0.00 at 00:00 UTC of 2026-11-22",
        "Limits      order 50000 USDT | position 5 BTC | 5 orders/s | day 10000 USDT",
        "Room        buy 4.75 | sell 5.25 BTC | 4 orders now | loss 9999.82 USDT",
        "Trading     open",
        "Orders      3 accepted, 1 refused, 2 filled, 0 canceled, 1 open",
        "Last reject Notional exceeds $50,000 limit; position would be 10 BTC, limit 5",
        "            BTC.",
        "",
        "Latency             p50        p90        p99      p99.9        max      count",
        *[
            f"  {stage:<10}     850 ns    12.3 µs    42.1 ms     3.00 s     65.0 s          9"
            for stage in status.STAGES
        ],
        "Slip, bps          0.12       0.50       1.26       2.00       2.00          2",
        "Feed        frames 1234, refused 0, gaps 0, resyncs 1, crossed 0, stale 2",
    ]


def test_requests_that_the_venue_refused_are_counted_where_there_are_some():
    """Beside the frames, where no long number pushes them off the screen."""
    found = snapshot(orjson.dumps(DESK), TOP, FAST, {**FEED, "denied": 2}, last_reject=REJECT)
    assert text(found).splitlines()[-1].startswith("Feed        frames 1234, denied 2, refused 0, ")
    assert "denied" not in text(made())


def test_reports_that_told_nothing_new_are_shown_where_there_are_some():
    assert "Reports     3 told nothing new" in text(made(duplicates=3)).splitlines()
    assert "told nothing new" not in text(made())


def test_json_holds_the_same_facts_exactly():
    """Amounts stay the desk's own text; prices of the top are exact text too; no number is a float."""
    data = orjson.loads(to_json(made()))
    for key, value in DESK.items():
        if key != "latency":
            assert data[key] == value
    assert (data["mode"], data["last_reject"], data["feed"]) == ("SIM", REJECT, FEED)
    assert data["latency"] == dict.fromkeys(status.STAGES, FAST)
    assert data["top"] == {
        "bid": "26795.4",
        "bid_size": "1.8",
        "ask": "26795.8",
        "ask_size": "0.5",
        "spread": "0.4",
        "spread_bps": "0.15",
        "update_id": 77,
        "age_ns": 14_000_000,
        "synced": True,
        "sync": "live",
        "doubt": "",
    }
    assert b'":0.' not in to_json(made())


def test_before_the_first_book_nothing_is_made_up():
    """No price, no age, no profit: dashes on the screen, null in JSON."""
    it = made(EMPTY_TOP, None, position="0", entry=None, unrealised=None, equity=None, day={**DESK["day"], "pnl": None})
    lines = text(it).splitlines()
    assert lines[1] == "Best Bid: - | Best Ask: -   spread - (- bps)"
    assert lines[2] == "Book empty, NOT SYNCED, live, age -, - x - BTC"
    assert lines[4] == "Position    0 BTC   equity - USDT"
    assert "unrealised -   fees" in lines[5]
    assert "Last reject -" in lines
    assert orjson.loads(to_json(it))["top"]["bid"] is None


def test_a_journal_says_nothing_of_the_book_that_it_does_not_have():
    """Beside a running engine CLOSED would be untrue, and so would open; a halt and the latch are in the journal."""
    unknown = {"permit": {"journal": True, "executor": True, "book": "unsynced"}}
    shown = status.journal_text(made(EMPTY_TOP, **unknown))
    assert shown.splitlines()[:4] == [
        "SIM binance BTCUSDT (simulated execution)",
        "Book and feed are known to a running engine alone: `status` at its prompt",
        "",
        "Position    +0.25 BTC @ 26796.10   equity -0.18 USDT",
    ]
    assert "Trading     not halted" in shown.splitlines()
    assert "CLOSED" not in shown
    assert "Feed" not in shown
    halted = made(EMPTY_TOP, halted={"cause": "OPERATOR", "detail": "news"}, loss_latched=True, **unknown)
    assert [
        line.strip() for line in status.journal_text(halted).splitlines() if "reach" in line or "HALTED" in line
    ] == [
        "Trading     HALTED OPERATOR: news (type resume)",
        "DAILY LOSS reached: only flatten and reduce until 00:00 UTC",
    ]


def test_a_book_that_is_not_live_says_why():
    """The doubt stands on the screen, among the stops and in JSON; a live book has none, whatever was wrong before."""
    top = SimpleNamespace(**{**vars(TOP), "synced": False, "sync": "desynced"})
    it = made(top, permit={"journal": True, "executor": True, "book": "unsynced"})
    assert text(it).splitlines()[2] == "Book desynced (gap), NOT SYNCED, unsynced, age 14.0 ms, 1.8 x 0.5 BTC"
    assert stops(it) == ["CLOSED: book unsynced (gap)"]
    assert orjson.loads(to_json(it))["top"]["doubt"] == "gap"
    assert made().top.doubt == ""


def test_stage_without_samples_shows_dashes():
    """Zero would look like a very fast stage."""
    idle = {**FAST, "count": 0}
    none = dict.fromkeys(["p50", "p90", "p99", "p999", "max"])
    it = made(latency={**DESK["latency"], "journal": idle}, slippage_bps={**none, "count": 0})
    lines = status.latency_text(it).splitlines()
    assert lines[3].split() == ["journal", *"-----", "0"]
    assert lines[-1].split() == ["Slip,", "bps", *"-----", "0"]


def test_each_stop_is_named_with_its_cause_and_way_out():
    """Halt, latch and missing permits are shown together, the gravest first."""
    it = made(
        halted={"cause": "OPERATOR", "detail": "news"},
        loss_latched=True,
        permit={"journal": False, "executor": False, "book": "stale"},
    )
    assert stops(it) == [
        "HALTED OPERATOR: news (type resume)",
        "DAILY LOSS reached: only flatten and reduce until 00:00 UTC",
        "CLOSED: journal down, executor not ready, book stale",
    ]
    assert [line for line in text(it).splitlines() if "HALTED" in line] == [f"Trading     {stops(it)[0]}"]
    assert "open" in status.limits_text(made())
    also = made(halted={"cause": "OPERATOR", "detail": "news"}, clock_suspect=True)
    assert stops(also) == ["HALTED OPERATOR, CLOCK SUSPECT: news (type resume)"]
    assert text(also).splitlines()[6].endswith("00:00 UTC of 2026-11-22 (clock suspect)")
    alone = made(halted={"cause": "CLOCK", "detail": "UTC went 3 s back"}, clock_suspect=True)
    assert stops(alone) == ["HALTED CLOCK: UTC went 3 s back (type resume)"]
    assert stops(made()) == []


def test_limits_show_every_limit_and_what_the_cap_answered():
    """All nine, in the units of their settings; the one screen of status counts the capped ones only if there are."""
    assert status.limits_text(made(attempts_capped=3)).splitlines() == [
        "Limits      order 50000 USDT | position 5 BTC | 5 orders/s | day 10000 USDT",
        "            price band 500 bps | 50 attempts/s (3 capped)",
        "            200 refusals in 10 s halt | repeats pass | book stale at 2000 ms",
        "Room        buy 4.75 | sell 5.25 BTC | 4 orders now | loss 9999.82 USDT",
        "Trading     open",
    ]
    window = made(limits={**DESK["limits"], "repeat_window_ns": 1_500_000_000})
    assert "| no repeat within 1500 ms |" in status.limits_text(window)
    assert "1 open, 3 capped" in text(made(attempts_capped=3))


HUGE = "-" + "9" * 22 + "." + "9" * 16
AMOUNT = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**22), max_value=10**22).map(str)


@given(st.text(), st.text(), st.none() | AMOUNT, AMOUNT, st.booleans())
def test_screen_always_fits_and_never_moves_the_cursor(reject, detail, amount, position, latched):
    """Whatever a venue or a user wrote: at most 24 lines of 80 printable characters."""
    it = made(
        halted={"cause": "ENGINE_FAULT", "detail": detail},
        last_reject=reject,
        loss_latched=latched,
        clock_suspect=True,
        attempts_capped=10**9,
        entry=amount,
        unrealised=amount,
        equity=HUGE,
        position=position,
        permit={"journal": False, "executor": False, "book": "unsynced"},
    )
    lines = text(it).split("\n")
    assert len(lines) <= 24
    assert all(len(line) <= 80 and line.isprintable() for line in lines)


def test_escape_sequences_are_written_out():
    """Neither colour nor cursor of the reader's terminal obeys foreign text."""
    assert printable("a\x1b[2Jb\u202e\n€") == "a\\x1b[2Jb\\u202e\\n€"


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (None, "-"),
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (12_399, "12.3 µs"),
        (999_999, "999 µs"),
        (42_100_000, "42.1 ms"),
        (1_000_000_000, "1.00 s"),
        (123_456_000_000, "123 s"),
        (5_000_000_000_000, "5000 s"),
    ],
)
def test_duration_has_its_natural_unit_and_three_digits(ns, shown):
    """From nanoseconds to hours, never more than it was."""
    assert duration(ns) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0.125", "0.12"),
        ("0.135", "0.14"),
        ("-0.004", "0.00"),
        ("-0.005", "0.00"),
        ("-0.015", "-0.02"),
        ("5", "5.00"),
        (None, "-"),
    ],
)
def test_amounts_are_rounded_half_even_for_the_screen(amount, shown):
    """And minus zero is never shown."""
    assert fixed(amount) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=16, min_value=-(10**21), max_value=10**21))
def test_rounding_is_never_off_by_more_than_half_a_unit(amount):
    """Over the whole range of money, 10⁻¹⁶ included."""
    assert abs(Decimal(fixed(f"{amount:f}")) - amount) <= Decimal("0.005")


def test_sign_is_always_shown_except_for_zero():
    """A long position is told from a short one at a glance."""
    assert [signed("0.25"), signed("-0.25"), signed("0"), signed("1.005", 2)] == ["+0.25", "-0.25", "0", "+1.00"]


def test_snapshot_cannot_be_changed_and_a_missing_fact_is_an_error():
    """A view cannot alter what another shows; a desk that leaves a fact out is noticed at once."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().position = "9"
    with pytest.raises(KeyError, match="sell"):
        made(room={"buy": "1", "orders_now": 1, "daily_loss": "1"})

"""The rows of the fault catalogue that need the whole engine, once each; docs/faults.md says what shows the others."""

import ast
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fault_rows import ROWS, Rig, cuts, held, resident_kb
from paper_market import depth as depth_of
from paper_market import ladder, paper_on
from venue_server import depth, snapshot, until

from pytrader import app as app_module
from pytrader._core import Book
from pytrader.app import App, venue_of
from pytrader.pacing import Backoff, Budget
from pytrader.sandbox.process import OfflineMarket
from pytrader.settings import load

ROOT = Path(__file__).parents[1]
HASTE = 10  # how many times shorter every silence of the watchdog is, and the faults with it
NAMED = re.compile(r"`([\w/]+\.(?:py|rs))::(\w+)`")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Return what starts an engine on the offline market, without the pauses and budgets of connects."""
    with pytest.MonkeyPatch.context() as patch, OfflineMarket.start(7, "calm") as market:
        patch.setattr(Backoff, "next_s", lambda _: 0.025)
        patch.setattr(Budget, "take", lambda *_: 0.0)
        yield lambda name, **settings: Rig(market, tmp_path_factory.mktemp("faults") / name, **settings)


@pytest.fixture(scope="module")
def hasty(engine):
    """Run one engine whose watchdog waits for a tenth of each silence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "FeedSettings", partial(app_module.FeedSettings, watchdog_divisor=HASTE))
        rig = engine("hasty", stale_after_ms=str(2_000 // HASTE))
    with rig:
        yield rig


@pytest.fixture
def patient(engine):
    """Run an engine with the watchdog as it is shipped."""
    with engine("patient") as rig:
        yield rig


FAULTS = [(row, f"{name}-{row.kind}-{row.way}") for name in ROWS for row in ROWS[name]]
LOSING = [pytest.param(row, id=name) for row, name in FAULTS if row.loses]
HARMLESS = [pytest.param(row, id=name) for row, name in FAULTS if not row.loses]


@pytest.mark.parametrize("row", LOSING)
def test_no_order_passes_while_the_book_is_not_to_be_trusted_and_the_gate_opens_again(hasty, row):
    """Refused by name, at most 0.2 s after the last frame; open again soon after the end of the fault."""
    recovered_s = hasty.meet(row._replace(seconds=row.seconds / HASTE) if row.loses == "time" else row)
    hasty.proved()
    assert recovered_s < 2.0, row  # generous, for a busy machine; the proof is `make soak-faults`


@pytest.mark.parametrize("row", HARMLESS)
def test_the_gate_stays_open_through_what_costs_no_book(patient, row):
    """Fragments, doubled frames and an announced shutdown: no look finds it shut."""
    patient.meet(row)
    patient.proved()


def test_what_a_stall_held_back_comes_late_and_is_not_lost(patient):
    """The book is old meanwhile, and goes on where it was: no gap, no new snapshot, no new connection."""
    until(lambda: patient.gate.open, "the gate before the stall", 15)
    kept = ("gaps", "refused", "resyncs", "takeovers")
    before = patient.app.book.counters()
    patient.meet(next(row for row in ROWS["N13"] if row.kind == "stall"))
    after = patient.app.book.counters()
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert patient.gate.unsynced == 0
    assert after["applied"] - before["applied"] > 20  # those of 2.3 s
    patient.proved()


def test_fifty_cuts_leave_no_thread_no_descriptor_and_no_memory(hasty):
    """As many, and as much, as before; those of the rows went first."""
    before, resident = held(), resident_kb()
    cuts(hasty, 50)
    until(lambda: held() <= before, f"no more than {before}")
    assert resident_kb() - resident < 8_000
    hasty.proved()


@pytest.mark.parametrize("event_ms", [1, 2**53])
def test_the_venue_s_clock_makes_no_book_fresh_and_none_stale(event_ms):
    """A frame of 1970 is as fresh as its receipt, and one of the far future grows old."""
    book, at_ns = Book(), 10**9
    assert book.apply(dated(9, event_ms), at_ns)
    book.offer_snapshot(snapshot(8))
    assert book.top(at_ns).synced
    assert book.top(at_ns).age_ns == 0
    assert book.top(at_ns + 5 * 10**9).age_ns == 5 * 10**9


def dated(update_id, event_ms):
    """Return a depth frame of another time."""
    return depth(update_id, update_id, "100.00", "101.00").replace(b'"E":1,', b'"E":%d,' % event_ms)


@pytest.mark.parametrize("side", [0, 1])
def test_a_book_without_one_of_its_sides_takes_no_order_until_the_side_is_back(side):
    """There is nothing that an order could be held against; the book itself was not lost."""
    paper = paper_on(price=26_795)
    gone, back = [[], []], [[], []]
    gone[side] = [[price, "0"] for price, _ in ladder(26_795 + side, 2 * side - 1)]
    back[side] = [[f"{26_795 + side}.00", "1"]]
    assert paper.submit("buy 0.1").accepted
    assert paper.frame(depth_of(9, *gone)) == "depth"
    assert [paper.submit(f"{word} 0.1").codes for word in ("buy", "sell")] == [["BOOK_CROSSED"]] * 2
    assert paper.frame(depth_of(10, *back)) == "depth"
    assert paper.submit("sell 0.1").accepted


def test_venues_that_disagree_by_six_percent_are_shown_and_orders_look_at_the_traded_one_alone(tmp_path, monkeypatch):
    """An order at the other venue's price is beyond the band of 5 %, and one at market fills at the traded venue's."""
    with OfflineMarket.start(7) as traded, OfflineMarket.start(7, options=("--start-price", "28403.12")) as other:
        elsewhere = {"stream_url": other.ws_url, "rest_url": other.rest_url}

        def venue_at(settings, name="", symbol=""):
            return venue_of(replace(settings, **elsewhere) if name == "okx" else settings, name, symbol)

        monkeypatch.setattr(app_module, "venue_of", venue_at)
        words = {"stream_url": traded.ws_url, "rest_url": traded.rest_url, "seed": "1", "watch": "okx"}
        with App(load(words, {}, None), tmp_path / "engine") as app:
            until(lambda: all(row.is_live for row in app.trader.venues().books), "both books", 15)
            cross = app.trader.venues().cross
            assert (cross.bid_venue, cross.ask_venue) == ("okx", "binance")
            assert 400 < float(cross.bps) < 700
            assert app.trader.buy("0.1", "28403").verdict.codes == ["PRICE_BAND"]
            assert app.trader.buy("0.1").wait_over()[-1].kind == "filled"
            assert abs(float(app.trader.status()["entry"]) - 26_795) < 300


def test_every_test_that_the_table_of_faults_names_exists():
    """And every row of the catalogue stands in the table."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([ND]\d+) \|", text, re.MULTILINE)
    assert rows == [*(f"N{number}" for number in range(1, 16)), *(f"D{number}" for number in range(1, 10))]
    named = NAMED.findall(text)
    assert len(named) >= len(rows)
    assert {name.split(",")[0] for name in ROWS} <= set(rows)
    for path, name in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        if path.endswith(".rs"):
            assert re.search(rf"\bfn {name}\b", source), f"{path}::{name}"
        else:
            found = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
            assert name in found, f"{path}::{name}"

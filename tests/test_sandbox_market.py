"""The synthetic market: one id axis, never crossed, the same for the same seed, and shaped like the real one."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from pytrader.sandbox import frames
from pytrader.sandbox.book import Book
from pytrader.sandbox.market import Market
from pytrader.sandbox.scenario import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
RECORDING = "binance/spot_btcusdt_20240809T0000_combined"
SECOND = 1_000_000_000


class DullBook:
    """A dictionary a side, filled only from the exchange's own texts."""

    def __init__(self, snapshot):
        """Take a REST snapshot over."""
        self.update_id = snapshot["lastUpdateId"]
        self.bids = dict(snapshot["bids"])
        self.asks = dict(snapshot["asks"])

    def apply(self, depth):
        """Set every level of one depth frame."""
        for side, changes in ((self.bids, depth["b"]), (self.asks, depth["a"])):
            for price, quantity in changes:
                side.pop(price, None)
                if quantity != "0.00000000":
                    side[price] = quantity
        self.update_id = depth["u"]


def snapshot_of(book):
    """Return the whole book as the REST snapshot says it."""
    return json.loads(frames.snapshot(book.update_id, book.bids.top(9_999), book.asks.top(9_999)))


def of_stream(made, stream):
    """Return (time in ns, parsed data) of the frames of one stream."""
    return [(at_ns, json.loads(data)) for at_ns, name, data in made if name == stream]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("stream", [frames.DEPTH, frames.SLOW_DEPTH])
def test_depth_frames_cover_every_update_id_once_and_in_order(scenario, stream):
    """The first frame starts one after the snapshot, each further one after the frame before it."""
    market = Market(3, SCENARIOS[scenario])
    last = market.book.update_id
    depths = of_stream(market.advance(15 * SECOND), stream)
    assert depths
    for _, depth in depths:
        assert depth["U"] == last + 1
        assert depth["u"] >= depth["U"]
        last = depth["u"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_book_rebuilt_from_frames_equals_the_markets_own_after_each_frame(scenario):
    """Snapshot plus absolute quantities give the same levels, at 100 ms steps and over both depth streams."""
    market = Market(11, SCENARIOS[scenario])
    fast, slow = (DullBook(snapshot_of(market.book)) for _ in range(2))
    for step in range(1, 101):
        for _, stream, data in market.advance(step * SECOND // 10):
            if stream == frames.DEPTH:
                fast.apply(json.loads(data))
            elif stream == frames.SLOW_DEPTH:
                slow.apply(json.loads(data))
        own = DullBook(snapshot_of(market.book))
        assert (fast.update_id, fast.bids, fast.asks) == (own.update_id, own.bids, own.asks)
    assert (slow.bids, slow.asks) == (fast.bids, fast.asks)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_book_ticker_states_the_best_levels_at_its_own_update_id(scenario, monkeypatch):
    """Replaying the single changes up to `u` gives exactly the prices and sizes of the bookTicker with that `u`."""
    market = Market(5, SCENARIOS[scenario])
    sides = {1: dict(market.book.bids.lots), -1: dict(market.book.asks.lots)}
    changes = {}
    place = Book.place

    def recorded(book, ladder, tick, lots):
        place(book, ladder, tick, lots)
        changes[book.update_id] = (ladder.sign, tick, lots)

    monkeypatch.setattr(Book, "place", recorded)
    update_id = market.book.update_id
    tickers = of_stream(market.advance(12 * SECOND), frames.BOOK_TICKER)
    assert tickers
    for _, ticker in tickers:
        while update_id < ticker["u"]:
            update_id += 1
            sign, tick, lots = changes[update_id]
            sides[sign].pop(tick, None)
            if lots:
                sides[sign][tick] = lots
        bid, ask = max(sides[1]), min(sides[-1])
        texts = [frames.price_text(bid), frames.quantity_text(sides[1][bid])]
        texts += [frames.price_text(ask), frames.quantity_text(sides[-1][ask])]
        assert texts == [ticker[key] for key in "bBaA"]


def test_a_change_of_the_best_prices_or_sizes_is_never_left_unsaid():
    """At the end of every millisecond the last bookTicker equals the top of the book."""
    market = Market(6, SCENARIOS["calm"])
    said = market.book.top()
    for step in range(1, 5_000):
        for _, ticker in of_stream(market.advance(step * 1_000_000), frames.BOOK_TICKER):
            said = tuple(round(float(ticker[key]) * scale) for key, scale in zip("bBaA", (100, 1e5) * 2, strict=True))
        assert said == market.book.top()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_book_is_never_crossed_and_holds_at_least_1000_levels_a_side(scenario):
    """Over 70 s of market time, whatever the scenario."""
    market = Market(1, SCENARIOS[scenario])
    for step in range(1, 71):
        for _, ticker in of_stream(market.advance(step * SECOND), frames.BOOK_TICKER):
            assert float(ticker["b"]) < float(ticker["a"])
        assert min(len(market.book.bids.keys), len(market.book.asks.keys)) >= 1_000


@pytest.mark.parametrize("scenario", ["calm", "quiet"])
def test_the_lowest_start_price_has_as_many_levels(scenario):
    """Where a tick is a tenth of a basis point, levels lie too close for so many within a tenth of the price."""
    for seed in range(40):
        market = Market(seed, SCENARIOS[scenario], start_ticks=100_000)
        for second in range(6):
            market.happen(second * SECOND)
            assert min(len(market.book.bids.keys), len(market.book.asks.keys)) >= 1_000, seed


def test_equal_seeds_make_equal_frames_however_time_is_cut():
    """One leap of 10 s and ten thousand steps of 1 ms give the same texts in the same order."""
    leap = Market(42, SCENARIOS["calm"]).advance(10 * SECOND)
    stepping = Market(42, SCENARIOS["calm"])
    steps = [frame for step in range(1, 10_001) for frame in stepping.advance(step * 1_000_000)]
    assert len(leap) > 300
    assert steps == leap


def test_another_seed_makes_another_market():
    """The seed matters."""
    assert Market(1, SCENARIOS["calm"]).advance(SECOND) != Market(2, SCENARIOS["calm"]).advance(SECOND)


def test_only_event_times_know_the_wall_clock():
    """A later epoch shifts `E` and `T` and nothing else."""
    early = Market(9, SCENARIOS["calm"]).advance(3 * SECOND)
    late = Market(9, SCENARIOS["calm"], epoch_ms=1_000).advance(3 * SECOND)
    for (_, _, one), (_, _, other) in zip(early, late, strict=True):
        shifted = {key: value + 1_000 if key in "ET" else value for key, value in json.loads(one).items()}
        assert shifted == json.loads(other)


def test_frames_come_in_the_order_of_their_times():
    """No frame is older than the one before it."""
    made = Market(4, SCENARIOS["busy"]).advance(5 * SECOND)
    assert all(earlier[0] <= later[0] for earlier, later in pairwise(made))


def test_trades_are_numbered_without_gaps():
    """Each trade's id is one above the last one's."""
    trades = of_stream(Market(8, SCENARIOS["calm"]).advance(10 * SECOND), frames.TRADE)
    ids = [trade["t"] for _, trade in trades]
    assert len(ids) > 100
    assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize("buys", [True, False])
def test_a_market_order_takes_from_the_book_exactly_what_its_trades_say(buys):
    """Level by level, best price first, one book change a level touched."""
    market = Market(8, SCENARIOS["thin"])
    ladder = market.book.asks if buys else market.book.bids
    before, first_id = dict(ladder.lots), market.book.update_id
    fills = market.flow.take(buys, 300)
    taken = Counter()
    for tick, lots in fills:
        taken[tick] += lots
    assert len(taken) > 10
    assert [tick for tick, _ in fills] == sorted((tick for tick, _ in fills), reverse=not buys)
    assert market.book.update_id - first_id == len(taken)
    assert {tick: lots - taken[tick] for tick, lots in before.items() if lots > taken[tick]} == ladder.lots


def test_numbers_are_written_with_eight_decimals():
    """As the exchange does, without a float on the way."""
    assert frames.price_text(2_679_540) == "26795.40000000"
    assert frames.price_text(5) == "0.05000000"
    assert frames.quantity_text(25_001) == "0.25001000"
    assert frames.quantity_text(0) == "0.00000000"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_websocket_frames_state_their_length_in_each_of_the_three_ways(size):
    """7 bits, 16 bits and 64 bits, unmasked, final, text."""
    frame = frames.websocket_text("x" * size)
    header = {0: 2, 125: 2, 126: 4, 65_535: 4, 65_536: 10}[size]
    assert frame[0] == 0x81
    assert len(frame) == header + size
    assert header == 2 or int.from_bytes(frame[2:header], "big") == size


def test_the_calm_market_has_the_recordings_rates():
    """Measured: 81 and 148 bookTickers, 28 and 33 trades, 10 depth frames, 527 and 902 book changes a second."""
    market = Market(7, SCENARIOS["calm"])
    first = market.book.update_id
    seen = Counter(stream for _, stream, _ in market.advance(120 * SECOND))
    assert 60 <= seen[frames.BOOK_TICKER] / 120 <= 220
    assert 18 <= seen[frames.TRADE] / 120 <= 60
    assert 9.5 <= seen[frames.DEPTH] / 120 <= 10
    assert 400 <= (market.book.update_id - first) / 120 <= 1_200


def test_the_calm_spread_is_nearly_always_one_tick():
    """Measured: one tick 99.3 % of the time and in 88 to 90 % of the bookTickers."""
    tickers = of_stream(Market(7, SCENARIOS["calm"]).advance(60 * SECOND), frames.BOOK_TICKER)
    spreads = [round((float(ticker["a"]) - float(ticker["b"])) * 100) for _, ticker in tickers]
    wide_ns = sum(
        later[0] - earlier[0] for (earlier, later), s in zip(pairwise(tickers), spreads, strict=False) if s > 1
    )
    assert 0.8 <= spreads.count(1) / len(spreads) <= 0.97
    assert wide_ns / (60 * SECOND) < 0.02


def test_busy_sustains_the_recordings_peak_second_and_rate_multiplies_it():
    """The peak second held 1,452 frames."""
    plain = len(Market(7, SCENARIOS["busy"]).advance(20 * SECOND)) / 20
    twentyfold = len(Market(7, SCENARIOS["busy"], rate=20).advance(SECOND))
    assert 1_000 <= plain <= 2_500
    assert 10 * plain <= twentyfold <= 40 * plain


def test_crash_falls_several_percent_in_about_a_minute():
    """From 5 s to 65 s of market time; afterwards it falls no further on purpose."""
    market = Market(7, SCENARIOS["crash"])
    market.advance(5 * SECOND)
    before = market.book.bids.best()
    market.advance(65 * SECOND)
    assert 0.02 <= 1 - market.book.bids.best() / before <= 0.12


@pytest.mark.parametrize("scenario", ["crash", "thin"])
def test_a_price_goes_no_farther_than_so_many_times_the_first_one(monkeypatch, scenario):
    """Nor than such a part of it: chance has no memory of a right price, and would reach zero one day."""
    monkeypatch.setattr("pytrader.sandbox.market.FARTHEST", 1.005)
    market, seen = Market(7, SCENARIOS[scenario]), []
    first = market.book.bids.best()
    for second in range(1, 61):
        market.happen(second * SECOND)
        seen.append(market.book.bids.best() / first)
    assert 0.985 < min(seen) < 0.997
    assert max(seen) < 1.015


def test_quiet_is_silent_for_seconds():
    """Nothing at all is sent for over two seconds, again and again."""
    made = Market(7, SCENARIOS["quiet"]).advance(60 * SECOND)
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(made)]
    assert sum(gap > 2 * SECOND for gap in gaps) >= 5
    assert max(gaps) < 12 * SECOND


@pytest.mark.parametrize(("scenario", "fewest", "most"), [("calm", 1, 40), ("thin", 50, 2_000)])
def test_half_a_bitcoin_walks_many_levels_only_in_the_thin_market(scenario, fewest, most):
    """In the thin market it needs over 50 levels."""
    market = Market(7, SCENARIOS[scenario])
    market.advance(10 * SECOND)
    rest, levels = 50_000, 0
    for _, lots in market.book.asks.top(5_000):
        levels += 1
        rest -= lots
        if rest <= 0:
            break
    assert fewest <= levels <= most


def test_the_calm_market_resembles_a_recording_in_every_main_statistic(recordings, monkeypatch):
    """Within a factor of two, by the same statistics as the table in docs/offline-market.md."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import calibrate  # noqa: PLC0415

    real = calibrate.describe(calibrate.recorded(str(recordings.folder / RECORDING)))
    ours = calibrate.describe(calibrate.synthetic(7, "calm", 1.0, 300.0))
    for row in (
        "frames a second",
        "bookTicker a second",
        "trades a second",
        "spread of 1 tick, share of bookTickers",
        "market orders a second",
        "trades of one market order: mean",
        "book changes (ids) a second",
        "levels in a depth frame: mean",
        "levels removed, share",
        "move of the bid in 1 s, bp: root mean square",
        "BTC traded a second",
    ):
        assert 0.5 <= float(ours[row]) / float(real[row]) <= 2.0, f"{row}: {ours[row]} against {real[row]}"

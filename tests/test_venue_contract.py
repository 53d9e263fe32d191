"""What every venue of the registry must do on the offline market, with the real feed and book; new ones too."""

import contextlib
import gc
import threading
import time

import pytest
from feed_live import Live, Watched, descriptors, true_book
from sandbox_clients import control
from venue_server import until

from pytrader.pacing import Backoff
from pytrader.sandbox.happenings import Trades
from pytrader.sandbox.market import Market
from pytrader.sandbox.process import OfflineMarket
from pytrader.sandbox.scenario import SCENARIOS
from pytrader.venues import VENUES

SECOND_NS, TICK_E8, LOT_E8 = 10**9, 10**6, 10**3
NOTICE = {"binance", "binance-sbe", "binance-usdm", "okx"}  # the others close without one


@pytest.fixture(scope="module")
def market():
    """Run one market for all."""
    with OfflineMarket.start(7, "calm") as offline:
        yield offline


@pytest.fixture(scope="module", autouse=True)
def unhurried():
    """Take the pauses between tries away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backoff, "next_s", lambda _: 0.05)
        yield


@pytest.fixture(scope="module", params=VENUES)
def live(request, market):
    """Keep one live feed of each venue for its tests."""
    with Live(market, request.param) as feed:
        yield feed


@pytest.fixture(autouse=True)
def _whole_again(request):
    """Begin with a live book."""
    if "live" in request.fixturenames:
        request.getfixturevalue("live").go_live()


def test_the_filters_are_read(live):
    """Tick, step and names; the market trades."""
    rules = live.feed.fetch_instrument()
    assert (rules.symbol, rules.base, rules.quote) == (live.venue.symbol, "BTC", "USDT")
    assert (rules.tick_e8, rules.step_e8, rules.trading) == (1_000_000, 1_000, True)


def test_top_and_a_hundred_levels_are_the_market_s_own(live):
    """At the moment where the market stands still and everything is published."""
    control(live.market, hold=True)
    try:
        until(lambda: is_the_true_book(live), f"the true book of {live.name}", 2.9)
    finally:
        control(live.market, hold=False)


def is_the_true_book(live):
    """Return whether a reader sees the market's own top and a hundred levels of each side."""
    true, top = true_book(live.market), live.book.top()
    levels = {side: live.book.levels(side, 100) for side in ("bid", "ask")}
    best = {"bid": [(top.bid_e8, top.bid_size_e8)], "ask": [(top.ask_e8, top.ask_size_e8)]}
    return top.synced and levels == true and best == {side: rows[:1] for side, rows in true.items()}


def test_a_doubled_frame_is_harmless(live):
    """It is counted and passed over."""
    gaps, ignored = live.count("gaps"), live.counts("ignored")
    with Watched(live.book) as reader:
        live.chaos("dup")
        ignored()
        time.sleep(0.15)
    assert (reader.unsynced, live.count("gaps")) == (0, gaps)


def test_a_message_in_many_fragments_is_the_same_message(live):
    """With a ping inside."""
    applied, refused = live.counts("applied", 8), live.count("refused")
    with Watched(live.book) as reader:
        live.chaos("fragment")
        applied()
    assert (reader.unsynced, live.count("refused")) == (0, refused)


@pytest.mark.parametrize("way", ["rst"])
def test_a_cut_is_followed_by_a_new_connection_and_a_live_book(live, way):
    """After a reset; the other ways are rows of the faults."""
    connected = len(live.states)
    live.chaos("cut", chaos_way=way)
    until(lambda: not live.synced(), "the cut")
    live.go_live()
    assert "connected" in [state.word for state in live.states[connected:]]


def test_an_announced_end_is_handed_over_without_an_unsynced_read(live):
    """Where the venue has a notice; where it has none, the book is unsynced until the next connection is live."""
    took = live.counts("takeovers")
    with Watched(live.book) as reader:
        live.chaos("shutdown", chaos_s=1)
        if live.name not in NOTICE:
            until(lambda: reader.unsynced, "the end")
            live.go_live()
            return
        took()
        time.sleep(1.0)  # the old connection is cut meanwhile
    assert (reader.unsynced, reader.reads > 1_000) == (0, True)


def test_trades_arrive(live):
    """On the same connection as the book."""
    live.counts("trades")()


def test_every_trade_is_told_with_its_price_quantity_and_the_taker_s_side():
    """In the order in which an equal market makes them here; OKX adds up those of one order at one price."""
    with OfflineMarket.start(11, "calm") as market, contextlib.ExitStack() as stack:
        feeds = [stack.enter_context(Live(market, name)) for name in VENUES]
        for enough in [feed.counts("trades", 60, timeout_s=30) for feed in feeds]:
            enough()
        heard = {feed.name: feed.book.trades() for feed in feeds}
    equal, made = Market(11, SCENARIOS["calm"]), []
    for name, found in heard.items():
        while not has(told(made, added_up=name == "okx"), found):
            assert equal.now_ns < 300 * SECOND_NS, (name, found[:5])
            made += [each for each in equal.happen(equal.now_ns + SECOND_NS) if isinstance(each, Trades)]
        assert {side for _, _, side in found} == {"buy", "sell"}, name


def told(orders, *, added_up):
    """Return the trades of these market orders in a book's units."""
    found = []
    for order in orders:
        fills = order.fills
        if added_up:
            fills = [(tick, sum(lots for at, lots in fills if at == tick)) for tick in dict(fills)]
        found += [(tick * TICK_E8, lots * LOT_E8, "buy" if order.buys else "sell") for tick, lots in fills]
    return found


def has(whole, part):
    """Tell whether `part` stands in `whole` without a hole."""
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


COSTLY = [("drop", "gaps"), ("reorder", "gaps"), ("crossed", "crossed"), ("badjson", "refused"), ("badutf8", "refused")]


@pytest.mark.parametrize(("kind", "counter"), COSTLY)
@pytest.mark.parametrize("name", VENUES)
def test_a_lost_a_crossing_and_a_damaged_frame_cost_the_book_and_a_fresh_one_is_swapped_in(market, name, kind, counter):
    """Each is counted by name; on a connection of its own, as one asks for its book again at most each 5 s."""
    with Live(market, name) as live:
        counted, resynced = live.counts(counter), live.counts("resyncs")
        live.chaos(kind)
        counted()
        resynced()
        live.go_live()
        if kind == "badjson":
            assert "byte" in live.book.last_refusal()


def test_silence_of_every_venue_at_once_is_left_for_a_new_connection(market):
    """Requests are acknowledged and pings answered, but there is no data: none of them is believed."""
    with contextlib.ExitStack() as stack:
        feeds = [stack.enter_context(Live(market, name, quiet_reconnect_ms=3_300)) for name in VENUES]
        control(market, chaos="silent", chaos_s=4.5)
        for feed in feeds:
            until(lambda feed=feed: any("quiet" in state.detail for state in feed.states), feed.name, 6)
            assert not feed.synced()
        control(market, chaos="drop", chaos_s=0)
        for feed in feeds:
            feed.go_live()


@pytest.mark.parametrize("name", VENUES)
def test_a_feed_that_was_stopped_leaves_no_thread_and_no_descriptor(market, name):
    """As many as before it."""
    gc.collect()
    before = threading.active_count(), descriptors()
    with Live(market, name):
        pass
    gc.collect()
    assert (threading.active_count(), descriptors()) == before

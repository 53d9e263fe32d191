"""Bybit's words, and what is read from its answers."""

import json

import pytest

from pytrader._core import Book
from pytrader.venues import Bybit, Instrument, KeepAlive, VenueError

LOT = {
    "basePrecision": "0.000001",
    "quotePrecision": "0.0000001",
    "minOrderQty": "0.000011",
    "minOrderAmt": "5",
    "maxLimitOrderQty": "83",
    "maxMarketOrderQty": "41.5",
    "postOnlyMaxLimitOrderSize": "60000",
}


def instruments(**changes):
    """Return an answer about BTCUSDT."""
    row = {
        "symbol": "BTCUSDT",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "status": "Trading",
        "lotSizeFilter": LOT,
        "priceFilter": {"tickSize": "0.1"},
    }
    listed = {"category": "spot", "list": [row | changes]}
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": listed, "retExtInfo": {}, "time": 1}).encode()


def test_bybit_is_reached_at_its_public_paths_only():
    """The spot stream, the audit's book and the rules: paths that know no account."""
    venue = Bybit()
    assert venue.stream_url() == "wss://stream.bybit.com/v5/public/spot"
    assert venue.snapshot_url() is None
    assert venue.audit_url() == "https://api.bybit.com/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=200"
    rules = "https://api.bybit.com/v5/market/instruments-info?category=spot&symbol=BTCUSDT"
    assert venue.instrument_url() == rules
    assert venue.headers() == {}


def test_bybit_streams_what_it_is_asked_for():
    """The top, 200 levels and the trades; asked again, a topic is left first so that it begins with a snapshot."""
    topics = ["orderbook.1.BTCUSDT", "orderbook.200.BTCUSDT", "publicTrade.BTCUSDT"]
    venue = Bybit()
    assert [json.loads(text) for text in venue.opening_texts()] == [{"op": "subscribe", "args": topics}]
    assert [json.loads(text) for text in venue.resubscribe_texts()] == [
        {"op": "unsubscribe", "args": topics},
        {"op": "subscribe", "args": topics},
    ]
    assert venue.keep_alive() == KeepAlive('{"op":"ping"}', 20.0)


def test_the_offline_market_is_bybit_at_another_address():
    """Bases can be replaced, with or without a final slash."""
    venue = Bybit("ETHUSDT", "ws://127.0.0.1:9000/", "http://127.0.0.1:9000")
    assert venue.stream_url() == "ws://127.0.0.1:9000/v5/public/spot"
    assert str(venue.audit_url()).startswith("http://127.0.0.1:9000/v5/market/orderbook?")
    assert "orderbook.200.ETHUSDT" in venue.opening_texts()[0]


def test_the_rules_of_a_bybit_market_are_read_as_integers():
    """Tick, step and bounds in units of 10⁻⁸; the smaller maximum, which is that of market orders."""
    expected = Instrument("BTCUSDT", "BTC", "USDT", 10_000_000, 100, 1_100, 4_150_000_000, 500_000_000, trading=True)
    assert Bybit().parse_instrument(instruments()) == expected


def test_without_a_least_quantity_one_step_is_the_least():
    """Bybit announced that it drops minOrderQty."""
    lot = {name: value for name, value in LOT.items() if name != "minOrderQty"}
    assert Bybit().parse_instrument(instruments(lotSizeFilter=lot)).min_quantity_e8 == 100


@pytest.mark.parametrize("status", ["PreLaunch", "Closed", "Delivering", "trading", ""])
def test_a_bybit_market_that_is_not_open_says_so(status):
    """Any status but Trading means that no orders are taken."""
    assert not Bybit().parse_instrument(instruments(status=status)).trading


def test_a_refusal_of_bybit_is_told_in_its_words():
    """Its HTTP status is 200 for errors too."""
    body = instruments().replace(b'"retCode": 0, "retMsg": "OK"', b'"retCode": 10001, "retMsg": "params error"')
    with pytest.raises(VenueError, match=r"params error \(10001\)"):
        Bybit().parse_instrument(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"retCode": 10001, "retMsg": "params error", "result": {}}',
        b'{"retCode": 0, "retMsg": "OK", "result": {"list": []}}',
        instruments(symbol="ETHUSDT"),
        instruments(lotSizeFilter={}),
        instruments(lotSizeFilter=LOT | {"basePrecision": "0"}),
        instruments(lotSizeFilter=LOT | {"minOrderAmt": "5e0"}),
        instruments(priceFilter={"tickSize": "-0.1"}),
        instruments(priceFilter=None),
    ],
)
def test_a_bybit_answer_without_usable_rules_is_refused(body):
    """Nothing is guessed: a missing, zero or unreadable rule is an error that says which."""
    with pytest.raises(VenueError, match=r"\w"):
        Bybit().parse_instrument(body)


def test_bybit_says_when_it_sent_a_frame():
    """`ts`, not the `cts` of the matching engine; an answer says nothing."""
    frame = b'{"topic":"orderbook.1.BTCUSDT","type":"snapshot","data":{},"cts":1772694601503,"ts":1772694601512}'
    assert Bybit().event_ns(frame) == 1_772_694_601_512_000_000
    assert Bybit().event_ns(b'{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}') is None


@pytest.mark.parametrize("status", [403, 429, 451])
def test_refusals_of_bybit_are_named(status):
    """The statuses that a user can do something about say what; the others say nothing."""
    assert "Bybit" in Bybit().advice(status)
    assert not Bybit().advice(500)


def frame(topic, kind, ids, bids, asks):
    """Return one frame of an order book topic; `ids` are its `u` and `seq`."""
    u, seq = ids
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": u, "seq": seq}
    return json.dumps({"topic": f"{topic}.BTCUSDT", "ts": 1, "type": kind, "data": data, "cts": 1}).encode()


def snapshot(u, seq, bid="99", ask="101"):
    """Return the whole book."""
    return frame("orderbook.200", "snapshot", (u, seq), [[bid, "1"]], [[ask, "1"]])


def delta(u, seq, bids=(), asks=()):
    """Return a change of the book."""
    return frame("orderbook.200", "delta", (u, seq), bids, asks)


@pytest.fixture
def live():
    """Return a book that stands at u 10, seq 100."""
    book = Book("bybit", "BTCUSDT")
    assert book.apply(delta(9, 90)) == "ignored"
    assert book.apply(snapshot(10, 100)) == "snapshot"
    return book


def test_a_bybit_book_is_live_with_its_first_snapshot(live):
    """A frame without change counts too; the version is `seq`, which both topics share."""
    assert live.apply(delta(11, 105)) == "depth"
    assert live.apply(delta(12, 110, [["99.5", "2"]])) == "depth"
    top = live.top()
    assert (top.bid_e8, top.ask_e8, top.update_id, top.synced) == (9_950_000_000, 10_100_000_000, 110, True)


def test_level_one_corrects_the_book_and_its_repetition_is_no_gap(live):
    """The top runs ahead; sent again after 3 s of quiet with the same `u`, it says nothing new."""
    top = frame("orderbook.1", "snapshot", (500, 120), [["99.7", "3"]], [["100.3", "4"]])
    assert live.apply(top) == "top"
    assert live.apply(top) == "top"
    assert (live.top().bid_e8, live.top().ask_e8) == (9_970_000_000, 10_030_000_000)
    assert live.apply(delta(11, 119)) == "depth"
    assert live.top().bid_e8 == 9_970_000_000
    assert live.apply(frame("orderbook.1", "snapshot", (499, 118), [["1", "3"]], [["2", "4"]])) == "ignored"
    assert live.counters()["gaps"] == 0


@pytest.mark.parametrize("u", [5, 12, 2_000])
def test_a_frame_of_the_book_that_does_not_follow_is_a_gap(live, u):
    """Whatever `u` is there instead of the next, only a new snapshot helps, and no request brings one."""
    assert live.apply(delta(u, 105)) == "gap"
    assert live.top().doubt == "gap"
    assert not live.wait_snapshot_wanted(0)
    assert live.apply(delta(u + 1, 106)) == "ignored"
    assert live.apply(snapshot(u + 2, 107, "98", "102")) == "snapshot"
    assert (live.top().synced, live.top().bid_e8) == (True, 9_800_000_000)


def test_the_same_frame_twice_changes_nothing(live):
    """It is counted as a duplicate, and the next one joins."""
    again = delta(11, 105, [["99.5", "2"]])
    assert [live.apply(again), live.apply(again), live.apply(delta(12, 106))] == ["depth", "ignored", "depth"]
    assert live.counters()["duplicates"] == 1


def test_a_snapshot_in_the_middle_replaces_the_book(live):
    """Bybit sends one whenever it wishes, and counts from 1 when its service began anew."""
    assert live.apply(snapshot(4_000, 140, "97", "103")) == "snapshot"
    assert live.levels("bid") == [(9_700_000_000, 100_000_000)]
    assert live.apply(delta(1, 20, [["90", "1"]], [["110", "1"]])) == "snapshot"
    assert live.levels("ask") == [(11_000_000_000, 100_000_000)]
    assert live.apply(delta(2, 21)) == "depth"
    assert (live.top().update_id, live.counters()["gaps"]) == (21, 0)

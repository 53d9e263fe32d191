"""A venue that refuses a subscription: its words reach a person, and whatever it still sends goes on."""

import json
import logging

import pytest
from feed_live import Live
from sandbox_clients import control
from test_feed import running
from venue_server import CLOSE, VenueServer, depth, frame, snapshot, until

from pytrader.pacing import Backoff
from pytrader.sandbox.process import OfflineMarket
from pytrader.venues import VENUES

BINANCE = {"code": 2, "msg": "Invalid request: too many parameters", "id": 1}
REFUSALS = {  # what each venue answers, and what is told
    "binance": (BINANCE, "2 Invalid request: too many parameters"),
    "binance-sbe": ({"error": BINANCE}, "2 Invalid request: too many parameters"),
    "binance-usdm": (BINANCE, "2 Invalid request: too many parameters"),
    "bybit": ({"success": False, "ret_msg": "error:no such topic", "op": "subscribe"}, "subscribe error:no such topic"),
    "okx": ({"event": "error", "code": "60018", "msg": "Wrong URL or channel"}, "error 60018 Wrong URL or channel"),
    "coinbase": ({"type": "error", "message": "rate\nlimit"}, "rate\ufffdlimit"),
}
TRADES = {"okx": "trades", "coinbase": "market_trades"}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Take the pauses between tries away."""
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.05)


@pytest.fixture(scope="module")
def market():
    """Run one market for all."""
    with OfflineMarket.start(7, "calm") as offline:
        yield offline


@pytest.fixture
def server():
    """Run a venue whose snapshot has the id 10."""
    with VenueServer(rest=lambda _: (200, {}, snapshot(10))) as venue:
        yield venue


def denied(states):
    """Return what was told to be refused."""
    return [state.detail for state in states if state.word == "denied"]


@pytest.mark.parametrize("name", VENUES)
def test_a_refusal_of_every_venue_is_told_in_its_words_and_costs_no_live_book(market, name, caplog):
    """In the state and in the log, and counted."""
    refusal, words = REFUSALS[name]
    with Live(market, name) as live:
        resyncs = live.count("resyncs")
        control(market, send=json.dumps(refusal))
        until(lambda: denied(live.states), f"the refusal of {name}", 3)
        assert denied(live.states) == [words]
        assert (live.count("denied"), live.count("resyncs"), live.synced()) == (1, resyncs, True)
        live.counts("applied", 8)()
        assert live.states[-1].word == "denied"
    assert f"The venue refused: {words}" in caplog.messages


@pytest.mark.parametrize("name", TRADES)
def test_trades_that_are_refused_are_told_beside_a_live_book(market, name, caplog):
    """Without them no resting order would meet a trade; the next connection says what is so then."""
    control(market, deny=TRADES[name])
    try:
        with Live(market, name) as live:
            until(lambda: denied(live.states), "the refusal", 3)
            assert TRADES[name] in denied(live.states)[0]
            assert live.synced()
            live.counts("applied", 8)()
            assert live.count("trades") == 0
            control(market, deny="", cut=True)
            until(lambda: live.count("trades"), "trades", 10)
            assert [state.word for state in live.states if state.word in ("denied", "connected")][-1] == "connected"
    finally:
        control(market, deny="")
    assert len([line for line in caplog.messages if "The venue refused: " in line]) == 1


def test_the_book_that_is_refused_is_told_before_it_is_given_up(market):
    """Bybit does all of a request or nothing of it: no book becomes live, and the venue's words say why."""
    control(market, deny="orderbook.200")
    try:
        live = Live(market, "bybit")
        try:
            until(lambda: denied(live.states), "the refusal", 3)
            assert denied(live.states)[0] == "subscribe error:handler not found,topic:orderbook.200.BTCUSDT"
            assert not live.synced()
        finally:
            live.stop()
    finally:
        control(market, deny="")


def test_each_wording_is_logged_once_and_told_each_time(server, caplog):
    """Also on the next connection; the loss that comes of it names it."""
    caplog.set_level(logging.WARNING)
    refusal = json.dumps(BINANCE).encode()
    with running(server) as feed:
        for count in (1, 2):
            stream = server.stream()
            stream.send(depth(9, 11, "100.00", "101.00"), refusal)
            until(lambda count=count: len(denied(feed.states)) == count, "a refusal")
            stream.raw(frame(CLOSE, b"\x03\xf0no"))
        until(lambda: feed.words()[-1] == "connected" and feed.words().count("connected") == 3, "a third connection")
        lost = [state.detail for state in feed.states if state.word == "waiting"]
    words = "the venue refused: 2 Invalid request: too many parameters"
    assert lost == [f"closed (1008 no; {words})"] * 2
    assert caplog.messages.count("The venue refused: 2 Invalid request: too many parameters") == 1


def test_a_venue_that_words_every_refusal_anew_cannot_flood_the_log(server, caplog):
    """At most 64 wordings are logged; the rest is counted."""
    with running(server) as feed:
        stream = server.stream()
        for number in range(17):
            said = [{"code": number, "msg": f"no {number} {each}"} for each in range(4)]
            stream.send(*(json.dumps(each).encode() for each in said))
            last = f"no {number} 3"
            until(lambda last=last: any(told.endswith(last) for told in denied(feed.states)[-1:]), last)
        assert feed.book.counters()["denied"] == 68
    assert len([line for line in caplog.messages if "The venue refused: " in line]) == 64

"""Books of watched venues: kept beside the traded one, shown together, and never in its way."""

import json
import logging
from random import Random
from threading import Thread
from threading import enumerate as threads
from time import sleep
from unittest.mock import Mock

import pytest
from sessions import PROFILE, eventually, log, on, run

from pytrader._core import Tape
from pytrader.app import App
from pytrader.books import KeptBook, table, text
from pytrader.feed import Feed, FeedState
from pytrader.fetch import FetchError
from pytrader.pacing import Backoff
from pytrader.recorder import Recorder, RecorderError
from pytrader.sandbox.process import OfflineMarket
from pytrader.settings import SettingsError, load
from pytrader.venues import VENUES, Instrument, Okx, VenueError
from pytrader.watch import Named, Watcher

ALL = ("bybit", "okx", "coinbase", "binance-usdm", "binance-sbe")
LONGEST_S = 15


@pytest.fixture(scope="module")
def market():
    """Run one offline market for all engines."""
    with OfflineMarket.start(3) as offline:
        yield offline


@pytest.fixture
def engine(market, tmp_path):
    """Give a function that builds an engine on the folder of this test."""

    def built(**settings):
        key = {"BINANCE_SBE_API_KEY": "offline"}
        words = {"stream_url": market.ws_url, "rest_url": market.rest_url, "seed": "1", **settings}
        return App(load(words, key, None), tmp_path / PROFILE)

    return built


def rows_of(app):
    """Return the rows of the table by venue."""
    return {row.venue: row for row in app.trader.venues().books}


def all_live(app):
    """Tell whether every book is live."""
    return all(row.is_live for row in app.trader.venues().books)


# ---- with the offline market


def test_every_venue_is_watched_beside_the_traded_one(engine):
    """Six books of one market: the traded one first, and the spread between venues; a stop leaves no thread."""
    before = set(threads())
    with engine(watch=",".join(ALL)) as app:
        names = {thread.name for thread in set(threads()) - before}
        for venue in ("binance", *ALL):
            assert {f"feed-{venue}", f"feed-{venue}-next", f"snapshot-{venue}"} <= names
        eventually(lambda: all_live(app))
        found = app.trader.venues()
        assert [row.venue for row in found.books] == ["binance", *ALL]
        assert [row.symbol for row in found.books][:4] == ["BTCUSDT", "BTCUSDT", "BTC-USDT", "BTC-USDT"]
        assert [row.traded for row in found.books] == [True] + [False] * 5
        assert found.cross is not None
        assert abs(float(found.cross.spread)) < 50
        assert found.cross.quote == "USDT"
        assert app.trader.buy("0.1").wait_over()[-1].kind == "filled"
    assert set(threads()) == before


@pytest.mark.parametrize("venue", VENUES)
def test_every_venue_trades_with_the_default_symbol(venue, market, tmp_path):
    """The symbol is put in the venue's words, and so is the journal's folder."""
    words = [*on(market, tmp_path), "--json", "--venue", venue]
    result = run(words, tmp_path, "buy 0.1\nvenues\n", {"BINANCE_SBE_API_KEY": "offline"})
    bought, shown = result.answers
    assert (result.code, bought["state"]) == (0, "filled"), result
    (row,) = shown["venues"]
    assert (row["venue"], row["state"], row["doubt"]) == (venue, "live", "")
    assert (tmp_path / f"simulated-{venue}-{VENUES[venue].symbol_of('BTC', 'USDT')}" / "pytrader.log").exists()


def test_demo_points_every_watched_venue_at_the_offline_market(tmp_path):
    """The pipe tells the table as one JSON object; amounts are text."""
    words = ["demo", "--json", "--data-dir", tmp_path, "--watch", ",".join(ALL)]
    result = run(words, tmp_path, "buy 0.1\nwait 2\nvenues\n")
    shown = result.answers[-1]
    assert {row["venue"]: row["state"] for row in shown["venues"]} == dict.fromkeys(("binance", *ALL), "live")
    assert isinstance(shown["venues"][0]["bid"], str)
    assert shown["venues"][0]["counters"]["stale"] == 0
    assert set(shown["cross"]) == {"bid", "bid_venue", "ask", "ask_venue", "spread", "bps", "quote"}


@pytest.mark.parametrize("venue", VENUES)
def test_a_symbol_that_the_venue_does_not_list_is_refused_at_start(venue, market, tmp_path):
    """The sentence names venue and symbol and says what to do; nothing is journaled."""
    words = [*on(market, tmp_path), "--venue", venue, "--symbol", "NOPE/USDT"]
    result = run(words, tmp_path, "buy 1\n", {"BINANCE_SBE_API_KEY": "offline"})
    symbol = VENUES[venue].symbol_of("NOPE", "USDT")
    assert result.code == 5
    assert f"{venue} lists no market {symbol}" in result.err
    assert "set symbol to a pair that it lists, such as BTC/USDT" in result.err
    assert "check the network" not in result.err


def test_a_watched_venue_that_cannot_be_had_is_named_and_asked_again(engine, tmp_path):
    """No such market there: trading goes on, the table says why, and another watched book is not disturbed."""
    with engine(watch="okx:NOPE-USDT,bybit") as app:
        assert app.trader.wait_synced()
        eventually(lambda: "lists no market NOPE-USDT" in rows_of(app)["okx"].feed and rows_of(app)["bybit"].is_live)
        row = rows_of(app)["okx"]
        assert (row.state, row.bid, row.quote) == ("empty", None, None)
        assert "okx: waiting" in text(app.trader.venues())
        assert app.trader.status()["halted"] is None
        assert app.trader.buy("0.1").wait_over()[-1].kind == "filled"
        eventually(lambda: log(tmp_path).count("okx: Not watched yet: okx lists no market NOPE-USDT") >= 2)


def test_the_death_of_a_watching_thread_halts_nothing_and_is_shown(engine, tmp_path, monkeypatch):
    """It is logged by name and stands in the table; the book lives on by the other thread."""
    feed_runs = Feed.run
    monkeypatch.setattr(Feed, "run", lambda feed: feed_runs(feed) if feed._venue.name == "binance" else None)
    with engine(watch="okx") as app:
        eventually(lambda: rows_of(app)["okx"].dead)
        assert rows_of(app)["okx"].dead == ("feed-okx",)
        assert "okx: thread feed-okx died; the log says why" in text(app.trader.venues())
        assert app.trader.wait_synced()
        assert app.trader.status()["halted"] is None
        assert app.trader.buy("0.1").accepted
        eventually(lambda: rows_of(app)["okx"].is_live)
    assert "CRITICAL Thread feed-okx died; it kept a watched book, and trading goes on" in log(tmp_path)


@pytest.mark.parametrize("thread", ["feed-binance", "feed-binance-next", "snapshot-binance"])
def test_the_death_of_a_thread_of_the_traded_venue_still_halts(engine, monkeypatch, thread):
    """Watching others changes nothing about it."""
    body = {"feed-binance": "run", "feed-binance-next": "run_next", "snapshot-binance": "run_snapshots"}[thread]
    real = getattr(Feed, body)
    monkeypatch.setattr(Feed, body, lambda feed: None if feed._venue.name == "binance" else real(feed))
    with engine(watch="okx") as app:
        eventually(lambda: app.trader.status()["halted"])
        assert app.trader.status()["halted"] == {"cause": "THREAD", "detail": f"the thread {thread} has died"}


def test_watched_books_are_recorded_each_in_its_folder(engine, tmp_path):
    """What was recorded gives the watched book again."""
    with engine(watch="okx,coinbase", record=str(tmp_path / "frames")) as app:
        eventually(lambda: all_live(app))
        sleep(0.5)
    for name in ("binance-BTCUSDT", "okx-BTC-USDT", "coinbase-BTC-USDT"):
        assert list((tmp_path / "frames" / name).glob("*.rec.gz")), name


@pytest.mark.parametrize(
    ("error", "least_s", "words"),
    [
        (FetchError("HTTP 451. OKX does not serve this location", 451), 0.0, "HTTP 451. OKX does not serve"),
        (FetchError("HTTP 418. OKX banned this address", 418, 120.0), 120.0, "HTTP 418. OKX banned this address"),
        (FetchError("127.0.0.1:9: connection refused"), 0.0, "connection refused"),
    ],
)
def test_a_watched_venue_that_refuses_is_named_and_left_alone_for_as_long_as_it_says(error, least_s, words, caplog):
    """The pause is the venue's or the back-off's, whichever is longer; a stop ends it and the bodies that wait."""
    ran = []

    class Refusing:
        fetch_instrument = Mock(side_effect=error)
        run, run_next, run_snapshots = (lambda _, name=name: ran.append(name) for name in ("run", "next", "snapshots"))
        stop = Mock()

    kept, _ = book_of("okx", 100 * 10**8, 101 * 10**8)
    told = []
    kept.told = told.append
    log = Named(logging.getLogger("watched"), {"venue": "okx"})
    watcher = Watcher(Okx(), Refusing(), kept, log, Backoff(Random(1)))
    bodies = [Thread(target=body) for body in (watcher.run, watcher.run_next, watcher.run_snapshots)]
    for body in bodies:
        body.start()
    eventually(lambda: told)
    assert ran == []
    watcher.stop()
    for body in bodies:
        body.join(LONGEST_S)
        assert not body.is_alive()
    assert told[0].word == "waiting"
    assert words in told[0].detail
    assert told[0].wait_s >= least_s
    assert "okx: Not watched yet: " in caplog.text
    assert words in caplog.text


def test_a_start_that_fails_for_a_watched_recording_gives_the_others_back(engine, tmp_path):
    """Another program records a watched book: the start is refused, and the traded book can be recorded again."""
    frames = tmp_path / "frames"
    words = {"watch": "okx", "record": str(frames)}
    other = Recorder(Tape(), frames, venue="okx", symbol="BTC-USDT", max_bytes=10**8, log=logging.getLogger("other"))
    with pytest.raises(RecorderError):
        engine(**words)
    other.stop()
    assert engine(**words).stop() == []


def test_a_wrong_word_in_watch_is_a_wrong_setting(engine):
    """Said before anything runs: a name that is none, or a venue whose key is missing."""
    with pytest.raises(SettingsError, match="watch: 'bibit'"):
        engine(watch="bibit")


# ---- the table alone


def book_of(venue, bid, ask, quote="USDT", age_ms=0):
    """Return a kept book that stands for a live one."""

    class Top:
        bid_e8, ask_e8, bid_size_e8, ask_size_e8 = bid, ask, 10**8, 2 * 10**8
        age_ns, synced, sync, doubt = age_ms * 10**6, True, "live", "gap"

    class Book:
        top = staticmethod(lambda: Top)
        counters = staticmethod(
            lambda: dict.fromkeys(("gaps", "duplicates", "resyncs", "crossed", "refused"), 0) | MORE
        )

    kept = KeptBook(venue, f"BTC{quote}", Book, stale_after_ms=2_000)
    kept.instrument = Instrument(f"BTC{quote}", "BTC", quote, 10**6, 1, 1, 1, 1, trading=True)
    return kept, Top


MORE = dict.fromkeys(("checksum_failures", "shallow", "audits", "divergences", "takeovers"), 0)


def test_the_spread_between_venues_is_the_highest_bid_less_the_lowest_ask():
    """Exact, with the venues that have them; above 0 one pays more than the other asks."""
    books = [book_of("binance", 100 * 10**8, 101 * 10**8)[0], book_of("okx", 102 * 10**8, 103 * 10**8)[0]]
    cross = table(books).cross
    assert (cross.spread, cross.bps, cross.bid_venue, cross.ask_venue) == ("1", "98.52", "okx", "binance")
    assert text(table(books)).splitlines()[-1] == (
        "Cross-venue spread: 1 USDT (98.52 bps): highest bid 102 at okx, lowest ask 101 at binance"
    )


def test_what_a_venue_refused_is_shown_beside_a_live_book_too():
    """A book can be live without its trades: the venue's words say so, on the screen and as data."""
    kept, _ = book_of("okx", 100 * 10**8, 101 * 10**8)
    kept.told(FeedState("connected", "wss://okx"))
    assert "okx: " not in text(table([kept]))
    kept.told(FeedState("denied", "error 60018 Wrong URL or channel:trades"))
    found = table([kept])
    assert (found.books[0].is_live, found.books[0].denied) == (True, True)
    assert "okx: denied: error 60018 Wrong URL or channel:trades" in text(found).splitlines()


def test_a_book_that_is_stale_crossed_or_in_another_currency_is_shown_and_not_compared():
    """Only live, fresh books of the traded pair count; with one of them there is nothing between venues."""
    traded = book_of("binance", 100 * 10**8, 101 * 10**8)[0]
    for other in (
        book_of("okx", 102 * 10**8, 103 * 10**8, age_ms=2_000),
        book_of("okx", 103 * 10**8, 103 * 10**8),
        book_of("okx", 102 * 10**8, 103 * 10**8, quote="USD"),
    ):
        found = table([traded, other[0]])
        assert found.cross is None
        assert found.books[1].bid in {"102", "103"}
    assert "okx BTCUSD is priced in USD and not compared" in text(found)


def test_of_equal_prices_those_of_two_venues_are_named():
    """A spread between venues does not name one venue twice where another has the same price."""
    same = [book_of(venue, 100 * 10**8, 101 * 10**8)[0] for venue in ("binance", "okx")]
    cross = table(same).cross
    assert {cross.bid_venue, cross.ask_venue} == {"binance", "okx"}


def test_stale_counts_each_time_that_a_live_book_passes_the_bound():
    """Once for each silence, however often it is looked at; a book that is not live cannot become stale."""
    kept, top = book_of("okx", 100 * 10**8, 101 * 10**8)
    for age_ms, synced, stale in [
        *[(0, True, 0), (1_999, True, 0), (2_000, True, 1), (3_000, True, 1), (1, True, 1)],
        *[(5_000, True, 2), (6_000, False, 2), (1, True, 2), (9_000, False, 2)],
    ]:
        top.age_ns, top.synced = age_ms * 10**6, synced
        kept.look()
        assert kept.counters()["stale"] == stale


def test_a_book_that_is_not_live_says_its_doubt_and_what_its_feed_does():
    """In the row of the book, and below the table."""
    kept, top = book_of("okx", 100 * 10**8, 101 * 10**8)
    assert kept.row().doubt == ""
    top.synced, top.sync = False, "desynced"
    kept.told(FeedState("waiting", "HTTP 451. OKX does not serve this location", 3.0))
    shown = text(table([kept]))
    assert "desynced (gap)" in shown
    assert "okx: waiting, 3.0 s: HTTP 451. OKX does not serve this location" in shown


def test_a_pair_with_finer_steps_than_are_kept_here_is_refused_for_that():
    """OKX lists ticks of a billionth: a number, but not one that this program can hold."""
    row = {"instId": "PEPE-USDT", "baseCcy": "PEPE", "quoteCcy": "USDT", "tickSz": "0.000000001", "lotSz": "1"}
    body = json.dumps({"code": "0", "msg": "", "data": [row]}).encode()
    with pytest.raises(VenueError, match=r"tickSz '0\.000000001' must be digits with up to 8 decimals"):
        Okx("PEPE-USDT").parse_instrument(body)


def test_an_answer_that_is_no_market_says_what_to_set(engine):
    """For whoever builds the engine from a program."""
    with pytest.raises(VenueError, match=r"binance lists no market NOPEUSDT.*set symbol to a pair"):
        engine(symbol="NOPE/USDT")

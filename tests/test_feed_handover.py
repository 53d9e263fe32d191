"""One connection follows another while somebody reads: no break, whatever fails on the way."""

import contextlib
import logging
import random
import threading
import time
from itertools import pairwise

import pytest
from feed_live import Watched
from test_feed import descriptors, running
from venue_server import VenueServer, depth, frame, snapshot, until

from pytrader._core import Book, Replay, Tape
from pytrader.feed import Feed, FeedSettings
from pytrader.pacing import Backoff, Budget
from pytrader.venues import Binance

NOTICE = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}'


class Market:
    """A venue whose ids move on, sent to every open stream; its snapshots are what the frames lead to."""

    def __init__(self, server):
        """Begin at 1000."""
        self.server, self.open, self._id = server, [], 1_000
        self._lock, self._done = threading.Lock(), threading.Event()
        server.rest = self._rest
        self._threads = [threading.Thread(target=body) for body in (self._accept, self._tick)]

    def __enter__(self):
        """Start."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._done.set()
        for thread in self._threads:
            thread.join(5)

    def newest(self):
        """Return the stream that was opened last."""
        return self.open[-1]

    def tick(self):
        """Move the market on by one."""
        with self._lock:
            self._id += 1
            for stream in list(self.open):
                try:
                    stream.send(depth(self._id, self._id, "100.00", "101.00"))
                except OSError:
                    self.open.remove(stream)

    def _accept(self):
        while not self._done.is_set():
            with contextlib.suppress(Exception):
                stream = self.server.streams.get(timeout=0.05)
                with self._lock:
                    self.open.append(stream)

    def _tick(self):
        while not self._done.wait(0.002):
            self.tick()

    def _rest(self, _):
        with self._lock:
            return 200, {}, snapshot(self._id)


class Reader(Watched):
    """Reads without a pause and counts what must not be seen."""

    def __init__(self, book):
        """Begin with a synced book."""
        super().__init__(book, pause_s=0)
        self.backward = self._last = 0

    def _look(self, top):
        super()._look(top)
        self.backward += top.update_id < self._last
        self._last = top.update_id

    def seen(self):
        """Return what must be (0, 0)."""
        return self.unsynced, self.backward


@pytest.fixture
def server():
    """Run a venue."""
    with VenueServer() as venue:
        yield venue


@pytest.fixture
def unhurried(monkeypatch):
    """Take the limits of the pace away."""
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.0)
    monkeypatch.setattr(Budget, "wait_s", lambda *_: 0.0)


def takeovers(feed):
    """Return how often a connection took over."""
    return feed.book.counters()["takeovers"]


@pytest.mark.usefixtures("unhurried")
def test_a_reader_sees_no_break_in_a_hundred_announced_shutdowns(server):
    """Each lead announces its end and goes on; the next one takes over live, and costs nothing that stays."""
    threads = threading.active_count()
    with Market(server) as market, running(server) as feed:
        until(feed.synced, "a synced book")
        with Reader(feed.book) as reader:
            for number in range(100):
                if number == 5:
                    held = descriptors()
                market.newest().send(NOTICE)
                until(lambda wanted=number + 1: takeovers(feed) == wanted, f"hand-over {number + 1}", 10)
                until(lambda wanted=number + 2: len(server.upgrades) >= wanted, "the upgrade")
        until(lambda: len(market.open) <= 2, "the old streams to end")
        assert reader.seen() == (0, 0), reader.reads
        assert reader.reads > 1_000
        counters = feed.book.counters()
        assert (counters["gaps"], counters["resyncs"], len(server.upgrades)) == (0, 0, 101)
        assert descriptors() <= held + 2 * 100  # the server's own side: it closes at its end
    assert threading.active_count() <= threads + 2 * 101


@pytest.mark.usefixtures("unhurried")
def test_a_connection_that_grows_old_is_replaced_again_and_again_without_a_break(server):
    """`life_s` alone does it, with nothing announced."""
    with Market(server), running(server, life_s=0.2) as feed:
        until(feed.synced, "a synced book")
        with Reader(feed.book) as reader:
            until(lambda: takeovers(feed) >= 10, "ten hand-overs", 20)
        assert reader.seen() == (0, 0)


@pytest.mark.usefixtures("unhurried")
def test_a_replay_of_many_hand_overs_takes_over_as_often_as_the_live_book_did(server, monkeypatch):
    """On the tape no connection ends before its successor took over: there a replay would throw its book away."""
    tape, replay = Tape(), Replay()

    def taped(venue):
        book = Book(venue)
        book.set_tape(tape)
        return book

    monkeypatch.setattr("test_feed.Book", taped)
    with Market(server), running(server, life_s=0.03) as feed:
        until(lambda: takeovers(feed) >= 30, "thirty hand-overs", 20)
    tape.finish()
    while records := tape.take(0)[0]:
        assert replay.play(records) == len(records)
    counters = replay.counters()
    assert counters.pop("spent_ns") > 0
    assert counters == feed.book.counters()


@pytest.mark.usefixtures("unhurried")
def test_heirs_that_fail_leave_the_lead_running_and_are_tried_again(server, caplog):
    """A refused upgrade, and a connection that is cut at once, cost the reader nothing, and no log says so."""
    refused = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    server.upgrade = lambda _: refused if 2 <= len(server.upgrades) <= 4 else None
    with Market(server) as market, running(server) as feed:
        until(feed.synced, "a synced book")
        first = market.newest()
        with Reader(feed.book) as reader:
            server.behind_head = frame(0x8, b"\x03\xe9")
            first.send(NOTICE)
            until(lambda: len(server.upgrades) >= 8, "eight tries", 10)
            assert takeovers(feed) == 0
            server.behind_head = b""
            until(lambda: takeovers(feed) == 1, "the hand-over", 10)
        assert reader.seen() == (0, 0)
        assert "A connection lost, the book goes on: HTTP 503" in caplog.text
        assert "Feed lost" not in caplog.text


@pytest.mark.usefixtures("unhurried")
def test_a_lead_that_dies_while_its_heir_is_being_opened_leaves_it_to_the_heir_alone(server):
    """Exactly one connection is opened: the heir leads, though it never was one in Rust."""
    gate, opening = threading.Event(), threading.Event()

    def hold_back(_):
        if len(server.upgrades) == 2:
            opening.set()
            gate.wait(5)

    server.upgrade = hold_back
    with Market(server) as market, running(server) as feed:
        until(feed.synced, "a synced book")
        market.newest().send(NOTICE)
        assert opening.wait(5)
        market.newest().cut()
        until(lambda: not feed.synced(), "the loss")
        time.sleep(0.3)
        assert len(server.upgrades) == 2
        gate.set()
        until(feed.synced, "the heir's book")
        assert (len(server.upgrades), takeovers(feed)) == (2, 0)


def test_a_lead_that_dies_while_its_heir_is_held_back_is_followed_by_its_own_back_off(server, monkeypatch):
    """The heir was refused and waits; a healthy lead that is lost begins the pauses anew, for whoever connects next."""

    def next_s(backoff):
        backoff.failures += 1
        return 0.0 if backoff.failures == 1 else 60.0

    monkeypatch.setattr(Backoff, "next_s", next_s)
    monkeypatch.setattr("pytrader.feed.HEALTHY_S", 0.01)
    refused = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    server.upgrade = lambda _: refused if 2 <= len(server.upgrades) <= 3 else None
    with Market(server) as market, running(server) as feed:
        until(feed.synced, "a synced book")
        market.newest().send(NOTICE)
        until(lambda: feed.states and feed.states[-1].wait_s > 50, "the heir's pause")
        time.sleep(0.05)
        market.newest().cut()
        until(lambda: not feed.synced(), "the loss")
        until(feed.synced, "the next connection", 3)
        assert len(server.upgrades) == 4


@pytest.mark.usefixtures("unhurried")
def test_a_lead_that_dies_beside_a_live_heir_is_followed_at_once(server):
    """The heir is live but behind; when the lead is cut, no reader sees an unsynced book."""
    server.rest = lambda _: (200, {}, snapshot(10))
    with running(server) as feed:
        lead = server.stream()
        lead.send(depth(9, 11, "100.00", "101.00"))
        until(feed.synced, "a synced book")
        lead.send(depth(12, 500, "100.00", "101.00"), NOTICE)
        heir = server.stream()
        heir.send(depth(9, 11, "100.00", "101.00"))
        until(lambda: len(server.requests) == 2, "the heir's snapshot")
        time.sleep(0.2)
        with Reader(feed.book) as reader:
            assert takeovers(feed) == 0
            lead.cut()
            until(lambda: takeovers(feed) == 1, "the heir")
        assert reader.unsynced == 0
        assert feed.book.top().update_id == 11


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("delay_s", [0.0, 0.005, 0.02, 0.05, 0.1])
def test_a_stop_at_any_moment_of_a_hand_over_leaves_no_thread_and_no_descriptor(server, delay_s):
    """Whatever is under way, all bodies are gone within a second (`running` sees to it)."""
    threads = {thread.name for thread in threading.enumerate()}
    with Market(server) as market:
        for _ in range(3):
            with running(server, life_s=0.05) as feed:
                until(feed.synced, "a synced book")
                market.newest().send(NOTICE)
                time.sleep(delay_s)
    left = {thread.name for thread in threading.enumerate()} - threads
    assert not {name for name in left if name.startswith("run")}


def test_without_a_lead_exactly_one_of_the_two_threads_connects(server):
    """However often it is lost: the tries follow each other and are never doubled."""
    with running(server) as feed:
        for _ in range(4):
            server.stream(10).cut()
        until(lambda: feed.words().count("waiting") >= 4, "four pauses")
    assert len(server.upgrades) == 4
    gaps = [later.at_s - first.at_s for first, later in pairwise(server.upgrades)]
    assert all(gap >= least for gap, least in zip(gaps, (0.1, 0.2, 0.4), strict=True)), gaps


# ---- budgets, on virtual time


class Virtual:
    """A clock that a pause moves on."""

    def __init__(self):
        """Begin at 0."""
        self.now_s = 0.0

    def __call__(self):
        """Return the time."""
        return self.now_s

    def pause(self, _, wait_s):
        """Let so much time pass at once."""
        self.now_s += max(wait_s, 0.001)


def stormed(server, monkeypatch, lived_s, reason="closed"):
    """Return when a feed connected in an hour of connections that end after `lived_s`."""
    clock, at_s = Virtual(), []
    settings = FeedSettings(random=random.Random(1), clock=clock, pause=clock.pause)
    feed = Feed(Binance("BTCUSDT", server.stream_base, server.rest_base), Book(), log=_quiet(), settings=settings)

    class Dropped:
        def run(self, *_, **__):
            clock.now_s += lived_s
            return type("Ended", (), {"reason": reason, "detail": "", "planned": reason == "replaced"})()

    def opened(_):
        at_s.append(clock.now_s)
        if clock.now_s >= 3_600:
            feed.stop()
        return Dropped()

    monkeypatch.setattr(feed, "_open", opened)
    threads = [threading.Thread(target=body) for body in (feed.run, feed.run_next)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return [moment for moment in at_s if moment < 3_600]


def _quiet():
    log = logging.getLogger("storm")
    log.setLevel(logging.CRITICAL)
    return log


def test_an_hour_of_hand_overs_at_full_speed_makes_exactly_sixty_connects_in_five_minutes(server, monkeypatch):
    """Planned ends pause nothing; the budget of both threads alone holds them back, to the last one."""
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.0)
    at_s = stormed(server, monkeypatch, 0.01)
    assert len(at_s) == 60 * 12
    assert all(later - first > 299.999999 for first, later in zip(at_s, at_s[60:], strict=False))


def test_an_hour_of_accept_and_drop_is_held_back_by_growing_pauses(server, monkeypatch):
    """With the real back-off: never over thirty seconds between tries, and far inside the budget."""
    at_s = stormed(server, monkeypatch, 0.0)
    assert all(later - first <= 30.01 for first, later in pairwise(at_s))
    assert 120 <= len(at_s) <= 250
    assert all(later - first > 299.999999 for first, later in zip(at_s, at_s[60:], strict=False))


@pytest.mark.parametrize("reason", ["closed", "quiet", "no_pong", "unsynced"])
def test_a_connection_that_was_healthy_for_long_is_followed_at_once_however_it_ended(server, monkeypatch, reason):
    """Most networks are lost by silence: pauses that never began anew would stay half a minute after one bad night."""
    at_s = stormed(server, monkeypatch, 300.0, reason)
    assert all(later - first <= 300.3 for first, later in pairwise(at_s)), at_s


def test_connections_that_are_silent_for_as_long_as_they_live_are_tried_less_and_less(server, monkeypatch):
    """A minute of patience is no minute of health."""
    at_s = stormed(server, monkeypatch, 70.0, "quiet")
    assert all(later - first >= 70 + 14.9 for first, later in pairwise(at_s[10:])), at_s


def test_ten_snapshots_a_minute_whoever_wants_them(server, monkeypatch):
    """Snapshots that never fit are asked for by budget; an audit takes its request out of the same."""
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.0)
    clock, at_s = Virtual(), []
    settings = FeedSettings(random=random.Random(1), clock=clock, pause=clock.pause)
    book = Book()
    feed = Feed(Binance("BTCUSDT", server.stream_base, server.rest_base), book, log=_quiet(), settings=settings)

    def fetched(_):
        at_s.append(clock.now_s)
        if clock.now_s >= 600:
            feed.stop()
        return snapshot(1)

    monkeypatch.setattr(feed, "_fetch", fetched)
    book.apply(depth(9, 11, "100.00", "101.00"))
    feed.run_snapshots()
    inside = [moment for moment in at_s if moment < 600]
    assert len(inside) == 100
    assert all(later - first > 59.999999 for first, later in zip(at_s, at_s[10:], strict=False))


# ---- audits


@pytest.mark.parametrize(("price", "word"), [("100.00", "agrees"), ("99.99", "diverged")])
def test_the_live_book_is_compared_with_a_fetched_one(server, price, word):
    """The same levels: nothing happens. Another level: the book is thrown away, and a new snapshot makes it live."""
    server.rest = lambda target: (200, {}, snapshot(12, price) if "limit=1000" in target else snapshot(10))
    with running(server, audit_s=0.1) as feed:
        stream = server.stream()
        stream.send(depth(9, 11, "100.00", "101.00"))
        until(feed.synced, "a synced book")
        until(lambda: any("limit=1000" in request.target for request in server.requests), "the audit's request")
        assert feed.book.counters()["audits"] == 0  # its version 12 is newer than the stream
        stream.send(depth(12, 12, "100.00", "101.00"))
        until(lambda: feed.book.counters()["audits"] == 1, "the audit")
        assert feed.book.counters()["divergences"] == (word == "diverged")
        assert (feed.synced(), feed.book.top().doubt) == ((True, "") if word == "agrees" else (False, "diverged"))
        if word == "diverged":
            stream.send(depth(10, 13, "100.00", "101.00"))
            until(feed.synced, "a book made anew")


def test_an_audit_asks_for_nothing_beyond_the_budget_or_while_the_venue_wants_to_be_left_alone(server, monkeypatch):
    """It takes its request out of the snapshots' ten a minute, and a ban holds it back too."""
    monkeypatch.setattr("pytrader.feed.AUDIT_LEAD_MS", 1)
    clock, asked, book = Virtual(), [], Book()
    settings = FeedSettings(random=random.Random(1), clock=clock, pause=clock.pause)
    feed = Feed(Binance("BTCUSDT", server.stream_base, server.rest_base), book, log=_quiet(), settings=settings)
    monkeypatch.setattr(feed, "_fetch", lambda _: asked.append(clock.now_s) or snapshot(11))
    book.apply(depth(9, 11, "100.00", "101.00"))
    assert book.offer_snapshot(snapshot(10)) == "bridged"
    for _ in range(12):
        feed._audit("")
    assert (len(asked), book.counters()["audits"]) == (10, 10)
    clock.now_s = 60.0
    feed._bar(30.0)
    feed._audit("")
    assert len(asked) == 10
    clock.now_s = 90.0
    feed._audit("")
    assert len(asked) == 11

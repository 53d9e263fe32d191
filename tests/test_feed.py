"""The feed against a venue on loopback: it bridges, reconnects, keeps to limits, and stops at once."""

import contextlib
import logging
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from venue_server import CLOSE, PING, PONG, TEXT, VenueServer, depth, frame, snapshot, ticker, until

from pytrader._core import Book
from pytrader.feed import Feed, FeedSettings
from pytrader.fetch import FetchError
from pytrader.pacing import Backoff
from pytrader.venues import Binance, Bybit, KeepAlive

LOG = logging.getLogger("test_feed")


class Halves(random.Random):
    """No jitter: every delay is the shortest it can be."""

    def uniform(self, a, _b):
        """Return the least."""
        return a


class Running:
    """A feed on its threads."""

    def __init__(self, stream_base, rest_base, venue=Binance, **settings):
        """Start them."""
        self.book, self.states = Book(venue.name), []
        venue = venue("BTCUSDT", stream_base, rest_base)
        settings = FeedSettings(random=Halves(), **settings)
        self.feed = Feed(venue, self.book, log=LOG, on_state=self.states.append, settings=settings)
        bodies = (self.feed.run, self.feed.run_next, self.feed.run_snapshots)
        self.threads = [threading.Thread(target=body, name=body.__name__) for body in bodies]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Stop, and fail unless all threads are gone within a second."""
        began_s = time.monotonic()
        self.feed.stop()
        for thread in self.threads:
            thread.join(5)
        assert time.monotonic() - began_s < 1.0, [thread.name for thread in self.threads]
        assert not any(thread.is_alive() for thread in self.threads)

    def words(self):
        """Return the states so far."""
        return [state.word for state in self.states]

    def synced(self):
        """Return whether the book can be trusted."""
        return self.book.top().synced


@contextlib.contextmanager
def running(server, **settings):
    """Run a feed against the server, and see it stop."""
    feed = Running(server.stream_base, server.rest_base, **settings)
    try:
        yield feed
    finally:
        feed.stop()


@pytest.fixture
def server():
    """Run a venue whose snapshot has the id 10."""
    with VenueServer(rest=lambda _: (200, {}, snapshot(10))) as venue:
        yield venue


def go_live(feed, stream):
    """Bridge the snapshot 10."""
    stream.send(depth(9, 11, "100.00", "101.00"), ticker(12, "100.50", "101.00"))
    until(feed.synced, "a synced book")


def test_the_book_goes_live_on_a_bridged_snapshot_and_shows_the_newer_top(server):
    """Frames are kept, the snapshot is fetched when wanted, and both join."""
    with running(server) as feed:
        go_live(feed, server.stream())
        until(lambda: feed.book.top().bid_e8 == 10_050_000_000, "the bookTicker's bid")
    assert server.upgrades[0].target.startswith("/stream?streams=btcusdt@bookTicker/")
    assert server.requests[0].target == "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    assert feed.words() == ["connecting", "connected", "stopped"]


class Talkative(Binance):
    """A venue that wants a header, a subscription and a word from time to time, and streams its snapshots."""

    def headers(self):
        """Return one."""
        return {"X-Key": "abc"}

    def opening_texts(self):
        """Return two."""
        return ["first", "second"]

    def keep_alive(self):
        """Return a ping."""
        return KeepAlive("ping", 0.2)

    def snapshot_url(self):
        """Return none."""

    def audit_url(self):
        """Return none."""


def test_a_venue_s_header_texts_and_keep_alive_are_sent_and_no_snapshot_is_fetched(server):
    """Its words open the connection and keep it open."""
    with running(server, venue=Talkative) as feed:
        stream = server.stream()
        stream.send(depth(9, 11, "100.00", "101.00"))
        assert [stream.read_frame() for _ in range(4)] == [(TEXT, text) for text in TEXTS]
        until(lambda: feed.book.top().sync == "buffering", "the frame")
        time.sleep(0.5)
        assert not server.requests
    assert "x-key: abc" in server.heads[0].lower()


TEXTS = (b"first", b"second", b"ping", b"ping")


def test_after_a_cut_the_book_is_unsynced_until_a_new_snapshot_is_bridged(server):
    """A cut costs a new connection and a new snapshot; nothing of the old book is trusted meanwhile."""
    with running(server) as feed:
        stream = server.stream()
        go_live(feed, stream)
        stream.cut()
        until(lambda: not feed.synced(), "an unsynced book")
        server.rest = lambda _: (200, {}, snapshot(500, "200.00", "201.00"))
        again = server.stream()
        assert not feed.synced()
        again.send(depth(499, 501, "200.00", "201.00"))
        until(feed.synced, "a synced book after the cut")
        assert feed.book.top().bid_e8 == 20_000_000_000
        assert feed.book.levels("bid") == [(20_000_000_000, 100_000_000)]
    assert again.at_s - stream.at_s >= 0.1
    assert len(server.requests) == 2


def test_a_gap_costs_a_new_snapshot_and_no_new_connection(server):
    """A missed update is repaired on the open connection."""
    with running(server) as feed:
        stream = server.stream()
        go_live(feed, stream)
        server.rest = lambda _: (200, {}, snapshot(900))
        stream.send(depth(899, 901, "100.00", "101.00"))
        until(lambda: feed.book.counters()["gaps"] == 1, "the gap")
        until(feed.synced, "a synced book after the gap")
    assert (len(server.upgrades), len(server.requests)) == (1, 2)


def test_a_silent_second_is_pinged_and_three_are_answered_by_subscribing_again(server):
    """A server that answers pings but sends no data is asked once to subscribe; then the connection is replaced."""
    with running(server, quiet_reconnect_ms=3_300) as feed:
        stream = server.stream()
        go_live(feed, stream)
        began_s, seen = time.monotonic(), []
        while (received := stream.read_frame()) is not None:
            seen.append((received[0], round(time.monotonic() - began_s, 1)))
            if received[0] == PING:
                stream.raw(frame(PONG, b""))
            if received[0] == TEXT:
                assert b'"SUBSCRIBE"' in received[1]
        assert seen[0][0] == PING
        assert 0.7 <= seen[0][1] <= 2.0
        texts = [at_s for opcode, at_s in seen if opcode == TEXT]
        assert len(texts) == 1
        assert 2.7 <= texts[0] <= 3.3
        assert seen[-1][0] == CLOSE
        server.stream()
        until(lambda: any("quiet" in state.detail for state in feed.states), "the word quiet")


def test_a_shutdown_notice_opens_the_next_connection_without_a_pause(server):
    """The venue said so: the replacement is opened at once, and the old connection runs until then."""
    with running(server) as feed:
        server.stream().send(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
        go_live(feed, server.stream())
    assert feed.words() == ["connecting", "connected", "connecting", "connected", "stopped"]


def test_a_shutdown_notice_that_comes_at_once_each_time_is_no_storm(server):
    """A connection that is replaced within seconds of its start is paused after, like any that is lost."""
    with running(server) as feed:
        for _ in range(3):
            stream = server.stream()
            stream.send(depth(9, 11, "100.00", "101.00"))
            until(feed.synced, "a synced book")
            stream.send(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
        until(lambda: "waiting" in feed.words(), "a pause")


def refusal(status, *fields):
    """Return a response head that refuses an upgrade."""
    return "\r\n".join([f"HTTP/1.1 {status} Refused", "Content-Length: 0", *fields, "", ""]).encode()


def test_retry_after_is_obeyed(server):
    """A 429 on the upgrade holds the next connect back for as long as the venue asked."""
    server.upgrade = lambda _: refusal(429, "Retry-After: 2") if len(server.upgrades) == 1 else None
    with running(server):
        server.stream()
    assert server.upgrades[1].at_s - server.upgrades[0].at_s >= 2.0


def test_a_ban_whose_answer_says_nothing_of_it_lasts_as_long_as_the_venue_s_rules_say(server):
    """Bybit answers 403 to an address that asked too often, and wants ten minutes of peace."""
    server.upgrade = lambda _: refusal(403)
    with running(server, venue=Bybit) as feed:
        until(lambda: feed.feed._barred_s() > 500, "the ban")
    assert len(server.upgrades) == 1


@pytest.mark.parametrize("body", [b"", b"too", b"x" * 100_000])
def test_retry_after_is_obeyed_whatever_becomes_of_the_body(server, body):
    """A body that is cut, or larger than an upgrade may be, does not hide the status and the wait in its head."""
    head = refusal(429, "Retry-After: 300").replace(b"Content-Length: 0", b"Content-Length: 120000")
    server.upgrade = lambda _: head + body
    with running(server) as feed:
        until(lambda: "waiting" in feed.words(), "a pause")
        (state,) = [state for state in feed.states if state.word == "waiting"]
        assert state.wait_s > 200
        assert "HTTP 429" in state.detail
    assert len(server.upgrades) == 1


@pytest.mark.parametrize("body", ["cut", "none"])
def test_a_ban_without_its_whole_body_is_a_ban(server, body):
    """The wait stands in the head of the answer to a snapshot's request."""
    fields = {"cut": {"Content-Length": "500"}, "none": {"Transfer-Encoding": "chunked"}}[body]
    server.rest = lambda _: (418, {"Retry-After": "300", **fields}, b"")
    with running(server) as feed:
        server.stream().send(depth(9, 11, "100.00", "101.00"))
        until(lambda: feed.feed._barred_s() > 200, "the ban")


def test_a_ban_on_a_snapshot_holds_connects_back_too(server):
    """418 bars the whole venue: neither thread asks again before it is over."""
    server.rest = lambda _: (418, {"Retry-After": "300"}, b"")
    with running(server) as feed:
        stream = server.stream()
        stream.send(depth(9, 11, "100.00", "101.00"))
        until(lambda: server.requests, "the request")
        until(lambda: feed.feed._barred_s() > 200, "the ban")
        stream.cut()
        until(lambda: feed.states[-1].word == "waiting" and feed.states[-1].wait_s > 200, "the long pause")
    assert (len(server.upgrades), len(server.requests)) == (1, 1)


@pytest.mark.parametrize(("status", "words"), [(451, "offline market"), (403, "VPN")])
def test_a_refusal_by_place_says_what_to_try(server, status, words):
    """HTTP 451 and 403 are named, with what a user can do."""
    server.upgrade = lambda _: refusal(status)
    with running(server) as feed:
        until(lambda: "waiting" in feed.words(), "a pause")
    detail = next(state.detail for state in feed.states if state.word == "waiting")
    assert f"HTTP {status}" in detail
    assert words in detail


def test_a_snapshot_that_is_refused_by_place_is_shown_as_the_reason_of_an_unsynced_book(server):
    """The stream may run where REST does not: the book stays unsynced, and the feed says why."""
    server.rest = lambda _: (451, {}, b"")
    with running(server) as feed:
        server.stream().send(depth(9, 11, "100.00", "101.00"))
        until(lambda: "no_snapshot" in feed.words(), "the reason")
        assert not feed.synced()
    assert "offline market" in next(state.detail for state in feed.states if state.word == "no_snapshot")


def test_what_hindered_a_snapshot_is_told_no_longer_once_one_has_come(server):
    """The reason of a loss that is over is none for a pause, and a live book is not said to have no snapshot."""
    answers = [(429, {"Retry-After": "1"}, b""), (200, {}, snapshot(10))]
    server.rest = lambda _: answers[min(len(server.requests), 2) - 1]
    with running(server) as feed:
        server.stream().cut()
        stream = server.stream()
        go_live(feed, stream)
        until(lambda: feed.states[-1].word == "connected", "the connection's own state")
        assert feed.words()[-3:] == ["no_snapshot", "waiting", "connected"]
        assert feed.states[-2].detail == "the venue's limit on requests"


@pytest.mark.parametrize("what", ["frame", "snapshot"])
def test_why_the_decoder_refused_something_stands_in_the_log_once_a_minute(server, caplog, what):
    """A counter alone says nothing of a venue that changed its words."""
    if what == "snapshot":
        server.rest = lambda _: (200, {}, b'{"code":"50011","msg":"Too Many Requests","data":[]}')
    with running(server) as feed:
        stream = server.stream()
        stream.send(depth(9, 11, "100.00", "101.00"))
        for _ in range(3 if what == "frame" else 0):
            stream.send(b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","U":"12"}}')
        until(lambda: "Refused what the venue sent: " in caplog.text, "the line")
        time.sleep(0.5)
        assert feed.book.last_refusal() in caplog.text
    assert caplog.text.count("Refused what the venue sent: ") == 1


def test_a_redirect_is_not_followed(server):
    """A venue that points elsewhere is not believed."""
    with VenueServer() as elsewhere:
        server.upgrade = lambda _: refusal(302, f"Location: {elsewhere.stream_base}/")
        with running(server) as feed:
            until(lambda: "waiting" in feed.words(), "a pause")
            assert "connected" not in feed.words()
            assert "HTTP 302" in next(state.detail for state in feed.states if state.word == "waiting")
        assert not elsewhere.upgrades


def test_a_closed_port_is_tried_again_with_growing_pauses_and_without_end():
    """Nobody listens: the pauses double, and the reason is shown."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    feed = Running(f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
    until(lambda: feed.words().count("waiting") == 3, "three pauses")
    feed.stop()
    pauses = [state for state in feed.states if state.word == "waiting"]
    assert [state.wait_s for state in pauses] == [0.1, 0.2, 0.4]
    assert f"127.0.0.1:{port}" in pauses[0].detail


def test_a_host_that_has_no_address_is_tried_again_and_named():
    """A name that no resolver knows; its label is too long for any, so that none is asked for it."""
    host = f"{'x' * 64}.invalid"
    feed = Running(f"wss://{host}", f"https://{host}")
    until(lambda: feed.words().count("waiting") == 2, "two pauses")
    feed.stop()
    pauses = [state for state in feed.states if state.word == "waiting"]
    assert [state.wait_s for state in pauses[:2]] == [0.1, 0.2]
    assert host in pauses[0].detail


def test_a_stop_ends_a_connect_that_hangs_in_its_handshake():
    """A server that accepts and says nothing holds up neither thread."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        feed = Running(f"wss://127.0.0.1:{port}", f"https://127.0.0.1:{port}")
        connection, _ = mute.accept()
        feed.stop()
        connection.close()


def test_a_stop_ends_an_upgrade_and_a_snapshot_that_hang(server):
    """Wherever a thread waits, it is gone within a second."""
    release, asked = threading.Event(), threading.Event()

    def hang(_):
        asked.set()
        release.wait(5)
        return 200, {}, b""

    server.rest = hang
    feed = Running(server.stream_base, server.rest_base)
    server.stream().send(depth(9, 11, "100.00", "101.00"))
    assert asked.wait(5)
    feed.stop()
    asked.clear()
    server.upgrade = lambda target: hang(target) and None
    feed = Running(server.stream_base, server.rest_base)
    assert asked.wait(5)
    feed.stop()
    release.set()


def test_no_thread_and_no_descriptor_is_left_after_many_cuts(server, monkeypatch):
    """Thirty connections cost nothing that stays."""
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.0)
    threads = threading.active_count()
    with running(server):
        for number in range(30):
            server.stream().cut()
            if number == 4:
                held = descriptors()
        server.stream()
        assert descriptors() <= held + 1
    assert threading.active_count() <= threads + 31  # the server's own, one for each connection


def descriptors():
    """How many this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_market_s_rules_are_fetched(server):
    """`fetch_instrument` asks once and says what it got."""
    server.rest = lambda _: (451, {}, b"")
    feed = Feed(Binance("BTCUSDT", server.stream_base, server.rest_base), Book(), log=LOG)
    with pytest.raises(FetchError, match=r"451.*offline market"):
        feed.fetch_instrument()
    feed.stop()
    with pytest.raises(InterruptedError):
        feed.fetch_instrument()


SENDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from venue_server import VenueServer, ticker
with VenueServer() as server:
    print(server.port, flush=True)
    stream = server.stream(30)
    while sys.stdin.readable():
        try:
            stream.send(ticker(time.monotonic_ns(), "100.00", "101.00"))
        except OSError:
            break
        time.sleep(0.002)
"""


def test_a_python_thread_that_burns_the_gil_does_not_delay_the_receipt_of_frames():
    """Frames carry their send time as update id; Rust stamps their arrival while Python is busy."""
    command = [sys.executable, "-c", SENDER, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as sender:
        port = int(sender.stdout.readline())
        feed = Running(f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
        burn, done = (lambda: [sum(range(1_000)) for _ in iter(done.is_set, True)]), threading.Event()
        burner = threading.Thread(target=burn)
        burner.start()
        try:
            delays = sorted(receipt_delays_ns(feed.book, 100))
        finally:
            done.set()
            burner.join(5)
            feed.stop()
    assert delays[len(delays) // 2] < 2_000_000, delays  # a Python receiver: over one switch interval, 5 ms


def receipt_delays_ns(book, count):
    """How long after its sending each of `count` frames was received."""
    delays, end = {}, time.monotonic() + 20
    while len(delays) < count:
        assert time.monotonic() < end, "frames stopped"
        mono_ns = time.monotonic_ns()
        top = book.top(mono_ns)
        if top.update_id and top.age_ns:
            delays[top.update_id] = mono_ns - top.age_ns - top.update_id
        time.sleep(0.001)
    return delays.values()


def test_an_address_that_is_none_is_refused_before_any_thread_runs():
    """A wrong base is a mistake of the configuration, not a reason to try for ever."""
    for bases in (("http//oops", "https://a.example"), ("wss://a.example", "data.example")):
        with pytest.raises(ValueError, match="an address starts with"):
            Feed(Binance("BTCUSDT", *bases), Book(), log=LOG)


def test_a_nonsense_answer_to_the_upgrade_is_a_failed_try_like_any_other(server):
    """Whatever the response head holds, the feed goes on trying."""
    nonsense = [b"\xff\xfe\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 101 x\r\nSet-Cookie: \x01=\x02\r\n\r\n", b""]
    server.upgrade = lambda _: nonsense[len(server.upgrades) - 1] or b"\r\n\r\n" if len(server.upgrades) <= 4 else None
    with running(server):
        server.stream(10)
    assert len(server.upgrades) == 5

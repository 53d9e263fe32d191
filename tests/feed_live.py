"""A feed of any venue of the registry on the offline market, as the tests of all venues and of all faults use it."""

import logging
import threading
import time
from pathlib import Path

from sandbox_clients import control, fetch
from venue_server import until

from pytrader._core import Book, parse_e8
from pytrader.feed import Feed, FeedSettings
from pytrader.setting_kinds import Secret
from pytrader.venues import VENUES, BinanceSbe

LOG = logging.getLogger("feed_live")


def venue_on(market, name):
    """Return the venue's words for BTC/USDT on the offline market."""
    bases = {"stream_base": market.ws_url, "rest_base": market.rest_url}
    if name == BinanceSbe.name:
        bases["api_key"] = Secret("any")
    make = VENUES[name]
    return make(make.symbol_of("BTC", "USDT"), **bases)


class Live:
    """A feed on its threads, and its book."""

    def __init__(self, market, name, **settings):
        """Start, and wait until the book is live."""
        self.market, self.name, self.states = market, name, []
        self.venue = venue_on(market, name)
        self.book = Book(name, self.venue.symbol)
        chosen = FeedSettings(**{"audit_s": 0, **settings})
        self.feed = Feed(self.venue, self.book, log=LOG, on_state=self.states.append, settings=chosen)
        bodies = (self.feed.run, self.feed.run_next, self.feed.run_snapshots)
        self.threads = [threading.Thread(target=body, name=f"{name}-{body.__name__}") for body in bodies]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Stop; fail unless all threads are gone."""
        self.feed.stop()
        for thread in self.threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in self.threads)

    def __enter__(self):
        """Wait until it is live."""
        self.go_live()
        return self

    def __exit__(self, *_):
        """Stop."""
        self.stop()

    def synced(self):
        """Return whether the book can be trusted."""
        return self.book.top().synced

    def go_live(self, timeout_s=10):
        """Wait until the book is live."""
        until(self.synced, f"{self.name} to be live", timeout_s)

    def count(self, name):
        """Return one counter."""
        return self.book.counters()[name]

    def counts(self, name, by=1, timeout_s=5):
        """Return a function that waits until a counter has grown since now."""
        wanted = self.count(name) + by
        return lambda: until(lambda: self.count(name) >= wanted, f"{name} of {self.name}", timeout_s)

    def chaos(self, kind, **asked):
        """Let a fault begin."""
        control(self.market, chaos=kind, **asked)


def true_book(market, count=100):
    """Return the market's own best levels, as `Book.levels` would."""
    body = fetch(market, f"/api/v3/depth?symbol=BTCUSDT&limit={count}")[2]
    return {side: [tuple(map(parse_e8, level)) for level in body[f"{side}s"]] for side in ("bid", "ask")}


def descriptors():
    """Return how many this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Watched:
    """Reads a book in a tight loop for a while, pausing `pause_s` between two reads."""

    def __init__(self, book, pause_s=0.0002):
        """Watch `book`."""
        self.reads = self.unsynced = 0
        self._book, self._pause_s, self._done = book, pause_s, threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self):
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._done.set()
        self._thread.join(5)

    def _read(self):
        while not self._done.is_set():
            self._look(self._book.top())
            self.reads += 1
            if self._pause_s:
                time.sleep(self._pause_s)

    def _look(self, top):
        self.unsynced += not top.synced

"""A watched venue: its book is kept beside the traded one's, and whatever befalls it stays its own affair."""

from __future__ import annotations

import logging
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

from pytrader.feed import FeedState
from pytrader.fetch import FetchError
from pytrader.venues import VenueError, spelled

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from pytrader.books import KeptBook
    from pytrader.feed import Feed
    from pytrader.pacing import Backoff
    from pytrader.venues import Instrument, Venue


class Named(logging.LoggerAdapter[logging.Logger]):
    """A log in which every line begins with the venue."""

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Put the venue before the line."""
        return f"{(self.extra or {})['venue']}: {msg}", kwargs


class Watcher:
    """Learns a watched market's rules, however often it must ask, and then lets its feed run.

    `run`, `run_next` and `run_snapshots` are the bodies of three threads, as the feed's are; `stop` ends all of them.
    """

    def __init__(
        self, venue: Venue, feed: Feed, kept: KeptBook, log: logging.LoggerAdapter[logging.Logger], backoff: Backoff
    ) -> None:
        """Feed `kept` by `feed`, which nobody else runs; `backoff` paces the questions."""
        self._venue, self._feed, self._kept, self._log = venue, feed, kept, log
        self._backoff = backoff
        self._stopped, self._known = Flag(), Flag()  # known: also when stopped, so that nobody waits on

    def run(self) -> None:
        """Ask for the rules until they come, then keep the book, until `stop`."""
        while not self._stopped.is_set() and not self._known.is_set():
            self._learn()
        self._feed.run()

    def run_next(self) -> None:
        """Open the next connections, once there is a first."""
        self._known.wait()
        self._feed.run_next()

    def run_snapshots(self) -> None:
        """Fetch snapshots, once there is a connection."""
        self._known.wait()
        self._feed.run_snapshots()

    def stop(self) -> None:
        """End all bodies soon, from any thread."""
        self._stopped.set()
        self._feed.stop()
        self._known.set()

    def _learn(self) -> None:
        try:
            self._kept.instrument = self._feed.fetch_instrument()
        except InterruptedError:
            return
        except (OSError, VenueError) as error:
            asked_s = error.retry_after_s if isinstance(error, FetchError) else 0.0
            wait_s = max(self._backoff.next_s(), asked_s)
            reason = unlisted(self._venue, error)
            self._log.warning("Not watched yet: %s; next try in %.1f s", reason, wait_s)
            self._kept.told(FeedState("waiting", reason, wait_s))
            self._stopped.wait(wait_s)
        else:
            self._known.set()


def unlisted(venue: Venue, error: Exception) -> str:
    """Return why a market's rules did not come; where the venue may not list it, with what to do about it.

    A failed connection, a ban or a block says so itself: only an answer can mean that there is no such market.
    """
    if isinstance(error, FetchError) and error.status not in (400, 404):
        return str(error)
    such_as = f"BTC/USDT or {spelled(venue.name, 'BTC/USDT')}"
    there = f"{venue.name} lists no market {venue.symbol}, or not its rules ({error})"
    return f"{there}; set symbol to a pair that it lists, such as {such_as}"


def demand_instrument(feed: Feed, venue: Venue) -> Instrument:
    """Return the market's rules. Raise FetchError without an answer, VenueError for a market that is not there."""
    try:
        return feed.fetch_instrument()
    except (FetchError, VenueError) as error:
        if isinstance(error, FetchError) and error.status not in (400, 404):
            raise
        raise VenueError(unlisted(venue, error)) from error

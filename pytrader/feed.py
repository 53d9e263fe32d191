"""A venue's market data into a book: connect, run, reconnect without end; snapshots when the book wants one.

`run` and `run_snapshots` are the bodies of two threads that the caller owns; `stop` ends both, whatever they wait for.

```
run:            connect (Rust) → upgrade (websocket-client over Rust's socket) → Link.run, no GIL → pause → again
run_snapshots:  wait until the book wants one → fetch → offer the bytes → pause
```
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal, cast

import websocket

from pytrader._core import Link, Waker
from pytrader.fetch import FetchError, address_of, fetch, retry_after_s
from pytrader.pacing import Backoff, Budget

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from pytrader._core import Book, Ended
    from pytrader.venues.venue import Instrument, Venue

HEALTHY_S = 60.0  # a connection that lived this long starts the back-off anew
QUIET_MAX_MS = 60_000  # the patience with a connection without data grows to this
SNAPSHOT_SLICE_MS = 200  # how long a stop can go unseen by a wait inside the book
PLANNED_MIN_S = 10.0  # a planned end that comes sooner is treated as a failure, or it could become a storm

Word = Literal["connecting", "connected", "waiting", "no_snapshot", "stopped"]


@dataclass(frozen=True, slots=True)
class FeedState:
    """What the feed does now, for a person: `detail` says why, `wait_s` how long a pause will last, seconds."""

    word: Word
    detail: str = ""
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one connection went."""

    text: str
    reason: str = "failed"  # of Ended, or "failed" before the run began
    planned: bool = False
    lived_s: float = 0.0
    retry_after_s: float = 0.0


@dataclass(slots=True)
class FeedSettings:
    """What a feed can be told. `clock` counts seconds and never goes back."""

    ca_file: Path | None = None  # PEM roots trusted beside the system's
    connect_timeout_s: float = 5.0  # connect, TLS and upgrade together; also one snapshot
    quiet_reconnect_ms: int = 10_000  # without book data, in [1000, 60000]
    random: Random = field(default_factory=Random)
    clock: Callable[[], float] = time.monotonic


class Feed:
    """Keeps `book` fed with `venue`'s data until it is stopped. `on_state` is called on the feed's own threads."""

    def __init__(
        self,
        venue: Venue,
        book: Book,
        *,
        log: logging.Logger,
        on_state: Callable[[FeedState], None] = lambda _: None,
        settings: FeedSettings | None = None,
    ) -> None:
        """Connect nothing yet. Raise ValueError for an address that is none, OSError without free file descriptors."""
        self._venue = venue
        self._stream_address = address_of(venue.stream_url())
        self._snapshot_url = venue.snapshot_url()
        if self._snapshot_url is not None:
            address_of(self._snapshot_url)
        self._book = book
        self._log = log
        self._on_state = on_state
        self._settings = settings or FeedSettings()
        self._waker = Waker()  # of the stream
        self._rest_waker = Waker()  # its own, or a fetch could take the wake-up of a snapshot that was offered
        self._stopped = threading.Event()
        self._barred_until_s = float("-inf")  # the venue asked for quiet until then
        self._backoff = Backoff(self._settings.random)
        self._connects = Budget(60, 300.0)  # Binance allows 300 in 5 minutes for each address
        self._snapshot_backoff = Backoff(self._settings.random)
        self._snapshots = Budget(10, 60.0)
        self._quiet_ms = self._settings.quiet_reconnect_ms

    def run(self) -> None:
        """Connect and run, again and again, until `stop`: the body of the feed thread."""
        while not self._stopped.is_set():
            self._keep_to(self._connects)
            if not self._stopped.is_set():
                self._after(self._connection())
        self._say(FeedState("stopped"))

    def run_snapshots(self) -> None:
        """Fetch a snapshot whenever the book wants one, until `stop`: the body of the snapshot thread."""
        last_s = float("-inf")
        while not self._stopped.is_set():
            if self._book.wait_snapshot_wanted(SNAPSHOT_SLICE_MS):
                last_s = self._snapshot(last_s)

    def stop(self) -> None:
        """End both bodies soon, from any thread; the feed cannot be run again."""
        self._stopped.set()
        self._waker.stop()
        self._rest_waker.stop()

    def fetch_instrument(self) -> Instrument:
        """Return the market's tick, step and minima, asked once.

        Raises FetchError (an OSError) with what to try, VenueError for an answer without them, InterruptedError when
        stopped.
        """
        return self._venue.parse_instrument(self._fetch(self._venue.instrument_url()))

    # One connection

    def _connection(self) -> _Outcome:
        clock = self._settings.clock
        self._say(FeedState("connecting", self._venue.stream_url()))
        self._connects.use(clock())
        try:
            link = self._open()
        except Exception as error:  # noqa: BLE001 - however it fails, the next try is due
            return self._refused(error)
        self._say(FeedState("connected", self._venue.stream_url()))
        began_s = clock()
        ended = link.run(self._book, resubscribe=self._venue.resubscribe_texts()[0], quiet_reconnect_ms=self._quiet_ms)
        return _Outcome(_text(ended), ended.reason, ended.planned, clock() - began_s)

    def _open(self) -> Link:
        address = self._stream_address
        ca_file = self._settings.ca_file
        link = Link.connect(
            address.host,
            address.port,
            tls=address.tls,
            ca_file=None if ca_file is None else str(ca_file),
            timeout_s=self._settings.connect_timeout_s,
            waker=self._waker,
        )
        try:
            websocket.create_connection(
                self._venue.stream_url(),
                socket=cast("socket.socket", link),
                redirect_limit=0,
                suppress_origin=True,
                enable_multithread=False,
            )
        except BaseException:
            link.close()
            raise
        return link

    def _refused(self, error: Exception) -> _Outcome:
        if not isinstance(error, websocket.WebSocketBadStatusException):
            return _Outcome(f"{self._stream_address.authority}: {error or type(error).__name__}")
        headers = cast("dict[str, str]", error.resp_headers or {})
        wait_s = retry_after_s(error.status_code, headers)
        return _Outcome(self._advised(f"HTTP {error.status_code}", error.status_code), retry_after_s=wait_s)

    def _after(self, outcome: _Outcome) -> None:
        if self._stopped.is_set():
            return
        self._bar(outcome.retry_after_s)
        if outcome.lived_s >= HEALTHY_S and outcome.reason not in ("quiet", "no_pong"):
            self._backoff.reset()
        self._quiet_ms = self._patience_ms(outcome)
        if outcome.planned and outcome.lived_s >= PLANNED_MIN_S:
            self._log.info("Feed reconnects as planned: %s", outcome.text)
            return
        wait_s = max(self._backoff.next_s(), self._barred_s())
        self._log.warning("Feed lost: %s; next try in %.1f s", outcome.text, wait_s)
        self._pause(wait_s, outcome.text)

    def _patience_ms(self, outcome: _Outcome) -> int:
        if outcome.reason == "quiet" and outcome.lived_s < HEALTHY_S * 2:
            return min(self._quiet_ms * 2, QUIET_MAX_MS)
        return self._settings.quiet_reconnect_ms if outcome.lived_s >= HEALTHY_S else self._quiet_ms

    # One snapshot

    def _snapshot(self, last_s: float) -> float:
        clock = self._settings.clock
        if clock() - last_s >= HEALTHY_S:
            self._snapshot_backoff.reset()
        else:
            self._stopped.wait(self._snapshot_backoff.next_s())
        self._keep_to(self._snapshots)
        if self._stopped.is_set() or self._snapshot_url is None:
            return last_s
        asked_s = clock()
        self._snapshots.use(asked_s)
        try:
            outcome = self._book.offer_snapshot(self._fetch(self._snapshot_url))
            self._log.info("Snapshot fetched: %s", outcome)
        except InterruptedError:
            self._log.debug("Snapshot given up: stopped")
        except FetchError as error:
            self._log.warning("Snapshot failed: %s", error)
            self._on_state(FeedState("no_snapshot", str(error)))
        return asked_s

    def _fetch(self, url: str) -> bytes:
        settings = self._settings
        try:
            return fetch(url, waker=self._rest_waker, ca_file=settings.ca_file, timeout_s=settings.connect_timeout_s)
        except FetchError as error:
            self._bar(error.retry_after_s)
            if error.status is None:
                raise
            raise FetchError(self._advised(str(error), error.status), error.status, error.retry_after_s) from None

    # Pauses, all of which a stop ends

    def _bar(self, wait_s: float) -> None:
        if wait_s > 0:
            self._barred_until_s = max(self._barred_until_s, self._settings.clock() + wait_s)

    def _barred_s(self) -> float:
        return max(0.0, self._barred_until_s - self._settings.clock())

    def _keep_to(self, budget: Budget) -> None:
        """Wait until the budget and the venue allow the next use, or the feed is stopped."""
        while not self._stopped.is_set():
            wait_s = max(budget.wait_s(self._settings.clock()), self._barred_s())
            if wait_s <= 0:
                return
            self._pause(wait_s, "the venue's limit on requests")

    def _pause(self, wait_s: float, why: str) -> None:
        self._say(FeedState("waiting", why, wait_s))
        self._stopped.wait(wait_s)

    def _say(self, state: FeedState) -> None:
        if state.word in ("connected", "stopped"):
            self._log.info("Feed %s %s", state.word, state.detail)
        self._on_state(state)

    def _advised(self, text: str, status: int) -> str:
        advice = self._venue.advice(status)
        return f"{text}. {advice}" if advice else text


def _text(ended: Ended) -> str:
    return f"{ended.reason} ({ended.detail})" if ended.detail else ended.reason

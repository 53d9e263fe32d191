"""A venue's market data into a book: connect, run, hand over or reconnect without end; snapshots and audits.

`run`, `run_next` and `run_snapshots` are the bodies of three threads that the caller owns; `stop` ends all of them,
whatever they wait for. `run` and `run_next` do the same: one of them leads, and when its connection wants a successor
the other one opens it, so that a reader sees no break. Pauses and budgets belong to both.

```
run, run_next:  wait until no one leads or the lead wants a successor → connect (Rust) → upgrade (websocket-client over
                Rust's socket) → Link.run, no GIL → again
run_snapshots:  wait until a connection wants one → fetch → offer the bytes → pause; each minute: fetch → compare
```
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal, cast

import websocket

from pytrader._core import Link, Waker
from pytrader.denials import Denials
from pytrader.fetch import FetchError, Upgrading, address_of, fetch
from pytrader.pacing import Backoff, Budget

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from pytrader._core import Book
    from pytrader.venues.venue import Instrument, Venue

HEALTHY_S = 60.0  # a connection that lived this long starts the back-off anew
QUIET_MAX_MS = 60_000  # the patience with a connection without data grows to this
SLICE_MS = 200  # how long a stop can go unseen by a wait inside the book, and a change of plan by a pause
PLANNED_MIN_S = 10.0  # a planned end that comes sooner is treated as a failure, or it could become a storm
AUDIT_LEAD_MS = 1_000  # kept before a book is asked for: the answer may be older than the question
AUDIT_WAIT_S = 5.0  # how long a fetched book waits for the stream
AUDIT_RETRY_MS = 100

LIMITED = "the venue's limit on requests"

# denied: connected, but the venue refused some of what was asked for; the book may be live all the same.
Word = Literal["connecting", "connected", "denied", "waiting", "no_snapshot", "stopped"]


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
    watchdog_divisor: int = 1  # how many times shorter each silence is that is waited for, in [1, 10]; for tests
    life_s: float = 86_100.0  # age at which a connection wants a successor; Binance cuts it at 24 h
    audit_s: float = 60.0  # from one comparison with a fetched book to the next; 0 for none
    random: Random = field(default_factory=Random)
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[threading.Event, float], object] = threading.Event.wait  # until the event, or so many seconds


class Feed:
    """Keeps `book` fed with `venue`'s data until it is stopped. `on_state` is called on the feed's own threads."""

    def __init__(
        self,
        venue: Venue,
        book: Book,
        *,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
        on_state: Callable[[FeedState], None] = lambda _: None,
        settings: FeedSettings | None = None,
    ) -> None:
        """Connect nothing yet. Raise ValueError for an address that is none, OSError without free file descriptors."""
        self._venue = venue
        self._stream_address = address_of(venue.stream_url())
        self._snapshot_url, self._audit_url = venue.snapshot_url(), venue.audit_url()
        for url in (self._snapshot_url, self._audit_url):
            if url is not None:
                address_of(url)
        self._book = book
        self._log = log
        self._on_state = on_state
        self._settings = settings or FeedSettings()
        self._wakers = (Waker(), Waker())  # one for each stream: a wake-up must reach the right one
        self._rest_waker = Waker()  # its own, or a fetch could take the wake-up of a snapshot that was offered
        self._stopped = threading.Event()
        self._lock = threading.Lock()  # for what stands below: three threads share it
        self._connected = 0  # connections that are open or being opened
        self._barred_until_s = float("-inf")  # the venue asked for quiet until then
        self._next_connect_s = float("-inf")  # the back-off's
        self._lost = ""  # why there is a back-off
        self._backoff = Backoff(self._settings.random)
        self._connects = Budget(60, 300.0)  # Binance allows 300 in 5 minutes for each address
        self._snapshot_backoff = Backoff(self._settings.random, last_s=6.0)  # ten a minute are allowed at most
        self._went_live = 0  # how often the book had, when a snapshot was last fetched
        self._snapshots = Budget(10, 60.0)  # audits too
        self._quiet_ms = self._settings.quiet_reconnect_ms
        self._refusal: str | None = None  # as logged, and from when on the next one may be: one a minute
        self._refusal_due_s = float("-inf")
        self._telling = threading.RLock()  # for what stands below
        self._connection_state: FeedState | None = None  # the connections' own, whatever hinders the snapshots
        self._hindered = False  # what was told last is of the snapshots
        self._denials = Denials(book, log)

    def run(self) -> None:
        """Connect and run, again and again, until `stop`: the body of the feed thread."""
        self._keep(self._wakers[0])
        self._say(FeedState("stopped"))

    def run_next(self) -> None:
        """Do the same beside `run`: the body of the thread that opens the next connection while one still runs."""
        self._keep(self._wakers[1])

    def run_snapshots(self) -> None:
        """Fetch a snapshot whenever one is wanted, and audit the book, until `stop`: the snapshot thread's body."""
        clock = self._settings.clock
        last_s, audited_s = float("-inf"), clock()
        while not self._stopped.is_set():
            self._tell_refusal()
            if self._book.wait_snapshot_wanted(SLICE_MS) and self._snapshot_url is not None:
                last_s = self._snapshot(self._snapshot_url, last_s)
            elif self._audit_url is not None and 0 < self._settings.audit_s <= clock() - audited_s:
                self._audit(self._audit_url)
                audited_s = clock()

    def stop(self) -> None:
        """End all bodies soon, from any thread; the feed cannot be run again."""
        self._stopped.set()
        for waker in (*self._wakers, self._rest_waker):
            waker.stop()

    def fetch_instrument(self) -> Instrument:
        """Return the market's tick, step and minima, asked once.

        Raises FetchError (an OSError) with what to try, VenueError for an answer without them, InterruptedError when
        stopped.
        """
        return self._venue.parse_instrument(self._fetch(self._venue.instrument_url()))

    # One connection

    def _keep(self, waker: Waker) -> None:
        while not self._stopped.is_set():
            if not self._enter():
                self._book.wait_successor_wanted(SLICE_MS)
                self._tell_denials()
                continue
            try:
                if self._spend(self._connects):
                    self._after(self._connection(waker))
            finally:
                self._leave()

    def _enter(self) -> bool:
        """Take one of two places: the first if nobody has it, the second if the lead wants a successor."""
        with self._lock:
            free = self._connected == 0 or (self._connected == 1 and self._book.wait_successor_wanted(0))
            self._connected += free
            return free

    def _leave(self) -> None:
        with self._lock:
            self._connected -= 1

    def _connection(self, waker: Waker) -> _Outcome:
        clock = self._settings.clock
        self._say(FeedState("connecting", self._venue.stream_url()))
        try:
            link = self._open(waker)
        except Exception as error:  # noqa: BLE001 - however it fails, the next try is due
            return self._refused(error)
        self._say(FeedState("connected", self._venue.stream_url()))
        with self._lock:
            self._lost = ""
        began_s, keep_alive = clock(), self._venue.keep_alive()
        ended = link.run(
            self._book,
            opening=self._venue.opening_texts(),
            resubscribe=self._venue.resubscribe_texts(),
            keep_alive=None if keep_alive is None else (keep_alive.text, keep_alive.every_s),
            message_max=self._venue.message_max,
            quiet_reconnect_ms=self._quiet_ms,
            watchdog_divisor=self._settings.watchdog_divisor,
            life_s=self._settings.life_s,
        )
        self._tell_denials()  # before the loss that may come of them
        text = f"{ended.reason} ({ended.detail})" if ended.detail else ended.reason
        return _Outcome(text, ended.reason, ended.planned, clock() - began_s)

    def _open(self, waker: Waker) -> Link:
        address = self._stream_address
        ca_file = self._settings.ca_file
        link = Link.connect(
            address.host,
            address.port,
            tls=address.tls,
            ca_file=None if ca_file is None else str(ca_file),
            timeout_s=self._settings.connect_timeout_s,
            waker=waker,
        )
        try:
            self._upgrade(Upgrading(link))
        except BaseException:
            link.close()
            raise
        return link

    def _upgrade(self, link: Upgrading) -> None:
        """Have the connection upgraded. Raise FetchError for a refusal, which a redirect is too."""
        try:
            websocket.create_connection(
                self._venue.stream_url(),
                socket=cast("socket.socket", link),
                header=dict(self._venue.headers()),
                redirect_limit=0,
                suppress_origin=True,
                enable_multithread=False,
            )
        finally:
            link.demand()  # whatever websocket-client makes of it

    def _refused(self, error: Exception) -> _Outcome:
        if not isinstance(error, FetchError) or error.status is None:
            return _Outcome(f"{self._stream_address.authority}: {error or type(error).__name__}")
        return _Outcome(str(known := self._known(error)), retry_after_s=known.retry_after_s)

    def _after(self, outcome: _Outcome) -> None:
        if self._stopped.is_set():
            return
        self._bar(outcome.retry_after_s)
        with self._lock:
            silent = outcome.reason in ("quiet", "no_pong", "unsynced")  # the last minute may have been without data
            if outcome.lived_s >= HEALTHY_S * (1 + silent):
                self._backoff.reset()
            self._quiet_ms = self._patience_ms(outcome)
            unhurried = outcome.planned and outcome.lived_s >= PLANNED_MIN_S
            wait_s = 0.0 if unhurried else self._backoff.next_s()
            self._next_connect_s = self._settings.clock() + wait_s
            self._lost = "" if unhurried else outcome.text
        if outcome.planned:
            self._log.info("Feed went on with its next connection: %s", outcome.text)
        else:
            what = "A connection lost, the book goes on" if self._book.top().synced else "Feed lost"
            self._log.warning("%s: %s; next try in %.1f s", what, outcome.text, max(wait_s, self._barred_s()))

    def _patience_ms(self, outcome: _Outcome) -> int:
        if outcome.reason == "quiet" and outcome.lived_s < HEALTHY_S * 2:
            return min(self._quiet_ms * 2, QUIET_MAX_MS)
        return self._settings.quiet_reconnect_ms if outcome.lived_s >= HEALTHY_S else self._quiet_ms

    # One snapshot

    def _snapshot(self, url: str, last_s: float) -> float:
        clock = self._settings.clock
        went_live = self._book.counters()["snapshots"]
        if went_live > self._went_live or clock() - last_s >= HEALTHY_S:  # the last one helped, or is long ago
            self._went_live = went_live
            self._snapshot_backoff.reset()
        else:
            self._settings.pause(self._stopped, self._snapshot_backoff.next_s())
        if not self._spend(self._snapshots):
            return last_s
        asked_s = clock()
        try:
            outcome = self._book.offer_snapshot(self._fetch(url))
            self._log.info("Snapshot fetched: %s", outcome)
            self._hinder(None)
        except InterruptedError:
            self._log.debug("Snapshot given up: stopped")
        except FetchError as error:
            self._log.warning("Snapshot failed: %s", error)
            self._hinder(FeedState("no_snapshot", str(error)))
        return asked_s

    def _tell_refusal(self) -> None:
        """Log why the decoder last refused a frame or a body: a venue that changed its words is known by that alone."""
        refusal, now_s = self._book.last_refusal(), self._settings.clock()
        if refusal not in (None, self._refusal) and now_s >= self._refusal_due_s:
            self._refusal, self._refusal_due_s = refusal, now_s + HEALTHY_S
            self._log.warning("Refused what the venue sent: %s", refusal)

    def _audit(self, url: str) -> None:
        """Compare the book with a fetched one, unless something more urgent wants the request."""
        if not self._book.begin_audit() or self._book.wait_snapshot_wanted(AUDIT_LEAD_MS):
            return
        if self._barred_s() > 0 or self._snapshots.take(self._settings.clock()) > 0:
            return
        try:
            word = self._compare(self._fetch(url))
        except InterruptedError:
            return
        except FetchError as error:
            self._log.warning("Audit failed: %s", error)
            return
        if word == "diverged":
            self._log.error("Audit: the book differs from the venue's and is thrown away")
        else:
            self._log.debug("Audit: %s", word)

    def _compare(self, body: bytes) -> str:
        end_s = self._settings.clock() + AUDIT_WAIT_S
        while (word := self._book.audit(body)) == "waiting" and self._settings.clock() < end_s:
            if self._stopped.is_set() or self._book.wait_snapshot_wanted(AUDIT_RETRY_MS):
                break
        return word

    def _fetch(self, url: str) -> bytes:
        settings = self._settings
        try:
            return fetch(url, waker=self._rest_waker, ca_file=settings.ca_file, timeout_s=settings.connect_timeout_s)
        except FetchError as error:
            known = self._known(error)
            self._bar(known.retry_after_s)
            raise known from None

    # Pauses, all of which a stop ends

    def _bar(self, wait_s: float) -> None:
        with self._lock:
            self._barred_until_s = max(self._barred_until_s, self._settings.clock() + wait_s)

    def _barred_s(self) -> float:
        return max(0.0, self._barred_until_s - self._settings.clock())

    def _spend(self, budget: Budget) -> bool:
        """Wait until venue, back-off and budget allow a use, and count it; False if the feed is stopped first."""
        told_s, tell = -math.inf, self._say if budget is self._connects else self._hinder
        while not self._stopped.is_set():
            wait_s, why = self._due(budget)
            if wait_s <= 0:
                return True
            wait_s, due_s = math.ceil(wait_s * 1e3) / 1e3, self._settings.clock() + wait_s
            if abs(due_s - told_s) > SLICE_MS / 1e3:
                tell(FeedState("waiting", why, wait_s))
                told_s = due_s
            self._settings.pause(self._stopped, min(wait_s, SLICE_MS / 1e3))  # a loss meanwhile may bring it forward
        return False

    def _due(self, budget: Budget) -> tuple[float, str]:
        now_s = self._settings.clock()
        with self._lock:
            connects = budget is self._connects
            held_s = self._next_connect_s - now_s if connects else 0.0
            if max(held_s, self._barred_until_s - now_s) > 0:
                return max(held_s, self._barred_until_s - now_s), (self._lost if connects else "") or LIMITED
            return budget.take(now_s), LIMITED

    def _say(self, state: FeedState) -> None:
        """Tell what a connection does."""
        if state.word in ("connected", "stopped"):
            self._log.info("Feed %s %s", state.word, state.detail)
        with self._telling:
            self._connection_state, self._hindered = state, False
            self._on_state(state)

    def _hinder(self, state: FeedState | None) -> None:
        """Tell what keeps the snapshots; None for nothing any more: what the connection does stands again."""
        with self._telling:
            told = state or (self._connection_state if self._hindered else None)
            self._hindered = state is not None
            if told is not None:
                self._on_state(told)

    def _tell_denials(self) -> None:
        with self._telling:  # or a refusal could be told behind the loss that came of it
            if (words := self._denials.take()) and not self._stopped.is_set():
                self._say(FeedState("denied", words))

    def _known(self, error: FetchError) -> FetchError:
        if error.status is None:
            return error
        advice, wait_s = self._venue.advice(error.status), max(error.retry_after_s, self._venue.ban_s(error.status))
        return FetchError(f"{error}. {advice}" if advice else str(error), error.status, wait_s)

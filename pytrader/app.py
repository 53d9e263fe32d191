"""The composition root: builds and owns every object and thread, starts them, and stops them in reverse."""

from __future__ import annotations

import logging
import logging.handlers
import secrets
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from pytrader import halt_file
from pytrader import journal as journals
from pytrader._core import Book, Desk, Simulator, Tape, format_e8
from pytrader.books import KeptBook
from pytrader.clock import Clock
from pytrader.dispatch import Dispatch
from pytrader.execution.simulated import SimulatedExecutor
from pytrader.feed import Feed, FeedSettings
from pytrader.lines import Market, line_of
from pytrader.loosening import LooserLimits, refused
from pytrader.opening import bps, recover, rules
from pytrader.outcomes import Outcomes
from pytrader.pacing import Backoff
from pytrader.recorder import Recorder
from pytrader.settings import SettingsError
from pytrader.trader import Trader
from pytrader.venues import VENUES, BinanceSbe, VenueError, spelled
from pytrader.watch import Named, Watcher, demand_instrument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from pytrader.dispatch import Outlet
    from pytrader.events import Event
    from pytrader.loosening import Looser
    from pytrader.settings import Settings
    from pytrader.venues.venue import Instrument, Venue

SWITCH_INTERVAL_S = 0.0001
JOIN_S = 3.0
LOG_BYTES = 10_000_000
LOG_FILES = 5
EXECUTIONS = frozenset({"simulated"})


class Worker(threading.Thread):
    """A named thread; if its body ends before it was asked to, however that comes, trading halts."""

    def __init__(self, name: str, part: Part, desk: Desk, log: logging.Logger) -> None:
        """Run `part` under `name`."""
        super().__init__(name=name)
        self._part, self._desk, self._log = part, desk, log
        self._asked = False

    def run(self) -> None:
        """Run the body; a panic of the Rust core is a BaseException and is caught too."""
        try:
            self._part.run()
        except BaseException:  # noqa: BLE001 - a thread's last words, whatever ended it
            self._log.exception("Thread %s failed", self.name)
        if not self._asked:
            self.mourn()

    def mourn(self) -> None:
        """Halt trading for the thread's death."""
        self._log.critical("Thread %s died; trading is halted", self.name)
        self._desk.halt("THREAD", f"the thread {self.name} has died")

    def expect_end(self) -> None:
        """Take an end of the body as asked for from now on: the stop of one part may end another's."""
        self._asked = True

    def end(self) -> bool:
        """Ask the body to end and wait up to 3 s; tell whether it did."""
        self.expect_end()
        self._part.stop()
        if self.is_alive():
            self.join(JOIN_S)
        return not self.is_alive()


class WatchWorker(Worker):
    """A thread of a watched book: its death is logged and shown with the book, and trading goes on."""

    def __init__(self, name: str, part: Part, desk: Desk, log: logging.Logger, kept: KeptBook) -> None:
        """Run `part` under `name` for the book `kept`."""
        super().__init__(name, part, desk, log)
        self._kept = kept

    def mourn(self) -> None:
        """Say that the thread died; no order depends on it."""
        self._log.critical("Thread %s died; it kept a watched book, and trading goes on", self.name)
        self._kept.died(self.name)


class App:
    """One running engine: feed, desk, journal, executor, clock. Use it in a `with` block."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        outlets: Sequence[Outlet] = (),
        show_top: Callable[[str], None] = lambda _: None,
        confirm: Callable[[Looser], bool] = refused,
    ) -> None:
        """Build everything for the journal in `folder`; `outlets` take committed events, `show_top` each second's line.

        `confirm` is asked if limits would allow more than at the last start, before anything runs or is journaled.
        Raises LooserLimits if it says no, JournalError if the journal cannot be used or belongs to something else,
        OSError or VenueError if the venue cannot be asked for its filters.
        """
        self.settings, self.folder = settings, folder
        self._workers: list[Worker] = []
        self.journal = journals.Journal.open(folder)  # before the log, which belongs to whoever has the journal
        try:
            self.log = _open_log(folder, settings.log_level)
            self._build(outlets, show_top, confirm)
        except BaseException:
            for worker in self._workers:
                worker.end()  # a recorder gives its folder back
            self.journal.close()
            _close_log(logging.getLogger(f"pytrader.{folder}"))
            raise

    def _build(
        self, outlets: Sequence[Outlet], show_top: Callable[[str], None], confirm: Callable[[Looser], bool]
    ) -> None:
        settings, log = self.settings, self.log
        settings.demand("execution", EXECUTIONS)
        venue = venue_of(settings)
        self.book = Book(venue.name, venue.symbol)
        kept_book = KeptBook(venue.name, venue.symbol, self.book, stale_after_ms=settings.stale_after_ms, traded=True)
        feed_settings = FeedSettings(ca_file=settings.ca_file)
        self.feed = Feed(venue, self.book, log=log, on_state=kept_book.told, settings=feed_settings)
        kept_book.instrument = instrument = demand_instrument(self.feed, venue)
        if not instrument.trading:
            log.warning(
                "%s does not take orders for %s now; fills here are simulated all the same", venue.name, venue.symbol
            )
        self.desk = Desk(self.book, rules(settings, instrument))
        seed = secrets.randbits(63) if settings.seed is None else settings.seed
        resting = self._take_up(seed, confirm)
        simulator = Simulator(
            self.book,
            self.desk,
            seed=seed,
            min_delay_ms=settings.delay_min_ms,
            max_delay_ms=settings.delay_max_ms,
            taker_fee_e8=bps(settings.taker_fee_bps_e8),
            maker_fee_e8=bps(settings.maker_fee_bps_e8),
        )
        self.executor = SimulatedExecutor(simulator, self.desk)
        self.executor.reconcile(resting)
        kept = Outcomes()
        market = Market(instrument.base, instrument.quote, format_e8(instrument.tick_e8))
        watched = self._watched(instrument)
        books = [kept_book, *(each.kept for each in watched)]
        self.trader = Trader(self.desk, self.book, kept, self.folder, market, kept_books=books)
        logger = LogOutlet(log, market)
        self.dispatch = Dispatch(self.desk, self.journal, self.executor, [kept, logger, *outlets], log)
        self.clock = Clock(
            self.desk,
            self.book,
            decimals=market.decimals,
            halt_file=self.folder / halt_file.NAME,
            show=show_top,
            log=log,
            kept=books,
        )
        parts: dict[str, Part] = {
            "journal": self.dispatch,
            "execution": self.executor,
            **self._recorder("recorder", kept_book, log),
            f"snapshot-{venue.name}": Body(self.feed.run_snapshots, self.feed.stop),
            f"feed-{venue.name}": self.feed,
            f"feed-{venue.name}-next": Body(self.feed.run_next, self.feed.stop),
        }
        self._workers = [Worker(name, part, self.desk, log) for name, part in parts.items()]
        for each in watched:
            self._workers += self._watch_workers(each)
        self._workers.append(Worker("clock", self.clock, self.desk, log))

    def _recorder(self, name: str, kept: KeptBook, log: logging.Logger | Named) -> dict[str, Part]:
        """Return a book's recorder, if one is asked for; it is started before the feed and stopped after it."""
        settings = self.settings
        if settings.record is None:
            return {}
        tape, max_bytes = Tape(), settings.record_max_mb * 1_000_000
        recorder = Recorder(tape, settings.record, venue=kept.venue, symbol=kept.symbol, max_bytes=max_bytes, log=log)
        kept.book.set_tape(tape)
        return {name: recorder}

    def _watched(self, traded: Instrument) -> list[Watched]:
        """Return the watched books of the traded pair, empty as yet; a wrong word in `watch` is a wrong setting."""
        settings = self.settings
        settings.demand("watch", VENUES)
        found = []
        for word in settings.watch:
            name, _, symbol = word.partition(":")
            pair = spelled(name, symbol or f"{traded.base}/{traded.quote}")
            venue, book = venue_of(settings, name, pair), Book(name, pair)
            kept = KeptBook(name, pair, book, stale_after_ms=settings.stale_after_ms)
            log = Named(self.log, {"venue": name})
            feed_settings = FeedSettings(ca_file=settings.ca_file)
            feed = Feed(venue, book, log=log, on_state=kept.told, settings=feed_settings)
            found.append(Watched(kept, Watcher(venue, feed, kept, log, Backoff(feed_settings.random)), log))
        return found

    def _watch_workers(self, watched: Watched) -> list[Worker]:
        kept, watcher, log = watched
        name = kept.venue
        parts: dict[str, Part] = {
            **self._recorder(f"recorder-{name}", kept, log),
            f"snapshot-{name}": Body(watcher.run_snapshots, watcher.stop),
            f"feed-{name}": watcher,
            f"feed-{name}-next": Body(watcher.run_next, watcher.stop),
        }
        return [WatchWorker(thread, part, self.desk, self.log, kept) for thread, part in parts.items()]

    def _take_up(self, seed: int, confirm: Callable[[Looser], bool]) -> list[int]:
        """Take up the journal, once looser limits are confirmed; return the orders that rest again."""
        settings = self.settings
        recover(self.desk, self.journal, (settings.execution, settings.venue, settings.venue_symbol))
        looser = self.desk.loosened()
        if looser and not confirm(looser):
            raise LooserLimits(looser)
        return self.desk.start(seed, bool(looser))

    def start(self) -> None:
        """Start every thread, or none: what has started is stopped if another one cannot be, or at Ctrl-C."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        try:
            self.clock.obey_halt_file()  # before the first order can come
            for worker in self._workers:
                worker.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> list[str]:
        """Stop every thread, last started first, and close the journal; return the names of those that did not end."""
        for worker in self._workers:
            worker.expect_end()
        late = [worker.name for worker in reversed(self._workers) if not _undisturbed(worker.end)]
        for name in late:
            self.log.error("Thread %s did not stop within %.0f s", name, JOIN_S)
        if not late:
            self.journal.close()
        _close_log(self.log)
        return late

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


class Part(Protocol):
    """What a thread runs."""

    def run(self) -> None:
        """Work until `stop`."""

    def stop(self) -> None:
        """Make `run` return; from any thread."""


class Body:
    """One more body of a part that has several: a feed has three."""

    def __init__(self, run: Callable[[], None], stop: Callable[[], None]) -> None:
        """Run `run` until `stop`."""
        self.run, self.stop = run, stop


class Watched(NamedTuple):
    """A watched book, who keeps it, and where that is told."""

    kept: KeptBook
    watcher: Watcher
    log: Named


def _undisturbed(end: Callable[[], bool]) -> bool:
    """End a part also while somebody presses Ctrl-C again: half a stop would leave threads and the lock behind."""
    while True:
        with suppress(KeyboardInterrupt, SystemExit):
            return end()


class LogOutlet:
    """Writes each committed event's line to the log."""

    def __init__(self, log: logging.Logger, market: Market) -> None:
        """Word events for `market`."""
        self._log, self._market = log, market

    def take(self, event: Event) -> None:
        """Log the event's line, if it has one."""
        text = line_of(event.kind, event.facts, self._market)
        if text is not None:
            self._log.info(text)


def venue_of(settings: Settings, name: str = "", symbol: str = "") -> Venue:
    """Return a venue's words for one symbol, at its public hosts or where the settings point; the traded one's as such.

    Raises SettingsError for a venue that is not known, or lacks the key that it needs.
    """
    name, symbol = name or settings.venue, symbol or settings.venue_symbol
    given = {"stream_base": settings.stream_url, "rest_base": settings.rest_url}
    bases = {name: base for name, base in given.items() if base is not None}
    if name != BinanceSbe.name:
        return VENUES[name](symbol, **bases)
    venue = BinanceSbe(symbol, **bases, api_key=settings.binance_sbe_api_key)
    try:
        venue.headers()
    except VenueError as error:
        raise SettingsError(f"binance_sbe_api_key: {error}") from None
    return venue


class LogFile(logging.handlers.RotatingFileHandler):
    """A log that a full disk may cut short: what stands on the screen must not be torn by complaints about it."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Lose the line."""

    def close(self) -> None:
        """Close, also when the rest cannot be written."""
        with suppress(OSError):
            super().close()


def _open_log(folder: Path, level: str) -> logging.Logger:
    """Return a logger of this folder's own: a file that only the owner reads, rotated at 10 MB."""
    path = folder / "pytrader.log"
    path.touch(mode=0o600)
    log = logging.getLogger(f"pytrader.{folder}")
    log.setLevel(level.upper())
    log.propagate = False
    file = LogFile(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    words = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    words.converter = time.gmtime
    file.setFormatter(words)
    log.addHandler(file)
    return log


def _close_log(log: logging.Logger) -> None:
    for handler in list(log.handlers):
        handler.close()
        log.removeHandler(handler)

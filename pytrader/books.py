"""Every book that is kept, side by side: best prices, age, state, counters, and the spread between venues.

A `KeptBook` is one of them; the feed's threads tell it what they do, the clock looks at its age, and whoever asks gets
a `BookRow`. Amounts are exact decimal texts; only `text` rounds, for the screen.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

from pytrader._core import format_e8
from pytrader.figures import NOTHING, duration, fixed, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytrader._core import Book, Top
    from pytrader.feed import FeedState
    from pytrader.venues.venue import Instrument

COUNTERS = (
    *("gaps", "duplicates", "resyncs", "crossed", "stale", "refused"),
    *("checksum_failures", "shallow", "audits", "divergences", "takeovers"),
)
_HEADS = {"checksum_failures": "checksums", "divergences": "diverged"}


@dataclass(frozen=True, slots=True)
class BookRow:
    """One book at one moment; prices in quote, sizes in base, None where there is none.

    `state` is live, stale, crossed, or the sync state of a book that is not live; `doubt` says why it is not.
    `feed` is what its connection does; `denied`, whether the venue refused some of what it asked for, trades perhaps.
    `dead` are the threads of it that died.
    """

    venue: str
    symbol: str
    base: str | None
    quote: str | None
    traded: bool
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    spread: str | None
    age_ns: int | None
    state: str
    doubt: str
    feed: str
    denied: bool
    dead: tuple[str, ...]
    decimals: int
    counters: Mapping[str, int]

    @property
    def is_live(self) -> bool:
        """Tell whether these prices can be compared: synchronised, fresh and uncrossed."""
        return self.state == "live"


@dataclass(frozen=True, slots=True)
class CrossSpread:
    """The highest bid minus the lowest ask of live books of one pair; above 0, one venue pays more than another asks.

    `bps` is in basis points of the middle between the two.
    """

    bid: str
    bid_venue: str
    ask: str
    ask_venue: str
    spread: str
    bps: str
    quote: str


@dataclass(frozen=True, slots=True)
class VenueTable:
    """All books, the traded one first, and the spread between venues: None without two live books of the pair."""

    books: tuple[BookRow, ...]
    cross: CrossSpread | None


class KeptBook:
    """One venue's book with what a reader should know of it. Any thread may read; each writer has its own field."""

    def __init__(self, venue: str, symbol: str, book: Book, *, stale_after_ms: int, traded: bool = False) -> None:
        """Take `book` as empty; `stale_after_ms` is the age at which it is stale."""
        self.venue, self.symbol, self.book, self.traded = venue, symbol, book, traded
        self.instrument: Instrument | None = None
        self.stale = 0  # times that the live book's age passed the bound
        self.dead: tuple[str, ...] = ()
        self._stale_after_ns = stale_after_ms * 1_000_000
        self._is_stale = False
        self._feed: FeedState | None = None

    def told(self, state: FeedState) -> None:
        """Take what the feed does now; on its threads."""
        self._feed = state

    def died(self, thread: str) -> None:
        """Take note of a thread of this book that died."""
        self.dead = (*self.dead, thread)

    def look(self) -> None:
        """Count the book if it has just become stale; for one thread, often."""
        was, self._is_stale = self._is_stale, self._old(self.book.top())
        self.stale += self._is_stale and not was

    def _old(self, top: Top) -> bool:
        return top.synced and top.age_ns >= self._stale_after_ns

    def counters(self) -> dict[str, int]:
        """Return the book's counters, and `stale`."""
        return {**self.book.counters(), "stale": self.stale}

    def row(self) -> BookRow:
        """Return the book at this moment."""
        top, known, feed = self.book.top(), self.instrument, self._feed
        has = bool(top.bid_e8 and top.ask_e8)
        amounts = [top.bid_e8, top.bid_size_e8, top.ask_e8, top.ask_size_e8, top.ask_e8 - top.bid_e8]
        bid, bid_size, ask, ask_size, spread = [format_e8(each) if has else None for each in amounts]
        state = self.state_of(top)
        counters = self.counters()
        return BookRow(
            venue=self.venue,
            symbol=self.symbol,
            base=None if known is None else known.base,
            quote=None if known is None else known.quote,
            traded=self.traded,
            bid=bid,
            bid_size=bid_size,
            ask=ask,
            ask_size=ask_size,
            spread=spread,
            age_ns=top.age_ns if has else None,
            state=state,
            doubt="" if top.synced else top.doubt,
            feed=_feed_words(feed),
            denied=feed is not None and feed.word == "denied",
            dead=self.dead,
            decimals=2 if known is None else _decimals(known.tick_e8),
            counters={name: counters[name] for name in COUNTERS},
        )

    def state_of(self, top: Top) -> str:
        """Return "live", "stale" or "crossed" (a missing side too) for a synchronised top, else how far it is."""
        if not top.synced:
            return top.sync
        if self._old(top):
            return "stale"
        return "live" if 0 < top.bid_e8 < top.ask_e8 else "crossed"


def _decimals(tick_e8: int) -> int:
    _, _, decimals = format_e8(tick_e8).partition(".")
    return len(decimals)


def _feed_words(state: FeedState | None) -> str:
    if state is None:
        return "starting"
    waits = f", {state.wait_s:.1f} s" if state.wait_s else ""
    return f"{state.word}{waits}{state.detail and f': {state.detail}'}"


def table(kept: Sequence[KeptBook]) -> VenueTable:
    """Return the table of the books; the first is the traded one, with which the others are compared."""
    rows = tuple(each.row() for each in kept)
    return VenueTable(rows, _cross(rows))


def _cross(rows: Sequence[BookRow]) -> CrossSpread | None:
    """Compare the live books of the traded pair; a price in another currency says nothing beside them."""
    pair = (rows[0].base, rows[0].quote) if rows else (None, None)
    live = [row for row in rows if row.is_live and (row.base, row.quote) == pair]
    if len(live) < 2:
        return None
    # Of equal prices those of two venues are named.
    high, low = max(product(live, live), key=lambda two: (_between(*two), two[0] is not two[1]))
    spread = _between(high, low)
    bps = fixed(str(20_000 * spread / (Decimal(high.bid or 0) + Decimal(low.ask or 0))))
    return CrossSpread(str(high.bid), high.venue, str(low.ask), low.venue, f"{spread:f}", bps, str(high.quote))


def _between(high: BookRow, low: BookRow) -> Decimal:
    return Decimal(high.bid or 0) - Decimal(low.ask or 0)


def to_data(found: VenueTable) -> dict[str, Any]:
    """Return the table as plain data; amounts are text, so that nothing is rounded."""
    return {
        "venues": [asdict(row) for row in found.books],
        "cross": None if found.cross is None else asdict(found.cross),
    }


def text(found: VenueTable) -> str:
    """Return the table for a screen: prices, counters, what is wrong, and the spread between venues."""
    heads = ["venue", "symbol", "bid size", "bid", "ask", "ask size", "spread", "age", "state"]
    lines = [*_aligned([heads, *map(_cells, found.books)], left={0, 1, 8}), ""]
    counted = ["", *(_HEADS.get(name, name) for name in COUNTERS)]
    lines += _aligned([counted, *([row.venue, *map(str, row.counters.values())] for row in found.books)], left={0})
    lines += ["", *(f"{row.venue}: {words}" for row in found.books for words in _troubles(row))]
    return "\n".join(map(printable, [*lines, *_cross_words(found)]))


def _cells(row: BookRow) -> list[str]:
    def price(amount: str | None) -> str:
        return fixed(amount, row.decimals)

    state = f"{row.state} ({row.doubt})" if row.doubt else row.state
    sizes = (row.bid_size or NOTHING, row.ask_size or NOTHING)
    prices = [sizes[0], price(row.bid), price(row.ask), sizes[1], price(row.spread)]
    return [row.venue, row.symbol, *prices, duration(row.age_ns), state]


def _troubles(row: BookRow) -> list[str]:
    """Return what keeps a book from being live, or lacks beside a live one, each in a line."""
    dead = [f"thread {name} died; the log says why" for name in row.dead]
    return dead + ([] if row.is_live and not row.denied else [row.feed])


def _cross_words(found: VenueTable) -> list[str]:
    other = [row for row in found.books[1:] if row.quote not in (None, found.books[0].quote)]
    lines = [f"{row.venue} {row.symbol} is priced in {row.quote} and not compared" for row in other]
    if (it := found.cross) is None:
        return [*lines, "Cross-venue spread: - (needs two live books of one pair)"]
    words = f"highest bid {it.bid} at {it.bid_venue}, lowest ask {it.ask} at {it.ask_venue}"
    return [*lines, f"Cross-venue spread: {it.spread} {it.quote} ({it.bps} bps): {words}"]


def _aligned(rows: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        [
            text.ljust(width) if index in left else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return ["  ".join(row).rstrip() for row in cells]

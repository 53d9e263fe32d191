"""The two kinds of book feeds: every change of the whole book, and a window of the best levels kept by the server."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pytrader.sandbox.book import Book, Ladder, Watch
from pytrader.sandbox.dialects.dialect import Feed, Message
from pytrader.sandbox.happenings import Levels
from pytrader.sandbox.market import Market


class Changes(NamedTuple):
    """All changes of the whole book between two publications."""

    first_id: int
    last_id: int
    bids: Levels
    asks: Levels


class WholeBookFeed(Feed):
    """Every changed level, with absolute sizes; update ids follow each other without a gap."""

    def __init__(self, market: Market, every_ns: int) -> None:
        """Watch the book of `market` while somebody listens."""
        super().__init__(market, every_ns)
        self._watch: Watch | None = None

    def start(self) -> None:
        """Watch from now on."""
        super().start()
        self._watch = Watch(self.market.book)

    def stop(self) -> None:
        """Watch no more."""
        super().stop()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def publish(self) -> Iterable[Message]:
        """Say what changed, if anything did."""
        assert self._watch is not None
        taken = self._watch.take()
        return () if taken is None else self.said(Changes(*taken))

    def said(self, changes: Changes) -> Iterable[Message]:
        """Return the exchange's words for the changes."""
        raise NotImplementedError


class Window:
    """The best levels of one side as clients know them."""

    def __init__(self, ladder: Ladder, count: int) -> None:
        """Know the best `count` levels of now."""
        self._ladder = ladder
        self._count = count
        self.levels: Sequence[tuple[int, int]] = ladder.top(count)

    def move(self) -> Levels:
        """Take over the best levels of now; return the changes, best first. A level that left the window has 0 lots."""
        before, self.levels = self.levels, self._ladder.top(self._count)
        known, now = dict(before), dict(self.levels)
        changed = [level for level in self.levels if known.get(level[0]) != level[1]]
        changed += [(tick, 0) for tick in known if tick not in now]
        return sorted(changed, reverse=self._ladder.sign > 0)


class WindowFeed(Feed):
    """The best levels, as one whole state a publication; `update_id` is the book's at the last one."""

    def __init__(self, market: Market, count: int, every_ns: int, quiet_ns: int | None = None) -> None:
        """Publish the best `count` levels of each side; `quiet_ns` is how long it says nothing when nothing changes."""
        super().__init__(market, every_ns)
        self.count = count
        self.update_id = 0
        self.bids = Window(market.book.bids, 0)
        self.asks = Window(market.book.asks, 0)
        self._quiet_ns = quiet_ns
        self._said_ns = 0

    def start(self) -> None:
        """Know the window of now, and begin a quiet time."""
        super().start()
        book = self.market.book
        self.update_id, self._said_ns = book.update_id, self.market.now_ns
        self.bids, self.asks = Window(book.bids, self.count), Window(book.asks, self.count)

    def publish(self) -> Iterable[Message]:
        """Say what changed within the window, or, after the quiet time, that nothing did."""
        before_id, now_id = self.update_id, self.market.book.update_id
        if now_id != before_id and any(moved := (self.bids.move(), self.asks.move())):
            self.update_id, self._said_ns = now_id, self.market.now_ns
            return self.said(before_id, *moved)
        if self._quiet_ns is None or self.market.now_ns - self._said_ns < self._quiet_ns:
            return ()
        self._said_ns = self.market.now_ns
        return self.quiet()

    def said(self, before_id: int, bids: Levels, asks: Levels) -> Iterable[Message]:
        """Return the exchange's words for the changes since `before_id`."""
        raise NotImplementedError

    def quiet(self) -> Iterable[Message]:
        """Return the exchange's words for a quiet time that is over."""
        return ()

    def shown(self, count: int) -> tuple[int, Levels, Levels]:
        """Return the state as last published: update id, and the best `count` levels of each side."""
        return self.update_id, self.bids.levels[:count], self.asks.levels[:count]


def shown(book: Book, count: int) -> tuple[int, Levels, Levels]:
    """Return the state of a book: update id, and the best `count` levels of each side."""
    return book.update_id, book.bids.top(count), book.asks.top(count)

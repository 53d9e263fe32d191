"""The two kinds of book feeds: every change of the whole book, and a window of the best levels kept by the server."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pytrader.sandbox.book import Book, Ladder, Watch
from pytrader.sandbox.dialects.dialect import Feed, Message
from pytrader.sandbox.happenings import Levels


class Changes(NamedTuple):
    """All changes of the whole book between two publications."""

    first_id: int
    last_id: int
    bids: Levels
    asks: Levels


class WholeBookFeed(Feed):
    """Every changed level, with absolute sizes; update ids follow each other without a gap."""

    def __init__(self, book: Book, every_ns: int) -> None:
        """Watch `book` while somebody listens."""
        super().__init__(every_ns)
        self.book = book
        self._watch: Watch | None = None

    def start(self) -> None:
        """Watch from now on."""
        super().start()
        self._watch = Watch(self.book)

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

    def __init__(self, book: Book, count: int, every_ns: int) -> None:
        """Publish the best `count` levels of each side."""
        super().__init__(every_ns)
        self.book = book
        self.count = count
        self.update_id = 0
        self.bids = Window(book.bids, 0)
        self.asks = Window(book.asks, 0)

    def start(self) -> None:
        """Know the window of now."""
        super().start()
        self.update_id = self.book.update_id
        self.bids, self.asks = Window(self.book.bids, self.count), Window(self.book.asks, self.count)

    def publish(self) -> Iterable[Message]:
        """Say what changed within the window, if anything did."""
        if self.book.update_id == self.update_id:
            return self.quiet()
        before, bids, asks = self.update_id, self.bids.move(), self.asks.move()
        if not bids and not asks:
            return self.quiet()
        self.update_id = self.book.update_id
        return self.said(before, bids, asks)

    def said(self, before_id: int, bids: Levels, asks: Levels) -> Iterable[Message]:
        """Return the exchange's words for the changes since `before_id`."""
        raise NotImplementedError

    def quiet(self) -> Iterable[Message]:
        """Return what the exchange says although nothing changed."""
        return ()

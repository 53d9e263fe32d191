"""The clock thread: the line of each second, the mark ten times a second, the HALT file, and which book is stale."""

from __future__ import annotations

from threading import Event as Flag
from typing import TYPE_CHECKING

import orjson

from pytrader import halt_file
from pytrader._core import EngineFault, format_fixed
from pytrader.figures import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from logging import Logger
    from pathlib import Path

    from pytrader._core import Book, Desk, Top
    from pytrader.books import KeptBook

TICK_S = 0.05
MARK_EVERY = 2
LINE_EVERY = 20


def top_line(top: Top, decimals: int, state: str = "live") -> str:
    """Return the line of each second; a book that cannot be trusted, by itself or by its `state`, says so instead."""
    if not top.synced:
        return f"Book not synchronised ({top.sync}{top.doubt and f': {top.doubt}'}): no prices"
    if state == "stale":
        return f"Book stale (the last news is {duration(top.age_ns)} old): no prices"
    if not 0 < top.bid_e8 < top.ask_e8:
        return "Book crossed or one-sided: no prices"
    bid, ask = format_fixed(top.bid_e8, decimals), format_fixed(top.ask_e8, decimals)
    return f"Best Bid: {bid} | Best Ask: {ask}"


class Clock:
    """Ticks every 50 ms until it is stopped."""

    def __init__(
        self,
        desk: Desk,
        book: Book,
        *,
        decimals: int,
        halt_file: Path,
        show: Callable[[str], None],
        log: Logger,
        kept: Sequence[KeptBook] = (),
    ) -> None:
        """Mark `desk`; tell the top of `book` each second to `show` and `log`; halt while `halt_file` exists.

        At each tick every book of `kept` is looked at, whether it has become stale; the first of them is `book`.
        """
        self._kept = kept
        self._desk, self._book, self._decimals = desk, book, decimals
        self._halt_file, self._show, self._log = halt_file, show, log
        self._stopped = Flag()
        self._file_seen = False

    def run(self) -> None:
        """Tick until `stop`; the body of a thread."""
        tick = 0
        while not self._stopped.wait(TICK_S):
            tick += 1
            self.obey_halt_file()
            for book in self._kept:
                book.look()
            if tick % MARK_EVERY == 0:
                self._desk.mark()
            if tick % LINE_EVERY == 0:
                self._tell()

    def stop(self) -> None:
        """Make `run` return."""
        self._stopped.set()

    def _tell(self) -> None:
        top = self._book.top()
        line = top_line(top, self._decimals, self._kept[0].state_of(top) if self._kept else "live")
        self._log.info(line)
        self._show(line)

    def obey_halt_file(self) -> None:
        """Halt trading when the HALT file appears, with the reason that stands in it.

        While it is there, whatever lets trading go on is undone: a `resume` that found no file may come after it.
        """
        there = self._halt_file.exists()
        if there and not (self._file_seen and self._is_halted()):
            reason = halt_file.reason_of(self._halt_file)
            self._desk.halt("OPERATOR", f"the file {self._halt_file} exists{reason and f': {reason}'}")
        self._file_seen = there

    def _is_halted(self) -> bool:
        try:
            return orjson.loads(self._desk.status())["halted"] is not None
        except EngineFault:  # refuses every order as it is
            return True

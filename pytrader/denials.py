"""What a venue refused of what its connections asked for, in its words: told each time, logged once a wording."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

    from pytrader._core import Book

LOGGED_MAX = 64  # a venue that words each refusal anew could fill a disk


class Denials:
    """The refusals that a book's connections got. One thread at a time may ask."""

    def __init__(self, book: Book, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        """Begin with the next refusal."""
        self._book, self._log = book, log
        self._known, _ = book.denials()
        self._logged: set[str] = set()

    def take(self) -> str:
        """Return what was refused since the last call, each wording once, and log the new ones; "" for nothing."""
        self._known, words = self._book.denials(self._known)
        distinct = dict.fromkeys(words)
        for each in distinct:
            if each not in self._logged and len(self._logged) < LOGGED_MAX:
                self._logged.add(each)
                self._log.warning("The venue refused: %s", each)
        return "; ".join(distinct)

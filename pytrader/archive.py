"""What a journal says without an engine: read-only, also beside a running one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pytrader._core import Book, Desk
from pytrader.journal import JournalError, JournalView
from pytrader.lines import Market
from pytrader.opening import recover, rules
from pytrader.status import Snapshot, snapshot
from pytrader.venues import Instrument

if TYPE_CHECKING:
    from pathlib import Path

    from pytrader.settings import Settings


_UNKNOWN = Instrument("", "", "", 1, 1, 1, 1, 1, trading=False)


def snapshot_of(folder: Path, settings: Settings) -> Snapshot:
    """Return the page that the journal in `folder` gives. Raises JournalError if there is none or it is damaged."""
    book = Book(settings.venue, settings.venue_symbol)
    # Limits and filters come with the journal's own start events; these hold only until the first of them.
    desk = Desk(book, rules(settings, _UNKNOWN))
    view = JournalView.open(folder)
    try:
        recover(desk, view)
    finally:
        view.close()
    page = desk.status()
    known = orjson.loads(page)
    if known["profile"] is None:
        raise JournalError(f"journal {folder}: it holds nothing yet; `demo` and `run` begin one")
    return snapshot(
        page,
        book.top(),
        book.frame_latency(),
        book.counters(),
        last_reject=known["last_refusal"],
        price_decimals=Market("", "", known["instrument"]["tick"]).decimals,
    )

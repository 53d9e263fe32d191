"""The prompt and the bottom toolbar: fragments made from a ready snapshot, no thought and no waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.styles import Style

from pytrader.figures import duration, fixed, printable, signed
from pytrader.status import stops

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from pytrader.status import Snapshot

STYLE = Style.from_dict(
    {
        "mode": "bold",
        "stop": "bg:ansired fg:ansiwhite bold noreverse",
        "refusal": "fg:ansired bold",
        "filled": "fg:ansigreen",
    }
)


def prompt(it: Snapshot | None) -> StyleAndTextTuples:
    """Return the words before the cursor: the mode and the venue."""
    return [("class:mode", f"{it.mode} {it.profile.venue}> " if it else "> ")]


def toolbar(it: Snapshot | None, verdict: str | None = None) -> StyleAndTextTuples:
    """Return mode, top of book, age or sync, position and day's profit; below them a stop in red, and the `verdict`.

    `verdict` is the refusal that the typed order would get now.
    """
    fragments: StyleAndTextTuples = [("", " starting")] if it is None else [*_facts(it), *_stops(it)]
    if verdict:
        fragments += [("", "\n"), ("class:stop", f" {printable(verdict)} ")]
    return fragments


def _facts(it: Snapshot) -> StyleAndTextTuples:
    top, decimals, quote = it.top, it.price_decimals, it.profile.quote
    price = f"{fixed(top.bid, decimals)} / {fixed(top.ask, decimals)}"
    sync = duration(top.age_ns) if top.synced else top.sync.upper()
    pnl = "-" if it.day.pnl is None else signed(it.day.pnl, 2)
    cells = [it.profile.symbol, price, sync, f"{signed(it.position)} {it.profile.base}"]
    return [("class:mode", f" {it.mode} "), ("", " | ".join([*cells, f"day {pnl} {quote}"]))]


def _stops(it: Snapshot) -> StyleAndTextTuples:
    found = stops(it)
    return [("", "\n"), ("class:stop", f" {printable(found[0])} ")] if found else []

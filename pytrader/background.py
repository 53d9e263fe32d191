"""The whole program in the background of another one."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytrader.app import App
from pytrader.loosening import confirmed, refused
from pytrader.sandbox.process import OfflineMarket
from pytrader.settings import load
from pytrader.terminal import offline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrader.trader import Trader


@contextmanager
def start(*, demo: bool = False, loosen: bool = False, **settings: str) -> Iterator[Trader]:
    """Run feed, desk, journal and executor in threads; give a trader; stop everything at the end.

    `demo` trades on the offline market with a journal that is thrown away; otherwise the market is live and the
    journal is the terminal's. `settings` are texts by name, as in `.env`: `max_position="2"`. Limits that allow more
    than at the journal's last start raise `pytrader.loosening.LooserLimits`, a ValueError, unless `loosen` confirms it.

    >>> import pytrader
    >>> with pytrader.start(demo=True, seed="7") as trader:
    ...     _ = trader.wait_synced()
    ...     ticket = trader.buy("0.25")
    ...     [event.kind for event in ticket.wait_over()]
    ['accepted', 'released', 'filled']
    """
    chosen = load(settings)
    with ExitStack() as stack:
        folder = chosen.folder()
        if demo:
            chosen = offline(chosen, stack.enter_context(OfflineMarket.start(chosen.market_seed, chosen.scenario)))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pytrader-"))) / "demo"
        app = stack.enter_context(App(chosen, folder, confirm=confirmed if loosen else refused))
        yield app.trader

"""A scripted trading session, typed as a person would: what `pytrader demo --auto` shows."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pytrader._core import format_e8, format_fixed
from pytrader.orders import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from pytrader._core import Top
    from pytrader.pipe import Pipe
    from pytrader.trader import Trader

E8 = 10**8
STEP_E8 = 1_000
LARGEST_E8 = 18 * E8 // 10
PARTIAL_S, LOOK_S, TRY_S = 8.0, 0.01, 0.2
FLIP_TRIES = 5
QUIET_S = 1.05


class Script:
    """Types commands into a pipe, each shown before its answer."""

    def __init__(self, trader: Trader, pipe: Pipe, out: TextIO) -> None:
        """Trade with `trader` through `pipe`; show what is typed on `out`."""
        self._trader, self._pipe, self._out = trader, pipe, out

    def run(self, folder: Path) -> None:
        """Run the whole session; CSV files go to `folder`."""
        for scene in (self._fills, self._partial, self._flip, self._refusals, self._rate):
            scene()
            self._trader.pause(QUIET_S)  # an idle second, so that no scene uses up the next one's orders
        self._reports(folder)
        self._type("flatten")
        self._type("status")

    def _fills(self) -> None:
        self._say("Orders at the market, and one at a limit that rests")
        self._type("buy 0.25")
        self._type('{"side": "buy", "quantity": 0.1}')
        bid = self._trader.top().bid_e8 - 500 * E8
        self._type(f"buy 0.05 @ {format_fixed(bid, self._trader.market.decimals)}")
        self._type("cancel all")
        self._trader.wait_closed(2.0)
        self._type("orders 3")

    def _partial(self) -> None:
        """Ask for more than the best price holds, at that price only, until the market fills a part of it."""
        self._say("More than the best price holds: a partial fill, the rest cancelled")
        for top in self._tops():
            quantity = min(2 * top.ask_size_e8 + E8 // 2, LARGEST_E8) // STEP_E8 * STEP_E8
            price = format_fixed(top.ask_e8, self._trader.market.decimals)
            before = self._trader.position_e8()
            self._type(f"buy {format_e8(quantity)} @ {price} ioc")
            if 0 < self._trader.position_e8() - before < quantity:
                return

    def _tops(self) -> Iterator[Top]:
        """Look for a best ask that one order can empty; the market may move before the order arrives, so try again."""
        deadline = monotonic() + PARTIAL_S
        while monotonic() < deadline:
            self._trader.pause(LOOK_S)
            top = self._trader.top()
            if top.synced and 0 < top.ask_size_e8 < 16 * E8 // 10:
                yield top
                self._trader.pause(TRY_S)

    def _flip(self) -> None:
        self._say("Selling more than is held turns the position over")
        for _ in range(FLIP_TRIES):
            if (held := self._trader.position_e8()) <= 0:
                return
            self._type(f"sell {format_e8(min(held + 4 * E8 // 10, LARGEST_E8))}")

    def _refusals(self) -> None:
        self._say("Orders that the limits refuse")
        self._type("buy 100")
        self._type("sell 1.8")
        self._type("sell 1.8")
        self._type("sell 1.8")

    def _rate(self) -> None:
        self._say("Six orders within a second: the sixth is refused")
        for _ in range(6):
            self._type("buy 0.01")

    def _reports(self, folder: Path) -> None:
        self._say("What the session left behind")
        self._type("fills 5")
        self._type("latency")
        self._type(f'csv fills "{folder / "fills.csv"}" force')
        self._type(f'csv rejects "{folder / "rejects.csv"}" force')

    def _say(self, text: str) -> None:
        self._out.write(f"\n# {text}\n")

    def _type(self, line: str) -> None:
        self._out.write(f"> {line}\n")
        self._out.flush()
        self._pipe.execute(parse(line))

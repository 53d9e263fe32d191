"""pytrader: a fast, exact trading terminal and engine for BTC/USDT.

A book and a desk on a clock of your own, with the terminal's rules and events:

>>> import pytrader
>>> paper = pytrader.PaperDesk(seed=7)
>>> levels = '"b":[["26795.40","2"]],"a":[["26795.80","0.2"],["26796.10","3"]]'
>>> paper.frame(b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":8,"u":9,%s}' % levels.encode())
'buffered'
>>> paper.snapshot(b'{"lastUpdateId":7,"bids":[["26795.40","1"]],"asks":[["26795.80","1"]]}')
'bridged'
>>> paper.submit("buy 0.25").accepted
True
>>> [event.kind for event in paper.advance(0.1)]
['filled']
>>> paper.submit("buy 10").reason
'Order rejected: Notional exceeds $50,000 limit; position would be 10.25 BTC, limit 5 BTC.'
>>> paper.status()["position"], paper.status()["entry"]
('0.25', '26795.86')

The whole program in the background is `pytrader.start`; see its help.
"""

from pytrader._core import Book, Desk, Simulator, Top, Verdict, format_e8, format_fixed, parse_e8
from pytrader.events import Event
from pytrader.grammar import Order
from pytrader.orders import CommandError, parse
from pytrader.paper import PaperDesk
from pytrader.trader import Ticket, Trader

__version__ = "0.1.0"

__all__ = [
    "Book",
    "CommandError",
    "Desk",
    "Event",
    "Order",
    "PaperDesk",
    "Simulator",
    "Ticket",
    "Top",
    "Trader",
    "Verdict",
    "format_e8",
    "format_fixed",
    "parse",
    "parse_e8",
    "start",
]


def __getattr__(name: str) -> object:
    """Import `start` only when it is asked for: it brings in every part of the program."""
    if name == "start":
        from pytrader.background import start  # noqa: PLC0415 - see above

        return start
    raise AttributeError(f"module 'pytrader' has no attribute {name!r}")

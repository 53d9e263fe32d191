"""The whole engine on the offline market while one fault after another happens, and an order loop that must be held."""

import gc
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sandbox_clients import control
from venue_server import until

from pytrader._core import parse_e8
from pytrader.app import App
from pytrader.settings import load

SIZE_E8 = parse_e8("0.001")
ORDER_EVERY_S = 0.8  # refusals in a row would halt at 20 in 10 s


class Row(NamedTuple):
    """One row of the catalogue: the fault, how long, which way, and whether the book is lost or only old."""

    kind: str
    seconds: float = 1.0
    way: str = ""
    loses: str = "book"  # "book": unsynced; "time": stale; "": nothing


ROWS = {
    "N3": [Row("429", 1.0, "429")],
    "N5": [Row("cut", 0.1, way) for way in ("rst", "fin", "1000", "1001", "1008", "1011", "1012")],
    "N6": [Row("halfopen", 6.5, loses="time")],
    "N7, N8": [Row("silent", 2.3, loses="time")],
    "N10": [Row("slowloris", 6.0, loses="time")],
    "N11": [Row("oversize", 1.0, "2^40"), Row("oversize", 1.0, "2^25")],
    "N12": [Row("fragment", 0.5, loses="")],
    "N13": [Row("stall", 2.3, loses="time")],
    "N15": [Row("shutdown", 1.0, loses="")],
    "D1": [Row("badutf8"), Row("badjson")],
    "D4": [Row("drop"), Row("gap", 1.0, "5"), Row("dup", 0.4, loses=""), Row("reorder")],
    "D6": [Row("crossed")],
}


@dataclass
class Gate:
    """What the order loop saw: every 1 ms the risk check is asked, and now and then an order is sent."""

    app: App
    stale_ns: int
    oldest_ns: int = 0  # age of the book at which an order was still allowed
    leaked: list = field(default_factory=list)  # allowed although the book was not to be trusted
    unnamed: list = field(default_factory=list)  # refused over such a book without a BOOK_ code
    shut: int = 0  # looks that found the gate shut
    why: tuple = ()  # at the first of them
    open: bool = False
    looks: int = 0
    unsynced: int = 0

    def look(self, send):
        """Ask once; `send` says whether a real order is sent."""
        before = self.app.book.top(time.monotonic_ns())
        ask = self.app.desk.submit if send else self.app.desk.check
        verdict = ask("buy" if self.looks % 2 else "sell", SIZE_E8)
        after = self.app.book.top(time.monotonic_ns())
        doubtful = not before.synced and not after.synced and before.doubt == after.doubt
        if verdict.accepted:
            # Of a frame that came meanwhile nobody knows whether it came before the verdict.
            age_ns = before.age_ns if after.age_ns >= before.age_ns else 0
            self.oldest_ns = max(self.oldest_ns, age_ns)
            if doubtful or age_ns > self.stale_ns:
                self.leaked.append((before.sync, before.doubt, before.age_ns))
        elif doubtful and not any(code.startswith("BOOK_") for code in verdict.codes):
            self.unnamed.append(verdict.codes)
        self.open = not any(code.startswith("BOOK_") for code in verdict.codes)
        if not self.open and not self.shut:
            self.why = (verdict.codes, after.sync, after.doubt, before.age_ns / 1e6)
        self.shut += not self.open
        self.unsynced += not after.synced
        self.looks += 1


class Rig:
    """An engine, its order loop, and the faults."""

    def __init__(self, market, folder, **settings):
        """Build the engine of one folder."""
        bases = {"stream_url": market.ws_url, "rest_url": market.rest_url, "seed": "1"}
        self.market, self.app = market, App(load({**bases, **settings}, {}, None), folder)
        self.gate, self._done = Gate(self.app, self.app.settings.stale_after_ms * 10**6), threading.Event()
        self._thread = threading.Thread(target=self._trade, name="orders")

    def __enter__(self):
        """Start, and wait for the first order that may go."""
        self.app.start()
        assert self.app.trader.wait_synced()
        self._thread.start()
        until(lambda: self.gate.open, "the gate to open")
        return self

    def __exit__(self, *_):
        """Stop."""
        self._done.set()
        self._thread.join(5)
        assert self.app.stop() == []

    def _trade(self):
        last_s = 0.0
        while not self._done.wait(0.001):
            now_s = time.monotonic()
            self.gate.look(send := now_s - last_s >= ORDER_EVERY_S)
            last_s = now_s if send else last_s

    def meet(self, row):
        """Let the fault happen, and return how long after its end the gate opened again, seconds."""
        gate = self.gate
        until(lambda: gate.open, "the gate before the fault", 15)
        gate.shut = gate.unsynced = 0
        asked = {"chaos": row.kind, "chaos_s": row.seconds} | ({"chaos_way": row.way} if row.way else {})
        control(self.market, **asked)
        began_s = time.monotonic()
        if not row.loses:
            time.sleep(row.seconds + 0.3)
            assert (gate.shut, gate.unsynced) == (0, 0), (row, gate.why)
            return 0.0
        until(lambda: gate.shut, f"the gate to shut at {row}", 5)
        shut_s = time.monotonic()
        lasts = row.loses == "time" or row.kind == "429"
        until(lambda: gate.open, f"the gate to open after {row}", row.seconds + 15)
        ended_s = began_s + row.seconds if lasts else shut_s
        return max(0.0, time.monotonic() - ended_s)

    def proved(self):
        """Fail unless the gate held."""
        assert not self.gate.leaked, self.gate.leaked
        assert not self.gate.unnamed, self.gate.unnamed
        assert self.gate.oldest_ns <= self.gate.stale_ns, self.gate.oldest_ns


def cuts(rig, count):
    """Cut the connection so often, each time once it is live again."""
    for _ in range(count):
        rig.meet(Row("cut", 0.01, "rst"))


def held():
    """Return how many threads and descriptors this process holds."""
    gc.collect()
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def resident_kb():
    """Return the memory that this process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4

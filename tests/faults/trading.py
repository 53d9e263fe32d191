"""Trades on one engine while the n-th file operation under its journal fails, heals the disk, and trades on."""

import json
import os
import shutil
import sys
from pathlib import Path
from time import monotonic, sleep

from failing import Disk

from pytrader import dispatch
from pytrader.app import App
from pytrader.settings import load

PLACES = range(1, 21)  # which operations fail, counted from the order that meets them
ORDERS = 4  # of each place, more than enough to reach it
CHECKPOINT_PAGES = 6
PACE_S = 0.025  # 40 orders a second at most
LONGEST_S = 20
LIMITS = {"max_orders_per_second": "50", "delay_min_ms": "1", "delay_max_ms": "2", "seed": "1"}


class Told:
    """Says what it is told at once, and keeps the newest number."""

    def __init__(self):
        """Nothing has been told yet."""
        self.seq = 0

    def take(self, event):
        self.seq = event.seq
        os.write(1, json.dumps({"told": event.seq, "kind": event.kind}).encode() + b"\n")


def eventually(ready, what):
    """Wait until something is so that no event tells of."""
    deadline = monotonic() + LONGEST_S
    while not ready():
        assert monotonic() < deadline, what
        sleep(0.002)


class Trial:
    """One engine on one bad disk."""

    def __init__(self, app, told, disk, code, on):
        """Begin healthy."""
        self.app, self.told, self.disk = app, told, disk
        self.code, self.on = code, on
        self.trader = app.trader
        self.sides = 0

    def order(self):
        """Send the next order; the position stays small."""
        self.trader.pause(PACE_S)
        self.sides += 1
        return (self.trader.buy if self.sides % 2 else self.trader.sell)("0.001")

    def halted(self):
        return self.trader.status()["halted"]

    def at(self, place):
        """Fail operation `place`; return what was seen of it, None if it hurt nobody."""
        self.disk.fail(place, self.code, self.on)
        for _ in range(ORDERS):
            ticket = self.order()
            assert ticket.accepted or self.halted(), ticket.verdict.reason
            eventually(
                lambda ticket=ticket: self.halted() or ticket.wait_over(0.005), "an order neither ends nor halts"
            )
            if self.halted():
                break
        seen = self.meanwhile(place) if self.on and self.halted() else None
        self.disk.heal()
        eventually(lambda: self.trader.status()["permit"]["journal"], "the journal does not recover")
        if not self.halted():
            return None
        again = self.afterwards()
        return {"place": place, "halted": again, **(seen or {})}

    def meanwhile(self, place):
        """While the disk fails, orders are refused by name and nobody is told of anything."""
        eventually(lambda: not self.trader.status()["permit"]["journal"], "the desk thinks that the journal works")
        verdict = self.order().verdict
        before = self.told.seq
        sleep(4 * dispatch.RETRY_S)
        assert self.told.seq == before, "somebody was told of what is not saved"
        kept = self.app.folder / f"kept-{place}"
        kept.mkdir()
        for suffix in ("", "-wal"):
            shutil.copyfile(self.app.folder / f"journal.sqlite3{suffix}", kept / f"kept{suffix}")
        return {"codes": verdict.codes, "reason": verdict.reason, "told_by_then": before}

    def afterwards(self):
        """Healed, the engine stays halted until a person resumes; return why it was."""
        why = self.halted()
        verdict = self.order().verdict
        assert verdict.codes == ["HALTED"], verdict.codes
        assert self.trader.resume() == "Trading goes on."
        ticket = self.order()
        assert ticket.accepted, ticket.verdict.reason
        assert ticket.wait_over(LONGEST_S)[-1].kind == "filled"
        return why


def main(settings, folder, disk, code, on):
    """Try every place in turn."""
    told = Told()
    with App(settings, folder, outlets=[told]) as app:
        app.journal._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        assert app.trader.wait_synced()
        trial = Trial(app, told, disk, code, on)
        for place in PLACES:
            if (seen := trial.at(place)) is not None:
                os.write(1, json.dumps(seen).encode() + b"\n")


if __name__ == "__main__":
    dispatch.RETRY_S = 0.02
    stream, rest, folder, disk, code, mode = sys.argv[1:]
    chosen = load({"stream_url": stream, "rest_url": rest, **LIMITS}, {}, None)
    main(chosen, Path(folder), Disk(Path(disk)), int(code), mode == "on")

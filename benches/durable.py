"""What durable costs: events in group commits, and one order alone from its submit until a person may be told.

The journal is a real one, in a folder of the temporary files; its disk is the machine's.
"""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

import calls
import frames
from figure import Figure, Goal

from pytrader.dispatch import BATCH, Dispatch
from pytrader.journal import Journal
from pytrader.paper import PaperDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytrader._core import Desk
    from pytrader.events import Event

GROUPS, GROUP_ROUNDS = 12, 5
ORDERS, ORDER_ROUNDS = 100, 5
PAUSE_S = 0.025  # 40 orders a second: fewer than the compiled cap, and each finds journal and disk at rest
TOLD_S = 10

NAMES = GROUP, ALONE, DISK = (
    "journal, Python: an event of a group commit of 4,096",
    "journal, Python: one order alone, submit to durable",
    "journal, the disk alone: write and sync of 4 KiB",
)


def figures(wanted: Callable[[str], bool]) -> list[Figure]:
    """Measure what is wanted."""
    rows = [
        (Figure(GROUP, Goal(20_000)), GROUP_ROUNDS, _groups),
        (Figure(ALONE, Goal(None, 2_000_000)), ORDER_ROUNDS, _alone),
        (Figure(DISK), ORDER_ROUNDS, _syncs),
    ]
    chosen = [row for row in rows if wanted(row[0].name)]
    for turn in range(max(GROUP_ROUNDS, ORDER_ROUNDS)):
        for figure, rounds, run in chosen:
            if turn < rounds:
                with tempfile.TemporaryDirectory() as folder:
                    figure.add(run(Path(folder)))
    return [figure for figure, _, _ in chosen]


def _bodies() -> list[bytes]:
    """Return the events of some orders, from their decision to their fill."""
    paper = PaperDesk()
    paper.snapshot(frames.snapshot())
    paper.frame(frames.depths(1, 20)[0])
    for order in ("buy 0.01", "sell 0.01"):
        assert paper.submit(order).accepted
        paper.advance(0.3)
    return [body for *_, body in paper.journal]


def _groups(folder: Path) -> Sequence[float]:
    bodies, seqs, spent = itertools.cycle(_bodies()), itertools.count(1), []
    with closing(Journal.open(folder)) as journal:
        for _ in range(GROUPS):
            rows = [(next(seqs), 1, 1, next(bodies)) for _ in range(BATCH)]
            start = perf_counter_ns()
            journal.append(rows)
            spent.append((perf_counter_ns() - start) / BATCH)
    return spent


def _syncs(folder: Path) -> Sequence[float]:
    spent = []
    with (folder / "alone").open("wb", buffering=0) as file:
        for _ in range(ORDERS):
            time.sleep(PAUSE_S)
            start = perf_counter_ns()
            file.write(bytes(4_096))
            os.fdatasync(file.fileno())
            spent.append(perf_counter_ns() - start)
    return spent


class _Nobody:
    """Executes nothing: what is timed ends before."""

    def submit(self, order_id: int) -> None:
        pass

    def cancel(self, order_id: int) -> None:
        pass

    def reconcile(self, resting: Sequence[int]) -> None:
        pass

    def run(self) -> None:
        pass

    def stop(self) -> None:
        pass


class _Ear:
    """Notes when it is told that an order is durable."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.at_ns = 0

    def take(self, event: Event) -> None:
        if event.kind == "accepted":
            self.at_ns = perf_counter_ns()
            self.told.set()


def _alone(folder: Path) -> Sequence[float]:
    desk, ear = calls.desk(), _Ear()
    with closing(Journal.open(folder)) as journal:
        dispatch = Dispatch(desk, journal, _Nobody(), [ear], logging.getLogger("bench"))
        thread = threading.Thread(target=dispatch.run)
        thread.start()
        spent = [_order(desk, ear) for _ in range(ORDERS)]
        dispatch.stop()
        thread.join()
    return spent


def _order(desk: Desk, ear: _Ear) -> float:
    time.sleep(PAUSE_S)
    ear.told.clear()
    start = perf_counter_ns()
    verdict = desk.submit("buy", calls.SMALL_E8)
    assert verdict.accepted, verdict.reason
    assert ear.told.wait(TOLD_S)
    return ear.at_ns - start

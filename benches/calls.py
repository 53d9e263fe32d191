"""What calls from Python cost: frames into a book, verdicts and orders, and the same frames by peers.

Each call is timed by itself with `perf_counter_ns`. What the clock costs is printed by `bench.py` and not subtracted.
"""

from __future__ import annotations

import threading
import time
from time import perf_counter_ns
from typing import TYPE_CHECKING

import frames
import orjson
from figure import Figure, Goal, interleave

from pytrader._core import Book, Desk
from pytrader.paper import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 25
TICKERS, DEPTHS, CHECKS = 2_000, 500, 2_000
ORDERS = 50  # a round, on a desk of its own: what the compiled caps let through in one second
PAUSE_S = 0.0005  # long enough for the journal's thread to be asleep again
SUBMIT_ROUNDS = 20
E8 = 10**8
BUY_E8 = 25_000_000
RESTING, ABOVE_E8 = 5, 66_000 * E8
SMALL_E8 = 100_000

NAMES = TICKER, PEER_TICKER, DEPTH, PEER_DEPTH, CHECK, SUBMIT, HANDED = (
    "bookTicker bytes → top, Python: Book.apply_top",
    "bookTicker bytes → top, peer: orjson + float",
    "depth 20+20 bytes → top, Python: Book.apply_top",
    "depth 20+20 bytes, peer: orjson + dict, no top",
    "decision, Python: verdict with all controls on, Desk.check",
    "decision, Python: submit, waking the journal's thread",
    "decision, Python: submit to the journal's thread having it",
)


def figures(wanted: Callable[[str], bool]) -> list[Figure]:
    """Measure what is wanted."""
    rounds = [(figure, run) for figure, run in _rounds() if wanted(figure.name)]
    return interleave(rounds, ROUNDS) + (_submits(wanted) if wanted(SUBMIT) or wanted(HANDED) else [])


def _rounds() -> list[tuple[Figure, Callable[[], Sequence[float]]]]:
    tickers, depths = frames.book_tickers(TICKERS), frames.depths(DEPTHS, 20)
    return [
        (Figure(TICKER, Goal(240)), lambda: _apply_top(tickers)),
        (Figure(PEER_TICKER), lambda: _peer_tops(tickers)),
        (Figure(DEPTH, Goal(1_600)), lambda: _apply_top(depths)),
        (Figure(PEER_DEPTH), lambda: _peer_depths(depths)),
        (Figure(CHECK, Goal(300)), _checks),
    ]


def live_book() -> Book:
    """Return a synchronised book, in which the next depth frame of `frames.depths` is expected."""
    book = Book()
    book.offer_snapshot(frames.snapshot())
    return book


def _apply_top(messages: Sequence[bytes]) -> Sequence[float]:
    book, spent, recv_ns = live_book(), [], time.monotonic_ns()
    for frame in messages:
        start = perf_counter_ns()
        book.apply_top(frame, recv_ns)
        spent.append(perf_counter_ns() - start)
    assert book.counters()["applied"] == len(messages), book.counters()
    return spent


def _peer_tops(messages: Sequence[bytes]) -> Sequence[float]:
    spent = []
    for frame in messages:
        start = perf_counter_ns()
        data = orjson.loads(frame)["data"]
        _top = (float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"]))
        spent.append(perf_counter_ns() - start)
    return spent


def _peer_depths(messages: Sequence[bytes]) -> Sequence[float]:
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    spent = []
    for frame in messages:
        start = perf_counter_ns()
        data = orjson.loads(frame)["data"]
        _take(bids, data["b"])
        _take(asks, data["a"])
        spent.append(perf_counter_ns() - start)
    return spent


def _take(side: dict[float, float], rows: list[list[str]]) -> None:
    for at, quantity in rows:
        size = float(quantity)
        if size:
            side[float(at)] = size
        else:
            side.pop(float(at), None)


def desk(**rules: int) -> Desk:
    """Return a started desk on a fresh book, as loose as the compiled caps allow but for `rules`."""
    book = live_book()
    book.apply(frames.depths(1, 20)[0])
    # One book serves all of a round, and the rate is not what is measured: the checks are made all the same.
    caps = {"stale_after_ms": 10_000, "max_orders_per_second": 50, "max_attempts_per_second": 500}
    made = Desk(book, {**RULES, **caps, **rules})
    made.start(1)
    return made


def _checks() -> Sequence[float]:
    """Time verdicts with every control on: orders that rest on the other side, all within the repeat window."""
    busy, spent = desk(repeat_window_ms=10_000), []
    for index in range(RESTING):
        resting = busy.submit("sell", SMALL_E8, ABOVE_E8 + index * E8, "gtc", False, f"sell{index}")
        assert resting.accepted, resting.reason
    for _ in range(CHECKS):
        start = perf_counter_ns()
        verdict = busy.check("buy", BUY_E8, None, None, False, "another1")  # as `Trader` calls it
        spent.append(perf_counter_ns() - start)
        assert verdict.accepted, verdict.reason
    return spent


def _submits(wanted: Callable[[str], bool]) -> list[Figure]:
    submit, handed = Figure(SUBMIT), Figure(HANDED)
    for _ in range(SUBMIT_ROUNDS):
        fresh, done = desk(), threading.Event()
        taken: list[float] = []
        journal = threading.Thread(target=_take_events, args=(fresh, taken, done))
        journal.start()
        submit.add(_orders(fresh))
        done.set()
        journal.join()
        handed.add(taken[-ORDERS:])  # the first are the desk's opening
    return [figure for figure in (submit, handed) if wanted(figure.name)]


def _orders(desk: Desk) -> Sequence[float]:
    spent = []
    for _ in range(ORDERS):
        time.sleep(PAUSE_S)
        start = perf_counter_ns()
        verdict = desk.submit("buy", SMALL_E8)
        spent.append(perf_counter_ns() - start)
        assert verdict.accepted, verdict.reason
    time.sleep(PAUSE_S)
    return spent


def _take_events(desk: Desk, taken_ns: list[float], done: threading.Event) -> None:
    """Do what the journal's thread does, without a disk: note how long after its decision each event is held."""
    while not done.is_set():
        rows = desk.next_events(1_024, 5)
        now_ns = time.monotonic_ns()
        taken_ns.extend(now_ns - mono_ns for _, mono_ns, _, _ in rows)
        if rows:
            desk.committed(rows[-1][0])

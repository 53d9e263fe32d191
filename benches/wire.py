"""Wire to visible top: a paced sender in a process of its own, the real feed into a book, and who reads the top.

The frame carries when it was sent, the published top when its bytes were received: a reader that sees an update id has
both, whenever it looks. What follows the reception, until the top is published, is the book's own frame latency, and
is added: p50 to p50 and p99 to p99. So no part of the path waits for Python, and neither does the measurement.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import websocket
from figure import Figure, Goal
from sender import PERIOD_NS

from pytrader._core import Book, parse_e8
from pytrader.app import SWITCH_INTERVAL_S
from pytrader.feed import Feed
from pytrader.venues.binance import Binance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS, ROUND_S = 9, 1.2
PEER_ROUNDS = 3
SETTLE_S = 0.3
SYNC_S = 5.0
POLL_S = 0.0001
FAR_NS = 2**62  # any time later than every reception: `age_ns` at it tells when the frame was received

NAMES = IDLE, BURNER, PEER_IDLE, PEER_BUSY, APPLY = (
    "latency wire→top idle, 1,000 frames/s",
    "latency wire→top burner, 1,000 frames/s",
    "latency, peer: websocket-client + orjson, idle",
    "latency, peer: websocket-client + orjson, GIL busy",
    "latency, of it: decode, apply, publish",
)


@dataclass(slots=True)
class Seen:
    """One round: how long each frame travelled, ns, and how many frames were published."""

    travel_ns: list[float]
    published: int


def figures(wanted: Callable[[str], bool]) -> list[Figure]:
    """Measure what is wanted, rounds in turn."""
    idle, burner = Figure(IDLE, Goal(60_000, 120_000)), Figure(BURNER, Goal(None, 200_000))
    apply, peer_idle, peer_busy = Figure(APPLY), Figure(PEER_IDLE), Figure(PEER_BUSY)
    ours = [pair for pair in ((idle, False), (burner, True)) if wanted(pair[0].name) or wanted(APPLY)]
    peers = [pair for pair in ((peer_idle, False), (peer_busy, True)) if wanted(pair[0].name)]
    seen = {IDLE: [0, 0], BURNER: [0, 0]}
    with _switching_as_the_terminal(), _sender() as port:
        for turn in range(ROUNDS):
            for figure, burning in ours:
                _round(port, figure, apply, seen[figure.name], burning)
            for figure, burning in peers if turn < PEER_ROUNDS else ():
                figure.add(_peer(port, burning))
    for figure, _ in ours:
        got, published = seen[figure.name]
        figure.note = f"{100 * got / published:.1f} % of frames seen"
    return [figure for figure in (idle, burner, apply, peer_idle, peer_busy) if figure.count and wanted(figure.name)]


def _round(port: int, figure: Figure, apply: Figure, seen: list[int], burning: bool) -> None:
    with _fed(port) as book, _burning(burning):
        time.sleep(SETTLE_S)
        got = _watch(book)
        latency = book.frame_latency()
    figure.add(got.travel_ns, latency["p50_ns"], latency["p99_ns"])
    apply.p50s_ns.append(latency["p50_ns"])
    apply.p99s_ns.append(latency["p99_ns"])
    apply.count += latency["count"]
    seen[0] += len(got.travel_ns)
    seen[1] += got.published


def _watch(book: Book) -> Seen:
    """Look at the top again and again, and keep each update id's travel time once.

    Frames that came with the seen one between two looks count as late as they can have been: they left a period apart,
    so they had to wait. Where the looks themselves are far apart, nothing is known of the frames between: none counts.
    """
    travel_ns: list[float] = []
    first = last = book.top().update_id
    until = time.monotonic() + ROUND_S
    looked_ns = time.monotonic_ns()
    while time.monotonic() < until:
        now_ns = time.monotonic_ns()
        top = book.top(FAR_NS)
        if top.update_id != last:
            late_ns = FAR_NS - top.age_ns - top.bid_size_e8
            together = top.update_id - last if now_ns - looked_ns < PERIOD_NS / 2 else 1
            travel_ns.extend(late_ns + PERIOD_NS * before for before in range(together))
            last = top.update_id
        looked_ns = now_ns
        time.sleep(POLL_S)
    assert book.top().synced, "the book lost its feed"
    return Seen(travel_ns, last - first)


def _peer(port: int, burning: bool) -> list[float]:
    """Receive the same stream the usual way: one Python thread that reads, parses, and then knows the top."""
    travel_ns: list[float] = []
    connection = websocket.create_connection(_binance(port).stream_url(), enable_multithread=False)
    reader = threading.Thread(target=_read, args=(connection, travel_ns))
    with _burning(burning):
        reader.start()
        reader.join()
    connection.close()
    return travel_ns


def _read(connection: websocket.WebSocket, travel_ns: list[float]) -> None:
    until = time.monotonic() + ROUND_S
    while time.monotonic() < until:
        data = orjson.loads(connection.recv())["data"]
        sent_ns = parse_e8(data["B"] if "B" in data else data["b"][0][1])
        travel_ns.append(time.monotonic_ns() - sent_ns)


@contextlib.contextmanager
def _fed(port: int) -> Iterator[Book]:
    book = Book()
    feed = Feed(_binance(port), book, log=logging.getLogger("bench"))
    threads = [threading.Thread(target=body) for body in (feed.run, feed.run_next, feed.run_snapshots)]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + SYNC_S
        while not book.top().synced:
            assert time.monotonic() < until, f"no synchronised book: {book.counters()} {book.last_refusal()}"
            time.sleep(0.01)
        yield book
    finally:
        feed.stop()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def _burning(burning: bool) -> Iterator[None]:
    """Keep a thread busy that never gives the GIL away by itself."""
    done = threading.Event()

    def burn() -> None:
        while not done.is_set():
            for _ in range(1_000):
                pass

    thread = threading.Thread(target=burn)
    if burning:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if burning:
            thread.join()


@contextlib.contextmanager
def _sender() -> Iterator[int]:
    command = [sys.executable, str(Path(__file__).with_name("sender.py"))]
    with subprocess.Popen(  # noqa: S603  (our own script)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


@contextlib.contextmanager
def _switching_as_the_terminal() -> Iterator[None]:
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


def _binance(port: int) -> Binance:
    return Binance(stream_base=f"ws://127.0.0.1:{port}", rest_base=f"http://127.0.0.1:{port}")

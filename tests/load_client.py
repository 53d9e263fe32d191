"""The real feed under load, a process of its own: `load_client.py PORT FOLDER [TAPE_MB] [PAUSE_S]`.

Reads from the tape what the book was fed, frame by frame, and looks up in FOLDER/sent when each was sent: both clocks
are CLOCK_MONOTONIC. Prints one line of JSON each half second, and the last one when its input has ended. With PAUSE_S
nobody reads the tape for so long, from its millionth byte on.
"""

import json
import logging
import re
import sys
import threading
import time
from array import array
from pathlib import Path

from load_frames import FIRST_ID
from load_server import ENTRY

from pytrader._core import Book, Tape
from pytrader.feed import Feed, FeedSettings
from pytrader.venues import Binance

FRAME = re.compile(rb'frame (\d+) \d+ \d+ [^\n]{0,120}?"[tu]":(\d+)')
BIN_NS, BINS = 10_000, 1 << 19  # a lag of five seconds and more is one bin
AUDIT_S = 10.0
SAID_S = 0.5


class Lags:
    """How often a lag was seen, to 10 µs, in memory that does not grow."""

    def __init__(self):
        """Begin without any."""
        self._bins, self._max_ns, self.count = array("I", bytes(4 * BINS)), 0, 0

    def add(self, lag_ns):
        """Count one."""
        self._bins[min(lag_ns // BIN_NS, BINS - 1)] += 1
        self._max_ns = max(self._max_ns, lag_ns)
        self.count += 1

    def figures(self):
        """Return percentiles and the largest, in milliseconds, rounded up to 10 µs."""
        return {name: self._at_ms(share) for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))} | {
            "max": self._max_ns / 1e6,
            "count": self.count,
        }

    def _at_ms(self, share):
        left = self.count * share
        for index, seen in enumerate(self._bins):
            left -= seen
            if left <= 0:
                return (index + 1) * BIN_NS / 1e6
        return 0.0


class Collector:
    """Reads the tape and the sender's notes side by side."""

    def __init__(self, tape, sent, pause_s):
        """`sent` is the file of the sender's notes."""
        self._tape, self._sent, self._pause_s = tape, sent, pause_s
        self._expected, self._read = FIRST_ID, 0
        self._now, self._next = None, None  # the write that a frame belongs to, and the one after it
        self.frames = self.missed = self.records = 0
        self.lags, self.burst_lags = Lags(), Lags()

    def run(self):
        """Read until the tape is finished and empty; the body of a thread."""
        finished = False
        while not finished:
            finished = self._finished
            while (taken := self._tape.take(20))[1]:
                self._take(*taken)

    _finished = False

    def finish(self):
        """Let `run` end when it has read everything."""
        self._tape.finish()
        self._finished = True

    def _take(self, records, count):
        self.records += count
        self._read += len(records)
        if self._pause_s and self._read > 1_000_000:
            time.sleep(self._pause_s)
            self._pause_s = 0.0
        for found in FRAME.finditer(records):
            self._frame(int(found[1]), int(found[2]))

    def _frame(self, recv_ns, number):
        self.frames += 1
        self.missed += abs(number - self._expected)
        self._expected = number + 1
        sent_ns, burst = self._write_of(number)
        (self.burst_lags if burst else self.lags).add(recv_ns - sent_ns)

    def _write_of(self, number):
        if self._now is None:
            self._now = self._note()
        while True:
            self._next = self._next or self._note()
            if self._next is None or number < self._next[0]:
                return self._now[1:]
            self._now, self._next = self._next, None

    def _note(self):
        entry = self._sent.read(ENTRY.size)
        return ENTRY.unpack(entry) if entry else None


def main(port, folder, tape_mb=16, pause_s=0.0):
    """Feed a book until standard input ends."""
    book, tape = Book(), Tape(tape_mb)
    book.set_tape(tape)
    states = []
    venue = Binance("BTCUSDT", f"wss://127.0.0.1:{port}", f"https://127.0.0.1:{port}")
    settings = FeedSettings(ca_file=folder / "root.pem", audit_s=AUDIT_S)
    feed = Feed(venue, book, log=logging.getLogger("load"), on_state=states.append, settings=settings)
    collector, ended = Collector(tape, (folder / "sent").open("rb"), pause_s), threading.Event()
    bodies = [threading.Thread(target=body) for body in (feed.run, feed.run_next, feed.run_snapshots)]
    reader = threading.Thread(target=collector.run)
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    for thread in (*bodies, reader):
        thread.start()
    while not ended.wait(SAID_S):
        said = {"frames": collector.frames, "lost": tape.lost()[0], "counters": book.counters()}
        print(json.dumps(said | {"synced": book.top().synced}), flush=True)
    fed = {"counters": book.counters(), "decode_ns": book.frame_latency(), "synced": book.top().synced}
    feed.stop()
    for thread in bodies:
        thread.join(5)
    collector.finish()
    reader.join(30)
    connected = sum(state.word == "connected" for state in states)
    said = {"frames": collector.frames, "missed": collector.missed, "lost": tape.lost()[0], "connected": connected}
    lags = {"lag_ms": collector.lags.figures(), "burst_ms": collector.burst_lags.figures()}
    print(json.dumps(said | lags | fed), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), *(int(word) for word in sys.argv[3:4]), *map(float, sys.argv[4:5]))

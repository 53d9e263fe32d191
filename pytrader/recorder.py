"""The recorder thread: what a book is fed, from its tape into compressed segments of a bounded folder.

It never stops the engine: a disk that refuses costs records, which are counted, marked and logged, and nothing else.
docs/recording.md explains the files.
"""

from __future__ import annotations

import fcntl
import os
import time
from threading import Event as Flag
from typing import TYPE_CHECKING

import orjson

from pytrader._core import Replay
from pytrader.journal_files import sync_folder
from pytrader.recording import ReplayError
from pytrader.segments import Writer, next_number, numbered, read_sums, write_sums

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from pytrader._core import Tape

    Log = logging.Logger | logging.LoggerAdapter[logging.Logger]

FORMAT = 1
LOCK = "recorder.lock"
LEVEL = 3  # of gzip: half the time of the usual 6 for a tenth more bytes
TAKE_MS = 250
FLUSH_S = 1.0  # a kill costs the records of about this long
RETRY_S = 5.0  # between two attempts on a disk that refuses
SEGMENTS = 8  # the bound is kept by taking whole segments away, each about this part of it
SEGMENT_MAX = 64 << 20


class RecorderError(OSError):
    """The folder cannot be recorded to; the text says why and what to do."""


class Recorder:
    """Writes what comes on `tape` to `folder` until it is stopped and the tape is empty."""

    def __init__(self, tape: Tape, folder: Path, *, venue: str, symbol: str, max_bytes: int, log: Log) -> None:
        """Make and lock the folder. Raises RecorderError if it cannot be, or another program records there."""
        self._tape, self._log = tape, log
        self.folder = folder / f"{venue}-{symbol}"
        self._facts = {"format": FORMAT, "venue": venue, "symbol": symbol}
        self._max_bytes, self._segment_bytes = max_bytes, min(SEGMENT_MAX, max_bytes // SEGMENTS)
        self._book = Replay(venue, symbol)  # the book as recorded: a segment begins with it
        self._stopped = Flag()
        self._running = False
        self._writer: Writer | None = None
        self._begun = False  # whether a segment of this run exists
        self._unsure = [0, 0]  # records and bytes that may not have reached the disk
        self._lost = [0, 0]  # those that certainly did not, since the last mark
        self._flushed_s = self._retry_s = float("-inf")
        self._lock = _take_folder(self.folder)
        try:
            self._sums = read_sums(self.folder)
            self._next = next_number(self.folder, self._sums)
        except (ReplayError, OSError) as error:
            self._unlock()
            raise RecorderError(f"recording {self.folder}: {error}; or give another --record") from error

    def run(self) -> None:
        """Record until `stop`; the body of a thread."""
        self._running = True
        try:
            self._drain()
            self._attempt(self._seal)
            self._tell_losses()
        finally:
            self._unlock()

    def _drain(self) -> None:
        while True:
            records, count = self._tape.take(TAKE_MS)
            if records:
                self._take(records, count)
            elif self._stopped.is_set():
                return
            self._every_second()

    def _tell_losses(self) -> None:
        lost, size = self._tape.lost()
        if lost:
            self._log.warning("Recorder: %d records (%d bytes) found no room: the disk was too slow", lost, size)
        if self._lost[0]:
            self._log.warning("Recorder: the last %d records (%d bytes) did not reach the disk", *self._lost)

    def stop(self) -> None:
        """Make `run` return once everything is written; from any thread."""
        self._stopped.set()
        self._tape.finish()
        if not self._running:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self, records: bytes, count: int) -> None:
        if self._writer is not None and self._writer.size >= self._segment_bytes:
            self._attempt(self._seal)
        if self._writer is None and time.monotonic() >= self._retry_s:
            self._attempt(self._begin)
        if self._writer is None:
            self._miss(count, len(records))
        else:
            self._unsure = [self._unsure[0] + count, self._unsure[1] + len(records)]
            writer = self._writer
            self._attempt(lambda: writer.write(records))
        self._book.play(records)

    def _every_second(self) -> None:
        now_s = time.monotonic()
        if self._writer is not None and now_s - self._flushed_s >= FLUSH_S and self._unsure[0]:
            self._attempt(self._flush)

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do one step on the disk; if it refuses, count what is lost, let the segment be, and try anew later."""
        try:
            step()
        except OSError as error:
            self._log.error("Recorder: %s: %s; tries again in %.0f s", self.folder, error, RETRY_S)
            if self._writer is not None:
                self._writer.close()
            self._writer = None
            self._miss(*self._unsure)
            self._unsure = [0, 0]
            self._retry_s = time.monotonic() + RETRY_S

    def _miss(self, count: int, size: int) -> None:
        self._lost = [self._lost[0] + count, self._lost[1] + size]

    def _begin(self) -> None:
        # A disk that refuses may refuse to take a file away, too: its number is then used up.
        self._next = max(self._next, next_number(self.folder, self._sums))
        writer = Writer(self.folder, self._next, LEVEL)
        try:
            self._head(writer)
            sync_folder(self.folder)
        except OSError:
            writer.close()
            writer.path.unlink()
            raise
        self._writer, self._lost, self._begun = writer, [0, 0], True
        self._next += 1

    def _head(self, writer: Writer) -> None:
        mono_ns, utc_ns = time.monotonic_ns(), time.time_ns()
        facts = {**self._facts, "segment": self._next, "utc_offset_ns": utc_ns - mono_ns}
        writer.write(_record("segment" if self._begun else "run", mono_ns, 0, orjson.dumps(facts)))
        if self._lost[0]:
            lost = {"records": self._lost[0], "bytes": self._lost[1]}
            writer.write(_record("lost", mono_ns, 0, orjson.dumps(lost)))
        if (book := self._book.checkpoint()) is not None:
            writer.write(_record("book", mono_ns, *book))
        elif self._lost[0]:
            writer.write(_record("takeover", mono_ns, 0, b""))  # which connection feeds it may be among what is lost
        writer.flush()

    def _flush(self) -> None:
        assert self._writer is not None
        self._flushed_s = time.monotonic()
        self._writer.flush()
        self._unsure = [0, 0]
        self._keep_to_the_bound()

    def _seal(self) -> None:
        if self._writer is not None:
            self._writer.seal(self._sums)
            self._writer, self._unsure = None, [0, 0]
            self._keep_to_the_bound()

    def _keep_to_the_bound(self) -> None:
        """Take the oldest segments away until one more fits within the folder's size."""
        files = [(path, path.stat().st_size) for _, path in numbered(self.folder)]
        total = sum(size for _, size in files)
        for path, size in files:
            if total <= self._max_bytes - self._segment_bytes or (
                self._writer is not None and path == self._writer.path
            ):
                return
            self._take_away(path)
            total -= size
            self._log.info("Recorder: %s is gone: the recording keeps to its size", path)

    def _take_away(self, path: Path) -> None:
        """Delete a segment; wherever that is cut short, what is left of it reads as whole or torn, not as damaged."""
        name = path.name.removesuffix(".part")
        torn = path.rename(path.with_name(f"{name}.part"))
        rest = {known: value for known, value in self._sums.items() if known != name}
        if rest != self._sums:
            write_sums(self.folder, rest)  # first: a sum without its segment would look like damage
            self._sums = rest
        torn.unlink()


def _record(kind: str, recv_ns: int, connection: int, payload: bytes) -> bytes:
    return b"%s %d %d %d %s\n" % (kind.encode(), recv_ns, connection, len(payload), payload)


def _take_folder(folder: Path) -> int:
    """Make a folder that only the owner reads, and lock it; closing the handle that is returned unlocks it."""
    lock = -1
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise RecorderError(f"recording {folder}: another program records there; give another --record") from None
    except OSError as error:
        raise RecorderError(f"recording {folder}: {error.strerror or error}; give another --record") from error
    return lock

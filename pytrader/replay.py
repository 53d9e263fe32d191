"""`pytrader replay`: a recording through the same decoder and book as live frames."""

from __future__ import annotations

import gzip
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import orjson

from pytrader._core import Replay, Top, format_e8

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

READ_BYTES = 4 << 20
"""Lines are fed in blocks of about this many bytes."""

GZIP_MAGIC = b"\x1f\x8b"


class ReplayError(Exception):
    """The recording, its snapshot or its receive times cannot be used; the text says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to `parser`."""
    parser.add_argument("frames", type=Path, metavar="FRAMES", help="recorded frames, one a line, plain or gzip")
    parser.add_argument("--snapshot", type=Path, metavar="FILE", help="body of the venue's depth snapshot")
    parser.add_argument("--venue", default="binance", help="whose frames they are (default: %(default)s)")
    parser.add_argument("--symbol", default="BTCUSDT", help="the market in them (default: %(default)s)")
    parser.add_argument("--recv-ns", type=Path, metavar="FILE", help="receive time of each frame, ns, one a line")
    parser.add_argument(
        "--tops", type=Path, metavar="OUT.csv", help="write the depth book's top after each depth frame"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Replay and print the report; 0, or 1 with the reason on standard error."""
    try:
        replay = replay_files(
            arguments.frames,
            venue=arguments.venue,
            symbol=arguments.symbol,
            snapshot=arguments.snapshot,
            recv_ns=arguments.recv_ns,
            tops=arguments.tops,
        )
    except (ReplayError, OSError, EOFError, ValueError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    print(orjson.dumps(report(replay)).decode() if arguments.json else describe(replay))
    return 0


def replay_files(
    frames: Path,
    *,
    venue: str = "binance",
    symbol: str = "BTCUSDT",
    snapshot: Path | None = None,
    recv_ns: Path | None = None,
    tops: Path | None = None,
) -> Replay:
    """Feed a recording and return the replay as it then stands; raises ReplayError, OSError or ValueError."""
    replay = Replay(venue, symbol, tops=tops is not None)
    if snapshot is not None:
        replay.give_snapshot(read_bytes(snapshot))
    with ExitStack() as stack:
        lines = stack.enter_context(open_lines(frames))
        times = None if recv_ns is None else stack.enter_context(open_lines(recv_ns))
        out = None if tops is None else stack.enter_context(tops.open("w", encoding="ascii"))
        for block, stamps in blocks(lines, times):
            replay.feed(block, stamps)
            if out is not None:
                out.write(replay.take_tops())
    return replay


def blocks(lines: IO[bytes], times: IO[bytes] | None) -> Iterator[tuple[bytes, list[int]]]:
    """Yield whole lines in large blocks, each with its frames' receive times; the two must have the same length."""
    while read := lines.readlines(READ_BYTES):
        block = [line for line in read if line.strip()]
        stamps = [] if times is None else [int(line) for line in islice(times, len(block))]
        if times is not None and len(stamps) != len(block):
            raise ReplayError(f"fewer receive times than frames in {times.name}")
        yield b"".join(block), stamps
    if times is not None and times.read(64).strip():
        raise ReplayError(f"more receive times than frames in {times.name}")


def open_lines(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip if it begins as gzip does."""
    with path.open("rb") as file:
        zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path)) if zipped else path.open("rb")


def read_bytes(path: Path) -> bytes:
    """Return a whole file, unzipped if it is gzip."""
    with open_lines(path) as file:
        return file.read()


def report(replay: Replay) -> dict[str, object]:
    """Return what happened, as the JSON report has it: every frame is either applied or ignored."""
    counters = replay.counters()
    frames, applied = counters["frames"], counters["applied"]
    kept = {name: counters[name] for name in ("gaps", "resyncs", "crossed", "bid_levels", "ask_levels")}
    return {
        "frames": frames,
        "applied": applied,
        "ignored": frames - applied,
        **kept,
        "top": top_fields(replay.top()),
        "ns_per_frame": counters["spent_ns"] // max(frames, 1),
    }


def top_fields(top: Top) -> dict[str, object]:
    """Return a top with its prices and sizes as decimal text."""
    return {
        "bid": format_e8(top.bid_e8),
        "bid_size": format_e8(top.bid_size_e8),
        "ask": format_e8(top.ask_e8),
        "ask_size": format_e8(top.ask_size_e8),
        "update_id": top.update_id,
        "sync": top.sync,
    }


def describe(replay: Replay) -> str:
    """Return the report for a person."""
    row, counters, top = report(replay), replay.counters(), top_fields(replay.top())
    split = f"{row['applied']} applied, {row['ignored']} ignored ({counters['refused']} of them malformed)"
    doubts = f"{row['gaps']} gaps, {row['resyncs']} resyncs, {row['crossed']} crossed"
    best = f"{top['bid_size']} @ {top['bid']} | {top['ask_size']} @ {top['ask']}"
    lines = (
        f"Frames    {row['frames']}: {split}",
        f"Book      {doubts}; {top['sync']} at the end",
        f"Levels    {row['bid_levels']} bids, {row['ask_levels']} asks",
        f"Top       {best} (update {top['update_id']})",
        f"Speed     {row['ns_per_frame']} ns a frame",
    )
    return "\n".join(lines)

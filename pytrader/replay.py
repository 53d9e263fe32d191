"""`pytrader replay`: a recording through the same decoder and book as live frames; with orders, a backtest."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from pytrader import backtest
from pytrader._core import Replay, Top, format_e8
from pytrader.playback import play
from pytrader.recording import ReplayError, blocks, open_lines, read_bytes
from pytrader.segments import recordings_in

if TYPE_CHECKING:
    import argparse

    from pytrader.playback import Played


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to `parser`."""
    parser.add_argument(
        "frames",
        type=Path,
        metavar="FRAMES",
        help="recorded frames, one a line, plain or gzip; or a folder of --record",
    )
    parser.add_argument("--snapshot", type=Path, metavar="FILE", help="body of the venue's depth snapshot")
    parser.add_argument("--venue", default="binance", help="whose frames they are (default: %(default)s)")
    parser.add_argument("--symbol", default="BTCUSDT", help="the market in them (default: %(default)s)")
    parser.add_argument("--recv-ns", type=Path, metavar="FILE", help="receive time of each frame, ns, one a line")
    parser.add_argument(
        "--tops", type=Path, metavar="OUT.csv", help="write the depth book's top after each depth frame"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    backtest.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replay and print the report; 0, or 1 (2 for a mistake in the orders) with the reason on standard error."""
    try:
        if backtest.is_asked_for(arguments):
            return backtest.run(arguments)
        if arguments.frames.is_dir():
            return _run_recordings(arguments)
        replay = replay_files(
            arguments.frames,
            venue=arguments.venue,
            symbol=arguments.symbol,
            snapshot=arguments.snapshot,
            recv_ns=arguments.recv_ns,
            tops=arguments.tops,
        )
    except BrokenPipeError:
        raise  # whoever read the report has gone; that is no fault of the recording
    except (ReplayError, OSError, EOFError, ValueError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2 if isinstance(error, backtest.UsageError) else 1
    print(orjson.dumps(report(replay)).decode() if arguments.json else describe(replay))
    return 0


def _run_recordings(arguments: argparse.Namespace) -> int:
    """Replay each market of a folder; with --json one line for each."""
    if arguments.snapshot is not None or arguments.recv_ns is not None:
        raise ReplayError("a recorded folder brings its own snapshots and receive times")
    folders = recordings_in(arguments.frames)
    if arguments.tops is not None and len(folders) > 1:
        raise ReplayError(f"--tops takes one market: {', '.join(map(str, folders))}")
    for folder in folders:
        with ExitStack() as stack:
            out = None if arguments.tops is None else stack.enter_context(arguments.tops.open("w", encoding="ascii"))
            played = play(folder, out)
        if arguments.json:
            print(orjson.dumps({**report(played.replay, played.frames), **played.facts()}).decode())
        else:
            print(describe_recording(played))
    return 0


def describe_recording(played: Played) -> str:
    """Return the report of one recorded market for a person."""
    return "\n".join([f"Market    {played.market}", *played.notes(), describe(played.replay, played.frames)])


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


def report(replay: Replay, timed: int | None = None) -> dict[str, object]:
    """Return what happened, as the JSON report has it: every frame is either applied or ignored.

    `timed` is how many frames went through here, where the book's counts go further back than the recording.
    """
    counters = replay.counters()
    frames, applied = counters["frames"], counters["applied"]
    kept = {name: counters[name] for name in ("gaps", "resyncs", "crossed", "bid_levels", "ask_levels")}
    return {
        "frames": frames,
        "applied": applied,
        "ignored": frames - applied,
        **kept,
        "top": top_fields(replay.top()),
        "ns_per_frame": counters["spent_ns"] // max(frames if timed is None else timed, 1),
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


def describe(replay: Replay, timed: int | None = None) -> str:
    """Return the report for a person; `timed` as in `report`."""
    row, counters, top = report(replay, timed), replay.counters(), top_fields(replay.top())
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

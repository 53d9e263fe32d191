"""`pytrader feed-report`: what a recording says of the feed, as text, JSON or a picture."""

from __future__ import annotations

import importlib
import re
import sys
from array import array
from bisect import bisect_right
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pytrader.playback import play
from pytrader.recording import ReplayError, frames, open_lines
from pytrader.replay import replay_files
from pytrader.segments import recordings_in
from pytrader.venues import VENUES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from pytrader.segments import Record

SECOND_NS = 1_000_000_000
WINDOWS = (("second", SECOND_NS), ("100_ms", 100_000_000), ("10_ms", 10_000_000), ("1_ms", 1_000_000))
EDGES = [mantissa * 10**power for power in range(4, 11) for mantissa in (1, 3)]  # 10 µs to 30 s
BAR = 40
NEVER_NS = 2**62  # later than any time
UTC_SINCE_NS = 10**17  # a receive time above it is UTC (1973 and later), one below it a monotonic clock's
COUNTS = (
    "gaps",
    "duplicates",
    "resyncs",
    "crossed",
    "refused",
    "checksum_failures",
    "shallow",
    "snapshots",
    "takeovers",
)
_STREAM = re.compile(rb'"(?:stream|topic|channel|e)" ?: ?"([^"]{1,80})"')
_HEAD_BYTES = 400
NO_MATPLOTLIB = "--png needs matplotlib, which is an extra: pip install 'pytrader[report]'"


@dataclass(slots=True)
class Seen:
    """What is kept of each frame while a recording is read. Times are UTC ns where the recording knows UTC."""

    event_ns: Callable[[bytes], int | None] | None = None
    offset_ns: int | None = None  # from receive times to UTC; None when that is not known
    times: array[int] = field(default_factory=lambda: array("q"))
    lags: array[int] = field(default_factory=lambda: array("q"))
    breaks: list[int] = field(default_factory=list)  # frames before which something was not recorded
    before: dict[str, int] = field(default_factory=dict)  # the book's counts when the recording begins
    segment: int = 0
    size: int = 0
    timed: bool = True
    streams: dict[str, list[int]] = field(default_factory=dict)  # frames, bytes, last time, longest silence

    def take(self, frame: bytes, recv_ns: int | None) -> None:
        """Count one frame."""
        self.size += len(frame)
        self.timed &= recv_ns is not None
        at_ns = (recv_ns or 0) + (self.offset_ns or 0)
        self.times.append(at_ns)
        row = self.streams.setdefault(stream_of(frame), [0, 0, at_ns, 0])
        row[0] += 1
        row[1] += len(frame)
        row[3] = max(row[3], at_ns - row[2])
        row[2] = at_ns
        if recv_ns is not None and self.offset_ns is not None and self.event_ns is not None:
            sent_ns = self.event_ns(frame)
            if sent_ns is not None:
                self.lags.append(at_ns - sent_ns)

    def note(self, record: Record) -> None:
        """Take one record of a folder; a new run brings its own clock."""
        if record.kind == "frame":
            self.take(record.payload, record.recv_ns)
        elif record.kind in ("run", "segment"):
            self._begin(record.kind, orjson.loads(record.payload))
        elif record.kind == "lost":
            self._break()
        elif record.kind == "book" and not self.times:
            self.before = orjson.loads(record.payload)["counters"]

    def _begin(self, kind: str, facts: dict[str, Any]) -> None:
        offset_ns = int(facts["utc_offset_ns"])
        self.event_ns = _clock_of(facts["venue"])
        # A run keeps its first offset: a clock that is adjusted meanwhile moves no frame against another. One that is
        # set, or a machine that slept, begins anew.
        anew = kind == "run" or self.offset_ns is None or abs(offset_ns - self.offset_ns) > SECOND_NS
        if anew or facts["segment"] != self.segment + 1:
            self._break()
        if anew:
            self.offset_ns = offset_ns
        self.segment = facts["segment"]

    def _break(self) -> None:
        """Begin anew: the time since the last frame is no silence, as nobody wrote down what came in it."""
        self.breaks.append(len(self.times))
        for row in self.streams.values():
            row[2] = NEVER_NS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to `parser`."""
    parser.add_argument("source", type=Path, metavar="DIR", help="a folder of --record, or a file of frames")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each market")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the report too (needs pytrader[report])")
    group = parser.add_argument_group("a file of frames")
    group.add_argument("--snapshot", type=Path, metavar="FILE", help="body of the venue's depth snapshot")
    group.add_argument("--venue", default="binance", help="whose frames they are (default: %(default)s)")
    group.add_argument("--symbol", default="BTCUSDT", help="the market in them (default: %(default)s)")
    group.add_argument("--recv-ns", type=Path, metavar="FILE", help="receive time of each frame, ns, one a line")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 0, or 1 with the reason on standard error."""
    try:
        rows = list(_reports(arguments))
        for row, _ in rows:
            print(orjson.dumps(row).decode() if arguments.json else describe(row), flush=True)
        if arguments.png is not None:
            draw(rows, arguments.png)
    except BrokenPipeError:
        raise  # whoever read the report has gone; that is no fault of the recording
    except (ReplayError, OSError, EOFError, ValueError) as error:
        print(f"feed-report: {error}", file=sys.stderr)
        return 1
    return 0


def _reports(arguments: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Seen]]:
    if not arguments.source.is_dir():
        yield _of_file(arguments)
        return
    for folder in recordings_in(arguments.source):
        seen = Seen()
        played = play(folder, each=seen.note)
        yield {**report(seen, played.replay.counters()), **played.facts()}, seen


def _of_file(arguments: argparse.Namespace) -> tuple[dict[str, Any], Seen]:
    venue, symbol = arguments.venue, arguments.symbol
    replay = replay_files(
        arguments.source, venue=venue, symbol=symbol, snapshot=arguments.snapshot, recv_ns=arguments.recv_ns
    )
    seen = Seen(_clock_of(venue))
    with ExitStack() as stack:
        lines = stack.enter_context(open_lines(arguments.source))
        times = None if arguments.recv_ns is None else stack.enter_context(open_lines(arguments.recv_ns))
        for frame, recv_ns in frames(lines, times):
            if not seen.times and recv_ns is not None and recv_ns > UTC_SINCE_NS:
                seen.offset_ns = 0
            seen.take(frame, recv_ns)
    return {**report(seen, replay.counters()), "market": f"{venue} {symbol}"}, seen


def _clock_of(venue: str) -> Callable[[bytes], int | None] | None:
    """Return how a venue's frames tell their own time, if the venue is known."""
    return VENUES[venue]().event_ns if venue in VENUES else None


def stream_of(frame: bytes) -> str:
    """Return the name of the stream that a frame belongs to, in the venue's own words."""
    if frame[4:6] == b"\x01\x00":  # the schema of Binance's binary frames
        return f"template {int.from_bytes(frame[2:4], 'little')}"
    found = _STREAM.search(frame, 0, _HEAD_BYTES)
    return found[1].decode("ascii", "replace") if found else "other"


def report(seen: Seen, counters: dict[str, int]) -> dict[str, Any]:
    """Return the figures: rates in frames, times in ns; None where the recording has no receive times."""
    times = seen.times
    spans = _spans(seen)
    lasted_ns = sum(times[end - 1] - times[start] for start, end in spans)
    silences = _silences(seen)
    timed = seen.timed and len(times) > 0
    return {
        "frames": len(times),
        "bytes": seen.size,
        "lasted_ns": lasted_ns if timed else None,
        "mean_per_second": round(len(times) * SECOND_NS / lasted_ns, 1) if timed and lasted_ns else None,
        "peaks": {name: max(peak(times[a:b], width) for a, b in spans) for name, width in WINDOWS} if timed else None,
        "silence_ns": max(silences, default=0) if timed else None,
        "streams": {
            name: {"frames": row[0], "bytes": row[1], "silence_ns": row[3] if timed else None}
            for name, row in sorted(seen.streams.items())
        },
        **{name: counters[name] - seen.before.get(name, 0) for name in COUNTS},
        "inter_arrival_ns": histogram(silences) if timed else None,
        "lag_ns": {**_quantiles(seen.lags), "beyond_least": histogram(_beyond_least(seen.lags))} if seen.lags else None,
    }


def _spans(seen: Seen) -> list[tuple[int, int]]:
    """Return the frames that nothing is missing between, as (first, behind last)."""
    marks = sorted({0, len(seen.times), *seen.breaks})
    return list(pairwise(marks))


def _silences(seen: Seen) -> array[int]:
    """Return the time before each frame but the first of its span, ns."""
    found = array("q")
    for start, end in _spans(seen):
        found.extend(max(0, seen.times[at] - seen.times[at - 1]) for at in range(start + 1, end))
    return found


def peak(times: Sequence[int], width_ns: int) -> int:
    """Return the most frames in any time of `width_ns`."""
    most = start = 0
    for end, at_ns in enumerate(times):
        while times[start] <= at_ns - width_ns:
            start += 1
        most = max(most, end - start + 1)
    return most


def histogram(values: Sequence[int]) -> list[tuple[int | None, int]]:
    """Return (upper edge in ns, None above the last; how many values are below it and not below the one before)."""
    counts = [0] * (len(EDGES) + 1)
    for value in values:
        counts[bisect_right(EDGES, value)] += 1
    return list(zip([*EDGES, None], counts, strict=True))


def _beyond_least(lags: Sequence[int]) -> list[int]:
    """Return each lag less the least: what is left has nothing of the difference between the two clocks."""
    least = min(lags, default=0)
    return [lag - least for lag in lags]


def _quantiles(values: Sequence[int]) -> dict[str, int]:
    row = sorted(values)
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    return {
        "count": len(row),
        "min": row[0],
        **{name: row[min(len(row) - 1, int(part * len(row)))] for name, part in at.items()},
        "max": row[-1],
    }


def describe(row: dict[str, Any]) -> str:
    """Return the report for a person."""
    lines = [f"Market    {row['market']}", f"Frames    {row['frames']}, {row['bytes']} bytes"]
    if row["peaks"] is not None:
        peaks = ", ".join(f"{count} in {name.replace('_', ' ')}" for name, count in row["peaks"].items())
        lines += [f"Rate      {row['mean_per_second']} a second over {duration(row['lasted_ns'])}; peaks: {peaks}"]
        lines += [f"Silence   {duration(row['silence_ns'])} at most"]
    for name, stream in row["streams"].items():
        silence = "" if stream["silence_ns"] is None else f", silent for {duration(stream['silence_ns'])} at most"
        lines.append(f"  {name}: {stream['frames']} frames, {stream['bytes']} bytes{silence}")
    lines.append("Book      " + ", ".join(f"{row[name]} {name.replace('_', ' ')}" for name in COUNTS))
    if "segments" in row:
        lines.append(
            f"Recorded  {row['runs']} runs, {row['connections']} connections, {row['lost_records']} records lost"
        )
        lines += [f"Oldest    {row['oldest_gone']} segments are gone: record_max_mb"] if row["oldest_gone"] else []
        lines += [f"Torn      {name}" for name in row["torn"]] + [f"Missing   {number}" for number in row["missing"]]
    if row["inter_arrival_ns"] is not None:
        lines += ["Time between two frames", *bars(row["inter_arrival_ns"])]
    if row["lag_ns"] is not None:
        named = ", ".join(f"{name} {duration(row['lag_ns'][name])}" for name in ("min", "p50", "p90", "p99", "max"))
        lines += [f"Lag       event to receive time, by two clocks: {named}", "Lag beyond the least"]
        lines += bars(row["lag_ns"]["beyond_least"])
    else:
        lines.append("Lag       unknown: no event times, or no receive times in UTC")
    return "\n".join(lines)


def bars(rows: list[tuple[int | None, int]]) -> list[str]:
    """Return a histogram as lines of text, without the empty ends."""
    filled = [at for at, (_, count) in enumerate(rows) if count]
    if not filled:
        return ["  nothing"]
    most = max(count for _, count in rows)
    lines = []
    for edge, count in rows[filled[0] : filled[-1] + 1]:
        label = f"< {duration(edge)}" if edge is not None else f">= {duration(EDGES[-1])}"
        lines.append(f"  {label:>9} {count:>9} {'#' * -(-count * BAR // most)}")
    return lines


def duration(value_ns: int) -> str:
    """Return a time with a unit that suits it."""
    for unit, size in (("s", SECOND_NS), ("ms", 1_000_000), ("us", 1_000)):
        if abs(value_ns) >= size:
            return f"{value_ns / size:.4g} {unit}"
    return f"{value_ns} ns"


def draw(rows: Sequence[tuple[dict[str, Any], Seen]], path: Path) -> None:
    """Draw rate, time between frames and lag of each market. Raises ReplayError without matplotlib."""
    try:
        figures: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        raise ReplayError(NO_MATPLOTLIB) from None
    figure = figures.Figure(figsize=(15, 4 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for (row, seen), (rate, between, lag) in zip(rows, axes, strict=True):
        first_ns = seen.times[0] if seen.times else 0
        seconds = [(at_ns - first_ns) // SECOND_NS for at_ns in seen.times] if seen.timed else []
        rate.hist(seconds, bins=max(1, min(600, max(seconds, default=0) + 1)))
        rate.set(title=f"{row['market']}: frames over time", xlabel="s")
        for axis, title, values in (
            (between, "time between two frames", _silences(seen) if seen.timed else []),
            (lag, "lag beyond the least", _beyond_least(seen.lags)),
        ):
            axis.hist([value / 1e6 for value in values], bins=100, log=True)
            axis.set(title=title, xlabel="ms")
    figure.savefig(path, format="png", dpi=100)

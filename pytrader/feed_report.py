"""`pytrader feed-report`: what a recording says of the feed, as text, JSON or a picture."""

from __future__ import annotations

import importlib
import re
import sys
from bisect import bisect_right
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pytrader.playback import play, taken_away
from pytrader.recording import ReplayError, frames, open_lines
from pytrader.replay import replay_files
from pytrader.segments import recordings_in
from pytrader.tally import Peak, Tally
from pytrader.venues import VENUES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytrader.segments import Record

SECOND_NS = 1_000_000_000
WINDOWS = (("second", SECOND_NS), ("100_ms", 100_000_000), ("10_ms", 10_000_000), ("1_ms", 1_000_000))
EDGES = [mantissa * 10**power for power in range(4, 11) for mantissa in (1, 3)]  # 10 µs to 30 s
BAR = 40
NEVER_NS = 2**62  # later than any time
LATEST_NS = 8 * 10**18  # newest event time that is believed, UTC: the year 2223
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
    """What is counted of each frame while a recording is read, in memory that does not grow with it.

    Times are UTC ns where the recording knows UTC.
    """

    event_ns: Callable[[bytes], int | None] | None = None
    offset_ns: int | None = None  # from receive times to UTC; None when that is not known
    frames: int = 0
    size: int = 0
    timed: bool = True
    first_ns: int = 0
    last_ns: int | None = None  # of the frame before, unless something was not recorded since
    lasted_ns: int = 0
    silences: Tally = field(default_factory=Tally)
    between: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    lags: Tally = field(default_factory=Tally)
    seconds: Tally = field(default_factory=Tally)  # in which each frame came, since the first
    peaks: dict[str, Peak] = field(default_factory=lambda: {name: Peak(width) for name, width in WINDOWS})
    before: dict[str, int] = field(default_factory=dict)  # the book's counts when the recording begins
    segment: int = 0
    streams: dict[str, list[int]] = field(default_factory=dict)  # frames, bytes, last time, longest silence

    def take(self, frame: bytes, recv_ns: int | None) -> None:
        """Count one frame."""
        self.size += len(frame)
        at_ns = (recv_ns or 0) + (self.offset_ns or 0)
        row = self.streams.setdefault(stream_of(frame), [0, 0, at_ns, 0])
        row[0] += 1
        row[1] += len(frame)
        row[3] = max(row[3], at_ns - row[2])
        row[2] = at_ns
        if recv_ns is None:
            self.timed = False
        else:
            self._time(frame, at_ns)
        self.frames += 1

    def _time(self, frame: bytes, at_ns: int) -> None:
        if not self.frames:
            self.first_ns = at_ns
        if self.last_ns is not None:
            self.lasted_ns += at_ns - self.last_ns
            silence_ns = max(0, at_ns - self.last_ns)
            self.silences.add(silence_ns)
            self.between[bisect_right(EDGES, silence_ns)] += 1
        self.last_ns = at_ns
        self.seconds.add((at_ns - self.first_ns) // SECOND_NS)
        for peak in self.peaks.values():
            peak.add(at_ns)
        if self.offset_ns is not None and self.event_ns is not None:
            sent_ns = self.event_ns(frame)
            if sent_ns is not None and 0 <= sent_ns <= LATEST_NS:
                self.lags.add(at_ns - sent_ns)

    def note(self, record: Record) -> None:
        """Take one record of a folder; a new run brings its own clock."""
        if record.kind == "frame":
            self.take(record.payload, record.recv_ns)
        elif record.kind in ("run", "segment"):
            self._begin(record.kind, orjson.loads(record.payload))
        elif record.kind == "lost":
            self._break()
        elif record.kind == "book" and not self.frames and not self.before:
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
        self.last_ns = None
        for peak in self.peaks.values():
            peak.begin_anew()
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
            if not seen.frames and recv_ns is not None and recv_ns > UTC_SINCE_NS:
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
    timed = seen.timed and seen.frames > 0
    lasted_ns = seen.lasted_ns
    return {
        "frames": seen.frames,
        "bytes": seen.size,
        "lasted_ns": lasted_ns if timed else None,
        "mean_per_second": round(seen.frames * SECOND_NS / lasted_ns, 1) if timed and lasted_ns else None,
        "peaks": {name: peak.most for name, peak in seen.peaks.items()} if timed else None,
        "silence_ns": seen.silences.most if timed else None,
        "streams": {
            name: {"frames": row[0], "bytes": row[1], "silence_ns": row[3] if timed else None}
            for name, row in sorted(seen.streams.items())
        },
        **{name: counters[name] - seen.before.get(name, 0) for name in COUNTS},
        "inter_arrival_ns": edged(seen.between) if timed else None,
        "lag_ns": {**_quantiles(seen.lags), "beyond_least": histogram(_beyond_least(seen.lags))}
        if seen.lags.count
        else None,
    }


def edged(counts: Sequence[int]) -> list[tuple[int | None, int]]:
    """Return (upper edge in ns, None above the last; how many values are below it and not below the one before)."""
    return list(zip([*EDGES, None], counts, strict=True))


def histogram(rows: Iterable[tuple[int, int]]) -> list[tuple[int | None, int]]:
    """Return the histogram of values in ns, each with how often it came; see `edged`."""
    counts = [0] * (len(EDGES) + 1)
    for value, count in rows:
        counts[bisect_right(EDGES, value)] += count
    return edged(counts)


def _beyond_least(lags: Tally) -> list[tuple[int, int]]:
    """Return each lag less the least: what is left has nothing of the difference between the two clocks."""
    return [(lag - lags.least, count) for lag, count in lags.rows()]


def _quantiles(values: Tally) -> dict[str, int]:
    names = {"p50": 500, "p90": 900, "p99": 990, "p999": 999}
    found = zip(names, values.quantiles(list(names.values())), strict=True)
    return {"count": values.count, "min": values.least, **dict(found), "max": values.most, "step_ns": values.step}


def describe(row: dict[str, Any]) -> str:
    """Return the report for a person."""
    lines = [f"Market    {row['market']}", f"Frames    {row['frames']}, {row['bytes']} bytes"]
    if row["peaks"] is not None:
        peaks = ", ".join(f"{count} in {name.replace('_', ' ')}" for name, count in row["peaks"].items())
        mean = "unknown" if row["mean_per_second"] is None else f"{row['mean_per_second']} a second"
        lines += [f"Rate      {mean} over {duration(row['lasted_ns'])}; peaks: {peaks}"]
        lines += [f"Silence   {duration(row['silence_ns'])} at most"]
    for name, stream in row["streams"].items():
        silence = "" if stream["silence_ns"] is None else f", silent for {duration(stream['silence_ns'])} at most"
        lines.append(f"  {name}: {stream['frames']} frames, {stream['bytes']} bytes{silence}")
    lines.append("Book      " + ", ".join(f"{row[name]} {name.replace('_', ' ')}" for name in COUNTS))
    if "segments" in row:
        lines.append(
            f"Recorded  {row['runs']} runs, {row['connections']} connections, {row['lost_records']} records lost"
        )
        taken = taken_away(row["oldest_gone"], row["missing"])
        lines += [f"Oldest    {taken} segments are gone: record_max_mb"] if taken else []
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
        values, weights = _columns(seen.seconds.rows() if seen.timed else [])
        rate.hist(values, weights=weights, bins=max(1, min(600, seen.seconds.most + 1)))
        rate.set(title=f"{row['market']}: frames over time", xlabel="s")
        for axis, title, rows_ns in (
            (between, "time between two frames", seen.silences.rows() if seen.timed else []),
            (lag, "lag beyond the least", _beyond_least(seen.lags)),
        ):
            values, weights = _columns(rows_ns)
            axis.hist([value / 1e6 for value in values], weights=weights, bins=100, log=True)
            axis.set(title=title, xlabel="ms")
    figure.savefig(path, format="png", dpi=100)


def _columns(rows: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [value for value, _ in rows], [count for _, count in rows]

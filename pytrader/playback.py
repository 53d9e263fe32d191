"""A folder that `--record` wrote, through the same decoder and book as when it was received."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import orjson

from pytrader._core import Replay
from pytrader.recording import ReplayError
from pytrader.segments import Record, Segment, damaged, missing_of, records, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

FORMAT = 1


@dataclass(slots=True)
class Played:
    """A recording that was replayed: the book as it then stands, and what was found on the way."""

    folder: Path
    venue: str
    symbol: str
    replay: Replay
    files: list[Segment]
    frames: int = 0  # in these files; the book's own count may go further back
    runs: int = 0
    connections: int = 0
    lost: int = 0  # records that the recording says it has not
    lost_places: int = 0
    torn: list[str] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)

    @property
    def market(self) -> str:
        """Return venue and symbol."""
        return f"{self.venue} {self.symbol}"

    def facts(self) -> dict[str, Any]:
        """Return what was found, for a JSON report."""
        return {
            "market": self.market,
            "segments": [file.path.name for file in self.files],
            "runs": self.runs,
            "connections": self.connections,
            "lost_records": self.lost,
            "lost_places": self.lost_places,
            "torn": self.torn,
            "missing": self.missing,
            "oldest_gone": self.files[0].number - 1,
        }

    def notes(self) -> list[str]:
        """Return what was found, for a person."""
        taken = taken_away(self.files[0].number - 1, self.missing)
        lines = [f"Recorded  {len(self.files)} segments, {self.runs} runs, {self.connections} connections"]
        if taken:
            lines.append(f"Oldest    segments 1 to {taken} are gone: the recording keeps to record_max_mb")
        if self.lost:
            lines.append(
                f"Lost      {self.lost} records in {self.lost_places} places: the book is unsynced behind each"
            )
        lines += [f"Torn      {name}: read up to its last whole record" for name in self.torn]
        lines += [f"Missing   segment {number}: the book is unsynced from there" for number in self.missing]
        return lines


def taken_away(oldest_gone: int, missing: Sequence[int]) -> int:
    """Return how many of the oldest segments that are gone the size bound took away: those `missing` it did not."""
    return min([oldest_gone + 1, *missing]) - 1


def play(folder: Path, tops: IO[str] | None = None, each: Callable[[Record], None] | None = None) -> Played:
    """Replay one market's folder; write the depth book's tops to `tops`; show `each` record, in order.

    Raises ReplayError for a damaged segment, by name, with what to do; OSError for files that cannot be read.
    """
    files = segments(folder)
    if not files:
        raise ReplayError(f"{folder}: no segment that can be read")
    header = _header(files)
    replay = Replay(header["venue"], header["symbol"], tops=tops is not None)
    played = Played(folder, header["venue"], header["symbol"], replay, files, missing=missing_of(folder, files))
    for file in files:
        if file.number - 1 in played.missing:
            replay.disconnect()
        for text, found in whole_records(file):
            for record in found:
                _note(played, file, record)
            _feed(played, file, text)
            if tops is not None:
                tops.write(replay.take_tops())
            if each is not None:
                for record in found:
                    each(record)
    if files[-1].number + 1 in played.missing:
        replay.disconnect()
    played.torn = [file.path.name for file in files if file.sum is None]
    return played


def whole_records(file: Segment) -> Iterator[tuple[bytes, list[Record]]]:
    """Yield the records of a segment in blocks, as bytes and as rows; a torn one ends at its last whole record."""
    rest = b""
    for text in file.texts():
        block = rest + text
        try:
            found, rest = records(block)
        except ValueError as error:
            if file.sum is None:
                return
            raise damaged(file.path, str(error)) from None
        yield block[: len(block) - len(rest)], found
    if rest and file.sum is not None:
        raise damaged(file.path, "its last record has no end")


def _header(files: list[Segment]) -> dict[str, Any]:
    for file in files:
        for _, found in whole_records(file):
            if not found:
                continue
            header = _facts(found[0])
            if found[0].kind not in ("run", "segment") or header.get("format") != FORMAT:
                raise damaged(file.path, f"it does not begin as format {FORMAT} of a recording does")
            return header
    raise ReplayError(f"{files[0].path.parent}: nothing was recorded")


def _feed(played: Played, file: Segment, text: bytes) -> None:
    try:
        taken = played.replay.play(text)
    except ValueError as error:
        raise damaged(file.path, str(error)) from None
    assert taken == len(text)


def _note(played: Played, file: Segment, record: Record) -> None:
    if record.kind == "frame":
        played.frames += 1
    elif record.kind in ("run", "segment"):
        played.runs += record.kind == "run"
        _demand_place(played, file, _facts(record))
    elif record.kind == "begin":
        played.connections += 1
    elif record.kind == "lost":
        played.lost += int(_facts(record).get("records", 0))
        played.lost_places += 1


def _demand_place(played: Played, file: Segment, facts: Mapping[str, Any]) -> None:
    """Refuse a segment of another market, or one that stands in another one's place."""
    if (facts.get("venue"), facts.get("symbol")) != (played.venue, played.symbol):
        raise ReplayError(f"{played.folder}: holds more markets than {played.market}")
    if facts.get("segment") != file.number:
        raise damaged(file.path, f"it was segment {facts.get('segment')}, and has another name now")


def _facts(record: Record) -> dict[str, Any]:
    try:
        return dict(orjson.loads(record.payload))
    except ValueError:
        return {}

"""The files of a recording: numbered gzip segments of records, their SHA-256 sums beside them.

```
DIR/binance-BTCUSDT/000001.rec.gz        whole: synced, named in SHA256SUMS (`sha256sum -c SHA256SUMS` checks it too)
                    000002.rec.gz.part   being written, or torn by a kill: readable up to its last flush
                    SHA256SUMS           one line for each whole segment
```
docs/recording.md explains the records in them.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytrader.journal_files import sync_folder
from pytrader.recording import ReplayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SUMS = "SHA256SUMS"
WHOLE, TORN = ".rec.gz", ".rec.gz.part"
READ_BYTES = 1 << 20
HEAD_MAX = 80  # no record begins with more bytes of kind and numbers
GZIP = 31  # zlib's word for a gzip stream of the largest window
_NAME = re.compile(r"([0-9]{6,9})(\.rec\.gz(?:\.part)?)")
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([0-9]{6,9}\.rec\.gz)")
_KINDS = b"frame|snapshot|begin|end|takeover|lost|book|run|segment|diverged"
_HEAD = re.compile(rb"(" + _KINDS + rb") (-?[0-9]{1,19}) ([0-9]{1,10}) ([0-9]{1,9}) ")


class Record(NamedTuple):
    """One record: its kind, monotonic receive time, connection (0 for none) and payload."""

    kind: str
    recv_ns: int
    connection: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a recording. `sum` is the SHA-256 that it must have; None for a torn one."""

    number: int
    path: Path
    sum: str | None

    def texts(self) -> Iterator[bytes]:
        """Yield the records as bytes, in blocks that may end within a record.

        Raises ReplayError for a whole segment that is not what was written; a torn one just ends.
        """
        raw = self._raw()
        if self.sum is not None and hashlib.sha256(raw).hexdigest() != self.sum:
            raise damaged(self.path, f"its checksum is not the one in {SUMS}")
        unpack = zlib.decompressobj(GZIP)
        for start in range(0, len(raw), READ_BYTES):
            part, before = raw[start : start + READ_BYTES], unpack.copy()
            try:
                text = unpack.decompress(part)
            except zlib.error as error:
                if self.sum is not None:
                    raise damaged(self.path, str(error)) from None
                yield _until_it_breaks(before, part)
                return
            yield text

    def _raw(self) -> bytes:
        """Return the file's bytes, also if it has become whole since it was listed."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            if self.path.name.endswith(WHOLE):
                raise
            return self.path.with_name(self.path.name.removesuffix(".part")).read_bytes()


def _until_it_breaks(unpack: zlib._Decompress, part: bytes) -> bytes:
    """Return what stands before the place where a power cut left something else."""
    text = bytearray()
    with suppress(zlib.error):
        for at in range(len(part)):
            text += unpack.decompress(part[at : at + 1])
    return bytes(text)


def damaged(path: Path, finding: str) -> ReplayError:
    """Return the error for a segment that is not what was written, with what can be done."""
    return ReplayError(
        f"{path} is damaged: {finding}. Put back a copy of it; or move it out of the folder: the others then replay, "
        "unsynced from where it is missing until the next segment's book"
    )


def read_sums(folder: Path) -> dict[str, str]:
    """Return the sums by file name. Raises ReplayError for a line that is none."""
    path = folder / SUMS
    if not path.exists():
        return {}
    found = [(line, _SUM_LINE.fullmatch(line)) for line in path.read_text("ascii", "replace").splitlines()]
    for line, match in found:
        if match is None:
            raise ReplayError(
                f"{path} is damaged: {line[:80]!r} is not a checksum and a segment's name; put back a copy"
            )
    return {match[2]: match[1] for _, match in found if match is not None}


def segments(folder: Path) -> list[Segment]:
    """Return the segments of a recording in their order. Raises ReplayError for a whole one without a sum.

    Whole segments older than every sum are those that the size bound was taking away.
    """
    files, sums = numbered(folder), read_sums(folder)  # in this order: one that becomes whole between has its sum
    first = min(map(_number, sums), default=0)
    made: dict[int, Segment] = {}
    for number, path in files:
        name = path.name.removesuffix(".part")
        whole = path.name == name
        if whole and name not in sums and number > first:
            raise damaged(path, f"it is not named in {SUMS}")
        if (whole and name in sums) or (not whole and number not in made):
            made[number] = Segment(number, path, sums.get(name))
    return [made[number] for number in sorted(made)]


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return every segment file with its number, whole ones before torn ones of the same number."""
    found = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted((int(match[1]), path) for match, path in found)


def missing_of(folder: Path, files: Sequence[Segment]) -> list[int]:
    """Return the numbers that are not among `files`: left out between them, or named in the sums alone."""
    there = {file.number for file in files}
    known = {*there, *map(_number, read_sums(folder))}
    return [number for number in range(min(known), max(known) + 1) if number not in there]


def next_number(folder: Path, sums: Mapping[str, str]) -> int:
    """Return a number that no segment has, neither a file nor a sum: a sum without its file is one that was lost."""
    known = [number for number, _ in numbered(folder)] + [_number(name) for name in sums]
    return max(known, default=0) + 1


def _number(name: str) -> int:
    return int(name.partition(".")[0])


def is_recording(folder: Path) -> bool:
    """Tell whether there are segments in a folder."""
    return folder.is_dir() and bool(numbered(folder))


def recordings_in(folder: Path) -> list[Path]:
    """Return the recording that `folder` is, or those in it, one a market. Raises ReplayError without any."""
    if is_recording(folder):
        return [folder]
    found = sorted(path for path in folder.iterdir() if is_recording(path))
    if not found:
        raise ReplayError(f"{folder}: no recording in this folder; `pytrader run --record {folder}` makes one")
    return found


def records(text: bytes) -> tuple[list[Record], bytes]:
    """Return the whole records at the start of `text`, and what is left. Raises ValueError if it begins with none."""
    found: list[Record] = []
    at = 0
    while (head := _HEAD.match(text, at)) is not None:
        end = head.end() + int(head[4])
        if end >= len(text):
            return found, text[at:]
        if text[end] != 0x0A:
            break
        found.append(Record(head[1].decode(), int(head[2]), int(head[3]), text[head.end() : end]))
        at = end + 1
    if not found and (head is not None or len(text) > HEAD_MAX):
        raise ValueError("not a record of a recording")
    return found, text[at:]


class Writer:
    """Writes one segment, `.part` until `seal`. Raises OSError when the disk refuses; what was flushed stays."""

    def __init__(self, folder: Path, number: int, level: int) -> None:
        """Create the file, only the owner's."""
        self.path = folder / f"{number:06}{TORN}"
        self.size = 0
        self._hash = hashlib.sha256()
        self._pack = zlib.compressobj(level, zlib.DEFLATED, GZIP)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, records: bytes) -> None:
        """Append whole records."""
        self._put(self._pack.compress(records))

    def flush(self) -> None:
        """Make what was written readable by others; a kill of this process cannot take it back."""
        self._put(self._pack.flush(zlib.Z_SYNC_FLUSH))

    def seal(self, sums: dict[str, str]) -> None:
        """Make the segment whole and durable, and put its own sum into `sums`, also if the disk refuses after that."""
        self._put(self._pack.flush(zlib.Z_FINISH))
        os.fsync(self._file)
        folder, name = self.path.parent, self.path.name.removesuffix(".part")
        sums[name] = self._hash.hexdigest()
        write_sums(folder, sums)  # first, so that no whole segment is ever without
        self.path.rename(folder / name)
        sync_folder(folder)
        self.close()

    def close(self) -> None:
        """Let go of the file as it is."""
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
            self._file = -1

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.write(self._file, rest)
            self._hash.update(rest[:written])
            self.size += written
            rest = rest[written:]


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Replace the file of sums, durably."""
    new = folder / f"{SUMS}.new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        text = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())).encode()
        if os.write(handle, text) != len(text):
            raise OSError(28, "the disk is full", str(new))
        os.fsync(handle)
    finally:
        os.close(handle)
    new.rename(folder / SUMS)

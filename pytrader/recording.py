"""Recordings as files: frames one a line, their receive times beside them, plain or gzip."""

from __future__ import annotations

import gzip
import zlib
from itertools import islice, repeat
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_BYTES = 4 << 20
"""Lines are fed in blocks of about this many bytes."""

TIME_MAX = 2**63 - 1
GZIP_MAGIC = b"\x1f\x8b"


class ReplayError(Exception):
    """The recording, its snapshot or its receive times cannot be used; the text says why."""


def blocks(lines: IO[bytes], times: IO[bytes] | None) -> Iterator[tuple[bytes, list[int]]]:
    """Yield whole lines in large blocks, each with its frames' receive times; the two must have the same length."""
    received = None if times is None else _receive_times(times)
    while read := _lines(lines):
        block = [line for line in read if line.strip()]
        stamps = [] if received is None else list(islice(received, len(block)))
        if times is not None and len(stamps) != len(block):
            raise ReplayError(f"fewer receive times than frames in {times.name}")
        yield b"".join(block), stamps
    if times is not None and times.read(64).strip():
        raise ReplayError(f"more receive times than frames in {times.name}")


def _lines(lines: IO[bytes]) -> list[bytes]:
    try:
        return lines.readlines(READ_BYTES)
    except zlib.error as error:  # gzip turns other damage into an OSError or EOFError, and lets this pass
        raise ReplayError(f"{lines.name} is damaged: {error}") from None


def sound(lines: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file. Raises ReplayError where its gzip is damaged."""
    try:
        yield from lines
    except zlib.error as error:
        raise ReplayError(f"{lines.name} is damaged: {error}") from None


def _receive_times(times: IO[bytes]) -> Iterator[int]:
    for number, line in enumerate(sound(times), 1):
        digits = line.strip()
        if not digits.removeprefix(b"-").isdigit() or not -TIME_MAX <= (at_ns := int(digits)) <= TIME_MAX:
            text = digits[:40].decode("ascii", "backslashreplace")
            raise ReplayError(f"{times.name}, line {number}: {text!r} is no receive time; give ns, one a line")
        yield at_ns


def open_lines(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip if it begins as gzip does."""
    with path.open("rb") as file:
        zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path)) if zipped else path.open("rb")


def read_bytes(path: Path) -> bytes:
    """Return a whole file, unzipped if it is gzip."""
    with open_lines(path) as file:
        try:
            return file.read()
        except zlib.error as error:
            raise ReplayError(f"{path} is damaged: {error}") from None


def frames(lines: IO[bytes], times: IO[bytes] | None) -> Iterator[tuple[bytes, int | None]]:
    """Yield each frame with its receive time, None where the recording has no times."""
    for block, stamps in blocks(lines, times):
        rows = [row for line in block.split(b"\n") if (row := line.strip())]
        yield from zip(rows, stamps or repeat(None), strict=False)

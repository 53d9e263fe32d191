"""Fills, orders and rejects of a journal as CSV or JSON lines; docs/csv.md describes every column.

A file appears under its name only when it is complete and on the disk, and never over another file unless told so.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from pytrader.journal import JournalError, JournalView
from pytrader.journal_files import sync_folder
from pytrader.journal_views import VIEWS

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator

    from pytrader.journal import Row

SCHEMA: Final = 1  # of the columns; the first column of every file, raised when a column changes its meaning or goes
FORMATS: Final = ("csv", "jsonl")
WHAT: Final = tuple(VIEWS)

# Everything else is text, so that a new column is guarded until somebody says that it holds numbers.
# fmt: off
NUMBERS: Final = frozenset({
    "seq", "utc_ns", "order", "quantity", "order_quantity", "average", "cost", "fee", "decision_mid",
    "arrival_mid", "delay_ns", "elapsed_ns", "slippage_total", "slippage_spread", "slippage_depth",
    "slippage_delay", "slippage_model", "realised", "limit", "notional", "bid", "ask", "filled", "fills",
    "ended_seq", "ended_utc_ns", "largest",
})
# fmt: on

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")  # what makes a spreadsheet compute a cell
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ExportError(Exception):
    """The export was not written; the message names the path and the cause. No half-written file is left."""


def add_arguments(parser: ArgumentParser) -> None:
    """Give the parser of `pytrader export` its arguments."""
    parser.add_argument("format", choices=FORMATS, help="csv, or jsonl: one JSON object a line with the same fields")
    parser.add_argument("--what", choices=WHAT, required=True, help="which rows (docs/csv.md lists their columns)")
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="file to write, - for standard output; default: WHAT-UTCTIME.csv here"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")


def run(options: Namespace, folder: Path, utc_ns: int) -> int:
    """Export from the journal in `folder` as `add_arguments` was answered; return the exit code, 0 or 1.

    The rows or the file's name go to standard output, errors to standard error. `utc_ns` names the default file.
    """
    output = options.output or default_name(options.what, options.format, utc_ns)
    target = _standard_output() if output == "-" else Path(output)
    try:
        rows = _export(folder, options, target)
    except (ExportError, JournalError) as error:
        print(f"pytrader export: {error}", file=sys.stderr)
        return 1
    if isinstance(target, Path):
        print(f"{rows} {options.what} written to {target}")
    return 0


def default_name(what: str, form: str, utc_ns: int) -> str:
    """Return the name of an export made at `utc_ns`, such as fills-20261122T101530Z.csv."""
    return f"{what}-{_EPOCH + timedelta(seconds=utc_ns // 1_000_000_000):%Y%m%dT%H%M%SZ}.{form}"


def write_csv(view: JournalView, what: str, target: Path | TextIO, force: bool) -> int:
    """Write "fills", "orders" or "rejects" as CSV (RFC 4180, UTF-8, CRLF) and return the number of rows.

    The journal is verified first. A Path is written beside itself and renamed when complete; if it exists it is kept
    unless `force`. Raises ExportError if the target cannot be written, JournalError if the journal cannot be read or is
    damaged.
    """

    def write(out: TextIO) -> int:
        table = csv.writer(out)
        table.writerow(_header(view.columns(what)))
        count = 0
        for row in view.rows(what):
            table.writerow([_cell(*field) for field in _fields(row)])
            count += 1
        return count

    return _write(view, target, force, write)


def write_jsonl(view: JournalView, what: str, target: Path | TextIO, force: bool) -> int:
    """Write as `write_csv` does, one JSON object a line: decimals stay text, what is missing is null, no guard."""

    def write(out: TextIO) -> int:
        count = 0
        for row in view.rows(what):
            out.write(json.dumps(dict(_fields(row)), ensure_ascii=False) + "\n")
            count += 1
        return count

    return _write(view, target, force, write)


def _export(folder: Path, options: Namespace, target: Path | TextIO) -> int:
    write = write_csv if options.format == "csv" else write_jsonl
    view = JournalView.open(folder)
    try:
        return write(view, options.what, target, options.force)
    finally:
        view.close()


def _standard_output() -> TextIO:
    """Return standard output as the files are: UTF-8, and with the line ends that are written."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    return sys.stdout


def _write(view: JournalView, target: Path | TextIO, force: bool, write: Callable[[TextIO], int]) -> int:
    if isinstance(target, Path):
        _refuse(target, force)
    for _ in view.load():  # a table from a damaged journal would be wrong without a word
        pass
    with _in_plain_words(target):
        if isinstance(target, Path):
            with _complete(target, force) as out:
                return write(out)
        return _piped(target, write)


def _piped(out: TextIO, write: Callable[[TextIO], int]) -> int:
    try:
        rows = write(out)
        out.flush()
    except OSError:
        if out is sys.stdout:  # what is left in its buffer would fail once more when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise
    return rows


def _header(names: list[str]) -> list[str]:
    return [name for name, _ in _fields(dict.fromkeys(names))]


def _fields(row: Row) -> Iterator[tuple[str, int | str | None]]:
    """Yield the exported fields: the schema first, and before each time in ns the same time as text."""
    yield "schema", SCHEMA
    for name, value in row.items():
        if name.endswith("utc_ns"):
            yield name.removesuffix("_ns"), iso(value) if isinstance(value, int) else None
        yield name, value


def iso(utc_ns: int) -> str:
    """Return a UTC time in ISO 8601 with nanoseconds: 2026-11-22T10:15:30.123456789Z."""
    seconds, ns = divmod(utc_ns, 1_000_000_000)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{ns:09}Z"


def _cell(name: str, value: int | str | None) -> int | str | None:
    """Return the cell, with a ' before text that a spreadsheet would compute; a number is left as it is."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    return value if name in NUMBERS and _NUMBER.fullmatch(value) else f"'{value}"


@contextmanager
def _in_plain_words(target: Path | TextIO) -> Iterator[None]:
    name = target if isinstance(target, Path) else getattr(target, "name", "output")
    try:
        yield
    except FileExistsError as error:
        raise _exists(name) from error
    except OSError as error:
        raise ExportError(f"{name}: {error.strerror or error}") from error


def _exists(name: Path | str) -> ExportError:
    return ExportError(f"{name}: this file exists already; choose another with -o, or replace it with --force")


def _refuse(target: Path, force: bool) -> None:
    """Refuse a target before any work is done for it."""
    with _in_plain_words(target):
        if not target.parent.is_dir():
            raise ExportError(f"{target}: there is no folder {target.parent}")
        if not os.path.lexists(target):
            return
        if not stat.S_ISREG(target.lstat().st_mode):
            raise ExportError(f"{target}: this is not a plain file, and is not replaced")
        if not force:
            raise _exists(target)


@contextmanager
def _complete(target: Path, force: bool) -> Iterator[TextIO]:
    """Give a temporary file in the target's folder; it takes the target's name once it is complete and synced."""
    handle, name = tempfile.mkstemp(prefix=".pytrader-", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        _take_name(temporary, target, force)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _take_name(temporary: Path, target: Path, force: bool) -> None:
    """Give the complete file its name; without `force` a file that somebody made meanwhile is kept."""
    if not force:
        try:
            target.hardlink_to(temporary)  # unlike a rename it fails if the name is taken
        except FileExistsError:
            raise
        except OSError:  # no hard links here, as on a memory stick: a look before the rename must do
            if os.path.lexists(target):
                raise _exists(target) from None
        else:
            return
    temporary.replace(target)

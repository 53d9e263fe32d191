"""The journal: every event of the desk in one SQLite file, each chained to the one before.

The table `events(seq, mono_ns, utc_ns, body, chain)` is the truth. `chain` is the SHA-256 of the previous chain, the
three numbers and the body, so that a changed, missing, doubled or swapped event is noticed when the journal is loaded.
The SQL views of `journal_views` hold nothing of their own. Nothing here reads a clock or starts a thread, and no file
of a journal is ever deleted: `fresh` moves it aside.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from contextlib import closing, suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

from pytrader.journal_files import (
    FILE_NAME,
    LOCK_NAME,
    JournalError,
    JournalLocked,
    damaged,
    identity,
    in_plain_words,
    make_file,
    make_folder,
    move_aside,
    refuse_stump,
    size,
    take_lock,
)
from pytrader.journal_views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["FILE_NAME", "LOCK_NAME", "Journal", "JournalError", "JournalLocked", "JournalView", "check_opened", "fresh"]

SCHEMA: Final = 1  # PRAGMA user_version of the file, and "version" in its first event
GENESIS: Final = bytes(32)  # stands for the chain before the first event
BUSY_TIMEOUT_MS: Final = 2_000  # how long another program's lock on the database is waited for

Event = tuple[int, int, int, bytes]  # seq (1, 2, 3 ... without a gap), mono_ns, utc_ns, body (UTF-8 JSON)
Chained = tuple[int, int, int, bytes, bytes]  # an event and its chain, 32 bytes
Row = dict[str, int | str | None]  # one row of a view; decimals are exact text

_PREFIX: Final = struct.Struct(">32sqqq")  # of fixed width, so that no two events are hashed from the same bytes
_NEWEST: Final = "SELECT seq, mono_ns, utc_ns, body FROM events WHERE seq > ?"
_TABLE: Final = (
    "CREATE TABLE events(seq INTEGER PRIMARY KEY, mono_ns INTEGER NOT NULL, utc_ns INTEGER NOT NULL,"
    " body BLOB NOT NULL, chain BLOB NOT NULL)"
)


class Journal:
    """The one writer. Use it from one thread at a time; `open` takes the lock, `close` gives it back."""

    def __init__(self, folder: Path, lock: int, connection: sqlite3.Connection) -> None:
        """Take over an open lock and connection; call `open` instead."""
        self._path = folder / FILE_NAME
        self._lock = lock
        self._connection = connection
        self._tail = _tail(connection)  # the last durable event's seq and chain
        self._identity = identity(self._path)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the journal in `folder`, creating both (0700 and 0600 whatever the umask), as its only writer.

        Raises JournalLocked if another process has it, and JournalError if it cannot be created, opened or written, or
        was written by a newer version. No event is verified yet: `load` it before the first `append`.
        """
        path = folder / FILE_NAME
        with in_plain_words(path):
            make_folder(folder)
            lock = take_lock(folder)
            try:
                return cls(folder, lock, _open_for_writing(path))
            except BaseException:
                os.close(lock)
                raise

    @property
    def last_seq(self) -> int:
        """The number of the last durable event; 0 in an empty journal."""
        return self._tail[0]

    def load(self) -> Iterator[Event]:
        """Yield every event from the first, verifying the file and the chain on the way.

        Raises JournalError at the first event that is not what was written; forget then what was yielded before it.
        """
        return _load(self._connection, self._path)

    def append(self, events: Sequence[Event]) -> None:
        """Write a batch in exactly one commit; it is on the disk when this returns. An empty batch does nothing.

        Raises JournalError if the numbers do not continue the journal or the batch could not be made durable. Nothing
        of it counts then, and the same batch may be given again: it ends in the journal once.
        """
        if not events:
            return
        with in_plain_words(self._path):
            rows = _chained(events, self._tail, self._path)
            if identity(self._path) != self._identity:
                raise JournalError(f"journal {self._path}: a file of it was removed or replaced while it was in use")
            self._commit(rows)
        self._tail = rows[-1][0], rows[-1][4]

    def _commit(self, rows: list[Chained]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._insert(rows)
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # the first failure is the one to report
                self._connection.rollback()
            raise

    def _insert(self, rows: list[Chained]) -> None:
        """Insert `rows`, unless a commit that reported a failure has written exactly them after all."""
        tail = _tail(self._connection)
        if tail == self._tail:
            self._connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
        elif tail != (rows[-1][0], rows[-1][4]):
            raise JournalError(f"journal {self._path}: another program changed it; its last event is {tail[0]}")

    def close(self) -> None:
        """Close the file and give back the lock. Closing twice is harmless."""
        if self._lock >= 0:
            with in_plain_words(self._path):
                self._connection.close()
                os.close(self._lock)
                self._lock = -1


class JournalView:
    """A reader: takes no lock, changes nothing, works beside a running writer and after a killed one."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take over an open connection; call `open` instead."""
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the journal in `folder` for reading. Raises JournalError if there is none or it cannot be read."""
        path = folder / FILE_NAME
        with in_plain_words(path):
            if not path.exists():
                raise _none_yet(path)
            refuse_stump(path)
            return cls(path, _open_for_reading(path))

    def load(self) -> Iterator[Event]:
        """Yield every event committed by now, verified as by `Journal.load`."""
        return _load(self._connection, self._path)

    def rows(self, what: str) -> Iterator[Row]:
        """Yield the rows of "fills", "orders" or "rejects", oldest first. Verifying is left to `load`."""
        with in_plain_words(self._path), closing(self._connection.execute(VIEWS[what])) as cursor:
            names = [name for name, *_ in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    def newest(self, *kinds: str, after: int = 0) -> Event | None:
        """Return the newest event of one of `kinds` above the number `after`. Verifying is left to `load`."""
        heads = [f'{{"{kind}":'.encode() for kind in kinds]  # every body begins with its kind
        among = " OR ".join("substr(body, 1, ?) = ?" for _ in heads)
        query = f"{_NEWEST} AND ({among}) ORDER BY seq DESC LIMIT 1"
        wanted = [each for head in heads for each in (len(head), head)]
        with in_plain_words(self._path):
            row: Event | None = self._connection.execute(query, [after, *wanted]).fetchone()
        return row

    @property
    def last_seq(self) -> int:
        """The number of the last event committed by now; 0 in an empty journal."""
        with in_plain_words(self._path):
            return _tail(self._connection)[0]

    def columns(self, what: str) -> list[str]:
        """Return the names of the columns of `rows`."""
        with in_plain_words(self._path), closing(self._connection.execute(f"{VIEWS[what]} LIMIT 0")) as cursor:
            return [name for name, *_ in cursor.description]

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._connection.close()


def fresh(folder: Path, utc_ns: int) -> Path | None:
    """Move the journal in `folder` into `before-<UTC time>` inside it and return that folder, None without a journal.

    That folder can be opened as a journal. Raises JournalLocked if the journal is in use, JournalError if it cannot be
    moved. The log, the lock and the HALT file stay.
    """
    with in_plain_words(folder):
        if not folder.exists():
            return None
        lock = take_lock(folder)
        try:
            return move_aside(folder, datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC))
        finally:
            os.close(lock)


def check_opened(body: bytes, execution: str, venue: str, symbol: str) -> None:
    """Raise JournalError if `body`, a journal's first event, names another market or a version that is not ours."""
    opened = json.loads(body).get("opened", {})
    found = tuple(opened.get(name) for name in ("execution", "venue", "symbol"))
    if found != (execution, venue, symbol):
        owner = " ".join(map(str, found))
        raise JournalError(
            f"this journal belongs to {owner}, not to {execution} {venue} {symbol}; choose another --data-dir"
        )
    if opened.get("version") != SCHEMA:
        raise JournalError(f"this journal's events have version {opened.get('version')}; this pytrader reads {SCHEMA}")


def _chained(events: Iterable[Event], tail: tuple[int, bytes], path: Path) -> list[Chained]:
    """Return the rows of `events`, which must follow the event `tail`."""
    seq, chain = tail
    pack = _PREFIX.pack
    rows = []
    try:
        for number, mono_ns, utc_ns, body in events:
            seq += 1
            if number != seq:
                raise JournalError(f"journal {path}: event {number} was appended where event {seq} was expected")
            chain = sha256(pack(chain, seq, mono_ns, utc_ns) + body).digest()
            rows.append((seq, mono_ns, utc_ns, body, chain))
    except (struct.error, TypeError, ValueError) as error:
        raise JournalError(f"journal {path}: event {seq} cannot be written: {error}") from error
    return rows


def _load(connection: sqlite3.Connection, path: Path) -> Iterator[Event]:
    with in_plain_words(path), closing(connection.cursor()) as cursor:
        # The chain cannot miss what damage cut off at its end; the pages of the file can.
        (finding,) = cursor.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise damaged(path, " ".join(str(finding).removeprefix("*** in database main ***").split()))
        yield from _verified(cursor.execute("SELECT seq, mono_ns, utc_ns, body, chain FROM events ORDER BY seq"), path)


def _verified(rows: Iterable[Chained], path: Path) -> Iterator[Event]:
    """Yield the events of `rows` for as long as each is exactly the next one."""
    expected, chain = 1, GENESIS
    pack = _PREFIX.pack
    for seq, mono_ns, utc_ns, body, stored in rows:
        if seq != expected:
            raise damaged(path, f"expected event {expected}, found event {seq}")
        try:
            chain = sha256(pack(chain, seq, mono_ns, utc_ns) + body).digest()
        except (struct.error, TypeError) as error:
            raise damaged(path, f"event {seq} holds a value of the wrong kind ({error})") from error
        if chain != stored:
            raise damaged(path, f"event {seq} carries the chain {_short(stored)}, expected {_short(chain)}")
        yield seq, mono_ns, utc_ns, body
        expected += 1


def _short(chain: object) -> str:
    return f"{chain.hex()[:16]}…" if isinstance(chain, bytes) else repr(chain)


def _tail(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Return the last event's seq and chain."""
    row = connection.execute("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, GENESIS)


def _open_for_writing(path: Path) -> sqlite3.Connection:
    make_file(path)
    connection = _connect(str(path))
    try:
        version = _schema(connection, path)
        _make_durable(connection, path)
        _install(connection, version)
        # What a killed or failing writer left in the WAL may never have reached the disk: it is copied and synced now.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_durable(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise JournalError(f"journal {path}: this file system cannot share memory between programs, which WAL needs")
    connection.execute("PRAGMA synchronous = FULL")


def _open_for_reading(path: Path) -> sqlite3.Connection:
    try:
        return _connect_for_reading(path, "mode=ro")
    except sqlite3.OperationalError as error:
        # In a folder that cannot be written SQLite cannot share memory; without a WAL the file alone is everything.
        refused = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        if not refused or size(path.with_name(f"{path.name}-wal")):
            raise
        return _connect_for_reading(path, "mode=ro&immutable=1")


def _connect_for_reading(path: Path, options: str) -> sqlite3.Connection:
    connection = _connect(f"{path.absolute().as_uri()}?{options}", uri=True)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        version = _schema(connection, path)
    except BaseException:
        connection.close()
        raise
    if version == 0:
        connection.close()
        raise _none_yet(path)
    return connection


def _connect(database: str, *, uri: bool = False) -> sqlite3.Connection:
    timeout_s = BUSY_TIMEOUT_MS / 1_000
    return sqlite3.connect(database, uri=uri, timeout=timeout_s, isolation_level=None, check_same_thread=False)


def _none_yet(path: Path) -> JournalError:
    return JournalError(f"journal {path}: there is none yet")


def _schema(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's format, 0 when it is still empty; raise JournalError if it is not a journal of this format."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if version > SCHEMA:
        raise JournalError(
            f"journal {path} has format {version}, written by a newer pytrader; this one reads format {SCHEMA}."
            " Use the newer one, or start with --fresh (it moves the journal aside and deletes nothing)"
        )
    if version < SCHEMA and names:
        raise JournalError(f"journal {path} is a database of something else, with {', '.join(sorted(names))}")
    if version == SCHEMA and "events" not in names:
        raise damaged(path, "its table of events is missing")
    return int(version)


def _install(connection: sqlite3.Connection, version: int) -> None:
    """Create the table in an empty file, and every view that is missing or defined otherwise."""
    wanted = {name: f"CREATE VIEW {name} AS {select}" for name, select in VIEWS.items()}
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    stale = [name for name in wanted if found.get(name) != wanted[name]]
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")  # always: SQLite opens a read-only file without a word
    if version == 0:
        connection.execute(_TABLE)
    for name in stale:
        connection.execute(f"DROP VIEW IF EXISTS {name}")
        connection.execute(wanted[name])
    connection.execute("COMMIT")

"""The files of a journal: its folder, modes, lock, and the errors that name them. Knows nothing of events."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

FILE_NAME: Final = "journal.sqlite3"
LOCK_NAME: Final = "journal.lock"
SMALLEST_FILE: Final = 512  # bytes, one page of the smallest size that SQLite knows
REMEDY: Final = "restore a copy of this folder, or start with --fresh (it moves the journal aside and deletes nothing)"

_CAUSES: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    # SQLite keeps the system's own error to itself, so the words of the next three name all that it may have been.
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only, or a full or failing disk let it only be read",
    sqlite3.SQLITE_PERM: "permission is missing",
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened: permission is missing, the folder has gone, or the disk is full, failing or read-only"
    ),
    sqlite3.SQLITE_BUSY: "another program holds the database locked",
    sqlite3.SQLITE_IOERR: "the disk refused to read or write (full, failing or read-only disk, quota, file-size limit)",
    sqlite3.SQLITE_CORRUPT: f"the file is damaged; {REMEDY}",
    sqlite3.SQLITE_NOTADB: f"the file is damaged or is no journal; {REMEDY}",
}


class JournalError(Exception):
    """The journal cannot be used. The message names the path, the cause and, where there is a choice, what to do."""


class JournalLocked(JournalError):  # noqa: N818  (it says what is so: somebody else has the journal)
    """Another process writes this journal; `pid` is its process id, None in the instant before it is written down."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        """Name the folder and the process that holds it."""
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(f"journal {folder}: {owner} is using it; stop that one first, or choose another --data-dir")
        self.pid = pid


def damaged(path: Path, finding: str) -> JournalError:
    """Return the error for a journal that is not what was written."""
    return JournalError(f"journal {path} is damaged: {finding}; {REMEDY}")


@contextmanager
def in_plain_words(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into a JournalError that names the cause and the path."""
    try:
        yield
    except sqlite3.Error as error:
        cause = _CAUSES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        raise JournalError(f"journal {path}: {f'{cause} ({error})' if cause else error}") from error
    except UnicodeDecodeError as error:  # SQLite's complaint quotes what it could not read
        raise damaged(path, "SQLite cannot read its table of contents") from error
    except OSError as error:
        raise JournalError(f"journal {error.filename or path}: {error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Create `folder` and what is missing above it with mode 0700; take the rights of others away if it was there."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)  # the umask may have taken some of it
        sync_folder(path.parent)
    if not folder.is_dir():
        raise JournalError(f"journal {folder}: this is a file, not a folder")
    _tighten(folder)


def make_file(path: Path) -> None:
    """Create the file with mode 0600 before SQLite would with another, and refuse what is no plain file."""
    if not size(path) and size(path.with_name(path.name + "-wal")):
        raise damaged(path, "the file is gone, only its -wal is left")
    if not os.path.lexists(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(handle, 0o600)
        os.close(handle)
        sync_folder(path.parent)
    refuse_stump(path)
    for file in parts(path):
        if not stat.S_ISREG(file.lstat().st_mode):
            raise JournalError(f"journal {file}: this is not a plain file")
        _tighten(file)


def refuse_stump(path: Path) -> None:
    """Refuse a file shorter than SQLite's smallest, which SQLite would take for a new one and write over."""
    if 0 < size(path) < SMALLEST_FILE:
        raise damaged(path, f"only {size(path)} bytes are left of it")


def parts(path: Path) -> list[Path]:
    """Return the files of the journal that exist: the database and what SQLite keeps beside it."""
    return [part for suffix in ("", "-wal", "-shm") if os.path.lexists(part := path.with_name(path.name + suffix))]


def identity(path: Path) -> list[tuple[int, int]]:
    """Return what tells the open files from others of the same name."""
    return [(status.st_dev, status.st_ino) for part in parts(path) if (status := part.lstat())]


def size(path: Path) -> int:
    """Return the size in bytes, 0 for a file that is not there."""
    return path.stat().st_size if path.exists() else 0


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: without it a new or renamed file may be gone after a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(folder: Path) -> int:
    """Lock the folder for this process and write its id down; return the handle, which `os.close` unlocks.

    Raises JournalLocked when another process, or another journal of this one, has it. A killed owner holds nothing.
    """
    lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(lock, 0o600)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).strip()
        os.close(lock)
        raise JournalLocked(folder, int(owner) if owner.isdigit() else None) from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def is_locked(folder: Path) -> bool:
    """Tell whether a process writes the journal in `folder` now. Never waits, and makes no file."""
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask do not see each other
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def move_aside(folder: Path, when: datetime) -> Path | None:
    """Move the journal into a new folder inside `folder`, named by `when`; None if there is nothing to move.

    The files are linked there first, and the old names taken away only when that is durable: no crash can part them.
    """
    files = parts(folder / FILE_NAME)
    if not files:
        return None
    names = (f"before-{when:%Y%m%dT%H%M%SZ}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1_000))))
    aside = next(path for name in names if not os.path.lexists(path := folder / name))
    make_folder(aside)
    for file in files:
        os.link(file, aside / file.name, follow_symlinks=False)
    sync_folder(aside)
    for file in files:  # the database first: a -wal without it is noticed, the reverse would not be
        file.unlink()
    sync_folder(folder)
    return aside


def _tighten(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        path.chmod(mode & 0o700)

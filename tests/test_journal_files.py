"""A journal's files belong to their owner alone, and what a disk or a folder refuses is said in plain words."""

import os
import resource
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_journal import edit, event, events, read, written

from pytrader.journal import Journal, JournalError, JournalView, fresh

NOBODY = 65_534


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a full disk that needs no root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def ordinary_user(folder: Path) -> Iterator[None]:
    """Give up root, to whom no permission applies, inside a folder that then belongs to nobody else."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder below directories that any user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="pytrader-test-"))
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


# ---- files


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_folder_and_files_are_for_the_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        journal = Journal.open(tmp_path / "state" / "journal")
        journal.append(events(1, 2))
    finally:
        os.umask(old)
    folder = tmp_path / "state" / "journal"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, *folder.iterdir())}
    assert modes.pop("state") == modes.pop("journal") == 0o700
    assert set(modes) == {"journal.lock", "journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"}
    assert set(modes.values()) == {0o600}
    journal.close()


def test_a_restored_copy_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    written(tmp_path, 1)
    tmp_path.chmod(0o755)
    (tmp_path / "journal.sqlite3").chmod(0o644)
    Journal.open(tmp_path).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "journal.sqlite3").stat().st_mode) == 0o600


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=f"journal {tmp_path}/file: this is a file, not a folder"):
        Journal.open(tmp_path / "file")
    with pytest.raises(JournalError, match=f"{tmp_path}/file/below: Not a directory"):
        Journal.open(tmp_path / "file" / "below")


def test_a_pipe_or_a_link_in_the_journals_place_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.sqlite3")
    with pytest.raises(JournalError, match="this is not a plain file"):
        Journal.open(tmp_path)
    (tmp_path / "journal.sqlite3").unlink()
    (tmp_path / "journal.sqlite3").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="this is not a plain file"):
        Journal.open(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_without_write_permission_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o500)
    with ordinary_user(open_folder):
        with pytest.raises(JournalError, match=f"{open_folder}/journal.lock: Permission denied"):
            Journal.open(open_folder)
        with pytest.raises(JournalError, match=f"{open_folder}/new: Permission denied"):
            Journal.open(open_folder / "new")


def test_a_file_without_permission_is_named(open_folder: Path) -> None:
    written(open_folder, 2)
    (open_folder / "journal.sqlite3").chmod(0o000)
    with ordinary_user(open_folder), pytest.raises(JournalError, match="permission is missing"):
        Journal.open(open_folder)
    with ordinary_user(open_folder), pytest.raises(JournalError, match="permission is missing"):
        JournalView.open(open_folder)


def test_a_read_only_journal_is_named_to_the_writer(open_folder: Path) -> None:
    written(open_folder, 2)
    (open_folder / "journal.sqlite3").chmod(0o400)
    with ordinary_user(open_folder), pytest.raises(JournalError, match="read-only"):
        Journal.open(open_folder)


def test_a_closed_journal_in_a_read_only_folder_can_still_be_read(open_folder: Path) -> None:
    written(open_folder, 5)
    open_folder.chmod(0o500)
    with ordinary_user(open_folder):
        assert read(open_folder) == events(1, 5)


# ---- failing disks


def test_a_disk_that_refuses_is_reported_and_the_same_batch_can_be_given_again(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(events(1, 3))
    for _ in range(2):
        with file_limit(50_000), pytest.raises(JournalError, match=f"journal {tmp_path}/.*the disk refused"):
            journal.append(events(4, 3_000))
        assert journal.last_seq == 3
        assert read(tmp_path) == events(1, 3)
    journal.append(events(4, 3_000))
    journal.append([event(3_001)])
    assert list(journal.load()) == events(1, 3_001)
    journal.close()
    assert read(tmp_path) == events(1, 3_001)


def test_a_full_disk_is_called_full_and_a_smaller_batch_still_fits(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(JournalError, match="the disk is full"):
        journal.append(events(1, 1_000))
    journal.append(events(1, 2))
    assert list(journal.load()) == events(1, 2)
    journal.close()


def test_a_full_disk_at_the_start_is_reported(tmp_path: Path) -> None:
    with file_limit(0), pytest.raises(JournalError, match=r"journal\.sqlite3: File too large"):
        Journal.open(tmp_path)
    with file_limit(2_000), pytest.raises(JournalError, match="the disk refused"):
        Journal.open(tmp_path)
    written(tmp_path, 2)


class FailsOnce:
    """A connection whose next COMMIT reports a failure, after doing its work if `late`, before if not."""

    def __init__(self, connection: sqlite3.Connection, late: bool) -> None:
        self._connection, self._late, self._armed = connection, late, True

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        if statement == "COMMIT" and self._armed:
            self._armed = False
            if self._late:
                self._connection.execute(statement)
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(statement, *values)


@pytest.mark.parametrize("late", [False, True], ids=["nothing written", "written after all"])
def test_a_commit_in_doubt_that_is_given_again_neither_doubles_nor_skips(tmp_path: Path, late: bool) -> None:
    journal = Journal.open(tmp_path)
    journal.append(events(1, 2))
    journal._connection = FailsOnce(journal._connection, late)  # type: ignore[assignment]
    with pytest.raises(JournalError, match="disk I/O error"):
        journal.append(events(3, 5))
    journal.append(events(3, 5))
    journal.append(events(6, 6))
    assert list(journal.load()) == events(1, 6)
    journal.close()


def test_events_of_a_stranger_stop_the_writer(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(events(1, 2))
    edit(tmp_path, "INSERT INTO events SELECT 3, mono_ns, utc_ns, body, chain FROM events WHERE seq = 2")
    with pytest.raises(JournalError, match="another program changed it; its last event is 3"):
        journal.append(events(3, 3))
    journal.close()


def test_a_lock_of_another_program_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytrader.journal.BUSY_TIMEOUT_MS", 50)
    journal = Journal.open(tmp_path)
    other = sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="another program holds the database locked"):
        journal.append(events(1, 2))
    other.close()
    journal.append(events(1, 2))
    assert list(journal.load()) == events(1, 2)
    journal.close()


@pytest.mark.parametrize("name", ["journal.sqlite3", "journal.sqlite3-wal"])
def test_a_file_taken_away_while_in_use_is_noticed_at_the_next_append(tmp_path: Path, name: str) -> None:
    """SQLite goes on writing into a file that no name leads to any more; that is not durable."""
    journal = Journal.open(tmp_path)
    journal.append(events(1, 2))
    (tmp_path / name).rename(tmp_path / "kept")
    with pytest.raises(JournalError, match="removed or replaced while it was in use"):
        journal.append(events(3, 3))
    (tmp_path / "kept").rename(tmp_path / name)
    journal.append(events(3, 3))
    journal.close()
    assert read(tmp_path) == events(1, 3)


# ---- fresh


def test_fresh_moves_everything_aside_and_the_old_journal_can_be_read_there(tmp_path: Path) -> None:
    """A killed writer's journal, its last events still in the WAL, is moved as a whole; log and HALT stay."""
    journal = Journal.open(tmp_path / "killed")
    journal.append(events(1, 9))
    shutil.copytree(tmp_path / "killed", tmp_path / "journal")  # what a kill leaves: no close, the WAL as it is
    journal.close()
    (tmp_path / "journal" / "HALT").touch()
    when = 1_795_342_530_123_456_789
    moved = fresh(tmp_path / "journal", when)
    assert moved == tmp_path / "journal" / "before-20261122T101530Z"
    assert read(moved) == events(1, 9)
    assert sorted(path.name for path in (tmp_path / "journal").iterdir()) == ["HALT", moved.name, "journal.lock"]
    written(tmp_path / "journal", 2)
    second = fresh(tmp_path / "journal", when)
    assert second == tmp_path / "journal" / "before-20261122T101530Z-2"
    assert (read(moved), read(second)) == (events(1, 9), events(1, 2))


def test_fresh_without_a_journal_does_nothing(tmp_path: Path) -> None:
    assert fresh(tmp_path / "none", 0) is None
    assert not (tmp_path / "none").exists()
    assert fresh(tmp_path, 0) is None

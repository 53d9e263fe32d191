"""The journal keeps exactly what was appended, notices what is not, and says in plain words why it cannot work."""

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytrader.journal import Journal, JournalError, JournalLocked, JournalView, check_opened, fresh
from pytrader.journal_views import VIEWS

REPO = Path(__file__).parents[1]
OPENED = (
    b'{"opened":{"version":1,"execution":"simulated","venue":"binance","symbol":"BTCUSDT","base":"BTC","quote":"USDT"}}'
)

Event = tuple[int, int, int, bytes]


def event(seq: int) -> Event:
    """Return an event that every test can tell from its number alone."""
    body = OPENED if seq == 1 else b'{"marked":{"price":"%d"}}' % (seq * 7)
    return seq, seq * 1_000, 1_795_000_000_000_000_000 + seq, body


def events(first: int, last: int) -> list[Event]:
    return [event(seq) for seq in range(first, last + 1)]


def written(folder: Path, count: int) -> Path:
    """Make a journal of `count` events in `folder` and close it."""
    journal = Journal.open(folder)
    journal.append(events(1, count))
    journal.close()
    return folder


def read(folder: Path) -> list[Event]:
    view = JournalView.open(folder)
    try:
        return list(view.load())
    finally:
        view.close()


def edit(folder: Path, *statements: str) -> None:
    """Change a journal behind its back."""
    connection = sqlite3.connect(folder / "journal.sqlite3")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


# ---- what is kept


def test_what_was_appended_is_loaded_again_by_writer_and_reader(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "a" / "b")
    journal.append(events(1, 3))
    journal.append([])
    journal.append(events(4, 4))
    assert list(journal.load()) == events(1, 4) == read(tmp_path / "a" / "b")
    assert journal.last_seq == 4
    journal.close()
    journal.close()
    again = Journal.open(tmp_path / "a" / "b")
    again.append(events(5, 6))
    assert list(again.load()) == events(1, 6)
    again.close()


@given(bodies=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=200)), max_size=20))
@settings(max_examples=30)
def test_any_body_and_any_time_come_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    rows = [(seq, time, -1 - time, body) for seq, (time, body) in enumerate(bodies, 1)]
    journal = Journal.open(folder)
    journal.append(rows)
    assert list(journal.load()) == rows
    journal.close()


def test_a_batch_is_exactly_one_commit(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    seen: list[str] = []
    journal._connection.set_trace_callback(seen.append)
    journal.append(events(1, 500))
    assert [statement for statement in seen if statement in ("BEGIN IMMEDIATE", "COMMIT")] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


@pytest.mark.parametrize(
    "batch",
    [[event(3)], [event(1)], [event(2), event(4)], [event(2), event(2)], [event(3), event(2)]],
    ids=["gap", "again", "gap inside", "double inside", "swapped"],
)
def test_a_number_that_does_not_continue_is_refused_and_nothing_is_written(tmp_path: Path, batch: list[Event]) -> None:
    journal = Journal.open(tmp_path)
    journal.append([event(1)])
    with pytest.raises(JournalError, match=r"event \d was appended where event \d was expected"):
        journal.append(batch)
    journal.append([event(2)])
    assert list(journal.load()) == events(1, 2)
    journal.close()


@pytest.mark.parametrize("bad", [(1, 2**63, 0, b"{}"), (1, 0, 0, "{}"), (1, 0, None, b"{}"), (1, 0)])
def test_an_event_of_the_wrong_form_is_refused(tmp_path: Path, bad: object) -> None:
    journal = Journal.open(tmp_path)
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append([bad])  # type: ignore[list-item]
    assert list(journal.load()) == []
    journal.close()


# ---- damage


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a closed journal of twenty events, to be copied and damaged."""
    return written(tmp_path_factory.mktemp("sound"), 20)


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_chain_notices_any_single_changed_byte(sound: Path, tmp_path: Path, data: st.DataObject) -> None:
    seq = data.draw(st.integers(1, 20))
    column = data.draw(st.sampled_from(["mono_ns", "utc_ns", "body", "chain"]))
    shutil.copy(sound / "journal.sqlite3", tmp_path)
    connection = sqlite3.connect(tmp_path / "journal.sqlite3")
    (value,) = connection.execute(f"SELECT {column} FROM events WHERE seq = {seq}").fetchone()
    raw = bytearray(value if isinstance(value, bytes) else value.to_bytes(8, "big"))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed = bytes(raw) if isinstance(value, bytes) else int.from_bytes(raw, "big", signed=True)
    connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (changed, seq))
    connection.commit()
    connection.close()
    with pytest.raises(JournalError, match=f"event {seq} carries the chain .*, expected .*--fresh"):
        read(tmp_path)


@given(seq=st.integers(1, 19))
@settings(max_examples=19, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_missing_event_is_named(sound: Path, tmp_path: Path, seq: int) -> None:
    shutil.copy(sound / "journal.sqlite3", tmp_path)
    edit(tmp_path, f"DELETE FROM events WHERE seq = {seq}")
    with pytest.raises(JournalError, match=f"expected event {seq}, found event {seq + 1}; restore a copy .*--fresh"):
        read(tmp_path)


@given(seq=st.integers(1, 20))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_doubled_event_is_noticed(sound: Path, tmp_path: Path, seq: int) -> None:
    shutil.copy(sound / "journal.sqlite3", tmp_path)
    edit(
        tmp_path,
        f"UPDATE events SET seq = -seq WHERE seq > {seq}",
        "UPDATE events SET seq = 1 - seq WHERE seq < 0",
        f"INSERT INTO events SELECT seq + 1, mono_ns, utc_ns, body, chain FROM events WHERE seq = {seq}",
    )
    with pytest.raises(JournalError, match=f"event {seq + 1} carries the chain"):
        read(tmp_path)


@given(pair=st.lists(st.integers(1, 20), min_size=2, max_size=2, unique=True).map(sorted))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_swapped_events_are_noticed(sound: Path, tmp_path: Path, pair: list[int]) -> None:
    shutil.copy(sound / "journal.sqlite3", tmp_path)
    first, second = pair
    edit(
        tmp_path,
        f"UPDATE events SET seq = -1 WHERE seq = {first}",
        f"UPDATE events SET seq = {first} WHERE seq = {second}",
        f"UPDATE events SET seq = {second} WHERE seq = -1",
    )
    with pytest.raises(JournalError, match=f"event {first} carries the chain"):
        read(tmp_path)


def test_a_value_of_another_kind_is_damage_and_no_crash(sound: Path, tmp_path: Path) -> None:
    shutil.copy(sound / "journal.sqlite3", tmp_path)
    edit(tmp_path, "UPDATE events SET mono_ns = 'now' WHERE seq = 7")
    with pytest.raises(JournalError, match="event 7 holds a value of the wrong kind"):
        read(tmp_path)


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_anywhere_in_the_file_is_harmless_or_refused(
    sound: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Whatever the damage, what loads is what was written: never fewer events, never others."""
    raw = bytearray((sound / "journal.sqlite3").read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for rest in tmp_path.iterdir():
        rest.unlink()
    (tmp_path / "journal.sqlite3").write_bytes(raw)
    try:
        found = read(tmp_path)
    except JournalError:
        return
    assert found == events(1, 20)


def test_events_cut_off_at_the_end_are_missed(sound: Path, tmp_path: Path) -> None:
    """The chain of the events before them is whole; only the page that held them shows that it held more."""
    raw = bytearray((sound / "journal.sqlite3").read_bytes())
    page = 4_096  # the second page: the only leaf of the table
    assert (raw[page], int.from_bytes(raw[page + 3 : page + 5], "big")) == (0x0D, 20)
    raw[page + 4] = 19
    (tmp_path / "journal.sqlite3").write_bytes(raw)
    with pytest.raises(JournalError, match=r"is damaged: \w.*--fresh"):
        read(tmp_path)


@pytest.mark.parametrize("length", [1, 99, 100, 4_096, 9_000])
def test_a_file_cut_short_is_refused(sound: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "journal.sqlite3").write_bytes((sound / "journal.sqlite3").read_bytes()[:length])
    for opener in (read, Journal.open):
        with pytest.raises(JournalError, match=r"damaged.*--fresh"):
            opener(tmp_path)


def test_a_damaged_journal_stays_where_it_is_until_fresh_moves_it_aside(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"not a database, and longer than a header of SQLite" * 99)
    with pytest.raises(JournalError, match="damaged or is no journal"):
        Journal.open(tmp_path)
    moved = fresh(tmp_path, 1_795_342_530_000_000_000)
    assert moved is not None
    assert (moved / "journal.sqlite3").read_bytes().startswith(b"not a database")
    written(tmp_path, 2)


def test_a_wal_without_its_database_is_refused(tmp_path: Path) -> None:
    """SQLite would delete such a file without a word, and with it what may be the only copy of some events."""
    (tmp_path / "journal.sqlite3-wal").write_bytes(b"events")
    with pytest.raises(JournalError, match="only its -wal is left"):
        Journal.open(tmp_path)
    assert (tmp_path / "journal.sqlite3-wal").read_bytes() == b"events"
    assert fresh(tmp_path, 0) == tmp_path / "before-19700101T000000Z"


def test_a_newer_format_is_refused_by_writer_and_reader(tmp_path: Path) -> None:
    edit(written(tmp_path, 1), "PRAGMA user_version = 2")
    for opener in (Journal.open, JournalView.open):
        with pytest.raises(JournalError, match="format 2, written by a newer pytrader; this one reads format 1"):
            opener(tmp_path)


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    edit(tmp_path, "CREATE TABLE photographs(name)")
    with pytest.raises(JournalError, match="a database of something else, with photographs"):
        Journal.open(tmp_path)
    edit(tmp_path, "INSERT INTO photographs VALUES ('sea')")


def test_a_journal_without_its_table_is_damaged_and_not_new(tmp_path: Path) -> None:
    edit(written(tmp_path, 3), "DROP TABLE events")
    with pytest.raises(JournalError, match="its table of events is missing"):
        Journal.open(tmp_path)


def test_a_journal_of_another_market_or_version_is_refused() -> None:
    check_opened(OPENED, "simulated", "binance", "BTCUSDT")
    with pytest.raises(JournalError, match="belongs to simulated binance BTCUSDT, not to simulated okx BTC-USDT"):
        check_opened(OPENED, "simulated", "okx", "BTC-USDT")
    with pytest.raises(JournalError, match="version 2; this pytrader reads 1"):
        check_opened(OPENED.replace(b'"version":1', b'"version":2'), "simulated", "binance", "BTCUSDT")


# ---- one writer, any reader


def test_a_second_writer_is_told_who_has_the_journal(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    opener = (
        "import sys; from pathlib import Path; from pytrader.journal import Journal; Journal.open(Path(sys.argv[1]))"
    )
    second = subprocess.run(
        [sys.executable, "-c", opener, tmp_path], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert f"JournalLocked: journal {tmp_path}: process {os.getpid()} is using it" in second.stderr
    with pytest.raises(JournalLocked) as refused:
        Journal.open(tmp_path)
    assert refused.value.pid == os.getpid()
    with pytest.raises(JournalLocked):
        fresh(tmp_path, 0)
    journal.append(events(1, 2))
    journal.close()
    Journal.open(tmp_path).close()


def test_a_lock_without_a_number_is_still_a_lock(tmp_path: Path) -> None:
    with (tmp_path / "journal.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(JournalLocked, match="another process") as refused:
            Journal.open(tmp_path)
    assert refused.value.pid is None


def test_a_journal_that_could_not_be_opened_leaves_no_lock(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"x" * 200)
    for _ in range(2):
        with pytest.raises(JournalError, match="damaged"):
            Journal.open(tmp_path)


def test_a_reader_beside_a_running_writer_sees_each_commit_whole(tmp_path: Path) -> None:
    """Readers load again and again while batches of seven are committed; each load is a whole number of batches."""
    journal = Journal.open(tmp_path)
    journal.append(events(1, 7))
    done = threading.Event()
    lengths: list[int] = []

    def watch() -> None:
        while not done.is_set():
            found = read(tmp_path)
            assert found == events(1, len(found))
            lengths.append(len(found))

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        for batch in range(1, 200):
            journal.append(events(batch * 7 + 1, batch * 7 + 7))
    finally:
        done.set()
        reader.join()
    journal.close()
    assert lengths
    assert all(length % 7 == 0 for length in lengths)
    assert len(read(tmp_path)) == 1_400


def test_an_open_reader_neither_stops_the_writer_nor_loses_its_own_moment(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append(events(1, 10))
    view = JournalView.open(tmp_path)
    slow = view.load()
    first = next(slow)
    journal.append(events(11, 20))
    assert [first, *slow] == events(1, 10)
    assert list(view.load()) == events(1, 20)
    view.close()
    journal.close()


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    view = JournalView.open(written(tmp_path, 3))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._connection.execute("DELETE FROM events")
    view.close()


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.touch()], ids=["no file", "empty file"])
def test_a_reader_says_when_there_is_no_journal_yet_and_makes_none(tmp_path: Path, make) -> None:
    make(tmp_path / "journal.sqlite3")
    with pytest.raises(JournalError, match="there is none yet"):
        JournalView.open(tmp_path)
    assert not (tmp_path / "journal.lock").exists()
    written(tmp_path, 1)


APPENDER = """
import sys
from pathlib import Path
from tests_events import events
from pytrader.journal import Journal
journal = Journal.open(Path(sys.argv[1]))
last = sum(1 for _ in journal.load())
print(last, flush=True)
while True:
    journal.append(events(last + 1, last + 5))
    last += 5
    print(last, flush=True)
"""


@pytest.fixture
def appender(tmp_path: Path) -> Iterator[list[str]]:
    """Give a program that appends five events at a time for ever and prints the last number after each commit."""
    program = APPENDER.replace("tests_events", Path(__file__).stem)
    return [sys.executable, "-c", program, str(tmp_path / "journal")]


def test_after_kill_9_all_that_was_acknowledged_is_there(appender: list[str], tmp_path: Path) -> None:
    """Killed ten times over one journal: each time a reader, then the next writer, finds whole batches and no gap."""
    paths = os.pathsep.join([str(REPO), str(Path(__file__).parent)])
    acknowledged = 0
    for wanted in range(10):
        child = subprocess.Popen(appender, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})
        assert child.stdout is not None
        for _ in range(wanted * 3 + 1):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, child.stdout.read().split())])
        child.wait()
        child.stdout.close()
        found = read(tmp_path / "journal")
        assert found == events(1, len(found))
        assert len(found) in (acknowledged, acknowledged + 5)
    journal = Journal.open(tmp_path / "journal")
    assert list(journal.load()) == found
    journal.append([event(len(found) + 1)])
    journal.close()


# ---- views


def test_views_are_there_for_other_programs_and_rebuilt_when_missing_or_changed(tmp_path: Path) -> None:
    written(tmp_path, 2)
    edit(tmp_path, "DROP VIEW fills", "DROP VIEW orders", "CREATE VIEW orders AS SELECT 1 AS one")
    Journal.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite3")
    stored = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    for name in VIEWS:
        assert connection.execute(f"SELECT * FROM {name}").fetchall() == []
    connection.close()
    assert stored == {name: f"CREATE VIEW {name} AS {select}" for name, select in VIEWS.items()}


def test_a_body_that_is_no_json_fails_the_view_in_plain_words(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.append([event(1), (2, 0, 0, b'{"filled":')])
    journal.close()
    view = JournalView.open(tmp_path)
    with pytest.raises(JournalError, match="malformed JSON"):
        list(view.rows("fills"))
    view.close()

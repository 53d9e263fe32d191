"""`pytrader halt`: a file stops the engine from outside, with its reason, and what is said of it is so."""

import fcntl
import os
import signal
import stat
from types import SimpleNamespace

import pytest
from paper_market import desk_on, live_book
from sessions import PROFILE, events, hear, on, rows_of, run, running, say

from pytrader import Book, halt_file, halting
from pytrader.clock import Clock
from pytrader.events import read
from pytrader.journal import Journal, JournalView
from pytrader.journal_files import LOCK_NAME, is_locked
from pytrader.sandbox.process import OfflineMarket


@pytest.fixture(scope="module")
def market():
    """Run one offline market."""
    with OfflineMarket.start(5) as offline:
        yield offline


@pytest.fixture
def stopped(tmp_path):
    """Give a function that lets a clock look at the file once, and returns the detail of the halt."""

    def look():
        desk = desk_on(Book())
        log = SimpleNamespace(info=lambda _: None)
        clock = Clock(desk, Book(), decimals=2, halt_file=tmp_path / "HALT", show=lambda _: None, log=log)
        clock.obey_halt_file()
        (event,) = [event for row in desk.next_events(100, 0) if (event := read(row)).kind == "halted"]
        return event.facts["detail"]

    return look


def test_file_that_comes_during_a_resume_halts_all_the_same(tmp_path):
    """It was not there when `resume` looked, and seen by the clock before it was done: the next look halts again."""
    book = live_book()
    desk, log = desk_on(book), SimpleNamespace(info=lambda _: None)
    clock = Clock(desk, book, decimals=2, halt_file=tmp_path / "HALT", show=lambda _: None, log=log)
    desk.halt("OPERATOR", "lunch")
    halting.put(tmp_path, "news")
    clock.obey_halt_file()
    desk.resume()
    clock.obey_halt_file()
    assert desk.submit("buy", 10**6).codes == ["HALTED"]
    kinds = [read(row).kind for row in desk.next_events(100, 0)]
    assert kinds.count("halted") == 2
    for _ in range(3):  # nothing new to say
        clock.obey_halt_file()
    assert desk.next_events(100, 0) == []


# ---- the file


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_file_is_for_its_owner_alone_and_holds_the_reason(tmp_path, umask):
    """Whatever the umask; the folder is made where there is none."""
    before = os.umask(umask)
    try:
        assert halting.put(tmp_path / "new" / "one", "news  at 14:00")
    finally:
        os.umask(before)
    file = tmp_path / "new" / "one" / "HALT"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "news at 14:00\n"


def test_file_that_is_there_keeps_its_reason(tmp_path):
    """Whoever halted first said why; removing it twice is harmless."""
    assert halting.put(tmp_path, "first")
    assert not halting.put(tmp_path, "second")
    assert halt_file.reason_of(tmp_path / "HALT") == "first"
    assert halting.remove(tmp_path)
    assert not halting.remove(tmp_path)


def test_full_disk_still_lets_the_file_be_made(tmp_path, monkeypatch):
    """The name in the folder is what halts; a reason that finds no room is left out."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(halting.os, "write", full)
    assert halting.put(tmp_path, "news")
    assert halt_file.reason_of(tmp_path / "HALT") == ""


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", ""),
        (b"  \n\t ", ""),
        (b"news at 14:00\n", ": news at 14:00"),
        (b"two\nlines\r\n", ": two lines"),
        (b"\x1b[2J\x07", r": \x1b[2J\x07"),
        (b"\xff\xfe", ": \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}x".encode(), r": \u202ex"),
        (b"x" * 10_000_000, ": " + "x" * 199 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_reason_in_the_file_is_shown_bounded_and_printable(tmp_path, stopped, content, shown):
    """Whatever stands there, the halt comes, and its detail is one line that no terminal obeys."""
    (tmp_path / "HALT").write_bytes(content)
    assert stopped() == f"the file {tmp_path / 'HALT'} exists{shown}"


@pytest.mark.parametrize("kind", ["folder", "pipe", "locked away"])
def test_what_cannot_be_read_halts_all_the_same(tmp_path, stopped, kind):
    """A pipe that nobody writes to is not waited for."""
    file = tmp_path / "HALT"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.write_text("")
        file.chmod(0)
    assert stopped() == f"the file {file} exists"


# ---- the command


def halt(tmp_path, *words):
    """Run `pytrader halt`."""
    return run(["halt", *words, "--data-dir", tmp_path], tmp_path)


def test_without_an_engine_the_next_start_is_halted(market, tmp_path):
    """It says so, and it is so; `--off` removes the file, and the word `resume` does the rest."""
    file = tmp_path / PROFILE / "HALT"
    made = halt(tmp_path, "news", "at", "14:00")
    assert (made.code, made.err) == (0, "")
    assert made.out.splitlines() == [
        f"Made the file {file}.",
        "No engine is running on this folder: the next start will be halted.",
    ]
    assert halt(tmp_path, "again").out.startswith(f"The file {file} is there already; it stays as it is.\n")
    session = run([*on(market, tmp_path), "--json"], tmp_path, "buy 0.01\n")
    assert session.code == 3
    assert session.answers[0]["codes"] == ["HALTED"]
    assert session.answers[0]["sentence"].startswith(
        f"Order rejected: Trading is halted (OPERATOR: the file {file} exists: news at 14:00)"
    )
    lifted = halt(tmp_path, "--off")
    assert (lifted.code, lifted.out.splitlines()) == (
        0,
        [
            f"Removed the file {file}.",
            f"Trading stays halted (OPERATOR: the file {file} exists: news at 14:00) until `resume` at the terminal.",
        ],
    )
    assert run([*on(market, tmp_path), "--json"], tmp_path, "buy 0.01\nresume\nbuy 0.01\n").answers[2]["accepted"]
    assert halt(tmp_path, "--off").out == f"There is no file {file}.\n"


def test_running_engine_is_halted_and_its_journal_says_so(market, tmp_path):
    """The command returns when the halt is recorded: the very next order is refused."""
    with running([*on(market, tmp_path), "--json"], tmp_path) as child:
        say(child, "buy 0.01", "sell 0.01 @ 90000")
        assert [hear(child)["state"], hear(child)["state"]] == ["filled", "resting"]
        result = halt(tmp_path, "lunch")
        say(child, "buy 0.01", "wait 0.5", "status")
        refused, status = hear(child), hear(child)
        assert (result.code, result.err) == (0, "")
        last = result.out.splitlines()[-1]
        assert last.startswith("The running engine is halted: its journal has it (OPERATOR: the file ")
        assert last.endswith("exists: lunch).")
        assert refused["codes"] == ["HALTED"]
        assert status["counts"]["open"] == 0


def test_engine_that_hangs_is_not_said_to_be_halted(market, tmp_path):
    """After 2 s without a record that is said, exit code 1; the engine halts as soon as it goes on."""
    with running([*on(market, tmp_path), "--json"], tmp_path) as child:
        say(child, "buy 0.01")
        assert hear(child)["state"] == "filled"
        child.send_signal(signal.SIGSTOP)
        result = halt(tmp_path, "hangs")
        child.send_signal(signal.SIGCONT)
        assert result.code == 1
        assert result.out.splitlines()[-1].startswith("NOT CONFIRMED: an engine is running and has not recorded a halt")
        say(child, "wait 0.3", "buy 0.01")
        assert hear(child)["codes"] == ["HALTED"]
    assert next(event.facts["detail"] for event in events(tmp_path) if event.kind == "halted").endswith(": hangs")


def test_engine_whose_journal_cannot_be_read_is_not_said_to_be_halted(tmp_path, capsys):
    """The lock tells of an engine; without a journal nothing tells of its halt."""
    (tmp_path / LOCK_NAME).touch()
    with (tmp_path / LOCK_NAME).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert halting.run(SimpleNamespace(off=False, reason=["x"]), tmp_path) == 1
    assert "NOT CONFIRMED" in capsys.readouterr().out
    assert (tmp_path / "HALT").exists()


def test_reason_of_a_halt_that_is_lifted_makes_no_sense(tmp_path):
    """It is a usage error, and nothing is removed."""
    halting.put(tmp_path / PROFILE, "x")
    result = halt(tmp_path, "news", "--off")
    assert (result.code, result.out) == (2, "")
    assert "--off takes no reason" in result.err
    assert (tmp_path / PROFILE / "HALT").exists()


# ---- what it stands on


def test_lock_tells_whether_an_engine_runs_and_asking_leaves_no_trace(tmp_path):
    """No lock file is made, and who asks does not keep the next engine out."""
    assert not is_locked(tmp_path)
    assert not (tmp_path / LOCK_NAME).exists()
    journal = Journal.open(tmp_path)
    assert is_locked(tmp_path)
    journal.close()
    assert not is_locked(tmp_path)
    Journal.open(tmp_path).close()


def test_newest_event_of_a_kind_is_the_one_that_a_scan_finds(tmp_path):
    """Also above a number, beside bodies that only contain the word, and where there is none."""
    kinds = ["opened", "halted", "marked", "resumed", "halted", "filled"]
    bodies = [f'{{"{kind}":{{"cause":"halted","detail":"\\"resumed\\":"}}}}'.encode() for kind in kinds]
    journal = Journal.open(tmp_path)
    journal.append([(seq, 0, 0, body) for seq, body in enumerate(bodies, 1)])
    journal.close()
    view = JournalView.open(tmp_path)
    for wanted in [("halted",), ("resumed",), ("halted", "resumed"), ("filled",), ("ended",)]:
        for after in range(7):
            found = [row for row in rows_of(tmp_path) if read(row).kind in wanted and row[0] > after]
            assert view.newest(*wanted, after=after) == (found[-1] if found else None)
    assert view.last_seq == 6
    view.close()

"""The prompt: what keys and pastes do, and the history."""

import stat
import threading
from dataclasses import replace

import pytest
from repl_screens import LONG, SNAPSHOT, WAIT_S, Screen, loaded, rendered, shown, terminal

from pytrader.orders import Cancel, Flatten, Halt, Listing, Order, Show, Wait, parse
from pytrader.repl.printer import Printer
from pytrader.repl.session import PrivateHistory
from pytrader.status import (
    Counts,
)

# The session


def test_typed_commands_are_executed_in_order_until_quit():
    """Blank lines and comments do nothing."""
    with terminal() as it:
        it.type("buy 0.25\r", it.effect, "\r", "# note\r", '{"cancel": 3}\r', it.effect, "quit\r")
    assert it.commands == [Order("buy", 25_000_000), Cancel(3)]


def test_wrong_line_is_not_executed_and_can_be_mended():
    """After Enter on a wrong size the text stays; typing goes on where the fault is."""
    with terminal() as it:
        buffer = it.session._prompt.default_buffer
        refused = rendered(it, lambda: buffer.validation_error is not None)
        mended = rendered(it, lambda: buffer.text == "buy 1")
        it.type("buy x\r", refused, "\x0b1", mended, "\r", it.effect, "quit\r")
    assert it.commands == [Order("buy", 10**8)]


@pytest.mark.parametrize(
    ("wrong", "then", "becomes"),
    [
        ("foo", "buy 1", "buy 1"),
        ("foo", "\x1b[200~buy 1\x1b[201~", "buy 1"),
        ("buy x @ 68000 ioc", "1", "buy 1 @ 68000 ioc"),
        ("buy x @ 68000 ioc", "\x1b[C", "buy x @ 68000 ioc"),
        ("bu 1", "\x1b[C\x1b[Cy", "buy 1"),
        ("buy x", "\x01 ", " buy x"),
        ("buy x", "\x051", "buy x1"),
        ("buy x", "\x1bb1", "1buy x"),
        ("bu 1", "\t", "buy 1"),
        ("bu 1", "\x7f", " 1"),
        ("buy ", "1", "buy 1"),
    ],
)
def test_what_is_typed_after_a_refused_line_replaces_its_wrong_word(wrong, then, becomes):
    """A command can be typed anew or the word mended: behind a key that moves the cursor the word is kept."""
    with terminal() as it:
        buffer = it.session._prompt.default_buffer
        refused = rendered(it, lambda: buffer.validation_error is not None)
        mended = rendered(it, lambda: buffer.selection_state is None and buffer.text == becomes)
        it.type(f"{wrong}\r", refused, then, mended, "\x03", "quit\r")
    assert it.commands == []


def test_ctrl_c_pressed_again_and_again_ends_no_session():
    """The second one comes while the first is answered, and nothing is open that could be asked about."""
    screen = Printer(Screen())
    drain, interrupts = screen.drain, iter([KeyboardInterrupt, KeyboardInterrupt])

    def execute(command):
        it.commands.append(command)
        if isinstance(command, Wait):
            screen.drain = interrupted
            raise KeyboardInterrupt
        it.done.release()

    def interrupted():
        drain()
        if (error := next(interrupts, None)) is not None:
            raise error
        it.done.release()
        screen.drain = drain

    with terminal(printer=screen, execute=execute) as it:
        it.type("wait 60\r", it.effect, "status\r", it.effect, "quit\r")
    assert it.commands == [Wait(60_000), Show("status")]


def test_ctrl_c_clears_the_line():
    """Half an order vanishes; the session goes on."""
    with terminal() as it:
        it.type("buy 9", "\x03", "status\r", it.effect, "\x04")
    assert it.commands == [Show("status")]


def test_ctrl_d_leaves_at_once_with_nothing_open():
    """Flat and no orders: no question."""
    with terminal() as it:
        it.type("\x04")
    assert it.commands == []


@pytest.mark.parametrize("leave", ["\x04", "quit\r"])
@pytest.mark.parametrize("it", [LONG, replace(SNAPSHOT, counts=Counts(1, 0, 0, 0, 1))])
def test_leaving_with_a_position_or_an_open_order_is_asked_about(leave, it):
    """The first answer is no, so that the session goes on; the second is yes."""
    asked = threading.Semaphore(0)

    def snapshot():
        return it

    with terminal(snapshot=snapshot) as here:
        may_leave = here.session._may_leave

        def watched():
            asked.release()
            return may_leave()

        here.session._may_leave = watched

        def question():
            assert asked.acquire(timeout=WAIT_S)

        here.type(leave, question, "n\r", "status\r", here.effect, leave, question, "y\r")
    assert here.commands == [Show("status")]


def test_f9_halts_at_once_and_keeps_the_line():
    """The switch works in the middle of typing, without Enter."""
    with terminal() as it:
        it.type("sta", "\x1b[20~", it.effect, "tus\r", it.effect, "quit\r")
    assert it.halts == ["F9"]
    assert it.commands == [Show("status")]


PASTE = "\x1b[200~{}\x1b[201~"


@pytest.mark.parametrize("text", ["buy 1\rbuy 2\r", "buy 1\r\nbuy 2", "buy 1\nbuy 2\n" * 500, "x" * 5000])
def test_pasted_lines_never_run(text):
    """A bracketed paste of several lines, or a huge one, is refused whole and said so."""
    with terminal() as it:
        refused = shown(it, "was not taken: pipe a script in instead")
        it.type(PASTE.format(text), refused, "status\r", it.effect, "quit\r")
    assert it.commands == [Show("status")]


def test_one_pasted_line_waits_for_enter():
    """Its line end does not count as Enter."""
    with terminal() as it:
        it.type(PASTE.format("buy 0.25\n"), "\r", it.effect, "quit\r")
    assert it.commands == [Order("buy", 25_000_000)]


@pytest.mark.parametrize("first", ["buy 1", "flatten", "resume", "foo"])
def test_orders_in_a_burst_of_lines_are_not_run(first):
    """A terminal without bracketed paste sends a paste like typing, but all at once: nothing that trades runs."""
    with terminal() as it:
        refused = shown(it, "several lines came at once")
        it.type(f"{first}\rbuy 2\rbuy 3\r", refused, "\x03", "status\r", it.effect, "quit\r")
    assert it.commands == [Show("status")]


def test_order_at_the_end_of_a_burst_is_not_run_either():
    """The lines before it were harmless and ran; the order has no line behind it, but came with them."""
    with terminal() as it:
        refused = shown(it, "several lines came at once")
        it.type("status\rfills 2\rbuy 3\r", refused, "\x03", "orders\r", it.effect, it.effect, it.effect, "quit\r")
    assert it.commands == [Show("status"), Listing("fills", 2), Listing("orders")]


def test_stop_ends_the_prompt_from_another_thread_without_a_question():
    """The program can close the terminal even while a position is open."""
    with terminal(snapshot=lambda: LONG) as it:
        it.type("status\r", it.effect, "buy 0.", it.session.stop)
    assert it.commands == [Show("status")]


def test_stop_before_the_prompt_begins_is_not_lost():
    """A signal that comes early ends the session as well."""
    with terminal() as it:
        it.session.stop()
        it.session.run()


def test_interrupt_ends_a_long_command_and_not_the_session():
    """Ctrl-C during `wait 60` comes as KeyboardInterrupt."""
    ran = []

    def execute(command):
        ran.append(command)
        it.done.release()
        if isinstance(command, Wait):
            raise KeyboardInterrupt

    with terminal(execute=execute) as it:
        interrupted = shown(it, "interrupted; what was sent stays sent: see orders")
        it.type("wait 60\r", it.effect, interrupted, "halt news\r", it.effect, "quit\r")
    assert ran == [Wait(60_000), Halt("news")]


def test_lines_printed_by_a_command_are_shown_after_it():
    """What `execute` prints stands above the next prompt."""
    screen = Screen()
    printer = Printer(screen)
    with terminal(printer=printer, execute=lambda _: printer.line("answer of flatten")) as it:
        answered = shown(it, "answer of flatten")
        it.type("flatten\r", answered, "quit\r")
    assert "answer of flatten\r\n" in screen.text
    assert isinstance(parse("flatten"), Flatten)


# History


def test_history_is_kept_in_a_private_file(tmp_path):
    """Only the owner can read it, even if it was open before, and the next session finds its lines."""
    path = tmp_path / "history"
    path.touch(0o644)
    with terminal(history=path) as it:
        it.type("status\r", it.effect, "quit\r")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with terminal(history=path) as it:
        it.type(loaded(it), "\x1b[A", "\x1b[A", "\r", it.effect, "quit\r")
    assert it.commands == [Show("status")]


def test_search_backwards_finds_an_old_line(tmp_path):
    """Ctrl-R stays history search."""
    path = tmp_path / "history"
    history = PrivateHistory(path)
    history.store_string("fills 7")
    history.store_string("status")
    with terminal(history=path) as it:
        it.type(loaded(it), "\x12", "fil", "\r", "\r", it.effect, "quit\r")
    assert it.commands == [Listing("fills", 7)]


def test_history_that_cannot_be_written_costs_only_the_history(tmp_path):
    """A folder in the file's place, as a stand-in for a full or read-only disk."""
    (tmp_path / "history").mkdir()
    with terminal(history=tmp_path / "history") as it:
        it.type("status\r", it.effect, "quit\r")
    assert it.commands == [Show("status")]


def test_history_does_not_follow_a_link(tmp_path):
    """A link in its place does not change the mode of what it points at."""
    target = tmp_path / "target"
    target.touch(0o644)
    (tmp_path / "history").symlink_to(target)
    PrivateHistory(tmp_path / "history")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_session_and_printer_create_no_thread():
    """Only the program's composition root creates threads."""
    counts = []
    with terminal(execute=lambda _: (counts.append(threading.active_count()), it.done.release())) as it:
        before = threading.active_count()
        it.type("status\r", it.effect, "quit\r")
    assert counts == [before + 1]  # the one that types

"""The terminal: completion, toolbar, lines above the prompt, and what keys and pastes do."""

import io
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import fragment_list_to_text
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth, DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.validation import ValidationError

from pytrader.orders import Cancel, Flatten, Halt, Listing, Order, Show, Wait, parse
from pytrader.repl import printer as printer_module
from pytrader.repl.completer import CommandCompleter, CommandValidator
from pytrader.repl.printer import Printer
from pytrader.repl.session import PrivateHistory, Session
from pytrader.repl.toolbar import prompt, toolbar
from pytrader.status import (
    BookTop,
    Counts,
    Day,
    Halted,
    Latency,
    Limits,
    OpenOrder,
    Permit,
    Profile,
    Room,
    Slippage,
    Snapshot,
)

WAIT_S = 10
SNAPSHOT = Snapshot(
    mode="SIM",
    profile=Profile("simulated", "binance", "BTCUSDT", "BTC", "USDT"),
    price_decimals=2,
    top=BookTop("26795.4", "1.8", "26795.8", "0.5", "0.4", "0.15", 77, 14_000_000, synced=True, sync="live"),
    position="0",
    entry=None,
    cash="0",
    cost="0",
    realised="0",
    unrealised="0",
    fees="0",
    equity="0",
    day=Day(20779, "0", "-0.175"),
    halted=None,
    loss_latched=False,
    permit=Permit(journal=True, executor=True, book="live"),
    limits=Limits("50000", "5", 5, "10000"),
    room=Room("4.75", "5.25", 5, "10000"),
    counts=Counts(0, 0, 0, 0, 0),
    last_reject=None,
    open_orders=(OpenOrder(3, "sell", "0.1", "0", "27000", "gtc", "resting"),),
    latency=dict.fromkeys(("frame", "decision", "journal", "execution", "total"), Latency(0, 0, 0, 0, 0, 0)),
    slippage_bps=Slippage(None, None, None, None, None, 0),
    feed={},
)
LONG = replace(SNAPSHOT, position="0.25")


class Screen(Vt100_Output):
    """A terminal of 80 by 24 that keeps what is written to it."""

    def __init__(self):
        """Start empty."""
        self.written = io.StringIO()
        super().__init__(self.written, lambda: Size(rows=24, columns=80), term="xterm")

    @property
    def text(self):
        """Return everything written so far."""
        return self.written.getvalue()


class Terminal:
    """A session on a pipe, driven by a second thread: each step is typed once the one before has had its effect."""

    def __init__(self, keys, **given):
        """Put a session on `keys`; what is `given` replaces its parts."""
        self.keys, self.commands, self.halts = keys, [], []
        self.printer = given.pop("printer", None) or Printer(DummyOutput())
        self.done = threading.Semaphore(0)
        self.session = Session(
            execute=given.pop("execute", self.executed),
            snapshot=given.pop("snapshot", lambda: SNAPSHOT),
            printer=self.printer,
            halt=self.halted,
            input=keys,
            **given,
        )

    def executed(self, command):
        """Note a command."""
        self.commands.append(command)
        self.done.release()

    def halted(self, reason):
        """Note a halt."""
        self.halts.append(reason)
        self.done.release()

    def type(self, *steps):
        """Run the session while `steps` are typed; a step is text, or a callable that waits for something."""

        def typing():
            try:
                for step in steps:
                    if callable(step):
                        step()
                    else:
                        self.keys.send_text(step)
            except BaseException:
                self.session.stop()
                raise

        with ThreadPoolExecutor(1) as pool:
            typed = pool.submit(typing)
            self.session.run()
            typed.result(WAIT_S)

    def effect(self):
        """Wait for one more command or halt."""
        assert self.done.acquire(timeout=WAIT_S), "nothing happened"


@contextmanager
def terminal(**given):
    """Open a terminal on a fresh pipe."""
    with create_pipe_input() as keys:
        yield Terminal(keys, **given)


def shown(terminal, text):
    """Return a step that waits until `text` was handed to the printer."""
    seen = threading.Event()
    line = terminal.printer.line

    def watch(given):
        line(given)
        if text in given:
            seen.set()

    terminal.printer.line = watch

    def wait():
        assert seen.wait(WAIT_S), f"{text!r} was not shown"

    return wait


def rendered(terminal, condition):
    """Return a step that waits until `condition` holds after the prompt was drawn."""
    seen = threading.Event()
    terminal.session._prompt.app.after_render += lambda _: condition() and seen.set()

    def wait():
        assert seen.wait(WAIT_S), "the prompt did not get there"

    return wait


def loaded(terminal):
    """Return a step that waits until the old lines were read."""
    buffer = terminal.session._prompt.default_buffer
    return rendered(terminal, lambda: len(buffer._working_lines) > 2)


# Completion and validation


def completions(text, it=SNAPSHOT):
    """Return word, replaced length and meta of everything offered after `text`."""
    found = CommandCompleter(lambda: it).get_completions(Document(text), CompleteEvent())
    return [(each.text, -each.start_position, each.display_meta_text) for each in found]


def test_menu_shows_live_price_size_and_room():
    """Before the size is typed the trader sees what stands there and how much may be done."""
    assert completions("b")[:1] == [("buy", 1, "ask 26795.80 x 0.5, room 4.75 BTC")]
    assert completions("se") == [("sell", 2, "bid 26795.40 x 1.8, room 5.25 BTC")]
    assert completions("hal") == [("halt", 3, "stop orders, cancel open ones (F9)")]
    assert completions("b", None)[0][2] == "buy at market, or at a limit price"


def test_menu_offers_sizes_prices_and_open_orders():
    """Closing size and room, both sides of the book, and the orders that can be canceled."""
    assert completions("buy ") == [("4.75", 0, "BTC: all the room of the position limit")]
    assert completions("sell 0", LONG) == [("0.25", 1, "BTC: closes the position")]
    assert completions("buy ", replace(SNAPSHOT, position="-0.5"))[0] == ("0.5", 0, "BTC: closes the position")
    assert [word for word, _, _ in completions("buy 1 @ ")] == ["26795.8", "26795.4"]
    assert [word for word, _, _ in completions("sell 1 @2")] == ["26795.4", "26795.8"]
    assert completions("cancel ") == [("all", 0, "<order>|all"), ("3", 0, "SELL 0 of 0.1 BTC @ 27000")]
    assert [word for word, _, _ in completions("HELP F")] == ["fills", "flatten"]


def test_no_room_is_not_offered_as_a_size():
    """A size of nothing would be refused."""
    assert completions("buy ", replace(SNAPSHOT, room=replace(SNAPSHOT.room, buy="0"))) == []
    assert completions("buy 1 @ ", None) == []
    assert completions("fills ") == []


def test_offered_amounts_are_taken_by_the_parser():
    """What is completed can be sent."""
    for stem, it in [("buy ", SNAPSHOT), ("sell ", LONG), ("sell 1 @ ", SNAPSHOT), ("cancel ", SNAPSHOT)]:
        assert completions(stem, it)
        assert all(parse(stem + word) for word, _, _ in completions(stem, it))


def test_validation_points_at_the_fault():
    """The cursor goes to the wrong word and the message names its column."""
    with pytest.raises(ValidationError) as caught:
        CommandValidator().validate(Document("buy 1e3"))
    assert caught.value.cursor_position == 4
    assert caught.value.message == "quantity must be digits with up to 8 decimals, such as 0.25 (column 5)"
    for fine in ("", "  ", "# note", "buy 1"):
        CommandValidator().validate(Document(fine))


# Prompt and toolbar


def test_toolbar_shows_mode_top_age_position_and_profit():
    """One line that fits 80 columns."""
    assert fragment_list_to_text(toolbar(LONG)) == (
        " SIM BTCUSDT | 26795.40 / 26795.80 | 14.0 ms | +0.25 BTC | day -0.18 USDT"
    )
    assert fragment_list_to_text(toolbar(None)) == " starting"
    assert fragment_list_to_text(prompt(SNAPSHOT)) == "SIM binance> "
    assert fragment_list_to_text(prompt(None)) == "> "


def test_toolbar_shows_the_gravest_stop_in_red():
    """A halt cannot be missed, and its text cannot move the cursor."""
    it = replace(SNAPSHOT, halted=Halted("OPERATOR", "\x1b[2Jnews"), loss_latched=True)
    assert toolbar(it)[-2:] == [("", "\n"), ("class:stop", " HALTED OPERATOR: \\x1b[2Jnews (type resume) ")]
    assert all(style != "class:stop" for style, _ in toolbar(SNAPSHOT))


def test_toolbar_names_an_unsynced_book_and_shows_no_age():
    """An age beside a book in doubt would look like data."""
    it = replace(SNAPSHOT, top=replace(SNAPSHOT.top, synced=False, sync="desynced"))
    assert "| DESYNCED |" in fragment_list_to_text(toolbar(it))


def test_verdict_stands_below_the_facts_while_typing():
    """The refusal is seen before Enter."""
    assert toolbar(SNAPSHOT, "too big")[-2:] == [("", "\n"), ("class:stop", " too big ")]


def test_only_a_complete_order_is_checked_while_typing():
    """Half a word, a wrong number and other commands have no verdict."""
    checked = []

    def check(order):
        checked.append(order)
        return "no room"

    with terminal(check=check) as it:
        assert [it.session._verdict(text) for text in ("", "bu", "buy", "buy 1e", "status")] == [None] * 5
        assert it.session._verdict("buy 9") == "no room"
    assert checked == [Order("buy", 9 * 10**8)]


# The printer


def test_lines_wait_for_the_main_thread_and_keep_their_order():
    """A line is queued at once and written whole by `drain`, control characters written out."""
    printer = Printer(screen := Screen(), color=False)
    printer.line("Order filled: BUY 0.25 BTC @ 26796.10 | Execution time: 42ms")
    printer.line("two\nlines \x1b[2J")
    assert screen.text == ""
    printer.drain()
    assert "42ms\r\n" in screen.text
    assert screen.text.index("42ms") < screen.text.index("two\r\nlines \\x1b[2J")
    assert "\x1b[2J" not in screen.text
    before = screen.text
    printer.drain()
    assert screen.text == before


def test_printer_without_color_writes_no_color():
    """NO_COLOR is respected; with colour a refusal is red."""
    plain, coloured = Screen(), Screen()
    for screen, color in ((plain, False), (coloured, True)):
        printer = Printer(screen, color=color)
        printer.line("Order rejected: no")
        printer.drain()
    assert Printer(plain, color=False).color_depth is ColorDepth.DEPTH_1_BIT
    assert "31" not in plain.text
    assert "31" in coloured.text


def test_overflow_drops_the_oldest_and_says_how_many(monkeypatch):
    """The screen may lose lines under a flood; it says so, and memory stays bounded."""
    monkeypatch.setattr(printer_module, "LINES_MAX", 3)
    printer = Printer(screen := Screen())
    for number in range(5):
        printer.line(f"line {number}")
    printer.drain()
    assert "(2 lines were not shown; the log file has them)" in screen.text
    assert "line 1" not in screen.text
    assert "line 2" in screen.text


def test_top_lines_are_off_at_first_and_limited_to_a_few_a_second():
    """At most five a second, and order lines are never held back by them."""
    printer = Printer(screen := Screen())
    printer.top("top 0", 0)
    printer.show_top(on=True)
    for millisecond in range(0, 1000, 50):
        printer.top(f"top at {millisecond}", millisecond * 10**6)
        printer.line(f"order {millisecond}")
    printer.show_top(on=False)
    printer.top("top after", 10**12)
    printer.drain()
    assert [line for line in screen.text.split() if line.isdigit()].count("0") == 2
    assert screen.text.count("top at") == 5
    assert screen.text.count("order") == 20
    assert "top 0" not in screen.text
    assert "top after" not in screen.text


def test_terminal_that_is_gone_does_not_stop_the_program():
    """Writing to a closed terminal is not an error of trading."""

    class Gone(DummyOutput):
        def flush(self):
            raise BrokenPipeError

    printer = Printer(Gone())
    printer.line("x")
    printer.drain()


def test_lines_of_many_threads_appear_whole_above_the_prompt():
    """Four threads print while a line is typed: each line once, whole, in its thread's order; the typing stays."""
    screen = Screen()
    printer = Printer(screen)
    lines = [[f"Order accepted: thread {name} line {number} end" for number in range(50)] for name in range(4)]
    written = threading.Event()
    drain = printer.drain

    def watch():
        drain()
        if all(screen.text.count(f"thread {name} line 49 end") for name in range(4)):
            written.set()

    def put(some):
        for line in some:
            printer.line(line)

    def flood():
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, lines))
        assert written.wait(WAIT_S)

    with terminal(printer=printer) as it:
        printer.drain = watch
        it.type("stat", flood, "us\r", it.effect, "quit\r")
    assert it.commands == [Show("status")]
    for some in lines:
        places = [screen.text.index(f"{line}\r\n") for line in some]
        assert places == sorted(places)
    assert screen.text.count("Order accepted") == 200


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


@pytest.mark.parametrize("first", ["buy 1", "flatten", "resume"])
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

"""The terminal: completion, toolbar, and lines above the prompt."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import fragment_list_to_text
from prompt_toolkit.output import ColorDepth, DummyOutput
from prompt_toolkit.validation import ValidationError
from repl_screens import LONG, SNAPSHOT, WAIT_S, Screen, terminal

from pytrader.orders import Order, Show, parse
from pytrader.repl import printer as printer_module
from pytrader.repl.completer import CommandCompleter, CommandValidator
from pytrader.repl.printer import Printer
from pytrader.repl.toolbar import prompt, toolbar
from pytrader.status import (
    Halted,
)

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

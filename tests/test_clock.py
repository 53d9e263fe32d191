"""Ten marks and twenty looks a second, one line; a HALT file or a dead thread stops trading once, by name."""

import re
from time import monotonic_ns
from types import SimpleNamespace

import pytest
from paper_market import live_book

from pytrader import Book, clock
from pytrader.books import KeptBook
from pytrader.clock import Clock, top_line


class Ticks:
    """Stands for the desk: counts marks, keeps halts, and stops the clock after so many ticks."""

    def __init__(self, marks):
        """Stop at the `marks`-th mark."""
        self.left, self.halts, self.at_mark, self.stop = marks, [], {}, None

    def mark(self):
        self.left -= 1
        self.at_mark.get(self.left, lambda: None)()
        if self.left == 0:
            self.stop()

    def halt(self, cause, detail):
        self.halts.append((cause, detail))

    def status(self):
        return b'{"halted": {}}' if self.halts else b'{"halted": null}'


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Give a function that makes a fast clock for a fake desk; `shown` and `logged` collect its lines."""
    monkeypatch.setattr(clock, "TICK_S", 0.0005)
    shown, logged = [], []
    log = SimpleNamespace(info=logged.append)

    def make(desk, book=None):
        one = Clock(desk, book or Book(), decimals=2, halt_file=tmp_path / "HALT", show=shown.append, log=log)
        desk.stop = one.stop
        return one

    return SimpleNamespace(clock=make, shown=shown, logged=logged, halt_file=tmp_path / "HALT")


def test_line_has_the_decimals_of_the_tick():
    assert top_line(live_book().top(), 2) == "Best Bid: 26795.00 | Best Ask: 26796.00"
    assert top_line(live_book().top(), 1) == "Best Bid: 26795.0 | Best Ask: 26796.0"


def test_line_of_a_book_that_cannot_be_trusted_names_no_price():
    assert top_line(Book().top(), 2) == "Book not synchronised (empty): no prices"


def test_line_of_a_book_without_news_or_without_a_side_names_no_price(made):
    """What was true two seconds ago is no price, and neither is a side where nothing rests."""
    for book, words in [
        (live_book(recv_ns=monotonic_ns() - 2_500_000_000), r"Book stale \(the last news is 2\.5\d s old\): no prices"),
        (live_book(size="0"), r"Book crossed or one-sided: no prices"),
        (live_book(), r"Best Bid: 26795\.00 \| Best Ask: 26796\.00"),
    ]:
        desk = Ticks(10)
        one = made.clock(desk, book)
        one._kept = [KeptBook("binance", "BTCUSDT", book, stale_after_ms=2_000)]
        one.run()
        assert re.fullmatch(words, made.logged[-1]), made.logged


def test_one_line_for_ten_marks_goes_to_the_log_and_the_screen(made):
    """Twenty ticks of 50 ms are a second."""
    desk = Ticks(40)
    made.clock(desk, live_book()).run()
    assert made.logged == made.shown == ["Best Bid: 26795.00 | Best Ask: 26796.00"] * 4
    assert not desk.halts


def test_a_second_is_twenty_ticks_and_ten_marks():
    assert (clock.TICK_S, clock.TICK_S * clock.MARK_EVERY, clock.TICK_S * clock.LINE_EVERY) == (0.05, 0.1, 1.0)


def test_halt_file_halts_each_time_it_appears(made):
    """Once when it comes, not again while it stays, again when it comes back."""
    desk = Ticks(12)
    desk.at_mark = {10: made.halt_file.touch, 6: made.halt_file.unlink, 3: made.halt_file.touch}
    made.clock(desk).run()
    assert desk.halts == [("OPERATOR", f"the file {made.halt_file} exists")] * 2


def test_halt_file_that_is_there_at_the_start_halts_before_the_first_mark(made):
    made.halt_file.touch()
    desk = Ticks(1)
    made.clock(desk).run()
    assert len(desk.halts) == 1

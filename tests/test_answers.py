"""What the terminal says of a desk is so, also where nothing goes on: no journal, no executor, a failed engine."""

import pytest
from paper_market import depth, desk_on, live_book

from pytrader import flatten as flattening
from pytrader import outcomes
from pytrader._core import EngineFault
from pytrader.answers import ERROR, Answers
from pytrader.books import KeptBook
from pytrader.events import read
from pytrader.lines import Market
from pytrader.orders import parse
from pytrader.trader import Trader


@pytest.fixture
def trader(tmp_path):
    """Trade on a still book, with nobody who writes a journal or fills an order."""
    book = live_book()
    return Trader(desk_on(book), book, outcomes.Outcomes(), tmp_path, Market("BTC", "USDT", "0.01"))


def answered(trader, line):
    """Return the answers to a line."""
    return list(Answers(trader, lambda _: None, await_orders=True).to(parse(line)))


def commit(trader):
    """Make every event durable and tell of it, as the journal's thread does."""
    rows = trader.desk.next_events(1_000, 0)
    trader.desk.committed(rows[-1][0])
    for row in rows:
        trader.outcomes.take(read(row))


def test_flat_is_true_only_of_what_the_journal_has(trader, monkeypatch):
    """The position is 0 and nothing is open; a reader of the journal could not know."""
    durable = trader.is_durable
    monkeypatch.setattr(trader, "is_durable", lambda seq: durable(seq, 0))
    assert not trader.is_flat()
    commit(trader)
    assert trader.is_flat()


def test_flatten_that_gives_up_says_what_is_left_and_nothing_else(trader, monkeypatch):
    """No position is open, an order is: the last answer names it, and counts as an error."""
    monkeypatch.setattr(flattening, "LONGEST_S", 0.0)
    monkeypatch.setattr(flattening, "SLICE_S", 0.0)
    assert trader.buy("0.01", "20000").accepted
    (answer,) = answered(trader, "flatten")
    assert answer.text == "Not flat: the position is 0, but 1 order is still open after 0 s; try `flatten` again"
    assert (answer.data, answer.code) == ({"flatten": answer.text, "flat": False}, ERROR)


@pytest.mark.parametrize("line", ["cancel 1", "cancel all"])
def test_cancel_at_a_failed_engine_is_neither_done_nor_needless(trader, line):
    """Whether the order is open is not known any more."""
    assert trader.buy("0.01", "20000").accepted
    with pytest.raises(BaseException, match="committed 999 after"):
        trader.desk.committed(999)
    with pytest.raises(EngineFault, match="the engine has failed; restart pytrader"):
        answered(trader, line)


@pytest.mark.parametrize("await_orders", [True, False])
def test_an_order_refused_for_the_book_says_why_it_is_not_synchronised(tmp_path, await_orders):
    """A frame was missed: the answer has the state and the doubt, from a script and at the prompt."""
    book = live_book()
    trader = Trader(desk_on(book), book, outcomes.Outcomes(), tmp_path, Market("BTC", "USDT", "0.01"))
    answers, prompt = (Answers(trader, lambda _: None, await_orders=wait) for wait in (await_orders, False))
    # Asked at the prompt alone: nobody commits here, so one that is accepted would be waited for in vain.
    assert not [answer for answer in prompt.to(parse("buy 0.01 @ 20000")) if "the book is" in answer.text]
    assert book.apply(depth(20, [["20000.00", "1"]], [])) == "gap"
    assert trader.top().doubt == "gap"
    (answer,) = answers.to(parse("buy 0.01"))
    assert answer.text.splitlines()[-1].strip() in {"the book is desynced (gap)", "the book is buffering (gap)"}


@pytest.mark.parametrize(
    ("state", "words"),
    [("live", ""), ("stale", "The book is stale (the last news is "), ("desynced", "The book is desynced (gap): not")],
)
def test_levels_of_a_book_that_cannot_be_traded_on_say_so(tmp_path, state, words):
    """Prices that are old look like any others, and no prices at all are no explanation."""
    book = live_book(recv_ns=1 if state == "stale" else None)
    kept = KeptBook("binance", "BTCUSDT", book, stale_after_ms=10_000, traded=True)
    market = Market("BTC", "USDT", "0.01")
    trader = Trader(desk_on(book), book, outcomes.Outcomes(), tmp_path, market, kept_books=[kept])
    if state == "desynced":
        assert book.apply(depth(20, [], [])) == "gap"
    (answer,) = answered(trader, "book 3")
    assert ("The book is" in answer.text, answer.data["state"]) == (state != "live", trader.book_state(book.top()))
    assert answer.text.splitlines()[-1].startswith(words)


@pytest.mark.parametrize("journal", ["down", "silent"])
def test_at_the_prompt_an_order_that_the_journal_cannot_take_is_answered_on_the_spot(trader, journal):
    """Its line comes with the journal's commit, which may be hours away: a refusal is told, an acceptance is not."""
    prompt = Answers(trader, lambda _: None, await_orders=False)
    if journal == "down":
        trader.desk.set_journal(healthy=False)
        (answer,) = prompt.to(parse("buy 0.01"))
        assert answer.text == "Order rejected: The journal cannot be written. The journal does not have it yet."
        return
    (answer,) = prompt.to(parse("buy 9"))
    assert answer.text.startswith("Order rejected: Notional exceeds")
    assert answer.text.endswith(". The journal does not have it yet.")
    (answer,) = prompt.to(parse("buy 0.01"))
    assert answer.text == "The outcome is not known yet; `orders` shows it when it is."


def test_at_the_prompt_an_order_in_the_journal_is_told_by_its_own_line_alone(trader):
    """Nothing is said twice."""
    prompt = Answers(trader, lambda _: None, await_orders=False)
    trader.submit, decide = lambda order: (decide(order), commit(trader))[0], trader.submit
    assert list(prompt.to(parse("buy 9"))) == list(prompt.to(parse("buy 0.01"))) == []

"""The book as Python sees it: frames in, prices out, and a clear word for everything that is wrong."""

from __future__ import annotations

import json
import threading
import time
from decimal import Decimal

import pytest

from pytrader._core import Book, format_e8, format_fixed, parse_e8

SNAPSHOT = json.dumps(
    {"lastUpdateId": 100, "bids": [["99.5", "1"], ["98", "2"]], "asks": [["101", "3"], ["102", "4"]]}
).encode()


def depth(first: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> bytes:
    """Return one depth frame of the combined stream."""
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}).encode()


def ticker(update_id: int, bid: str, ask: str) -> bytes:
    """Return one bookTicker frame of the combined stream."""
    data = {"u": update_id, "s": "BTCUSDT", "b": bid, "B": "1.5", "a": ask, "A": "2"}
    return json.dumps({"stream": "btcusdt@bookTicker", "data": data}).encode()


@pytest.fixture
def live() -> Book:
    """Return a book that went live at update 101."""
    book = Book()
    assert book.apply(depth(99, 101, [], []), 1_000) == "buffered"
    assert book.offer_snapshot(SNAPSHOT) == "bridged"
    return book


def test_a_new_book_is_empty_and_not_synced() -> None:
    """Before any frame there is nothing to trade on."""
    top = Book().top()
    assert (top.bid_size_e8, top.ask_size_e8, top.synced, top.sync) == (0, 0, False, "empty")
    assert Book().levels("bid") == []


def test_frames_before_the_snapshot_bridge_it(live: Book) -> None:
    """The frame that joins the snapshot can already be in the buffer."""
    top = live.top(mono_ns=1_500)
    assert (top.bid_e8, top.bid_size_e8) == (9_950_000_000, 100_000_000)
    assert (top.ask_e8, top.ask_size_e8) == (10_100_000_000, 300_000_000)
    assert (top.update_id, top.age_ns, top.synced, top.sync) == (101, 500, True, "live")
    assert live.levels("ask", 1) == [(10_100_000_000, 300_000_000)]


def test_a_newer_ticker_corrects_the_levels(live: Book) -> None:
    """Levels better than a newer top are gone, and its size stands at the best price."""
    assert live.apply(ticker(105, "98", "101.5"), 2_000) == "top"
    assert live.levels("bid") == [(9_800_000_000, 150_000_000)]
    assert live.levels("ask") == [(10_150_000_000, 200_000_000), (10_200_000_000, 400_000_000)]


def test_apply_top_returns_the_prices_of_the_new_top(live: Book) -> None:
    """One call takes a frame and gives bid, size, ask, size."""
    prices = live.apply_top(ticker(105, "99.9", "100.1"), 2_000)
    assert prices == (9_990_000_000, 150_000_000, 10_010_000_000, 200_000_000)


def test_a_gap_unsyncs_at_once(live: Book) -> None:
    """A missed update is never bridged over: the book waits for a new snapshot."""
    assert live.apply(depth(103, 104, [], []), 2_000) == "gap"
    assert live.top().sync == "desynced"
    assert live.wait_snapshot_wanted(0)
    assert live.offer_snapshot(SNAPSHOT) == "too_old"
    assert live.offer_snapshot(SNAPSHOT.replace(b"100", b"103")) == "bridged"
    assert live.top().synced
    assert live.counters()["gaps"] == live.counters()["resyncs"] == 1


def test_a_frame_that_crosses_the_book_unsyncs_it(live: Book) -> None:
    """A bid at the ask's price is not a market."""
    assert live.apply(depth(102, 102, [["101", "1"]], []), 2_000) == "crossed"
    assert not live.top().synced


BAD_NUMBERS = ["-1", "1e5", "NaN", "", "1.", ".5", "1,5", "0.123456789", "1234567890123", "99999999999.0", "٣"]


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_depth_frame_with_a_bad_number_is_refused_and_unsyncs(live: Book, number: str) -> None:
    """Nothing is rounded, wrapped or guessed."""
    assert live.apply(depth(102, 102, [["99", number]], []), 2_000) == "refused"
    assert live.top().sync == "desynced"
    assert "number in b" in (live.last_refusal() or "")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "malformed at byte 0"),
        (b"hello", "malformed at byte 0"),
        (depth(102, 103, [["99", "1"]], [])[:-9], "malformed at byte"),
        (depth(102, 103, [], []).replace(b"BTC", b"\xff\xfe\xfd"), "not UTF-8 at byte"),
        (b'{"a":' + b"[" * 1_000, "nested too deep"),
        (depth(102, 103, [["1", "1"]] * 200_001, []), "more than 200000 levels"),
        (b" " * ((16 << 20) + 1), "16777217 bytes"),
        (depth(103, 102, [], []), "last update 102 before first 103"),
    ],
    ids=["empty", "text", "truncated", "not utf-8", "nested", "levels", "oversized", "backward"],
)
def test_a_malformed_frame_is_refused_with_its_reason(live: Book, frame: bytes, reason: str) -> None:
    """A frame that may have been a depth frame is a doubt: the book is unsynced at once."""
    assert live.apply(frame, 2_000) == "refused"
    assert reason in (live.last_refusal() or "")
    assert live.top().sync == "desynced"


def test_a_refused_ticker_leaves_the_book_alone(live: Book) -> None:
    """The book has missed nothing when a frame of another stream is broken."""
    assert live.apply(ticker(105, "-1", "2"), 2_000) == "refused"
    assert live.top().synced


def test_what_is_not_for_this_book_is_ignored(live: Book) -> None:
    """Venues add events without notice."""
    assert live.apply(b'{"e":"blockTrade","s":"BTCUSDT","b":{"x":1}}', 2_000) == "ignored"
    assert live.apply(depth(102, 103, [], []).replace(b"BTCUSDT", b"ETHUSDT"), 2_000) == "ignored"
    assert live.apply(depth(90, 101, [], []), 2_000) == "ignored"
    assert live.apply(b'{"result":null,"id":1}', 2_000) == "control"
    assert live.apply(b'{"e":"serverShutdown","E":1}', 2_000) == "shutdown"
    assert live.top().synced


def test_trades_are_listed_oldest_first_with_what_the_taker_did(live: Book) -> None:
    """The last 1,024 of them; a buyer who was the maker means that the taker sold."""
    assert live.trades() == []
    for number in range(1, 1_030):
        maker = "true" if number % 2 else "false"
        frame = f'{{"e":"trade","s":"BTCUSDT","t":{number},"p":"{number}","q":"0.5","m":{maker}}}'
        assert live.apply(frame.encode(), 9_000) == "trade"
    found = live.trades()
    assert len(found) == 1_024
    assert (found[0], found[-1]) == ((6 * 10**8, 5 * 10**7, "buy"), (1_029 * 10**8, 5 * 10**7, "sell"))


def test_a_trade_counts_but_does_not_make_the_book_fresh(live: Book) -> None:
    """Only book streams prove that prices are current."""
    trade = b'{"e":"trade","s":"BTCUSDT","t":5,"p":"100","q":"0.5","m":false}'
    assert live.apply(trade, 9_000) == "trade"
    assert live.top(mono_ns=10_000).age_ns == 9_000
    assert live.counters()["trades"] == 1


def test_a_bad_snapshot_is_refused_and_the_next_one_taken() -> None:
    """An error body in place of a snapshot changes nothing."""
    book = Book()
    book.apply(depth(99, 101, [], []))
    assert book.offer_snapshot(b'{"code":-1003,"msg":"Too many requests."}') == "refused"
    assert "bids" in (book.last_refusal() or "")
    assert book.offer_snapshot(SNAPSHOT) == "bridged"
    assert book.offer_snapshot(SNAPSHOT) == "unwanted"


def test_waiting_for_work_ends_when_a_frame_wants_a_snapshot() -> None:
    """The snapshot thread sleeps without the GIL until the first frame has come."""
    book = Book()
    assert not book.wait_snapshot_wanted(1)
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(book.wait_snapshot_wanted(30_000)))
    waiter.start()
    assert book.apply(depth(1, 2, [], [])) == "buffered"
    waiter.join(30)
    assert answers == [True]


def test_frames_without_a_receive_time_are_stamped_and_timed() -> None:
    """The age counts from now, and the latency figures see the frame."""
    book = Book()
    before_ns = time.monotonic_ns()
    book.apply(ticker(1, "1", "2"))
    assert 0 <= book.top().age_ns <= time.monotonic_ns() - before_ns
    assert book.frame_latency()["count"] == 1
    assert 0 < book.frame_latency()["p50_ns"] <= book.frame_latency()["max_ns"]


def test_wrong_arguments_are_named() -> None:
    """A side or venue that does not exist is an error, not an empty answer."""
    with pytest.raises(ValueError, match="side"):
        Book().levels("buy")
    with pytest.raises(ValueError, match="known: binance"):
        Book("binanse")
    with pytest.raises(TypeError):
        Book().apply("text")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0", "0.00000001", "26795.4", "999999999.99999999", "92233720368.54775807"])
def test_decimals_go_to_integers_and_back(text: str) -> None:
    """What is read is exactly what is written."""
    value = parse_e8(text)
    assert value == int(Decimal(text) * 10**8)
    assert format_e8(value) == text


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "92233720368.54775808", "+1", " 1", "Infinity"])
def test_text_outside_the_grammar_is_no_number(text: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(ValueError, match=r"digits|at most"):
        parse_e8(text)


@pytest.mark.parametrize(
    ("value_e8", "decimals", "text"),
    [
        (2_679_610_000_000, 2, "26796.10"),
        (500_000, 2, "0.00"),
        (1_500_000, 2, "0.02"),
        (2_500_000, 2, "0.02"),
        (-1_500_000, 2, "-0.02"),
        (150_000_000, 0, "2"),
        (1, 8, "0.00000001"),
    ],
)
def test_fixed_decimals_are_rounded_half_even(value_e8: int, decimals: int, text: str) -> None:
    """A tie goes to the even neighbour, on both sides of zero."""
    assert format_fixed(value_e8, decimals) == text


def test_more_decimals_than_a_unit_has_are_refused() -> None:
    """Eight decimals are all there are."""
    with pytest.raises(ValueError, match="0 to 8"):
        format_fixed(1, 9)

"""A real session of Bybit through the live decoder and book; damage to it, made here, is never missed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from dull_book import DullBook, all_levels, e8

from pytrader._core import Book, Replay, format_e8

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Recordings

FRAMES = "bybit/v5_spot_btcusdt_ethusdt_20260809.frames.jsonl"
SYMBOLS = {"BTCUSDT": 300, "ETHUSDT": 250}


@pytest.fixture(scope="module")
def session(recordings: Recordings) -> bytes:
    """Return every frame of the session, a line each."""
    return recordings.read(FRAMES)


@pytest.fixture(params=SYMBOLS)
def symbol(request: pytest.FixtureRequest) -> str:
    """Return each symbol in turn."""
    return str(request.param)


@pytest.fixture
def frames(session: bytes, symbol: str) -> list[bytes]:
    """Return the frames of the symbol's book."""
    topic = f'"topic":"orderbook.200.{symbol}"'.encode()
    found = [line for line in session.splitlines() if topic in line]
    assert len(found) == SYMBOLS[symbol]
    return found


def play(symbol: str, frames: list[bytes]) -> tuple[Book, list[str]]:
    """Return a book after these frames, and what each of them did."""
    book = Book("bybit", symbol)
    return book, [book.apply(frame) for frame in frames]


def removal(symbol: str, last: bytes) -> Callable[[list[int], list[int]], bytes]:
    """Return what makes the frames that follow `last` and take levels out."""
    data = json.loads(last)["data"]
    ids = [data["u"], data["seq"]]

    def remove(bids: list[int], asks: list[int]) -> bytes:
        ids[0] += 1
        sides = {"b": [[format_e8(price), "0"] for price in bids], "a": [[format_e8(price), "0"] for price in asks]}
        inner = {"s": symbol, **sides, "u": ids[0], "seq": ids[1]}
        return json.dumps({"topic": f"orderbook.200.{symbol}", "ts": 1, "type": "delta", "data": inner}).encode()

    return remove


def test_no_gap_is_invented_in_a_real_bybit_session(session: bytes, symbol: str) -> None:
    """Every frame of both symbols is understood, every frame of the book joins the last one, and nothing crosses."""
    replay = Replay("bybit", symbol)
    replay.feed(session)
    found = replay.counters()
    trades = 11 if symbol == "BTCUSDT" else 7
    assert (found["frames"], found["applied"]) == (681, SYMBOLS[symbol] + trades)
    assert found["trades"] >= trades
    assert [found[name] for name in ("gaps", "crossed", "refused", "duplicates", "resyncs")] == [0] * 5
    assert (replay.top().synced, found["snapshots"]) == (True, 1)


def test_recorded_trades_of_bybit_are_told_in_their_order_with_the_takers_side(session: bytes, symbol: str) -> None:
    """Price, size and side of every trade of the symbol, whichever frame it came in."""
    book, _ = play(symbol, session.splitlines())
    topic = f"publicTrade.{symbol}"
    rows = [
        row
        for line in session.splitlines()
        if (event := json.loads(line)).get("topic") == topic
        for row in event["data"]
    ]
    assert book.trades() == [(e8(row["p"]), e8(row["v"]), row["S"].lower()) for row in rows]
    assert len({row["S"] for row in rows}) == 2


def test_the_whole_bybit_book_is_that_of_two_dictionaries_at_every_frame(symbol: str, frames: list[bytes]) -> None:
    """All levels of both sides, prices and sizes, after each frame; live and uncrossed all the way."""
    dull = DullBook()
    for index, frame in enumerate(frames):
        event = json.loads(frame)
        dull.take(whole=event["type"] == "snapshot", bids=event["data"]["b"], asks=event["data"]["a"])
        book, words = play(symbol, frames[: index + 1])
        top = book.top()
        assert (words[1:], top.synced, top.bid_e8 < top.ask_e8) == (["depth"] * index, True, True)
        assert top.update_id == event["data"]["seq"]
        expected = {side: dull.levels(side) for side in ("bid", "ask")}
        assert min(len(levels) for levels in expected.values()) >= 150
        assert all_levels(book, removal(symbol, frame)) == expected


def test_a_bybit_frame_cut_out_anywhere_is_a_gap_at_the_next_one(symbol: str, frames: list[bytes]) -> None:
    """Nothing is trusted from there on, until a snapshot comes."""
    for cut in range(1, len(frames) - 1):
        book, words = play(symbol, frames[:cut] + frames[cut + 1 : cut + 3])
        assert words[cut:] == ["gap", "ignored"][: len(words) - cut]
        assert (book.top().doubt, book.levels("bid"), book.levels("ask")) == ("gap", *best_alone(book))
        assert book.apply(frames[0]) == "snapshot"
    without_snapshot, words = play(symbol, frames[1:])
    assert (set(words), without_snapshot.top().sync) == ({"ignored"}, "empty")


def best_alone(book: Book) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the sides of a book of which only the best prices last seen are left."""
    top = book.top()
    return [(top.bid_e8, top.bid_size_e8)], [(top.ask_e8, top.ask_size_e8)]


def test_two_bybit_frames_swapped_anywhere_are_a_gap_at_the_first(symbol: str, frames: list[bytes]) -> None:
    """The later one is not taken before the earlier."""
    for at in range(1, len(frames) - 1):
        book, words = play(symbol, [*frames[:at], frames[at + 1], frames[at]])
        assert (words[at:], book.top().doubt) == (["gap", "ignored"], "gap")


def test_a_bybit_frame_doubled_anywhere_is_known_and_changes_nothing(symbol: str, frames: list[bytes]) -> None:
    """It is counted, and the book goes on as if it had come once."""
    once, _ = play(symbol, frames)
    for at in range(1, len(frames)):
        book, words = play(symbol, frames[: at + 1] + frames[at:])
        assert words[at : at + 2] == ["depth", "ignored"]
        assert [book.counters()[name] for name in ("duplicates", "gaps", "applied")] == [1, 0, len(frames)]
        for side in ("bid", "ask"):
            assert book.levels(side, 100) == once.levels(side, 100)

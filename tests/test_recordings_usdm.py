"""Binance's futures as they were recorded: depth frames that name the frame they follow, and a fetched snapshot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from twin_book import TwinBook, e8

from pytrader._core import Book, Replay

if TYPE_CHECKING:
    from conftest import Recordings

NAME = "binance/usdm_btcusdt_20230404T2358_combined"


class Session(NamedTuple):
    """The recorded frames, the snapshot, and behind which frame its answer came."""

    frames: list[bytes]
    events: list[dict[str, Any]]
    snapshot: bytes
    after: int

    def depth(self) -> list[int]:
        """Return the indices of depth frames."""
        return [index for index, event in enumerate(self.events) if event["e"] == "depthUpdate"]


@pytest.fixture(scope="module")
def session(recordings: Recordings) -> Session:
    """Return the recording."""
    frames = recordings.read(f"{NAME}.frames.jsonl").splitlines()
    asked = json.loads(recordings.read(f"{NAME}.events.jsonl").splitlines()[0])
    events = [json.loads(frame)["data"] for frame in frames]
    return Session(frames, events, recordings.read(f"{NAME}.rest_depth.json"), asked["after_frame_index"])


def apply(dull: TwinBook, event: dict[str, Any]) -> None:
    """Set the levels of one depth event."""
    for side, key in (("bid", "b"), ("ask", "a")):
        for price, quantity in event[key]:
            dull.change(side, price, quantity)


def test_the_recorded_book_of_the_futures_equals_a_dull_one_at_every_frame(session: Session) -> None:
    """From the bridged snapshot on: best prices at each depth frame, a hundred levels a side every ten."""
    book, dull = Book("binance-usdm", "BTCUSDT"), TwinBook()
    snapshot = json.loads(session.snapshot)
    apply(dull, {"b": snapshot["bids"], "a": snapshot["asks"]})
    # Depth alone: a newer bookTicker would be published above it.
    for number, index in enumerate(session.depth()):
        if number == 0:
            assert book.offer_snapshot(session.snapshot) == "waiting"
        assert book.apply(session.frames[index], index) == "depth"
        apply(dull, session.events[index])
        top = book.top()
        assert top.synced
        assert (top.bid_e8, top.bid_size_e8, top.ask_e8, top.ask_size_e8) == dull.top()
        assert top.bid_e8 < top.ask_e8
        if number % 10 == 0:
            assert (book.levels("bid", 100), book.levels("ask", 100)) == dull.best(100)


def test_the_recording_of_the_futures_has_no_gap_in_the_order_it_came(session: Session) -> None:
    """The snapshot where its answer came, every frame after it in order: each is what it is, none is refused."""
    book = Book("binance-usdm", "BTCUSDT")
    words: dict[str, set[str]] = {}
    for index, frame in enumerate(session.frames):
        words.setdefault(session.events[index]["e"], set()).add(book.apply(frame, index))
        if index == session.after:
            assert book.offer_snapshot(session.snapshot) in {"bridged", "waiting"}
    assert words["depthUpdate"] == {"depth"}
    assert words["trade"] == {"trade"}
    assert words["markPriceUpdate"] == {"ignored"}
    assert words["bookTicker"] <= {"top", "ignored"}
    counters = book.counters()
    assert [counters[name] for name in ("gaps", "crossed", "refused", "duplicates", "resyncs")] == [0] * 5
    assert book.top().synced


def test_recorded_trades_of_the_futures_are_told_in_their_order_with_the_takers_side(session: Session) -> None:
    """The newest that a book keeps, price, size and side; what happened outside the market is left out."""
    book = Book("binance-usdm", "BTCUSDT")
    for index, frame in enumerate(session.frames):
        book.apply(frame, index)
    rows = [event for event in session.events if event["e"] == "trade" and event["X"] == "MARKET"]
    expected = [(e8(row["p"]), e8(row["q"]), "sell" if row["m"] else "buy") for row in rows]
    found = book.trades()
    assert found == expected[-len(found) :]
    assert (len(found) >= 1_000, {side for _, _, side in found}) == (True, {"buy", "sell"})


def test_replaying_the_recording_of_the_futures_bridges_its_snapshot(session: Session) -> None:
    """A line for each depth frame, whose best prices never meet."""
    replay = Replay("binance-usdm", "BTCUSDT", tops=True)
    replay.give_snapshot(session.snapshot)
    assert replay.feed(b"\n".join(session.frames)) == len(session.frames)
    rows = [line.split(",") for line in replay.take_tops().splitlines()]
    assert [int(row[0]) for row in rows] == session.depth()
    assert all(float(row[2]) < float(row[4]) for row in rows)
    assert [replay.counters()[name] for name in ("gaps", "crossed", "refused")] == [0] * 3


def live_from(event: dict[str, Any], frame: bytes) -> Book:
    """Return a book that an empty snapshot made live, and that holds this depth frame."""
    book = Book("binance-usdm", "BTCUSDT")
    assert book.offer_snapshot(json.dumps({"lastUpdateId": event["pu"], "bids": [], "asks": []}).encode()) == "waiting"
    assert book.apply(frame, 0) == "depth"
    return book


def test_depth_of_the_futures_cut_out_doubled_or_swapped_is_noticed_at_every_position(session: Session) -> None:
    """A hole or a swap is a gap at the first frame behind it; a copy changes nothing."""
    places = session.depth()
    for first, second, third in zip(places, places[1:], places[2:], strict=False):
        frames = [session.frames[index] for index in (first, second, third)]
        book = live_from(session.events[first], frames[0])
        levels = (book.levels("bid", 100), book.levels("ask", 100))
        assert (book.apply(frames[0], 0), book.counters()["duplicates"]) == ("ignored", 1)
        assert (book.levels("bid", 100), book.levels("ask", 100)) == levels
        assert book.top().synced
        # The second is missing, or comes behind the third.
        assert (book.apply(frames[2], 0), book.top().synced, book.top().doubt) == ("gap", False, "gap")
        book.apply(frames[1], 0)
        assert not book.top().synced


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9])
def test_a_hole_in_the_recording_of_the_futures_keeps_the_book_out_of_use_to_its_end(
    session: Session, part: float
) -> None:
    """One missing depth frame, and without a new snapshot no later frame makes the book look right again."""
    places = session.depth()
    missing = places[int(len(places) * part)]
    book = Book("binance-usdm", "BTCUSDT")
    book.offer_snapshot(session.snapshot)
    words = [book.apply(session.frames[index], index) for index in places if index != missing]
    assert words.count("gap") == 1
    assert set(words[words.index("gap") + 1 :]) == {"buffered"}
    assert not book.top().synced

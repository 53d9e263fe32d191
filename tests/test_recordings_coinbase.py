"""Coinbase as it was recorded: two products on one connection, whose messages have one count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from twin_book import TwinBook, e8

from pytrader._core import Book, Replay

if TYPE_CHECKING:
    from conftest import Recordings

NAME = "coinbase/advtrade_btcusd_ethusd_20260809"
PRODUCTS = ["BTC-USD", "ETH-USD"]


class Session(NamedTuple):
    """The recorded frames, as bytes and as what they say."""

    frames: list[bytes]
    messages: list[dict[str, Any]]

    def updates(self, index: int, product: str) -> tuple[str, list[dict[str, str]]] | None:
        """Return kind and changes of a book message about the product."""
        message = self.messages[index]
        (event,) = message["events"]
        if message["channel"] != "l2_data" or event["product_id"] != product:
            return None
        return event["type"], event["updates"]


@pytest.fixture(scope="module")
def session(recordings: Recordings) -> Session:
    """Return the recording."""
    frames = recordings.read(f"{NAME}.frames.jsonl").splitlines()
    return Session(frames, [json.loads(frame) for frame in frames])


def live_from(index: int, session: Session, product: str) -> Book:
    """Return a book that an empty snapshot made live right before the frame of this index."""
    event = {"type": "snapshot", "product_id": product, "updates": []}
    number = session.messages[index]["sequence_num"] - 1
    snapshot = {"channel": "l2_data", "timestamp": "", "sequence_num": number, "events": [event]}
    book = Book("coinbase", product)
    assert book.apply(json.dumps(snapshot).encode(), 0) == "snapshot"
    assert book.top().synced
    return book


@pytest.mark.parametrize("product", PRODUCTS)
def test_recorded_books_of_coinbase_equal_a_dull_one_at_every_frame(session: Session, product: str) -> None:
    """Best prices at each update, a hundred levels a side every ten; no gap, no refusal, never crossed."""
    book, dull = Book("coinbase", product), TwinBook()
    for index, frame in enumerate(session.frames):
        word, found = book.apply(frame, index), session.updates(index, product)
        if found is None:
            assert word in {"ignored", "trade", "control"}
            continue
        kind, rows = found
        assert word == ("snapshot" if kind == "snapshot" else "depth")
        for row in rows:
            dull.change("bid" if row["side"] == "bid" else "ask", row["price_level"], row["new_quantity"])
        top = book.top()
        assert top.synced
        assert (top.bid_e8, top.bid_size_e8, top.ask_e8, top.ask_size_e8) == dull.top()
        assert top.bid_e8 < top.ask_e8
        if index % 10 == 0 or kind == "snapshot":
            assert (book.levels("bid", 100), book.levels("ask", 100)) == dull.best(100)
    counters = book.counters()
    assert [counters[name] for name in ("gaps", "crossed", "refused", "duplicates", "resyncs")] == [0] * 5
    assert counters["frames"] == len(session.frames)


@pytest.mark.parametrize("product", PRODUCTS)
def test_replaying_the_recording_of_coinbase_counts_every_frame_once(session: Session, product: str) -> None:
    """The replay's book ends where a live one ends, and lists each update's top."""
    replay, book = Replay("coinbase", product, tops=True), Book("coinbase", product)
    assert replay.feed(b"\n".join(session.frames)) == len(session.frames)
    for frame in session.frames:
        book.apply(frame, 0)
    counters, top, live = replay.counters(), replay.top(), book.top()
    assert [counters[name] for name in ("gaps", "crossed", "refused")] == [0] * 3
    assert (top.bid_e8, top.ask_e8, top.synced) == (live.bid_e8, live.ask_e8, True)
    found = [session.updates(index, product) for index in range(len(session.frames))]
    assert len(replay.take_tops().splitlines()) == sum(each is not None and each[0] == "update" for each in found)


@pytest.mark.parametrize("product", PRODUCTS)
def test_recorded_trades_of_coinbase_come_oldest_first(session: Session, product: str) -> None:
    """Each batch counts its own product's trades; those from before the subscription count for nothing."""
    book, expected = Book("coinbase", product), []
    for index, frame in enumerate(session.frames):
        message = session.messages[index]
        word, (event,) = book.apply(frame, index), message["events"]
        if message["channel"] == "market_trades":
            own = [row for row in event["trades"] if row["product_id"] == product and event["type"] == "update"]
            assert word == ("trade" if own else "ignored")
            expected += own
    # The venue numbers them, and names the side of whoever waited in the book.
    expected.sort(key=lambda row: int(row["trade_id"]))
    taker = {"BUY": "sell", "SELL": "buy"}
    assert book.trades() == [(e8(row["price"]), e8(row["size"]), taker[row["side"]]) for row in expected]
    assert book.counters()["trades"] == len(expected) > 0


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_frame_cut_out_of_coinbases_count_is_noticed_with_the_next_at_every_position(
    session: Session, product: str
) -> None:
    """Whatever it was about: an acknowledgement, a heartbeat, another product."""
    for index in range(1, len(session.frames) - 2):
        book = live_from(index, session, product)
        book.apply(session.frames[index], 0)
        word, found = book.apply(session.frames[index + 2], 0), session.updates(index + 2, product)
        if found is not None and found[0] == "snapshot":
            assert (word, book.top().synced) == ("snapshot", True)
        else:
            assert (word, book.top().synced, book.top().doubt) == ("gap", False, "gap"), index


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_doubled_frame_of_coinbase_changes_nothing_at_every_position(session: Session, product: str) -> None:
    """The second copy is passed over by its number, and what follows joins."""
    for index in range(1, len(session.frames) - 1):
        book = live_from(index, session, product)
        book.apply(session.frames[index], 0)
        before = (book.levels("bid", 100), book.levels("ask", 100), book.counters()["trades"])
        assert book.apply(session.frames[index], 0) == "ignored"
        assert (book.levels("bid", 100), book.levels("ask", 100), book.counters()["trades"]) == before
        assert book.apply(session.frames[index + 1], 0) not in {"gap", "refused", "crossed"}
        assert book.top().synced


@pytest.mark.parametrize("product", PRODUCTS)
def test_swapped_frames_of_coinbase_are_noticed_at_the_first_of_them_at_every_position(
    session: Session, product: str
) -> None:
    """The later one came too early; behind it only a snapshot brings the book back."""
    for index in range(1, len(session.frames) - 2):
        if (found := session.updates(index + 1, product)) is not None and found[0] == "snapshot":
            continue
        book = live_from(index, session, product)
        assert book.apply(session.frames[index + 1], 0) == "gap", index
        # Were the late one the snapshot, it would be older than what was seen: it is not believed.
        assert book.apply(session.frames[index], 0) == "ignored"
        assert book.apply(session.frames[index + 2], 0) in {"ignored", "trade", "control", "snapshot"}
        found = session.updates(index + 2, product)
        assert book.top().synced == (found is not None and found[0] == "snapshot")


def test_a_hole_in_the_recording_of_coinbase_keeps_the_book_out_of_use_to_its_end(session: Session) -> None:
    """One missing message early on, and no later update makes the book look right again."""
    first = next(i for i in range(len(session.frames)) if session.updates(i, "BTC-USD"))
    book = Book("coinbase", "BTC-USD")
    words = [book.apply(frame, 0) for index, frame in enumerate(session.frames) if index != first + 40]
    assert words.count("gap") == 1
    assert "depth" not in words[first + 40 :]
    assert not book.top().synced

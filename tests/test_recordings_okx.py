"""A real session of OKX through the live decoder and book; damage to it, made here, is never missed.

The session is of 2022: its updates carry checksums and no ids. OKX sends the opposite today, so the same frames are
also given ids, as today's have, with and without their checksums.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dull_book import DullBook, all_levels, e8

from pytrader._core import Book, Replay, format_e8

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Recordings

FRAMES = "okx/v5_books_btcusdt_20220513.frames.jsonl"
SYMBOLS = {"BTC-USDT": 98, "BTC-USD-220527": 99, "UNI-USD-SWAP": 93}
# What a checksum covers, levels a side.
COVERED = 25


@pytest.fixture(scope="module")
def session(recordings: Recordings) -> bytes:
    """Return every frame of the session, a line each."""
    return recordings.read(FRAMES)


@pytest.fixture(params=SYMBOLS)
def symbol(request: pytest.FixtureRequest) -> str:
    """Return each instrument in turn."""
    return str(request.param)


@pytest.fixture
def frames(session: bytes, symbol: str) -> list[bytes]:
    """Return the frames of the instrument's book."""
    start = f'{{"arg":{{"channel":"books","instId":"{symbol}"}},"action"'.encode()
    found = [line for line in session.splitlines() if line.startswith(start)]
    assert len(found) == SYMBOLS[symbol]
    return found


def seq_id(index: int) -> int:
    """Return an id that rises by steps of 1 to 6."""
    return 7_000_000_000 + 3 * index + index * index % 4


def numbered(frames: list[bytes], *, checksums: bool) -> list[bytes]:
    """Return the frames with the ids that OKX sends today."""
    made = []
    for index, frame in enumerate(frames):
        event = json.loads(frame)
        data = event["data"][0]
        data["checksum"] = data["checksum"] if checksums else 0
        data |= {"prevSeqId": seq_id(index - 1) if index else -1, "seqId": seq_id(index)}
        made.append(json.dumps(event, separators=(",", ":")).encode())
    return made


def play(symbol: str, frames: list[bytes]) -> tuple[Book, list[str]]:
    """Return a book after these frames, and what each of them did."""
    book = Book("okx", symbol)
    return book, [book.apply(frame) for frame in frames]


def event_of(frame: bytes) -> tuple[bool, dict[str, Any]]:
    """Return whether a frame is a snapshot, and its data."""
    event = json.loads(frame)
    return event["action"] == "snapshot", event["data"][0]


def states(frames: list[bytes]) -> list[dict[str, list[tuple[int, int]]]]:
    """Return the dull book after each frame."""
    dull, after = DullBook(), []
    for frame in frames:
        whole, data = event_of(frame)
        dull.take(whole=whole, bids=data["bids"], asks=data["asks"])
        after.append({side: dull.levels(side) for side in ("bid", "ask")})
    return after


def covered(book: Book) -> dict[str, list[tuple[int, int]]]:
    """Return the levels of a book that a checksum covers."""
    return {side: book.levels(side, COVERED) for side in ("bid", "ask")}


def removal(symbol: str, last_id: int) -> Callable[[list[int], list[int]], bytes]:
    """Return what makes the frames that follow `last_id` and take levels out."""
    ids = [last_id]

    def remove(bids: list[int], asks: list[int]) -> bytes:
        ids.append(ids[-1] + 1)
        sides = {"bids": bids, "asks": asks}
        rows = {side: [[format_e8(price), "0", "0", "0"] for price in prices] for side, prices in sides.items()}
        data = rows | {"ts": "1", "prevSeqId": ids[-2], "seqId": ids[-1]}
        arg = {"channel": "books", "instId": symbol}
        return json.dumps({"arg": arg, "action": "update", "data": [data]}).encode()

    return remove


def test_no_gap_is_invented_in_a_real_okx_session(session: bytes, symbol: str) -> None:
    """Every frame of the three instruments is understood, every checksum is right, and nothing crosses."""
    replay = Replay("okx", symbol)
    replay.feed(session)
    found = replay.counters()
    assert (found["frames"], found["applied"] - found["trades"]) == (410, SYMBOLS[symbol])
    doubts = ("gaps", "crossed", "refused", "duplicates", "resyncs", "checksum_failures")
    assert [found[name] for name in doubts] == [0] * len(doubts)
    assert (replay.top().synced, found["snapshots"]) == (True, 1)


def test_recorded_trades_of_okx_are_told_in_their_order_with_the_takers_side(session: bytes, symbol: str) -> None:
    """Price, size and side of every trade of the instrument."""
    lines = session.splitlines()
    book, _ = play(symbol, lines)
    arg = {"channel": "trades", "instId": symbol}
    rows = [row for line in lines if (event := json.loads(line)).get("arg") == arg for row in event.get("data", [])]
    assert book.trades() == [(e8(row["px"]), e8(row["sz"]), row["side"]) for row in rows]
    assert rows


def test_all_290_checksums_are_verified_one_by_one(symbol: str, frames: list[bytes]) -> None:
    """Each is right as it was sent, and each, changed by one, is seen to be wrong at its own frame."""
    assert sum(SYMBOLS.values()) == 290
    book, words = play(symbol, frames)
    assert words == ["snapshot"] + ["depth"] * (len(frames) - 1)
    for index, frame in enumerate(frames):
        sent = event_of(frame)[1]["checksum"]
        assert sent != 0
        wrong = frame.replace(b'"checksum":%d' % sent, b'"checksum":%d' % (sent + 1))
        book, words = play(symbol, [*frames[:index], wrong])
        assert (words[-1], book.top().synced, book.top().doubt) == ("checksum", False, "checksum" if index else "")


@pytest.mark.parametrize("checksums", [True, False])
def test_the_whole_okx_book_is_that_of_two_dictionaries_at_every_frame(
    symbol: str, frames: list[bytes], checksums: bool
) -> None:
    """All levels of both sides, prices and sizes, after each frame; live and uncrossed all the way."""
    today = numbered(frames, checksums=checksums)
    for index, expected in enumerate(states(frames)):
        book, words = play(symbol, today[: index + 1])
        top = book.top()
        assert (words[1:], top.synced, top.bid_e8 < top.ask_e8) == (["depth"] * index, True, True)
        assert all_levels(book, removal(symbol, seq_id(index))) == expected


@pytest.mark.parametrize("checksums", [True, False])
def test_an_okx_frame_cut_out_anywhere_is_a_gap_at_the_next_one(
    symbol: str, frames: list[bytes], checksums: bool
) -> None:
    """The chain of ids breaks there, and a fetched book is wanted."""
    today = numbered(frames, checksums=checksums)
    for cut in range(1, len(today) - 1):
        book, words = play(symbol, today[:cut] + today[cut + 1 : cut + 2])
        assert (words[-1], book.top().doubt, book.wait_snapshot_wanted(0)) == ("gap", "gap", True)
    without_snapshot, words = play(symbol, today[1:])
    assert (set(words), without_snapshot.top().sync) == ({"buffered"}, "buffering")


@pytest.mark.parametrize("checksums", [True, False])
def test_two_okx_frames_swapped_anywhere_are_a_gap_at_the_first(
    symbol: str, frames: list[bytes], checksums: bool
) -> None:
    """The later one is not taken before the earlier."""
    today = numbered(frames, checksums=checksums)
    for at in range(1, len(today) - 1):
        book, words = play(symbol, [*today[:at], today[at + 1], today[at]])
        assert (words[at], book.top().synced, book.top().doubt) == ("gap", False, "gap")


@pytest.mark.parametrize("checksums", [True, False])
def test_an_okx_frame_doubled_anywhere_is_known_and_changes_nothing(
    symbol: str, frames: list[bytes], checksums: bool
) -> None:
    """It is counted, and the book goes on as if it had come once."""
    today = numbered(frames, checksums=checksums)
    expected = states(frames)[-1]
    for at in range(1, len(today)):
        book, words = play(symbol, today[: at + 1] + today[at:])
        assert words[at : at + 2] == ["depth", "ignored"]
        assert [book.counters()[name] for name in ("duplicates", "gaps", "applied")] == [1, 0, len(today)]
        assert all_levels(book, removal(symbol, seq_id(len(today) - 1))) == expected


@pytest.mark.parametrize("damage", ["cut", "swap", "double"])
def test_checksums_alone_keep_the_covered_levels_true(symbol: str, frames: list[bytes], damage: str) -> None:
    """Without ids, as in 2022: where a damaged stream is still trusted, the levels that a checksum covers are right.

    What lies deeper no checksum sees. Each frame of BTC-USDT changed the best 25: one lost or moved is seen at once.
    """
    expected, at_once, tail = states(frames), 0, 1 if damage == "double" else 2
    for at in range(1, len(frames) - 1):
        middle = {"cut": [at + 1], "swap": [at + 1, at], "double": [at, at]}[damage]
        book, _ = play(symbol, frames[:at])
        for place, index in enumerate([*middle, *range(at + tail, len(frames))]):
            if book.apply(frames[index]) != "depth":
                assert book.top().doubt in {"checksum", "crossed"}
                at_once += place == 0
                break
            assert covered(book) == {side: levels[:COVERED] for side, levels in expected[index].items()}
    if damage == "double":
        assert at_once == 0
    elif symbol == "BTC-USDT":
        assert at_once == len(frames) - 2

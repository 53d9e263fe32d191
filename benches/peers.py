"""The peer from Python beside each venue's decoder: the Rust benchmarks' frames through orjson into a dict a side.

A Binance top is four floats; of other frames every level goes into the dict of its side, and no best price is looked
for, which a user would still have to pay. A binary frame goes through `struct`.
"""

from __future__ import annotations

import struct
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import orjson
from figure import Figure, interleave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    Side = dict[float, float]
    Take = Callable[[Any, "Side", "Side"], object]

ROUNDS = 9
LARGE, FEW = 1 << 20, 3  # frames of a megabyte take long enough for few rounds
PAIR, GROUP = struct.Struct("<qq"), struct.Struct("<HH")
SBE_HEAD = 8 + 8 + 8 + 8 + 2  # message head, event time, two ids, two exponents
SBE_TOP = struct.Struct("<8x8xQbbqqqq")


def names(labels: Iterable[str]) -> dict[str, str]:
    """Return the name of the peer's line for each label."""
    return {label: f"{label}, peer: {_how(label)}" for label in labels}


def figures(folder: Path, wanted: Callable[[str], bool]) -> dict[str, Figure]:
    """Time the peer on each file of frames in `folder`; by label."""
    found, rounds = {}, []
    for path in folder.iterdir():
        label, frames = read(path.read_bytes())
        name = names([label])[label]
        if wanted(name):
            found[label] = Figure(name)
            large = len(frames[0]) > LARGE
            rounds.append((large, found[label], _round(label, frames)))
    for large in (False, True):
        interleave([(figure, run) for is_large, figure, run in rounds if is_large == large], FEW if large else ROUNDS)
    return found


def read(file: bytes) -> tuple[str, list[bytes]]:
    """Return label and frames: a line, then each frame behind its length (u32, little-endian)."""
    label, _, rest = file.partition(b"\n")

    def each() -> Iterator[bytes]:
        at = 0
        while at < len(rest):
            end = at + 4 + int.from_bytes(rest[at : at + 4], "little")
            yield rest[at + 4 : end]
            at = end

    return label.decode(), list(each())


def _how(label: str) -> str:
    way = "struct" if label.startswith("binance-sbe") else "orjson"
    return f"{way} + float" if _is_top(label) else f"{way} + dict, no top"


def _is_top(label: str) -> bool:
    return any(word in label for word in ("bookTicker", "bestBidAsk"))


def _round(label: str, frames: Sequence[bytes]) -> Callable[[], Sequence[float]]:
    take = next(take for venue, take in TAKES.items() if label.startswith(venue))
    if label.startswith("binance-sbe"):
        return lambda: _timed(frames, _sbe_top if _is_top(label) else _sbe)
    if _is_top(label):
        return lambda: _timed(frames, lambda frame, _bids, _asks: _ticker(orjson.loads(frame)))
    return lambda: _timed(frames, lambda frame, bids, asks: take(orjson.loads(frame), bids, asks))


def _timed(frames: Sequence[bytes], take: Take) -> Sequence[float]:
    bids: Side = {}
    asks: Side = {}
    spent = []
    for frame in frames:
        start = perf_counter_ns()
        take(frame, bids, asks)
        spent.append(perf_counter_ns() - start)
    return spent


def _put(side: Side, rows: Iterable[Sequence[str]]) -> None:
    for at, quantity, *_ in rows:
        size = float(quantity)
        if size:
            side[float(at)] = size
        else:
            side.pop(float(at), None)


def _ticker(message: Any) -> tuple[float, ...]:  # noqa: ANN401  (what JSON holds)
    data = message["data"]
    return float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"])


def _binance(message: Any, bids: Side, asks: Side) -> None:  # noqa: ANN401
    _put(bids, message["data"]["b"])
    _put(asks, message["data"]["a"])


def _okx(message: Any, bids: Side, asks: Side) -> None:  # noqa: ANN401
    data = message["data"][0]
    _put(bids, data["bids"])
    _put(asks, data["asks"])


def _coinbase(message: Any, bids: Side, asks: Side) -> None:  # noqa: ANN401
    for update in message["events"][0]["updates"]:
        side = bids if update["side"] == "bid" else asks
        size = float(update["new_quantity"])
        if size:
            side[float(update["price_level"])] = size
        else:
            side.pop(float(update["price_level"]), None)


def _sbe(frame: bytes, bids: Side, asks: Side) -> None:
    at = SBE_HEAD
    for side in (bids, asks):
        _, count = GROUP.unpack_from(frame, at)
        end = at + GROUP.size + count * PAIR.size
        for ticks, lots in PAIR.iter_unpack(frame[at + GROUP.size : end]):
            if lots:
                side[ticks / 1e2] = lots / 1e5
            else:
                side.pop(ticks / 1e2, None)
        at = end


def _sbe_top(frame: bytes, _bids: Side, _asks: Side) -> tuple[float, ...]:
    _, _, _, bid, bid_size, ask, ask_size = SBE_TOP.unpack_from(frame)
    return bid / 1e2, bid_size / 1e5, ask / 1e2, ask_size / 1e5


TAKES: dict[str, Take] = {
    "bybit": _binance,
    "okx": _okx,
    "coinbase": _coinbase,
    "binance": _binance,
}

"""The dialects' messages beside recorded ones of the exchanges: the same keys in the same order, the same spellings."""

import json
import re
import struct

import pytest
from sandbox_lines import Line, okx_checksum

from pytrader.sandbox.dialects import binance_sbe as binary
from pytrader.sandbox.dialects.feeds import Changes
from pytrader.sandbox.happenings import Top, Trades

SPELLINGS = (
    ("zero", r"0(\.0+)?"),
    ("decimal", r"\d+(\.\d+)?"),
    ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
)


def shape(value):
    """Return keys in order, kinds of leaves, and what the first row of a list looks like."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return ["list", *(shape(row) for row in value[:1])]
    if isinstance(value, str):
        return next((name for name, spelling in SPELLINGS[1:] if re.fullmatch(spelling, value)), "text")
    return type(value).__name__


def first(frames, wanted):
    """Return the first parsed frame for which `wanted` is true."""
    return next(frame for frame in frames if wanted(frame))


def recorded(recordings, name):
    """Return every parsed frame of a recording."""
    return [json.loads(text) for text in recordings.read(f"{name}.frames.jsonl").splitlines()]


def heard(line, beats=600):
    """Return what the line hears, parsed."""
    return [json.loads(payload) for _ in range(beats) for payload in line.beat()]


@pytest.mark.parametrize(
    ("topic", "kind"),
    [("orderbook.200.BTCUSDT", "snapshot"), ("orderbook.200.BTCUSDT", "delta"), ("publicTrade.BTCUSDT", "snapshot")],
)
def test_bybit_messages_look_like_recorded_ones(recordings, topic, kind):
    """Book snapshots, book changes, trades; bids and asks both filled."""
    line = Line("/v5/public/spot")
    said = line.say({"op": "subscribe", "args": ["orderbook.200.BTCUSDT", "publicTrade.BTCUSDT"]})
    ours = [json.loads(text) for text in said] + heard(line)
    real = recorded(recordings, "bybit/v5_spot_btcusdt_ethusdt_20260809")

    def wanted(frame):
        full = topic.startswith("public") or (frame.get("topic") == topic and frame["data"]["b"] and frame["data"]["a"])
        return full and (frame.get("topic"), frame.get("type")) == (topic, kind)

    assert shape(first(ours, wanted)) == shape(first(real, wanted))
    ack = json.loads(line.say({"op": "unsubscribe", "args": ["publicTrade.BTCUSDT"]})[0])
    assert shape(ack) == shape(first(real, lambda frame: "success" in frame))


@pytest.mark.parametrize("channel", ["l2_data", "market_trades", "ticker", "heartbeats", "subscriptions"])
@pytest.mark.parametrize("kind", ["snapshot", "update"])
def test_coinbase_messages_look_like_recorded_ones(recordings, channel, kind):
    """Each channel's first and further messages."""
    line, ours = Line("/"), []
    heard(line)  # so that there are past trades
    for name in ("level2", "market_trades", "ticker", "heartbeats"):
        ours += [
            json.loads(text) for text in line.say({"type": "subscribe", "channel": name, "product_ids": ["BTC-USD"]})
        ]
    ours += heard(line)
    real = recorded(recordings, "coinbase/advtrade_btcusd_ethusd_20260809")

    def wanted(frame):
        event = frame["events"][0]
        rows = event.get("trades", [None])
        return frame["channel"] == channel and event.get("type", kind) == kind and bool(rows)

    mine, its = shape(first(ours, wanted)), shape(first(real, wanted))
    if channel == "subscriptions":  # names channels by key, as many as are subscribed
        assert [key for key, _ in mine] == [key for key, _ in its]
    else:
        assert mine == its


@pytest.mark.parametrize("action", ["snapshot", "update"])
def test_okx_books_look_like_recorded_ones_with_the_later_ids(recordings, action):
    """The recording is of 2022: it has no `prevSeqId` and `seqId`, which stand last."""
    line = Line("/ws/v5/public")
    said = line.say({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})
    ours = [json.loads(text) for text in said] + heard(line)
    real = recorded(recordings, "okx/v5_books_btcusdt_20220513")

    def wanted(frame):
        return frame.get("action") == action and frame["data"][0]["asks"] and frame["data"][0]["bids"]

    mine, its = first(ours, wanted), first(real, wanted)
    assert [mine["data"][0].pop(key) >= -1 for key in ("prevSeqId", "seqId")] == [True, True]
    assert shape(mine) == shape(its)
    assert [len(row) for row in mine["data"][0]["asks"]] == [4] * len(mine["data"][0]["asks"])
    ack = json.loads(said[0])
    assert ack.pop("connId")
    assert shape(ack) == shape(first(real, lambda frame: frame.get("event") == "subscribe"))


def test_the_checksum_that_the_tests_use_is_the_exchanges_own(recordings):
    """It agrees with the first recorded snapshot."""
    frames = recorded(recordings, "okx/v5_books_btcusdt_20220513")
    row = first(frames, lambda frame: frame.get("action") == "snapshot")["data"][0]
    assert okx_checksum(row["bids"], row["asks"]) == row["checksum"]


@pytest.mark.parametrize("stream", ["btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade"])
def test_spot_messages_look_like_recorded_ones(recordings, stream):
    """Depth, bookTicker, trades, wrapped; and the snapshot."""
    line = Line(f"/stream?streams={stream}")
    frames = recordings.read("binance/spot_btcusdt_20240808T2354_combined.frames.jsonl").splitlines()[:3_000]

    def wanted(frame):
        return frame["stream"] == stream and frame["data"].get("b", "x") and frame["data"].get("a", "x")

    assert shape(first(heard(line), wanted)) == shape(first(map(json.loads, frames), wanted))
    real = json.loads(recordings.read("binance/spot_btcusdt_20240808T2354_combined.rest_depth.json"))
    assert shape(line.rest("/api/v3/depth?symbol=BTCUSDT&limit=5")[1]) == shape(real)


@pytest.mark.parametrize(
    ("stream", "theirs"),
    [("btcusdt@depth@100ms", "btcusdt@depth@0ms"), ("btcusdt@bookTicker",) * 2, ("btcusdt@trade",) * 2],
)
def test_futures_messages_look_like_recorded_ones(recordings, stream, theirs):
    """Depth, bookTicker, trades, wrapped."""
    ours = heard(Line(f"/public/stream?streams={stream}"))
    real = recorded(recordings, "binance/usdm_btcusdt_20230404T2358_combined")

    def wanted(frame):
        return frame["stream"] in (stream, theirs) and frame["data"].get("b", "x") and frame["data"].get("a", "x")

    assert shape(first(ours, wanted)) == shape(first(real, wanted))


def test_the_futures_snapshot_looks_like_the_recorded_one(recordings):
    """Its ids and times stand before the levels."""
    real = json.loads(recordings.read("binance/usdm_btcusdt_20230404T2358_combined.rest_depth.json"))
    assert shape(Line("/public/ws").rest("/fapi/v1/depth?symbol=BTCUSDT&limit=5")[1]) == shape(real)


def test_sbe_frames_are_laid_out_by_the_published_schema():
    """Three frames spelled out by hand from the schema, and the size that a live best-prices frame has."""
    symbol = b"\x07BTCUSDT"
    at_us, header = 1_790_247_036_700_123, struct.Struct("<HHHH")
    top = binary.best(at_us, Top(0, 75_000_000_001, 8_353_215, 153_981, 8_353_216, 42_000))
    assert top.hex() == (
        "3200112701000000dbc5ae5e385c0600012e597611000000fefbbf757f00000000007d59020000000000c0757f0000000000"
        "10a40000000000000742544355534454"
    )
    assert len(top) == 66
    changes = Changes(75_000_000_002, 75_000_000_005, [(8_353_215, 0)], [(8_353_216, 42_000), (8_353_300, 1)])
    assert binary.diff(at_us, changes).hex() == (
        "1a00132701000000dbc5ae5e385c0600022e597611000000052e597611000000fefb10000100bf757f000000000000000000"
        "0000000010000200c0757f000000000010a400000000000014767f000000000001000000000000000742544355534454"
    )
    trades = binary.trades(at_us, Trades(0, 1, 5, [(8_353_216, 100)], buys=False))
    assert trades[:8] == header.pack(18, 10_000, 1, 0)
    assert trades[24:].hex() == "fefb1900010000000500000000000000c0757f00000000006400000000000000010742544355534454"
    assert binary.partial(at_us, 5, [], []).endswith(b"\x10\0\0\0\x10\0\0\0" + symbol)

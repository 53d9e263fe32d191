"""Each dialect's stream, rebuilt by a dull client from its words alone, is the market's one true book at any frame."""

import json

import pytest
from sandbox_lines import SCENES, Books, Line, Sbe, number, okx_checksum

from pytrader.sandbox.dialects.listing import Options

SECONDS = 4
BEATS = SECONDS * 100


@pytest.mark.parametrize("scenario", SCENES)
@pytest.mark.parametrize("count", [50, 200, 1000])
def test_a_bybit_book_is_the_best_levels_and_its_u_rises_by_one(scenario, count):
    """No level more than the window holds is ever left over, and `seq` is the book's own id."""
    line, books, frames = Line("/v5/public/spot", scenario=scenario), Books(), 0
    topic = f"orderbook.{count}.BTCUSDT"
    ack, first = (json.loads(text) for text in line.say({"op": "subscribe", "args": [topic]}))
    assert (ack["success"], first["type"]) == (True, "snapshot")
    books.replace(first["data"]["b"], first["data"]["a"])
    assert books.sides == line.truth(count)
    u, seq = first["data"]["u"], first["data"]["seq"]
    for _ in range(BEATS):
        for frame in map(json.loads, line.beat()):
            data = frame["data"]
            assert (frame["topic"], frame["type"], data["u"]) == (topic, "delta", u + 1)
            assert data["seq"] > seq
            assert data["seq"] == line.market.book.update_id
            u, seq, frames = data["u"], data["seq"], frames + 1
            books.apply(data["b"], data["a"])
            assert books.sides == line.truth(count)
    assert frames > SECONDS * 2


@pytest.mark.parametrize("scenario", SCENES)
def test_bybit_level_1_is_the_top_in_snapshots(scenario):
    """At every beat the last one said is the top of the book, whose id is `seq`."""
    line, frames = Line("/v5/public/spot", scenario=scenario), 0
    last = json.loads(line.say({"op": "subscribe", "args": ["orderbook.1.BTCUSDT"]})[1])
    for _ in range(BEATS):
        for frame in map(json.loads, line.beat()):
            assert frame["type"] == "snapshot"
            assert frame["data"]["u"] - last["data"]["u"] == 1
            last, frames = frame, frames + 1
        books = Books()
        books.replace(last["data"]["b"], last["data"]["a"])
        assert books.sides == line.truth(1)
    assert frames > 20


def test_bybit_level_1_is_repeated_with_the_same_u_after_3_s_of_quiet():
    """In the quiet market, whose silences last longer."""
    line, repeats, at_ms = Line("/v5/public/spot", scenario="quiet"), 0, 0
    last = json.loads(line.say({"op": "subscribe", "args": ["orderbook.1.BTCUSDT"]})[1])
    for _ in range(4_000):
        for frame in map(json.loads, line.beat()):
            if frame["data"]["u"] == last["data"]["u"]:
                repeats += 1
                assert frame["data"] == last["data"]
                assert frame["ts"] - (at_ms or frame["ts"] - 3_000) == 3_000
            last, at_ms = frame, frame["ts"]
    assert repeats >= 2


@pytest.mark.parametrize("scenario", SCENES)
@pytest.mark.parametrize("kind", ["zero", "none", "crc32"])
def test_an_okx_book_is_the_best_400_levels_and_links_by_seq_ids(scenario, kind):
    """The checksum is 0, absent, or the CRC32 of the best 25 levels as the client has them."""
    line, books = Line("/ws/v5/public", scenario=scenario, options=Options(okx_checksum=kind)), Books()
    said = line.say({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})
    ack, first = map(json.loads, said)
    assert ack["event"] == "subscribe"
    assert (first["action"], first["data"][0]["prevSeqId"]) == ("snapshot", -1)
    seq_id, frames, texts = first["data"][0]["seqId"], 0, ({}, {})
    for beat in range(BEATS):
        for frame in [first] if beat == 0 else map(json.loads, line.beat()):
            row = frame["data"][0]
            if frame["action"] == "update":
                assert row["prevSeqId"] == seq_id
                assert row["seqId"] > seq_id
            seq_id = row["seqId"]
            books.apply(row["bids"], row["asks"])
            for side, rows in zip(texts, (row["bids"], row["asks"]), strict=True):
                side.update({number(level[0], 2): level for level in rows})
            assert books.sides == line.truth(400)
            assert seq_id == line.market.book.update_id
            _check_checksum(kind, row, books, texts)
            frames += 1
    assert frames > SECONDS * 4


def _check_checksum(kind, row, books, texts):
    if kind == "none":
        assert "checksum" not in row
        return
    bids = [texts[0][tick] for tick in sorted(books.sides[0], reverse=True)]
    asks = [texts[1][tick] for tick in sorted(books.sides[1])]
    wanted = okx_checksum(bids, asks)
    assert row["checksum"] == (wanted if kind == "crc32" else 0)


@pytest.mark.parametrize("scenario", SCENES)
def test_an_okx_book_without_a_first_snapshot_starts_from_rest(scenario):
    """Updates whose `seqId` is not above the fetched one are dropped, the first kept one links over it."""
    line = Line("/ws/v5/public", scenario=scenario, options=Options(okx_snapshot=False))
    assert len(line.say({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})) == 1
    waiting = []
    for _ in range(33):
        waiting += map(json.loads, line.beat())
    status, body = line.rest("/api/v5/market/books?instId=BTC-USDT&sz=400")
    assert (status, body["code"]) == (200, "0")
    row, books = body["data"][0], Books()
    books.replace(row["bids"], row["asks"])
    seq_id, applied = row["seqId"], 0
    for _ in range(200):
        for frame in waiting + list(map(json.loads, line.beat())):
            row = frame["data"][0]
            assert frame["action"] == "update"
            if row["seqId"] > seq_id:
                assert row["prevSeqId"] == seq_id
                books.apply(row["bids"], row["asks"])
                seq_id, applied = row["seqId"], applied + 1
                assert books.sides == line.truth(400)
        waiting = []
    assert applied > 10


@pytest.mark.parametrize("scenario", SCENES)
@pytest.mark.parametrize(("channel", "count"), [("bbo-tbt", 1), ("books5", 5)])
def test_okx_best_levels_come_whole(scenario, channel, count):
    """At every frame they are the top of the book, whose id is `seqId`."""
    line, frames = Line("/ws/v5/public", scenario=scenario), 0
    line.say({"op": "subscribe", "args": [{"channel": channel, "instId": "BTC-USDT"}]})
    for _ in range(BEATS):
        for frame in map(json.loads, line.beat()):
            books, row = Books(), frame["data"][0]
            books.replace(row["bids"], row["asks"])
            assert books.sides == line.truth(count)
            assert row["seqId"] == line.market.book.update_id
            frames += 1
    assert frames > 20


def test_okx_says_after_a_minute_of_quiet_that_nothing_has_changed(monkeypatch):
    """An empty update whose `prevSeqId` is its `seqId`; a market that stands still is made for it."""
    line = Line("/ws/v5/public", scenario="quiet")
    first = json.loads(line.say({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]})[1])
    monkeypatch.setattr(line.market, "_is_silent", lambda _at_ns: True)
    frames = [json.loads(payload) for _ in range(12_100) for payload in line.beat()]
    seq_id = first["data"][0]["seqId"]
    quiet = [frame["data"][0] for frame in frames if frame["data"][0]["prevSeqId"] == frame["data"][0]["seqId"]]
    assert len(quiet) == 2
    assert all((row["bids"], row["asks"]) == ([], []) and row["seqId"] >= seq_id for row in quiet)


@pytest.mark.parametrize("scenario", SCENES)
@pytest.mark.parametrize("name", ["BTC-USDT", "BTC-USD"])
def test_a_coinbase_book_is_the_whole_one_and_numbers_run_over_all_channels(scenario, name):
    """From 0, without a gap, over acknowledgements, heartbeats, trades, ticker and book."""
    line, books, expected, seen = Line("/", scenario=scenario), Books(), 0, set()
    payloads = []
    for channel in ("heartbeats", "level2", "market_trades", "ticker"):
        payloads += line.say({"type": "subscribe", "channel": channel, "product_ids": [name]})
    for _ in range(BEATS):
        for frame in map(json.loads, payloads):
            assert frame["sequence_num"] == expected
            expected += 1
            seen.add(frame["channel"])
            if frame["channel"] == "l2_data":
                _take_level2(books, frame["events"][0], name)
                assert books.sides == line.truth()
        payloads = line.beat()
    assert seen == {"subscriptions", "l2_data", "heartbeats", "market_trades", "ticker"}


def _take_level2(books, event, name):
    assert event["product_id"] == name
    if event["type"] == "snapshot":
        books.replace([], [])
    for row in event["updates"]:
        side = books.sides[{"bid": 0, "offer": 1}[row["side"]]]
        books.set(side, number(row["price_level"], 2), number(row["new_quantity"], 5))


@pytest.mark.parametrize("scenario", SCENES)
def test_an_sbe_book_joined_with_the_rest_snapshot_is_the_whole_one_every_20_ms(scenario):
    """Ids overlap the snapshot and then follow each other; best prices name the top at their own id."""
    streams = "btcusdt@depth/btcusdt@bestBidAsk/btcusdt@depth20"
    line, frames = Line(f"/stream?streams={streams}", scenario=scenario, headers={"x-mbx-apikey": "k"}), 0
    line.beat()
    body, books = line.rest("/api/v3/depth?symbol=BTCUSDT&limit=5000")[1], Books()
    books.replace(body["bids"], body["asks"])
    last, best_id = body["lastUpdateId"], 0
    for _ in range(BEATS):
        for frame in map(Sbe, line.beat()):
            if frame.template == 10003:
                last, frames = _take_diff(frame, books, last, first=frames == 0), frames + 1
                assert books.sides == line.truth()
            elif frame.template == 10002:
                assert (dict(frame.group("qq")), dict(frame.group("qq"))) == line.truth(20)
            else:
                assert (frame.template, frame.block, frame.field("q", 8) > best_id) == (10001, 50, True)
                best_id = frame.field("q", 8)
                assert frame.field("q", 18) < frame.field("q", 34)
            assert frame.template == 10001 or frame.symbol() == "BTCUSDT"
    assert frames > 50


def _take_diff(frame, books, last, *, first):
    assert (frame.block, frame.field("b", 24), frame.field("b", 25)) == (26, -2, -5)
    first_id, last_id = frame.field("q", 8), frame.field("q", 16)
    assert first_id <= last + 1 <= last_id + 1 if first else first_id == last + 1
    for side in books.sides:
        for tick, lots in frame.group("qq"):
            books.set(side, tick, lots)
    return last_id


@pytest.mark.parametrize("scenario", SCENES)
@pytest.mark.parametrize("stream", ["btcusdt@depth@100ms", "btcusdt@depth", "btcusdt@depth@500ms", "btcusdt@depth@0ms"])
def test_a_futures_book_is_chained_by_pu_alone(scenario, stream):
    """`U` is not one above the last `u` there, `pu` is it."""
    line, books, frames = Line(f"/public/stream?streams={stream}", scenario=scenario), Books(), 0
    body = line.rest("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")[1]
    own = line.truth()
    books.replace(body["bids"], body["asks"])
    assert books.sides == line.truth(1000)
    books.sides, last = own, body["lastUpdateId"]  # the levels below the thousandth, which no snapshot tells
    for _ in range(BEATS):
        for frame in map(json.loads, line.beat()):
            data = frame["data"]
            assert data["pu"] == last
            assert last + 1 < data["U"] <= data["u"]
            books.apply(data["b"], data["a"])
            last, frames = data["u"], frames + 1
            assert books.sides == line.truth()
    assert frames >= SECONDS * 2 - 1


def test_every_dialect_tells_the_same_trades():
    """Ids, prices, sizes and sides, over 5 s, in each exchange's own grouping."""
    line = Line("/ws/btcusdt@trade", seed=9)
    sbe = line.connect("/sbe/ws/btcusdt@trade", {"x-mbx-apikey": "k"})
    usdm, bybit, okx = (
        line.connect("/public/ws/btcusdt@trade"),
        line.connect("/v5/public/spot"),
        line.connect("/ws/v5/public"),
    )
    coinbase = line.connect("/")
    line.say({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]}, bybit)
    line.say({"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]}, okx)
    line.say({"type": "subscribe", "channel": "market_trades", "product_ids": ["BTC-USD"]}, coinbase)
    told = [[] for _ in range(6)]
    for _ in range(500):
        for one, heard in zip(told, line.beat_messages(line.talk, usdm, sbe, bybit, okx, coinbase), strict=True):
            one += [message.payload for message in heard]
    plain = [(row["t"], number(row["p"], 2), number(row["q"], 5), not row["m"]) for row in map(json.loads, told[0])]
    futures = [(row["t"], number(row["p"], 2), number(row["q"], 5), not row["m"]) for row in map(json.loads, told[1])]
    binary = [row for frame in told[2] for row in Sbe(frame).group("qqqB", wide=True)]
    spot = [row for frame in told[3] for row in json.loads(frame)["data"]]
    grouped = [json.loads(frame)["data"][0] for frame in told[4]]
    batches = [json.loads(frame)["events"][0]["trades"][::-1] for frame in told[5]]
    assert len(plain) > 50
    assert futures == plain
    assert [(trade, tick, lots, not sold) for trade, tick, lots, sold in binary] == plain
    assert [(int(row["i"][4:]), number(row["p"], 2), number(row["v"], 5), row["S"] == "Buy") for row in spot] == plain
    assert sum(number(row["sz"], 5) for row in grouped) == sum(lots for _, _, lots, _ in plain)
    assert {(int(row["tradeId"]), number(row["px"], 2), row["side"] == "buy") for row in grouped} <= {
        (trade, tick, buys) for trade, tick, _, buys in plain
    }
    assert sum(int(row["count"]) for row in grouped) == len(plain)
    assert [
        (int(row["trade_id"]), number(row["price"], 2), number(row["size"], 5), row["side"] == "SELL")
        for batch in batches
        for row in batch
    ] == plain


def test_a_second_client_of_a_topic_joins_the_same_numbers():
    """Its snapshot has the `u` or `seqId` that the first client was told last."""
    line = Line("/v5/public/spot")
    line.say({"op": "subscribe", "args": ["orderbook.200.BTCUSDT"]})
    last = [json.loads(payload)["data"]["u"] for _ in range(105) for payload in line.beat()][-1]
    late = line.connect("/v5/public/spot")
    snapshot = json.loads(line.say({"op": "subscribe", "args": ["orderbook.200.BTCUSDT"]}, late)[1])
    assert snapshot["data"]["u"] == last
    early_hears, late_hears = [], []
    for _ in range(50):
        one, other = line.beat_messages(line.talk, late)
        early_hears, late_hears = early_hears + one, late_hears + other
    assert early_hears == late_hears
    assert json.loads(late_hears[0].payload)["data"]["u"] == last + 1


def test_nothing_is_made_for_a_dialect_without_listeners():
    """And nothing is watched any more once the last client has left."""
    line = Line("/public/ws/btcusdt@depth@100ms")
    assert line.market.book.bids.watched
    line.talk.end()
    assert not line.market.book.bids.watched
    assert all(not dialect.wanted and not dialect.make(line.market.happen(10**9)) for dialect in line.dialects)

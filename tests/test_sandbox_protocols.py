"""What the dialects answer to their clients: acknowledgements, refusals, pings, silence, REST errors."""

import json
from types import SimpleNamespace

import pytest
from sandbox_lines import Line, closes

from pytrader.sandbox.dialects.dialect import Asked, Kind, Message
from pytrader.sandbox.market import Market
from pytrader.sandbox.scenario import SCENARIOS
from pytrader.sandbox.server import Server

OKX_BOOKS = {"channel": "books", "instId": "BTC-USDT"}


def one(line, asked):
    """Return the only answer, parsed."""
    (text,) = line.say(asked)
    return json.loads(text)


def test_bybit_acknowledges_with_the_clients_request_id():
    """Spot says `subscribe`, on unsubscribing too its own word, and `pong` under the name `ping`."""
    line = Line("/v5/public/spot")
    ack = one(line, {"req_id": "s1", "op": "subscribe", "args": ["publicTrade.BTCUSDT"]})
    assert (ack["success"], ack["ret_msg"], ack["req_id"], ack["op"]) == (True, "subscribe", "s1", "subscribe")
    assert one(line, {"op": "unsubscribe", "args": ["publicTrade.BTCUSDT"]})["op"] == "unsubscribe"
    pong = one(line, {"op": "ping", "req_id": "7"})
    assert (pong["success"], pong["ret_msg"], pong["op"], pong["req_id"]) == (True, "pong", "ping", "7")
    assert list(pong) == ["success", "ret_msg", "conn_id", "req_id", "op"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"op": "subscribe", "args": ["orderbook.500.BTCUSDT"]}, "error:handler not found,topic:orderbook.500.BTCUSDT"),
        ({"op": "subscribe", "args": ["orderbook.1.BTCUSDT"] * 11}, "args size >10"),
        ({"op": "subscribe", "args": ["publicTrade.BTCUSDT", "x"]}, "error:handler not found,topic:x"),
        ({"op": "nope"}, "error:invalid op"),
        ("hello", "Failed to decode incoming data:readObjectStart: expect { or n, but found h"),
    ],
)
def test_bybit_refuses_a_whole_request(asked, told):
    """Nothing of it is subscribed."""
    line = Line("/v5/public/spot")
    refusal = one(line, asked)
    assert (refusal["success"], refusal["ret_msg"]) == (False, told)
    assert not line.talk.topics


def test_bybit_refuses_what_is_subscribed_already_and_goes_on():
    """A fresh snapshot needs an unsubscription first."""
    line, asked = Line("/v5/public/spot"), {"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]}
    first = json.loads(line.say(asked)[1])
    assert one(line, asked)["ret_msg"] == "error:already subscribed,topic:orderbook.50.BTCUSDT"
    line.say(asked | {"op": "unsubscribe"})
    again = json.loads(line.say(asked)[1])
    assert (again["type"], again["data"]["u"] > first["data"]["u"]) == ("snapshot", True)


def test_okx_answers_ping_with_pong_and_each_channel_with_an_acknowledgement():
    """Plain text; the id of the request comes back."""
    line = Line("/ws/v5/public")
    assert line.say("ping") == ["pong"]
    asked = {"id": "s1", "op": "subscribe", "args": [OKX_BOOKS, {"channel": "trades", "instId": "BTC-USDT"}]}
    events = [json.loads(text) for text in line.say(asked)]
    acks = [event for event in events if event.get("event") == "subscribe"]
    assert [(ack["id"], ack["arg"]["channel"]) for ack in acks] == [("s1", "books"), ("s1", "trades")]
    assert one(line, {"op": "unsubscribe", "args": [OKX_BOOKS]})["event"] == "unsubscribe"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("nonsense", "60012"),
        ({"op": "jump", "args": [OKX_BOOKS]}, "60012"),
        ({"op": "subscribe", "args": [{"channel": "books", "instId": "ETH-USDT"}]}, "60018"),
        ({"op": "subscribe", "args": [{"channel": "chairs", "instId": "BTC-USDT"}]}, "60018"),
        ({"op": "subscribe", "args": [{"channel": "books-l2-tbt", "instId": "BTC-USDT"}]}, "64003"),
        ({"id": "a-b", "op": "subscribe", "args": [OKX_BOOKS]}, "60033"),
    ],
)
def test_okx_refuses_with_a_code(asked, code):
    """As an event, and the connection stays."""
    line = Line("/ws/v5/public")
    refusal = one(line, asked)
    assert (refusal["event"], refusal["code"]) == ("error", code)
    assert refusal["msg"]
    assert not line.talk.topics


def test_okx_gives_another_snapshot_for_another_subscription():
    """On the live connection."""
    line, asked = Line("/ws/v5/public"), {"op": "subscribe", "args": [OKX_BOOKS]}
    assert [json.loads(line.say(asked)[1])["action"] for _ in range(2)] == ["snapshot", "snapshot"]


def test_okx_takes_480_requests_an_hour():
    """Then 60014."""
    line, asked = Line("/ws/v5/public"), {"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]}
    events = [one(line, asked) for _ in range(481)]
    assert (events[479]["event"], events[480]["code"]) == ("subscribe", "60014")


def test_silence_ends_connections_as_each_exchange_does():
    """OKX after 30 s without a push, Coinbase after 5 s without a subscription, Bybit after 10 min of the client's."""
    okx, coinbase, bybit = Line("/ws/v5/public").talk, Line("/"), Line("/v5/public/spot").talk
    assert closes(okx.idle(100.0, 70.1, 0.0)) == []
    assert closes(okx.idle(100.0, 70.0, 99.0)) == [4004]
    assert closes(coinbase.talk.idle(4.9, 0.0, 0.0)) == []
    assert closes(coinbase.talk.idle(5.0, 0.0, 0.0)) == [1008]
    coinbase.say({"type": "subscribe", "channel": "heartbeats"})
    assert closes(coinbase.talk.idle(500.0, 0.0, 0.0)) == []
    assert closes(bybit.idle(599.0, 0.0, 0.0)) == []
    assert closes(bybit.idle(600.0, 599.0, 0.0)) == [1006]


@pytest.mark.parametrize(
    "asked",
    [
        "nonsense",
        {"type": "jump"},
        {"type": "subscribe", "channel": "chairs", "product_ids": ["BTC-USDT"]},
        {"type": "subscribe", "channel": "level2", "product_ids": ["ETH-USDT"]},
        {"type": "subscribe", "channel": "level2"},
    ],
)
def test_coinbase_refuses_with_an_error_that_takes_no_number(asked):
    """The next message is still number 0."""
    line = Line("/")
    refusal = one(line, asked)
    assert (list(refusal), refusal["type"]) == (["type", "message"], "error")
    assert one(line, {"type": "subscribe", "channel": "heartbeats"})["sequence_num"] == 0


def test_coinbase_gives_another_snapshot_for_another_subscription():
    """Numbered on."""
    line, asked = Line("/"), {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USDT"]}
    frames = [json.loads(text) for _ in range(2) for text in line.say(asked)]
    assert [frame["channel"] for frame in frames] == ["l2_data", "subscriptions"] * 2
    assert [frame["sequence_num"] for frame in frames] == [0, 1, 2, 3]


def test_sbe_control_is_json_text_and_the_key_is_a_must():
    """401 at the upgrade below `/sbe`; without the key Binance's own path speaks JSON."""
    line = Line("/sbe/ws", headers={"x-mbx-apikey": "any"})
    assert one(line, {"method": "SUBSCRIBE", "params": ["btcusdt@depth"], "id": 1}) == {"result": None, "id": 1}
    assert all(isinstance(payload, bytes) for _ in range(50) for payload in line.beat())
    assert line.connect("/sbe/ws") == 401
    assert line.connect("/stream").dialect.name == "binance"


@pytest.mark.parametrize(
    ("target", "status", "key", "value"),
    [
        ("/v5/market/orderbook?category=linear&symbol=BTCUSDT", 200, "retCode", 10001),
        ("/v5/market/orderbook?category=spot&symbol=ETHUSDT", 200, "retCode", 10001),
        ("/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=0", 200, "retCode", 10001),
        ("/api/v5/market/books", 400, "code", "50014"),
        ("/api/v5/market/books?instId=ETH-USDT", 200, "code", "51001"),
        ("/api/v5/market/books?instId=BTC-USDT&sz=401", 400, "code", "51000"),
        ("/api/v5/public/instruments?instType=CHAIR", 400, "code", "51000"),
        ("/api/v3/brokerage/market/products/ETH-USDT", 404, "error", "NOT_FOUND"),
        ("/api/v3/brokerage/market/product_book?product_id=X", 400, "error", "INVALID_ARGUMENT"),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=7", 400, "code", -4021),
        ("/fapi/v1/depth", 400, "code", -1102),
        ("/fapi/v1/depth?symbol=X", 400, "code", -1121),
    ],
)
def test_a_bad_rest_call_gets_the_exchanges_own_error(target, status, key, value):
    """Status and code."""
    got, body = Line("/").rest(target)
    assert (got, body[key]) == (status, value)


def test_instruments_say_what_the_market_trades_in():
    """Ticks of 0.01 and lots of 0.00001, whatever the exchange's own are."""
    line = Line("/")
    bybit = line.rest("/v5/market/instruments-info?category=spot&symbol=BTCUSDT")[1]["result"]["list"][0]
    okx = line.rest("/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT")[1]["data"][0]
    coinbase = line.rest("/api/v3/brokerage/market/products/BTC-USD")[1]
    filters = {rule["filterType"]: rule for rule in line.rest("/fapi/v1/exchangeInfo")[1]["symbols"][0]["filters"]}
    ticks = [bybit["priceFilter"]["tickSize"], okx["tickSz"], coinbase["price_increment"]]
    lots = [bybit["lotSizeFilter"]["basePrecision"], okx["lotSz"], coinbase["base_increment"]]
    assert [*ticks, filters["PRICE_FILTER"]["tickSize"]] == ["0.01"] * 4
    assert [*lots, filters["LOT_SIZE"]["stepSize"]] == ["0.00001"] * 4


class Wire:
    """A session as the server sees one, that keeps what it is told."""

    def __init__(self, talk):
        """Take a conversation."""
        self.talk, self.data = talk, b""

    def say(self, data):
        """Keep the bytes."""
        self.data += data


@pytest.mark.parametrize("path", ["/v5/public/spot", "/"])
def test_a_filter_on_the_way_out_sees_every_message_of_a_client(monkeypatch, path):
    """Answers and broadcasts alike; what it returns is what is sent, raw bytes as they are."""
    server = Server(Market(7, SCENARIOS["calm"]))
    monkeypatch.setattr(server, "_loop", SimpleNamespace(time=lambda: 0.0), raising=False)
    session, seen = Wire(server.converse(Asked.of("GET", path))), []
    server.sessions.add(session)

    def filtered(to, messages):
        assert to is session
        seen.extend(messages)
        return [message for message in messages if message.kind != Kind.DEPTH] + [Message(Kind.RAW, "", b"\x01\x01{")]

    server.outgoing = filtered
    server.heard(session, '{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}')
    server.heard(session, '{"type":"subscribe","channel":"level2","product_ids":["BTC-USD"]}')
    server._broadcast(server._made(10**9))
    assert [message.kind for message in seen].count(Kind.DEPTH) > 5
    assert session.data.count(b"\x01\x01{") == 3
    assert b'"delta"' not in session.data
    assert b'"update"' not in session.data
    assert b'"snapshot"' in session.data

"""The offline exchange as its clients see it: streams, snapshots, keep-alive, limits."""

import contextlib
import json
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import websocket
from sandbox_clients import (
    ALL,
    Address,
    best,
    control,
    fetch,
    is_depth,
    masked,
    raw_client,
    receive,
    running,
    snapshot,
    split_frames,
    twin_top,
)

from pytrader.sandbox.process import OfflineMarket

pytest_plugins = ("sandbox_fixtures",)


def test_the_ready_line_comes_fast_and_names_the_port():
    """Start-up costs well under a second of processor time; the URL in the line answers."""
    with OfflineMarket.start(7, "calm", options=("--start-price", "30000")) as market:
        assert fetch(market, "/api/v3/ping")[2] == {}
        assert abs(float(fetch(market, "/api/v3/ticker/bookTicker?symbol=BTCUSDT")[2]["bidPrice"]) - 30_000) < 100
        assert market.is_running()


def test_a_combined_stream_wraps_each_frame_with_its_name(connect):
    """All three streams of the URL arrive, and nothing else."""
    client, seen = connect(f"/stream?streams={ALL}"), set()
    while len(seen) < 3:
        message = json.loads(client.recv())
        assert set(message) == {"stream", "data"}
        seen.add(message["stream"])
    assert seen == set(ALL.split("/"))


def test_a_raw_stream_sends_the_bare_payload(connect):
    """`/ws/<stream>` has no wrapping."""
    message = json.loads(connect("/ws/btcusdt@depth@100ms").recv())
    assert message["e"] == "depthUpdate"
    assert message["s"] == "BTCUSDT"


def test_event_times_are_the_wall_clocks(connect):
    """Within a second or two of now, in ms."""
    message = receive(connect(f"/stream?streams={ALL}"), is_depth)
    assert abs(message["data"]["E"] - time.time() * 1000) < 5_000


def test_subscriptions_change_on_a_live_connection(connect):
    """SUBSCRIBE, LIST_SUBSCRIPTIONS and UNSUBSCRIBE answer as the exchange does, and act."""
    client = connect("/stream")
    client.send('{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}')
    assert json.loads(client.recv()) == {"result": None, "id": 1}
    assert is_depth(json.loads(client.recv()))
    client.send('{"method":"LIST_SUBSCRIPTIONS","id":"a2"}')
    listed = receive(client, lambda message: "id" in message)
    assert listed == {"result": ["btcusdt@depth@100ms"], "id": "a2"}
    client.send('{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":3}')
    assert receive(client, lambda message: "id" in message) == {"result": None, "id": 3}
    client.settimeout(0.4)
    with pytest.raises(websocket.WebSocketTimeoutException):
        client.recv()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 3),
        ("[1]", 2),
        ('{"method":"JUMP","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[5],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":1.5}', 2),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0),
    ],
)
def test_a_bad_control_message_is_refused_with_a_code_and_no_result(connect, text, code):
    """The connection stays."""
    client = connect("/ws")
    client.send(text)
    refusal = json.loads(client.recv())
    assert refusal["code"] == code
    assert "result" not in refusal
    client.send('{"method":"LIST_SUBSCRIPTIONS","id":9}')
    assert json.loads(client.recv()) == {"result": [], "id": 9}


def test_a_snapshot_bridges_into_the_stream_and_the_book_stays_the_markets_own(offline, connect):
    """Snapshot plus 20 contiguous frames equal a market run here from the same seed, to the last digit."""
    client = connect("/stream?streams=btcusdt@depth@100ms")
    body = snapshot(offline)
    update_id, bids, asks = body["lastUpdateId"], dict(body["bids"]), dict(body["asks"])
    applied = 0
    while applied < 20:
        depth = json.loads(client.recv())["data"]
        if depth["u"] <= update_id:
            continue
        assert depth["U"] <= update_id + 1 if applied == 0 else depth["U"] == update_id + 1
        for side, changes in ((bids, depth["b"]), (asks, depth["a"])):
            side.update(changes)
            for price in [price for price, quantity in changes if quantity == "0.00000000"]:
                del side[price]
        update_id, applied = depth["u"], applied + 1
    own = [
        [list(level) for level in best(bids, 100, highest=True)],
        [list(level) for level in best(asks, 100, highest=False)],
    ]
    assert own == twin_top(7, "calm", update_id, 100)


def test_rest_answers_in_the_exchanges_shapes(offline):
    """Depth with its limit, exchangeInfo with the filters, the time; errors carry code and msg."""
    body = snapshot(offline, 5)
    assert [len(body["bids"]), len(body["asks"])] == [5, 5]
    assert len(snapshot(offline, 1000)["bids"]) == 1000
    filters = {rule["filterType"]: rule for rule in fetch(offline, "/api/v3/exchangeInfo")[2]["symbols"][0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
    assert abs(fetch(offline, "/api/v3/time")[2]["serverTime"] - time.time() * 1000) < 5_000


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v3/depth", 400, -1102),
        ("/api/v3/depth?symbol=ETHUSDT", 400, -1121),
        ("/api/v3/depth?symbol=BTCUSDT&limit=-5", 400, -1100),
        ("/api/v3/depth?symbol=BTCUSDT&limit=0", 400, -1100),
        ("/api/v3/exchangeInfo?symbol=X", 400, -1121),
        ("/api/v3/order", 404, -1000),
    ],
)
def test_a_bad_rest_call_gets_the_exchanges_error_shape(offline, path, status, code):
    """Status, and a body of exactly code and msg."""
    got, _, body = fetch(offline, path)
    assert got == status
    assert set(body) == {"code", "msg"}
    assert body["code"] == code


def test_an_unknown_websocket_path_is_refused(offline):
    """With HTTP 404, before any upgrade."""
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(offline.ws_url + "/nowhere", timeout=10)
    assert refused.value.status_code == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("Connection: Upgrade\r\nSec-WebSocket-Version: 13", 400),
        ("Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12", 426),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13", 400),
    ],
)
def test_a_handshake_that_is_none_is_refused_with_a_status(offline, fields, status):
    """Without a key, of another version, without the field that asks for it: never without an answer."""
    with socket.create_connection((offline.host, offline.port), 10) as client:
        client.sendall(f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n{fields}\r\n\r\n".encode())
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_client_that_answers_pings_stays_and_one_that_does_not_is_dropped():
    """Pings come on time; three unanswered intervals end the connection."""
    with OfflineMarket.start(options=("--ping-seconds", "0.3")) as market:
        silent, data = raw_client(market, "/ws")
        with silent:
            found = []
            while chunk := silent.recv(65_536):  # ends: the server drops us
                more, data = split_frames(data + chunk)
                found += more
        assert [opcode for opcode, _ in found] == [9] * len(found)
        assert 3 <= len(found) <= 5
        client = websocket.create_connection(market.ws_url + "/ws/btcusdt@depth@100ms", timeout=10)
        answering_until = time.monotonic() + 1.5
        while time.monotonic() < answering_until:
            assert client.recv()  # websocket-client answers pings inside recv
        client.shutdown()


def test_pongs_that_answer_no_ping_keep_no_connection():
    """They are allowed, but only the echo of a ping counts."""
    with OfflineMarket.start(options=("--ping-seconds", "0.4")) as market:
        client, _ = raw_client(market, "/ws")
        with client:
            deadline = time.monotonic() + 5
            while control(market)["clients"]:
                assert time.monotonic() < deadline, "the client is still there"
                client.sendall(masked(0x8A, b""))
                time.sleep(0.25)


def test_a_clients_ping_is_answered_with_its_payload(connect):
    """An echo, as RFC 6455 wants."""
    client = connect("/ws")
    client.ping("hello")
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"hello")


def test_more_than_five_messages_in_a_second_end_the_connection(connect):
    """With close code 1008 after the sixth."""
    client = connect("/ws")
    for number in range(6):
        client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
    replies = [client.recv_data() for _ in range(6)]
    assert [opcode for opcode, _ in replies] == [websocket.ABNF.OPCODE_TEXT] * 5 + [websocket.ABNF.OPCODE_CLOSE]
    assert replies[-1][1][:2] == struct.pack(">H", 1008)


@pytest.mark.parametrize(
    "request_head",
    ["HEAD /api/v3/ping", "HEAD /v5/market/time", "GET //[", "OPTIONS *", "GET /api/v5/market/books?instId=%ff&sz=%00"],
)
def test_an_odd_request_is_answered_and_the_market_goes_on(offline, request_head):
    """Whatever a client asks for, the exchange does not end."""
    with socket.create_connection((offline.host, offline.port), 10) as client:
        client.sendall(f"{request_head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 ")
    assert request_head.startswith("HEAD") == answer.endswith(b"\r\n\r\n")
    assert fetch(offline, "/api/v3/ping")[2] == {}


@pytest.mark.parametrize("path", ["/ws", "/v5/public/spot", "/ws/v5/public", "/"])
def test_a_text_too_deep_to_read_is_refused_like_any_that_is_none(offline, connect, path):
    """In each exchange's words; the connection and the market stay."""
    client = connect(path)
    client.send("[" * 500_000)
    assert client.recv()
    client.send("nonsense")
    assert client.recv()
    assert fetch(offline, "/api/v3/ping")[2] == {}


def test_control_refuses_what_is_too_deep_and_sends_what_is_no_utf8(offline, connect):
    """Half of a surrogate pair cannot be encoded: its bytes go out as they would be."""
    request = urllib.request.Request(offline.rest_url + "/control", data=b"[" * 500_000)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    assert refused.value.code == 400
    client = connect("/ws")
    client.sock.settimeout(10)
    control(offline, send="\ud800")
    assert client.recv_frame().data == b"\xed\xa0\x80"


def test_a_message_without_end_is_refused_at_a_size(offline):
    """With 1009: fragments of a text are kept until it is whole, up to a bound."""
    client, data = raw_client(offline, "/v5/public/spot")
    piece = masked(0x00, b"x" * 60_000)
    with client:
        client.sendall(masked(0x01, b"x"))
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                client.sendall(piece)
        with contextlib.suppress(ConnectionError):
            while more := client.recv(65_536):
                data += more
    assert data == b"" or split_frames(data)[0][-1][1][:2] == struct.pack(">H", 1009)
    assert control(offline)["clients"] == 0


def test_25000_frames_in_a_second_reach_a_client():
    """At 35 times the busy rate; the client only counts frames. Takes the best second of at most 20."""
    with OfflineMarket.start(7, "busy", rate=35.0) as market:
        client, data = raw_client(market, f"/stream?streams={ALL}")
        most, count, seconds, second_ends = 0, 0, 0, time.monotonic() + 1
        with client:
            while most < 25_000 and seconds < 20:
                found, data = split_frames(data + client.recv(1 << 20))
                count += len(found)
                if time.monotonic() >= second_ends:
                    most, count, seconds, second_ends = max(most, count), 0, seconds + 1, second_ends + 1
    assert most >= 25_000


def test_a_client_that_does_not_read_is_dropped_and_others_go_on():
    """Its unsent bytes are bounded; a reading client hears every id meanwhile."""
    script = "from pytrader.sandbox import __main__, session; session.MOST_UNSENT_BYTES = 1 << 16; __main__.main()"
    words = [sys.executable, "-c", script, "--parent-pipe", "--scenario", "busy", "--rate", "40"]
    with running(words, stdin=subprocess.PIPE) as child:
        market = Address(child.stdout.readline().split()[3])
        lazy, _ = raw_client(market, f"/stream?streams={ALL}")
        keen, data = raw_client(market, "/ws/btcusdt@depth@100ms")
        last, clients, deadline = None, 2, time.monotonic() + 30
        with lazy, keen:
            while clients > 1:
                assert time.monotonic() < deadline, "the client that does not read is still there"
                found, data = split_frames(data + keen.recv(1 << 20))
                for depth in (json.loads(payload) for opcode, payload in found if opcode == websocket.ABNF.OPCODE_TEXT):
                    assert last is None or depth["U"] == last + 1
                    last = depth["u"]
                clients = control(market)["clients"]
        assert last is not None
        child.stdin.close()
        assert child.wait(10) == 0


def test_a_client_that_asks_without_reading_the_answers_is_dropped():
    """Answers and pongs that nobody takes are bounded like frames."""
    script = "from pytrader.sandbox import __main__, session; session.MOST_UNSENT_BYTES = 1 << 16; __main__.main()"
    with running([sys.executable, "-c", script, "--parent-pipe"], stdin=subprocess.PIPE) as child:
        market = Address(child.stdout.readline().split()[3])
        before, held = resident_kb(child.pid), descriptors(child.pid)
        asking = b"GET /api/v3/depth?symbol=BTCUSDT&limit=5000 HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000  # 100 MB of answers
        with socket.create_connection((market.host, market.port), 10) as client:
            client.sendall(asking)
            wait_until_dropped(child.pid, held)
        pinging, _ = raw_client(market, "/v5/public/spot")
        flood = masked(0x89, b"x" * 125) * 800_000  # far more than sockets hold
        with pinging, pytest.raises(ConnectionError):
            pinging.sendall(flood)
        assert resident_kb(child.pid) - before < 50_000
        child.stdin.close()
        assert child.wait(10) == 0


def test_a_client_that_closes_without_reading_on_is_sent_no_more():
    """A ping behind the close frame would be our own mistake, and those end the market."""
    words = [sys.executable, "-m", "pytrader.sandbox", "--parent-pipe", "--scenario", "busy", "--rate", "40"]
    with running([*words, "--ping-seconds", "1.5"], stdin=subprocess.PIPE) as child:
        market = Address(child.stdout.readline().split()[3])
        lazy, _ = raw_client(market, f"/stream?streams={ALL}")
        with lazy:
            time.sleep(2.0)  # far more than sockets hold
            lazy.sendall(masked(0x88, struct.pack(">H", 1000)))
            time.sleep(1.6)
            assert control(market)["clients"] == 0
        child.stdin.close()
        assert child.wait(10) == 0


def wait_until_dropped(pid, held):
    """Wait until a process holds no more descriptors than that."""
    deadline = time.monotonic() + 20
    while descriptors(pid) > held:
        assert time.monotonic() < deadline, "the connection is still there"
        time.sleep(0.05)


def descriptors(pid):
    """Return how many a process holds."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_kb(pid):
    """Return the memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4


def test_a_connection_that_was_ended_is_gone_soon_though_its_client_does_not_read():
    """What is still to be sent to it does not keep its subscriptions alive."""
    script = "from pytrader.sandbox import __main__, session; session.LINGER_S = 0.5; __main__.main()"
    words = [sys.executable, "-c", script, "--parent-pipe", "--scenario", "busy", "--rate", "40"]
    with running(words, stdin=subprocess.PIPE) as child:
        market = Address(child.stdout.readline().split()[3])
        before = descriptors(child.pid)
        lazy, _ = raw_client(market, f"/stream?streams={ALL}")
        with lazy:
            time.sleep(2.0)  # far more than sockets hold
            control(market, chaos="cut", chaos_way="1001")
            wait_until_dropped(child.pid, before)
        child.stdin.close()
        assert child.wait(10) == 0

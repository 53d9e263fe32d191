"""The offline exchange as its clients see it: streams, snapshots, keep-alive, faults, and the end of its process."""

import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import websocket

from pytrader.sandbox import frames
from pytrader.sandbox.market import Market
from pytrader.sandbox.process import OfflineMarket, OfflineMarketError
from pytrader.sandbox.scenario import SCENARIOS

ALL = "btcusdt@bookTicker/btcusdt@depth@100ms/btcusdt@trade"
ROOT = Path(__file__).resolve().parent.parent


class Address:
    """Where a market listens that was not started by `OfflineMarket`."""

    def __init__(self, rest_url):
        """Take the URL of the ready line."""
        self.rest_url = rest_url
        self.host, port = rest_url.removeprefix("http://").split(":")
        self.port = int(port)


@contextmanager
def running(words, **given):
    """Run a child that is killed, should it still live at the end."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, **given) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
def offline():
    """Run a calm market with seed 7."""
    with OfflineMarket.start(7, "calm") as market:
        yield market


def fetch(market, path, body=None):
    """Return (status, headers, parsed body) of one REST call."""
    request = urllib.request.Request(market.rest_url + path, data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.headers, json.loads(reply.read())
    except urllib.error.HTTPError as failed:
        with failed:
            return failed.code, failed.headers, json.loads(failed.read())


def control(market, **asked):
    """Ask for faults and return the reply."""
    status, _, reply = fetch(market, "/control", asked)
    assert status == 200, reply
    return reply


def snapshot(market, limit=1000):
    """Fetch the REST snapshot."""
    return fetch(market, f"/api/v3/depth?symbol=BTCUSDT&limit={limit}")[2]


@pytest.fixture
def connect(offline):
    """Give a function that opens a WebSocket on a path; all are closed at the end."""
    opened = []

    def connected(path, market=offline):
        opened.append(websocket.create_connection(market.ws_url + path, timeout=10))
        return opened[-1]

    yield connected
    for client in opened:
        client.shutdown()


def receive(client, wanted):
    """Return the next message for which `wanted` is true."""
    while True:
        message = json.loads(client.recv())
        if wanted(message):
            return message


def is_depth(message):
    """Say whether a wrapped message is a depth frame."""
    return message.get("stream") == "btcusdt@depth@100ms"


def raw_client(market, path, *, early=b""):
    """Return a plain socket after the upgrade, and the bytes that came with it."""
    client = socket.create_connection((market.host, market.port), 10)
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n"
    client.sendall(head.encode() + early)
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65_536)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    return client, rest


def split_frames(data):
    """Return (opcodes and payloads of the whole frames, the bytes left)."""
    found, start = [], 0
    while len(data) - start >= 2:
        size, header = data[start + 1], 2
        if size >= 126:
            header = 4 if size == 126 else 10
            if len(data) - start < header:
                break
            size = struct.unpack_from(">H" if header == 4 else ">Q", data, start + 2)[0]
        if len(data) - start < header + size:
            break
        found.append((data[start] & 15, data[start + header : start + header + size]))
        start += header + size
    return found, data[start:]


def twin_top(seed, scenario, update_id, count):
    """Return the best levels of an equal market, run here until its depth frames have reached `update_id`."""
    market = Market(seed, SCENARIOS[scenario])
    while market.book.update_id < update_id:
        market.advance(market.now_ns + 100_000_000)
    assert market.book.update_id == update_id, "depth frames end at other ids than those of the equal market"
    return [
        [[frames.price_text(tick), frames.quantity_text(lots)] for tick, lots in ladder.top(count)]
        for ladder in (market.book.bids, market.book.asks)
    ]


def best(levels, count, *, highest):
    """Return the best levels of one side of a dictionary book."""
    return sorted(levels.items(), key=lambda level: float(level[0]), reverse=highest)[:count]


# --- streams and REST ---------------------------------------------------------------------------------------------


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


# --- keep-alive and limits ----------------------------------------------------------------------------------------


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


# --- faults on request --------------------------------------------------------------------------------------------


def test_a_dropped_depth_frame_leaves_a_gap(offline, connect):
    """The next frame's U is more than one above the last u."""
    client = connect("/stream?streams=btcusdt@depth@100ms")
    first = json.loads(client.recv())["data"]
    control(offline, drop_depth=2)
    before, *depths = [first, *(json.loads(client.recv())["data"] for _ in range(8))]
    gaps = []
    for depth in depths:
        gaps += [depth["U"] - before["u"] - 1] if depth["U"] != before["u"] + 1 else []
        before = depth
    assert len(gaps) == 1
    assert gaps[0] > 0


def test_a_stall_sends_nothing_but_answers_pings(offline, connect):
    """Then data comes again, with a gap and the time of the stall between its event times."""
    client = connect(f"/stream?streams={ALL}")
    last = receive(client, is_depth)["data"]
    control(offline, stall_s=0.6)
    client.ping("still there?")
    while client.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_PONG:
        pass
    for _ in range(20):
        depth = receive(client, is_depth)["data"]
        if depth["U"] != last["u"] + 1:
            break
        last = depth  # was under way when the stall began
    assert depth["U"] > last["u"] + 1
    assert depth["E"] - last["E"] >= 500


def test_cut_ends_every_connection_without_a_close_frame(offline, connect):
    """The client sees the end of the stream, not a close code."""
    client = connect("/ws")
    control(offline, cut=True)
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionResetError)):
        client.recv_data()


def test_refused_connections_are_welcome_again_later(offline):
    """`refuse_s` ends by itself."""
    control(offline, refuse_s=0.5)
    began = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT011 - reset, closed or timed out: all say no
        fetch(offline, "/api/v3/ping")
    while True:
        try:
            assert fetch(offline, "/api/v3/ping")[0] == 200
            break
        except OSError:
            assert time.monotonic() - began < 10
    assert time.monotonic() - began > 0.3


def test_a_shutdown_notice_comes_in_both_wrappings(offline, connect):
    """Raw on `/ws`, wrapped as `!serverShutdown` on `/stream`."""
    raw, wrapped = connect("/ws"), connect("/stream")
    control(offline, shutdown=True)
    assert json.loads(raw.recv())["e"] == "serverShutdown"
    message = json.loads(wrapped.recv())
    assert message["stream"] == "!serverShutdown"
    assert message["data"]["e"] == "serverShutdown"


def test_any_text_can_be_sent_as_a_frame(offline, connect):
    """Even one that is not JSON."""
    client = connect("/ws")
    control(offline, send='{"stream":"x","data":{"u":')
    assert client.recv() == '{"stream":"x","data":{"u":'


def test_an_old_snapshot_is_too_old_for_the_stream(offline, connect):
    """Its id lies before the first frame's U; the next snapshot is a fresh one."""
    client = connect("/stream?streams=btcusdt@depth@100ms")
    client.recv()
    first = json.loads(client.recv())["data"]["U"]
    control(offline, old_snapshots=1)
    assert snapshot(offline)["lastUpdateId"] < first - 1
    assert snapshot(offline)["lastUpdateId"] >= first


def test_rest_calls_fail_on_request_and_then_work_again(offline):
    """429 carries Retry-After and code -1003."""
    control(offline, rest_status=429, rest_count=2, retry_after_s=3)
    for _ in range(2):
        status, headers, body = fetch(offline, "/api/v3/depth?symbol=BTCUSDT")
        assert (status, headers["Retry-After"], body["code"]) == (429, "3", -1003)
    assert fetch(offline, "/api/v3/depth?symbol=BTCUSDT")[0] == 200


@pytest.mark.parametrize("asked", [{"jump": 1}, {"cut": 1}, {"drop_depth": -1}, {"stall_s": "x"}, {"send": 5}, [1]])
def test_a_control_request_that_makes_no_sense_is_refused(offline, asked):
    """With 400 and a sentence."""
    status, _, body = fetch(offline, "/control", asked)
    assert status == 400
    assert body["msg"]


def test_muted_pings_are_neither_sent_nor_answered():
    """The connection looks dead while data still comes."""
    with OfflineMarket.start(options=("--ping-seconds", "0.1")) as market:
        control(market, mute_pings=True)
        client = websocket.create_connection(market.ws_url + "/ws/btcusdt@depth@100ms", timeout=10)
        client.ping("?")
        opcodes = [client.recv_data(control_frame=True)[0] for _ in range(8)]
        assert opcodes == [websocket.ABNF.OPCODE_TEXT] * 8
        client.shutdown()


# --- the process --------------------------------------------------------------------------------------------------


def _wait_until_gone(pid):
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the market outlived its parent"
        time.sleep(0.01)


def test_the_market_ends_when_its_parent_is_killed():
    """No goodbye is needed: the closed pipe is enough."""
    script = (
        "import sys; from pytrader.sandbox import process as p; m = p.OfflineMarket.start(); print(m.pid, flush=True)"
    )
    script += "; sys.stdin.read()"
    with running([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        market = int(parent.stdout.readline())
        parent.kill()
    _wait_until_gone(market)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_market_cleanly(number):
    """Exit code 0, and nothing on standard error."""
    words = [sys.executable, "-m", "pytrader.sandbox"]
    with running(words, stderr=subprocess.PIPE) as market:
        line = market.stdout.readline()
        assert line.startswith("Offline market on http://127.0.0.1:")
        assert line.endswith(" (scenario calm, seed 7)\n")
        market.send_signal(number)
        _, errors = market.communicate(timeout=10)
    assert (market.returncode, errors) == (0, "")


def test_stop_ends_the_market_with_clients_connected(offline, connect):
    """And may be called twice."""
    connect(f"/stream?streams={ALL}").recv()
    offline.stop()
    assert not offline.is_running()
    offline.stop()


def test_a_port_in_use_is_said_at_once(offline):
    """Instead of waiting for a ready line that never comes."""
    with pytest.raises(OfflineMarketError, match="cannot start"):
        OfflineMarket.start(port=offline.port)


def test_a_mistake_inside_the_market_ends_the_process_with_an_error():
    """Instead of leaving an exchange that answers but stands still."""
    script = "from pytrader.sandbox import __main__, flow; flow.Flow.deep = None; raise SystemExit(__main__.main())"
    words = [sys.executable, "-c", script]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=20, check=False)
    assert ended.returncode == 1
    assert "TypeError" in ended.stderr


def test_a_subscription_in_two_fragments_sent_before_the_upgrade_was_answered_counts(offline):
    """A hasty client is understood."""
    text = b'{"method":"LIST_SUBSCRIPTIONS","id":4}'
    halves = ((0x01, text[:10]), (0x80, text[10:]))
    hasty = b"".join(bytes((opcode, 0x80 | len(half), 0, 0, 0, 0)) + half for opcode, half in halves)
    client, data = raw_client(offline, "/ws", early=hasty)
    with client:
        while not (found := split_frames(data)[0]):
            data += client.recv(65_536)
    assert json.loads(found[0][1]) == {"result": [], "id": 4}


def test_a_missing_extra_is_named_with_what_to_install(tmp_path, monkeypatch):
    """Without wsproto the error says which extra brings it."""
    (tmp_path / "wsproto.py").write_text("raise ModuleNotFoundError('no wsproto', name='wsproto')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    with pytest.raises(OfflineMarketError, match=r"pip install 'pytrader\[sandbox\]'"):
        OfflineMarket.start()


def test_a_bad_option_is_an_error_with_its_text():
    """The child's own words reach the parent."""
    with pytest.raises(OfflineMarketError, match="start-price"):
        OfflineMarket.start(options=("--start-price", "cheap"))


def test_it_serves_tls_when_given_a_certificate(tmp_path):
    """A client that trusts the certificate speaks wss and https to it."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
        subprocess.run([*words, *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl program to make a certificate with")
    with OfflineMarket.start(options=("--certfile", certificate, "--keyfile", key)) as market:
        assert market.ws_url.startswith("wss://127.0.0.1:")
        context = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(market.rest_url + "/api/v3/ping", context=context, timeout=10) as reply:
            assert reply.read() == b"{}"
        client = websocket.create_connection(
            market.ws_url + "/ws/btcusdt@trade", timeout=10, sslopt={"context": context}
        )
        assert json.loads(client.recv())["e"] == "trade"
        client.shutdown()

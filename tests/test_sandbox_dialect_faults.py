"""The faults on request, in every dialect: over real connections."""

import json
import struct
import time
from itertools import pairwise

import pytest
import websocket
from sandbox_clients import control, fetch
from sandbox_lines import Sbe

pytest_plugins = ("sandbox_fixtures",)

BYBIT, OKX, COINBASE = "/v5/public/spot", "/ws/v5/public", "/"
USDM, SBE = "/public/stream?streams=btcusdt@depth@100ms", "/sbe/stream?streams=btcusdt@depth"
OPENING = {
    BYBIT: '{"op":"subscribe","args":["orderbook.200.BTCUSDT"]}',
    OKX: '{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}',
    COINBASE: '{"type":"subscribe","channel":"level2","product_ids":["BTC-USDT"]}',
}
SNAPSHOTS = {  # REST path, and where the id of its body stands
    "/v5/market/orderbook?category=spot&symbol=BTCUSDT&limit=50": ("result", "seq"),
    "/api/v5/market/books?instId=BTC-USDT&sz=5": ("data", 0, "seqId"),
    "/fapi/v1/depth?symbol=BTCUSDT": ("lastUpdateId",),
    "/api/v3/depth?symbol=BTCUSDT": ("lastUpdateId",),
}
EVERY = pytest.mark.parametrize("path", [BYBIT, OKX, COINBASE, USDM, SBE])


@pytest.fixture
def opened(offline):
    """Give a function that connects and subscribes to a dialect's book; all are closed at the end."""
    clients = []

    def opens(path):
        client = websocket.create_connection(offline.ws_url + path, timeout=10, header=["X-MBX-APIKEY: k"])
        clients.append(client)
        if path in OPENING:
            client.send(OPENING[path])
        return client

    yield opens
    for client in clients:
        client.shutdown()


def link(message):
    """Return (what a frame of book changes follows, what follows it), or None for another message."""
    if isinstance(message, bytes):
        frame = Sbe(message)
        return frame.field("q", 8) - 1, frame.field("q", 16)
    frame = json.loads(message)
    if "sequence_num" in frame:
        return frame["sequence_num"] - 1, frame["sequence_num"]
    data = frame.get("data")
    if isinstance(data, list):
        return (data[0]["prevSeqId"], data[0]["seqId"]) if frame.get("action") == "update" else None
    if not data or frame.get("type") == "snapshot":
        return None
    return (data["pu"], data["u"]) if "pu" in data else (data["u"] - 1, data["u"])


def links(client, count):
    """Return the links of the next frames of book changes."""
    found = []
    while len(found) < count:
        if one := link(client.recv()):
            found.append(one)
    return found


def breaks(found):
    """Return how many frames do not follow the one before."""
    return sum(one[1] != other[0] for one, other in pairwise(found))


def until_broken(client, found):
    """Return the links with those up to the first break; however many frames were under way before it."""
    deadline = time.monotonic() + 10
    while breaks(found) == 0:
        assert time.monotonic() < deadline, found
        found = found + links(client, 1)
    return found


@EVERY
def test_a_dropped_frame_breaks_each_dialects_chain(offline, opened, path):
    """Once, unbroken before and after, and by this one frame alone: what was sent before it may be any number."""
    client = opened(path)
    before = links(client, 4)
    assert breaks(before) == 0
    control(offline, drop_depth=1)
    broken = until_broken(client, before)
    assert breaks(broken + links(client, 14)) == 1


@EVERY
def test_a_stall_is_silence_and_then_a_break(offline, opened, path):
    """No book changes for its time."""
    client = opened(path)
    before = links(client, 2)
    control(offline, stall_s=0.7)
    longest, last, found = 0.0, time.monotonic(), before
    while breaks(found) == 0:
        found += links(client, 1)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest >= 0.4


@EVERY
def test_chaos_meets_each_dialects_frames_of_book_changes(offline, opened, path):
    """Held back and yet complete, then one twice, then two in the wrong order."""
    client, longest, last, deadline = opened(path), 0.0, time.monotonic(), time.monotonic() + 10
    found = links(client, 3)
    control(offline, chaos="stall", chaos_s=0.7)
    while longest < 0.5:
        assert time.monotonic() < deadline, "nothing was held back"
        found += links(client, 1)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    found += links(client, 8)
    assert breaks(found) == 0
    control(offline, chaos="dup")
    assert met(client, found, lambda one, other: one == other)
    control(offline, chaos="reorder")
    assert met(client, found, lambda one, other: other[1] < one[1])


def met(client, found, wanted):
    """Say whether two neighbours among the next links are as wanted, within 3 s."""
    end, fresh = time.monotonic() + 3, found[-1:]
    while time.monotonic() < end and not any(wanted(*pair) for pair in pairwise(fresh)):
        fresh += links(client, 1)
    return time.monotonic() < end


@EVERY
def test_cut_ends_each_dialects_connection(offline, opened, path):
    """Without a close frame."""
    client = opened(path)
    links(client, 1)
    control(offline, cut=True)
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionResetError)):
        links(client, 1_000)


def test_the_shutdown_notice_is_each_exchanges_own(offline, opened):
    """OKX 64008, Bybit's status topic, Binance's event; Coinbase and Bybit's market data just close."""
    clients = {path: opened(path) for path in (BYBIT, OKX, COINBASE, USDM, SBE, "/v5/public/misc/status")}
    clients["/v5/public/misc/status"].send('{"op":"subscribe","args":["system.status"]}')
    for path, client in clients.items():
        links(client, 1) if "misc" not in path else client.recv()
    control(offline, shutdown=True)
    wanted = {
        OKX: '"code":"64008"',
        USDM: "serverShutdown",
        SBE: "serverShutdown",
        "/v5/public/misc/status": "system.status",
    }
    for path, client in clients.items():
        while True:
            opcode, data = client.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                assert path in (BYBIT, COINBASE)
                assert data[:2] == struct.pack(">H", 1012)
                break
            if opcode == websocket.ABNF.OPCODE_TEXT and wanted.get(path, "nothing") in data.decode():
                break


@pytest.mark.parametrize(("path", "where"), SNAPSHOTS.items())
def test_old_snapshots_are_the_first_books(offline, path, where):
    """Once; the next is as new as the market."""
    time.sleep(0.3)
    control(offline, old_snapshots=1)
    ids = []
    for _ in range(2):
        body = fetch(offline, path)[2]
        for key in where:
            body = body[key]
        ids.append(body)
    assert ids[0] < ids[1]
    assert ids[0] in (50_000_000_000, 350_000_000_000)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ("/v5/market/time", "retCode", 10006),
        ("/api/v5/public/time", "code", "50011"),
        ("/api/v3/brokerage/time", "error", "RESOURCE_EXHAUSTED"),
        ("/fapi/v1/time", "code", -1003),
    ],
)
def test_failing_rest_calls_speak_each_exchanges_words(offline, path, key, value):
    """429 once, then 200."""
    control(offline, rest_status=429)
    status, headers, body = fetch(offline, path)
    assert (status, headers["Retry-After"], body[key]) == (429, "1", value)
    assert fetch(offline, path)[0] == 200


def test_muted_pings_mute_application_pings_and_heartbeats(offline, opened):
    """Of OKX, Bybit and Coinbase; data goes on."""
    control(offline, mute_pings=True)
    okx, bybit, coinbase = opened(OKX), opened(BYBIT), opened(COINBASE)
    okx.send("ping")
    bybit.send('{"op":"ping"}')
    coinbase.send('{"type":"subscribe","channel":"heartbeats"}')
    assert all('"pong"' not in bybit.recv() for _ in range(12))
    assert all(okx.recv() != "pong" for _ in range(12))
    until, channels = time.monotonic() + 1.6, set()
    while time.monotonic() < until:
        channels.add(json.loads(coinbase.recv())["channel"])
    assert channels == {"l2_data", "subscriptions"}


def test_muted_heartbeats_leave_no_hole_in_coinbases_numbers(offline, opened):
    """They are not sent, and not lost on the way either."""
    control(offline, mute_pings=True)
    client = opened(COINBASE)
    client.send('{"type":"subscribe","channel":"heartbeats"}')
    until, found = time.monotonic() + 2.2, []
    while time.monotonic() < until:
        found += links(client, 1)
    assert breaks(found) == 0


def test_silence_leaves_no_hole_in_coinbases_numbers_until_data_comes_again(offline, opened):
    """Heartbeats and answers go on without a break, for who subscribes anew too: only the watch for data helps."""
    heard = opened(COINBASE)
    heard.send('{"type":"subscribe","channel":"heartbeats"}')
    before = links(heard, 3)
    control(offline, chaos="silent", chaos_s=2.5)
    while json.loads(text := heard.recv())["channel"] == "l2_data":  # sent before
        before.append(link(text))
    before.append(link(text))
    heard.send('{"type":"subscribe","channel":"level2","product_ids":["BTC-USDT"]}')
    anew = opened(COINBASE)
    assert link(anew.recv()) == (-1, 0)
    channels = []
    while channels.count("l2_data") == 0:
        assert breaks(before) == 0
        text = heard.recv()
        before.append(link(text))
        channels.append(json.loads(text)["channel"])
    assert channels.count("subscriptions") == 1
    assert breaks(before) == 1
    assert link(anew.recv())[1] > 1


def test_a_text_on_request_reaches_every_dialect(offline, opened):
    """As it is."""
    for path in (BYBIT, OKX, COINBASE, USDM):
        client = opened(path)
        links(client, 1)
        control(offline, send='{"odd":')
        while client.recv() != '{"odd":':
            pass


def test_coinbase_drops_a_client_that_does_not_subscribe_within_5_seconds(offline):
    """With a close frame."""
    client = websocket.create_connection(offline.ws_url + "/", timeout=10)
    began = time.monotonic()
    opcode, data = client.recv_data()
    assert (opcode, data[:2]) == (websocket.ABNF.OPCODE_CLOSE, struct.pack(">H", 1008))
    assert 4.5 <= time.monotonic() - began <= 9
    client.shutdown()


DENIED = {BYBIT: ("orderbook.200", "ret_msg"), OKX: ("books", "msg"), COINBASE: ("level2", "message")}


@pytest.mark.parametrize("path", DENIED)
def test_a_topic_is_refused_in_the_exchange_s_words_until_it_is_given_back(offline, opened, path):
    """Whoever asks for it meanwhile hears nothing of it."""
    topic, words = DENIED[path]
    control(offline, deny=topic)
    client = opened(path)
    assert topic in json.loads(client.recv())[words]
    control(offline, deny="")
    client.send(OPENING[path])
    assert topic not in json.loads(client.recv()).get(words, "")

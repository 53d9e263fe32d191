"""Faults without being asked: equal seeds make equal ones, and each kind does what its name says."""

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import websocket
from sandbox_clients import ALL, Address, control, fetch, is_depth, masked, raw_client, receive, running, split_frames

from pytrader.sandbox.chaos import KINDS, Chaos, Fault, kinds_of, schedule
from pytrader.sandbox.dialects.dialect import Kind, Message
from pytrader.sandbox.outgoing import wire
from pytrader.sandbox.process import OfflineMarket, OfflineMarketError
from pytrader.sandbox.session import Session
from pytrader.sandbox.spoiling import IN_BETWEEN, PING, SPOILERS, Stage

pytest_plugins = ("sandbox_fixtures",)


@pytest.fixture(scope="module")
def offline():
    """Run one calm market for all: each fault has ended when the next one begins."""
    with OfflineMarket.start(7, "calm") as market:
        yield market


FRAMES = [Message(Kind.DEPTH, "b", f'{{"b":[["1","{number}"]],"a":[]}}') for number in range(12)]
SHOWN = [message.payload for message in FRAMES]
STREAM = f"/stream?streams={ALL}"


def spoiled(kind, messages=FRAMES, way="", dialect="binance"):
    """Return what a client is sent, and the bytes that come at the end."""
    spoiler = SPOILERS[kind](Stage(dialect, way, lambda: 5_000))
    return list(spoiler.sent(messages)), spoiler


def payloads(kind, **given):
    """Return the payloads that a client is sent."""
    return [message.payload for message in spoiled(kind, **given)[0]]


def test_equal_seeds_make_equal_faults_and_each_round_has_every_kind_once():
    """Another seed makes others; times and ways stay within the kind's own."""
    one, same, other = (list(itertools.islice(schedule(tuple(KINDS), seed), 64)) for seed in (3, 3, 4))
    assert one == same
    assert one != other
    assert one == list(itertools.islice(schedule(tuple(reversed(KINDS)), 3), 64))
    for first in range(0, 64, len(KINDS)):
        assert {fault.kind for fault in one[first : first + len(KINDS)]} == set(KINDS)
    for fault in one:
        kind = KINDS[fault.kind]
        assert kind.least_s <= fault.seconds <= kind.most_s
        assert fault.way in kind.ways


def test_kinds_are_named_with_commas_and_an_unknown_one_is_refused_with_those_that_are_known():
    """`all` is every kind."""
    assert kinds_of("cut, drop,cut") == ("cut", "drop")
    assert kinds_of("all") == tuple(KINDS)
    with pytest.raises(ValueError, match=r"'gaps'.*drop, dup"):
        kinds_of("drop,gaps")
    with pytest.raises(OfflineMarketError, match="known are drop"):
        OfflineMarket.start(options=("--chaos", "gaps"))


def test_frames_are_lost_doubled_and_swapped():
    """The first ones; all others pass as they are."""
    assert payloads("drop") == SHOWN[1:]
    assert payloads("gap", way="5") == SHOWN[5:]
    assert payloads("dup") == [SHOWN[0], *SHOWN]
    assert payloads("reorder") == [SHOWN[1], SHOWN[0], *SHOWN[2:]]
    sent, spoiler = spoiled("reorder", messages=FRAMES[:1])
    assert (sent, spoiler.rest()) == ([], wire(FRAMES[0]))


def test_a_stall_holds_everything_back_and_silence_loses_the_data_alone():
    """What is no data goes on in silence."""
    beat = Message(Kind.BEAT, "h", "beat")
    sent, spoiler = spoiled("stall", messages=[*FRAMES, beat])
    assert (sent, spoiler.rest()) == ([], b"".join(map(wire, [*FRAMES, beat])))
    sent, spoiler = spoiled("silent", messages=[*FRAMES, beat, Message(Kind.TRADE, "t", "{}")])
    assert (sent, spoiler.rest()) == ([beat], b"")


def test_a_slow_frame_comes_by_bytes_and_all_that_it_held_up_at_the_end(offline):
    """Nothing is lost; the answer to a ping waits for its turn: inside of the slow frame it would be a part of it."""
    client, data = raw_client(offline, "/v5/public/spot")
    with client:
        control(offline, chaos="slowloris", chaos_s=3)
        client.sendall(masked(0x81, b'{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}'))
        client.sendall(masked(0x89, b"still there?"))
        while len(data) < 3:
            data += client.recv(1 << 20)
        assert len(data) <= 6  # by single bytes; a busy machine may see some of them together
        found = []
        while 10 not in [opcode for opcode, _ in found]:
            data += client.recv(1 << 20)
            found, _ = split_frames(data)
    texts = [json.loads(payload) for opcode, payload in found if opcode == 1]
    assert texts[0]["op"] == "subscribe"
    updates = [frame["data"]["u"] for frame in texts[1:]]
    assert updates == list(range(updates[0], updates[0] + len(updates)))
    assert (10, b"still there?") in found


def test_a_client_that_answers_every_ping_is_not_punished_for_those_between_fragments(offline, connect):
    """Binance cuts who sends more than five messages in a second, pongs too; not those that it would not ask for."""
    client = connect(STREAM)
    last, count, between = receive(client, is_depth)["data"], 0, 0
    control(offline, chaos="fragment", chaos_s=1)
    while count < 15:  # 1.5 s
        opcode, data = client.recv_data(control_frame=True)  # answers pings inside
        between += (opcode, data) == (websocket.ABNF.OPCODE_PING, IN_BETWEEN)
        if opcode == websocket.ABNF.OPCODE_TEXT and is_depth(message := json.loads(data)):
            assert message["data"]["U"] == last["u"] + 1
            last, count = message["data"], count + 1
    assert between > 5


def test_a_text_that_is_no_utf8_is_cut_to_pieces_like_any(offline, connect):
    """The market goes on."""
    client = connect("/ws")
    control(offline, chaos="fragment", chaos_s=1)
    control(offline, send="\ud800")
    pieces = [client.recv_frame() for _ in range(4)]
    assert b"".join(piece.data for piece in pieces if piece.opcode != websocket.ABNF.OPCODE_PING) == b"\xed\xa0\x80"
    assert fetch(offline, "/api/v3/ping")[0] == 200


def test_who_was_announced_no_oversized_frame_is_not_cut(offline, connect):
    """One without frames of book changes is met by nothing."""
    met, spared = connect(STREAM), connect("/ws")
    control(offline, chaos="oversize", chaos_s=1)
    end = time.monotonic() + 5
    with contextlib.suppress(ConnectionResetError):
        while met.sock.recv(1 << 20):
            assert time.monotonic() < end, "it is still there"
    spared.ping("still there?")
    assert spared.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"still there?")


def test_an_announced_shutdown_ends_with_the_cut(offline, connect):
    """The notice first, then data for a while, then the end without a close frame."""
    client, heard, end = connect(STREAM), [], time.monotonic() + 6
    control(offline, chaos="shutdown", chaos_s=1)

    def note(message):
        assert time.monotonic() < end, "it was not cut"
        heard.append(message["stream"])

    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionResetError)):
        receive(client, note)
    assert heard.count("!serverShutdown") == 1
    assert heard[heard.index("!serverShutdown") :].count("btcusdt@depth@100ms") > 2


def test_a_slow_connection_is_not_ended_by_the_pings_that_it_cannot_hear():
    """They would come by bytes too, and late; the rest comes at the end, and data after it."""
    with OfflineMarket.start(options=("--ping-seconds", "0.2")) as market:
        client = websocket.create_connection(market.ws_url + "/ws/btcusdt@depth@100ms", timeout=10)
        last = json.loads(client.recv())
        control(market, chaos="slowloris", chaos_s=2)
        for _ in range(30):
            depth = json.loads(client.recv())
            assert depth["U"] == last["u"] + 1
            last = depth
        client.shutdown()


def test_a_half_open_connection_is_not_ended_by_the_pings_that_it_cannot_answer():
    """What the client sends is not read; the connection stays until its time is over."""
    with OfflineMarket.start(options=("--ping-seconds", "0.2")) as market:
        client, _ = raw_client(market, "/ws")
        with client:
            control(market, chaos="halfopen", chaos_s=2)
            began = time.monotonic()
            with contextlib.suppress(ConnectionResetError):
                while client.recv(1 << 10):
                    pass
            assert 1.8 < time.monotonic() - began < 8


@pytest.mark.parametrize("plug", [None, socket.socket()])
def test_a_connection_that_is_gone_already_can_be_reset(plug):
    """Under TLS the socket is closed a moment before its session hears of it."""
    if plug is not None:
        plug.close()
    session, cuts = Session(None), []
    session._transport = SimpleNamespace(get_extra_info=lambda _: plug, abort=lambda: cuts.append(1))
    session.cut_in("rst")
    assert cuts == [1]


def test_frames_of_two_books_are_not_swapped_with_each_other():
    """That would be no wrong order: the second one of the same book is waited for."""
    other = [message._replace(topic="other", payload=message.payload + " ") for message in FRAMES]
    mixed = [FRAMES[0], other[0], other[1], FRAMES[1], FRAMES[2]]
    sent = [message.payload for message in spoiled("reorder", messages=mixed)[0]]
    assert sent == [other[0].payload, other[1].payload, SHOWN[1], SHOWN[0], SHOWN[2]]


def test_a_client_for_whom_too_much_is_held_back_is_dropped_and_forgotten():
    """A stall has a bound in memory, as a client has that does not read; and one that is gone is kept nothing for."""
    early, late = Client(), Client()
    chaos = Chaos({early, late}, lambda: 1, lambda _: None, lambda _: None)
    chaos.fault, chaos._struck = Fault("stall", 1e5), [early]
    huge = Message(Kind.DEPTH, "b", "x" * (1 << 20))
    for _ in range(40):
        assert list(chaos.spoil(early, [huge])) == []
    assert early.was_cut
    assert len(chaos._spoilers[early].held) < 34 << 20
    chaos.sessions.discard(early)
    assert list(chaos.spoil(late, FRAMES)) == []
    assert list(chaos._spoilers) == [late]


def test_pieces_make_the_same_message_with_a_ping_in_between():
    """For texts and binary messages, short and long."""
    for payload in ("x", "x" * 100_000, b"\x00" * 777):
        (message,), _ = spoiled("fragment", messages=[Message(Kind.DEPTH, "b", payload)])
        found, left = split_frames(message.payload)
        assert left == b""
        assert PING in message.payload
        whole = payload.encode() if isinstance(payload, str) else payload
        assert b"".join(part for opcode, part in found if opcode != 9) == whole


def test_damaged_frames_are_what_their_names_say():
    """No UTF-8, half a message, a size that nobody takes."""
    (spoiled_text, *_) = payloads("badutf8")
    with pytest.raises(UnicodeDecodeError):
        spoiled_text[2:].decode()
    with pytest.raises(ValueError, match=r"Expecting|delimiter|Unterminated"):
        json.loads(payloads("badjson")[0])
    assert payloads("oversize")[0] == b"\x81\x7f" + (1 << 40).to_bytes(8, "big")
    assert payloads("oversize", way="2^25")[0][2:] == (1 << 25).to_bytes(8, "big")


def test_a_crossing_bid_stands_in_front_of_the_others_or_alone():
    """Ten dollars above the best ask."""
    assert payloads("crossed")[0] == '{"b":[["60","1.00000000"],["1","0"]],"a":[]}'
    alone = [Message(Kind.DEPTH, "b", '{"b":[],"a":[]}')]
    assert payloads("crossed", messages=alone)[0] == '{"b":[["60","1.00000000"]],"a":[]}'


class Client:
    """As much of a session as a spoiler sees."""

    talk = SimpleNamespace(dialect=SimpleNamespace(name="binance"))
    was_cut = False

    def cut(self):
        """Be dropped."""
        self.was_cut = True


def test_who_comes_later_is_not_met_by_a_fault_that_strikes_once():
    """A client that connects again after an oversized frame gets on; one that connects into silence hears nothing."""
    early, late = Client(), Client()
    chaos = Chaos({early}, lambda: 1, lambda _: None, lambda _: None)
    for kind, heard in (("oversize", FRAMES), ("silent", [])):
        chaos.fault, chaos._struck = Fault(kind, 1.0), [early]
        assert list(chaos.spoil(late, FRAMES)) == heard
        assert list(chaos.spoil(early, FRAMES)) != FRAMES
        chaos._spoilers.clear()


def test_faults_of_their_own_accord_are_told_with_their_time_and_kind():
    """A begin and an end each, in the order of the seed, on standard error."""
    kinds = ("cut",)  # in another way each time
    with OfflineMarket.start(5, options=("--chaos", ",".join(kinds), "--chaos-every", "0.1")) as market:
        end = time.monotonic() + 10
        while len(market.said()) < 7:
            assert time.monotonic() < end, market.said()
            time.sleep(0.02)
        lines = [line.split(" ", 1) for line in market.said()]
    expected = [str(fault) for fault in itertools.islice(schedule(kinds, 5), 3)]
    assert [text.split(" begins")[0] for _, text in lines[0:6:2]] == [f"chaos: {name}" for name in expected]
    assert [text for _, text in lines[1:6:2]] == [f"chaos: {name} has ended" for name in expected]
    assert all(len(at) == 12 for at, _ in lines[:6])


def test_faults_go_on_though_nobody_hears_of_them_any_more():
    """Standard error may be a pipe whose reader has left."""
    words = [sys.executable, "-m", "pytrader.sandbox", "--parent-pipe", "--chaos", "cut", "--chaos-every", "0.2"]
    with running(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stderr.close()
        market = Address(child.stdout.readline().split()[3])
        for _ in range(3):
            client, _ = raw_client(market, "/ws")
            with client, contextlib.suppress(ConnectionResetError):
                client.settimeout(5)
                while client.recv(1 << 10):
                    pass


@pytest.mark.parametrize("asked", [{"chaos": "gaps"}, {"chaos": 1}, {"chaos": "cut", "chaos_way": "1002"}])
def test_a_fault_that_is_none_is_refused_with_those_that_are(offline, asked):
    """Nothing begins."""
    said = offline.said()
    assert fetch(offline, "/control", asked)[0] == 400
    assert offline.said() == said


@pytest.mark.parametrize("way", KINDS["cut"].ways)
def test_a_connection_is_cut_in_the_way_that_is_asked_for(offline, connect, way):
    """Reset, end of stream, or a close frame with the code."""
    client = connect(STREAM)
    receive(client, is_depth)
    control(offline, chaos="cut", chaos_way=way)
    found = None
    try:
        while found is None:
            opcode, data = client.recv_data()
            found = str(int.from_bytes(data[:2], "big")) if opcode == websocket.ABNF.OPCODE_CLOSE else None
    except ConnectionResetError:
        found = "rst"
    except websocket.WebSocketConnectionClosedException:
        found = "fin"
    assert found == way


def test_too_many_requests_refuse_upgrades_and_rest_until_the_time_that_they_name(offline, connect):
    """All are cut first; afterwards all is well."""
    client = connect(STREAM)
    control(offline, chaos="429", chaos_way="418", chaos_s=1)
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionResetError)):
        receive(client, lambda _: False)
    status, headers, _ = fetch(offline, "/api/v3/depth?symbol=BTCUSDT")
    assert (status, headers["Retry-After"]) == (418, "1")
    with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
        connect(STREAM)
    assert (refusal.value.status_code, refusal.value.resp_headers["retry-after"]) == (418, "1")
    time.sleep(1.0)
    receive(connect(STREAM), is_depth)


def test_a_half_open_connection_answers_nothing_until_it_is_cut(offline):
    """The socket stays; a ping gets no pong."""
    client, _ = raw_client(offline, STREAM)
    with client:
        control(offline, chaos="halfopen", chaos_s=2)
        client.settimeout(0.4)
        with contextlib.suppress(TimeoutError):
            while client.recv(1 << 20):  # sent before
                pass
        client.sendall(b"\x89\x80\x00\x00\x00\x00")
        with pytest.raises(TimeoutError):
            client.recv(1 << 20)
        client.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1 << 20) == b""


def last_id(client):
    """Return the last update id before nothing comes any more."""
    last = 0
    while True:
        try:
            last = json.loads(client.recv())["data"].get("u", last)
        except websocket.WebSocketTimeoutException:
            return last


def test_the_market_stands_still_while_it_is_held(offline, connect):
    """What was published when it stopped is the whole of it; then it goes on where it was."""
    client = connect(STREAM)
    control(offline, hold=True)
    client.settimeout(0.7)
    last = last_id(client)
    assert fetch(offline, "/api/v3/depth?symbol=BTCUSDT")[2]["lastUpdateId"] == last
    control(offline, hold=True)  # it is: asking again moves nothing
    time.sleep(1.2)
    assert fetch(offline, "/api/v3/depth?symbol=BTCUSDT")[2]["lastUpdateId"] == last
    control(offline, hold=False)
    assert receive(client, is_depth)["data"]["U"] == last + 1

"""Faults on request: gaps, stalls, cuts, refusals, notices, old snapshots."""

import json
import time

import pytest
import websocket
from sandbox_clients import ALL, control, fetch, is_depth, receive, snapshot

from pytrader.sandbox.process import OfflineMarket

pytest_plugins = ("sandbox_fixtures",)


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


@pytest.mark.parametrize(
    "asked",
    [
        {"jump": 1},
        {"cut": 1},
        {"drop_depth": -1},
        {"stall_s": "x"},
        {"send": 5},
        {"rest_status": 204},
        {"rest_status": 99},
        {"rest_status": 600},
        [1],
    ],
)
def test_a_control_request_that_makes_no_sense_is_refused(offline, asked):
    """With 400 and a sentence."""
    status, _, body = fetch(offline, "/control", asked)
    assert status == 400
    assert body["msg"]


def test_the_clock_of_a_market_that_was_held_is_still_the_wall_clock(offline):
    """It stands still in its own time alone; what is lost a tick, however little, adds up."""
    control(offline, hold=True)
    time.sleep(4)
    behind = [time.time() * 1000 - fetch(offline, "/api/v3/time")[2]["serverTime"] for _ in range(10)]
    assert -1_000 < min(behind) < 30


def test_muted_pings_are_neither_sent_nor_answered():
    """The connection looks dead while data still comes."""
    with OfflineMarket.start(options=("--ping-seconds", "0.1")) as market:
        control(market, mute_pings=True)
        client = websocket.create_connection(market.ws_url + "/ws/btcusdt@depth@100ms", timeout=10)
        client.ping("?")
        opcodes = [client.recv_data(control_frame=True)[0] for _ in range(8)]
        assert opcodes == [websocket.ABNF.OPCODE_TEXT] * 8
        client.shutdown()

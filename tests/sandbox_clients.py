"""Clients of the offline exchange for its tests: REST, WebSocket, raw sockets, children."""

import json
import socket
import struct
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from pytrader.sandbox import frames
from pytrader.sandbox.market import Market
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


def kept_by_python_binance(binance, market):
    """Return the library's client, pointed at the market, and the keeper of a book that uses it."""
    client = binance.AsyncClient()
    client.API_URL = market.rest_url + "/api"
    streams = binance.BinanceSocketManager(client)
    streams.STREAM_URL = market.ws_url + "/"
    keeper = binance.DepthCacheManager(
        client, symbol="BTCUSDT", bm=streams, limit=1000, ws_interval=100, conv_type=str, refresh_interval=None
    )
    return client, keeper


def masked(first, payload):
    """Return a client's frame of at most 65,535 bytes, masked with zeros; `first` is its first byte."""
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes((first,)) + size + bytes(4) + payload


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

"""Public client libraries, pointed at the offline market, see the same book as ours at the same id, at every venue.

pybit, ccxt and python-binance keep books of their own; python-okx and coinbase-advanced-py hand over what the exchange
says, and a dictionary is the book. `make clients` installs all of them in an environment of their own, because ccxt
pins exact versions of packages that ours pins otherwise, and runs exactly these tests; elsewhere those whose library
is missing are skipped.
"""

import asyncio
import importlib
import json
import re
import threading
from datetime import datetime
from itertools import islice
from time import monotonic, sleep

import pytest
import websocket
from sandbox_clients import kept_by_python_binance

from pytrader import Book, format_e8
from pytrader._core import Waker
from pytrader.fetch import fetch
from pytrader.sandbox.process import OfflineMarket
from pytrader.venues import VENUES

# What the libraries leave open, or will change one day, is not this test's subject.
pytestmark = pytest.mark.filterwarnings("ignore")

LEVELS, UPDATES, COMPARED, LONGEST_S = 20, 60, 20, 30
CCXT_HOSTS = {
    "binance": (r"https://api\.binance\.com", r"wss://stream\.binance\.com(:\d+)?"),
    "okx": (r"https://\{hostname\}", r"wss://ws\.okx\.com(:\d+)?"),
    "coinbase": (r"https://api\.coinbase\.com", r"wss://advanced-trade-ws\.coinbase\.com"),
}
SPOT = {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot", "loadAllOptions": False}


def mark_of(venue, frame):
    """Return what names a depth frame on every connection, None for another frame.

    Coinbase numbers the messages of each connection for itself: there the time of the message stands for the id.
    """
    said = json.loads(frame)
    match venue:
        case "binance" if "@depth" in said.get("stream", ""):
            return said["data"]["u"]
        case "bybit" if said.get("topic", "").startswith("orderbook.200"):
            return said["data"]["u"]
        case "okx" if said.get("arg", {}).get("channel") == "books" and "data" in said:
            return said["data"][0]["seqId"]
        case "coinbase" if said.get("channel") == "l2_data":
            return milliseconds(said["timestamp"])
    return None


def milliseconds(timestamp):
    """Return a time as Coinbase writes it, ms."""
    return int(datetime.fromisoformat(timestamp).timestamp() * 1_000)


class OurBook:
    """Our decoder and book on a connection of its own; keeps the best levels after each depth frame."""

    def __init__(self, name, market):
        """Subscribe as the feed does."""
        self.venue = VENUES[name](stream_base=market.ws_url, rest_base=market.rest_url)
        self.book, self.seen = Book(name, self.venue.symbol), {}
        self.client = websocket.create_connection(self.venue.stream_url(), timeout=5)
        for text in self.venue.opening_texts():
            self.client.send(text)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        """Apply what comes. Tops are left out: they would correct the levels between two depth frames."""
        while not self.stopped.is_set():
            frame = self.client.recv()
            mark = mark_of(self.venue.name, frame)
            if mark is not None or self.venue.name == "coinbase":  # which numbers all its messages
                self.book.apply(frame.encode())
            if self.book.wait_snapshot_wanted(0) and self.venue.snapshot_url():
                self.book.offer_snapshot(fetch(self.venue.snapshot_url(), waker=Waker()))
            if mark is not None and self.book.top().synced:
                self.seen[mark] = [shown(self.book.levels(side, LEVELS)) for side in ("bid", "ask")]

    def __enter__(self):
        """Begin."""
        self.thread.start()
        return self

    def __exit__(self, *_):
        """End."""
        self.stopped.set()
        self.thread.join(LONGEST_S)
        self.client.shutdown()


def shown(levels):
    """Return levels as the library's numbers."""
    return [(float(format_e8(price)), float(format_e8(size))) for price, size in levels]


def best(levels, side):
    """Return the best levels of a dictionary, or of pairs, of texts."""
    pairs = levels.items() if isinstance(levels, dict) else levels
    return sorted(((float(price), float(size)) for price, size in pairs), reverse=side == "bid")[:LEVELS]


class Dictionary:
    """A book by the exchange's word, for a library that keeps none."""

    def __init__(self):
        """Begin empty."""
        self.sides, self.seen = {"bid": {}, "ask": {}}, {}

    def take(self, mark, changes, *, anew):
        """Put in (side, price, quantity), a quantity of 0 for no level; keep what is best at `mark`."""
        if anew:
            self.sides = {"bid": {}, "ask": {}}
        for side, price, size in changes:
            if float(size) == 0:
                self.sides[side].pop(price, None)
            else:
                self.sides[side][price] = size
        self.seen[mark] = [best(self.sides[side], side) for side in ("bid", "ask")]


def library(name):
    """Import a client library; without it the test is skipped, and says so."""
    return pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not installed: run `make clients`")


def compare(theirs, ours):
    """Hold a library's books against ours wherever both have an id."""
    same = sorted(set(theirs) & set(ours.seen))
    assert len(same) >= COMPARED, (sorted(theirs)[:5], sorted(ours.seen)[:5])
    for mark in same:
        assert ours.seen[mark] == theirs[mark], mark
        assert [len(side) for side in theirs[mark]] == [LEVELS, LEVELS]


@pytest.fixture
def market():
    """Run a busy market; OKX's checksums are on."""
    with OfflineMarket.start(7, "busy", options=("--okx-checksum", "crc32")) as offline:
        yield offline


def eventually(seen):
    """Wait for so many updates."""
    deadline = monotonic() + LONGEST_S
    while len(seen) < UPDATES:
        assert monotonic() < deadline, len(seen)
        sleep(0.05)


# ---- Bybit


def test_pybit_sees_our_book_of_bybit(market, monkeypatch):
    """It keeps the book itself; ids are `u` of the topic."""
    trading, stream = library("pybit.unified_trading"), library("pybit._websocket_stream")
    connect = stream._V5WebSocketManager._connect
    here = re.compile("^wss://[^/]+")
    monkeypatch.setattr(
        stream._V5WebSocketManager, "_connect", lambda self, url: connect(self, here.sub(market.ws_url, url))
    )
    seen = {}

    def keep(message):
        sides = {"bid": message["data"]["b"], "ask": message["data"]["a"]}
        seen[message["data"]["u"]] = [best(levels, side) for side, levels in sides.items()]

    with OurBook("bybit", market) as ours:
        client = trading.WebSocket(testnet=False, channel_type="spot")
        client.orderbook_stream(200, "BTCUSDT", keep)
        eventually(seen)
        client.exit()
    compare(seen, ours)


# ---- OKX


def test_python_okx_sees_our_book_of_okx(market, monkeypatch):
    """Ids are seqId."""
    stream, factory = library("okx.websocket.WsPublicAsync"), library("okx.websocket.WebSocketFactory")
    websockets = importlib.import_module("websockets")
    book = Dictionary()

    async def connect(self):  # the library's own wants TLS, which the offline market has not
        self.websocket = await websockets.connect(self.url, max_size=None)
        return self.websocket

    def keep(text):
        said = json.loads(text)
        if "data" in said:
            (data,) = said["data"]
            pairs = [("bid", data["bids"]), ("ask", data["asks"])]
            changes = [(side, level[0], level[1]) for side, levels in pairs for level in levels]
            book.take(data["seqId"], changes, anew=said["action"] == "snapshot")

    async def listen():
        client = stream.WsPublicAsync(f"{market.ws_url}/ws/v5/public")
        await client.start()
        await client.subscribe([{"channel": "books", "instId": "BTC-USDT"}], keep)
        async with asyncio.timeout(LONGEST_S):
            while len(book.seen) < UPDATES:  # noqa: ASYNC110 - the library calls back on this very loop
                await asyncio.sleep(0.05)
        await client.factory.websocket.close()

    monkeypatch.setattr(factory.WebSocketFactory, "connect", connect)
    with OurBook("okx", market) as ours:
        asyncio.run(listen())
    compare(book.seen, ours)


# ---- Coinbase


def test_coinbase_advanced_py_sees_our_book_of_coinbase(market):
    """Ids are the times of the messages, as each connection has numbers of its own."""
    client_of = library("coinbase.websocket").WSClient
    book = Dictionary()
    sides = {"bid": "bid", "offer": "ask"}

    def keep(text):
        said = json.loads(text)
        if said["channel"] == "l2_data":
            (event,) = said["events"]
            rows = [(sides[row["side"]], row["price_level"], row["new_quantity"]) for row in event["updates"]]
            book.take(milliseconds(said["timestamp"]), rows, anew=event["type"] == "snapshot")

    with OurBook("coinbase", market) as ours:
        client = client_of(base_url=market.ws_url, on_message=keep)
        client.open()
        client.level2(["BTC-USDT"])
        eventually(book.seen)
        client.close()
    compare(book.seen, ours)


# ---- Binance


def test_python_binance_sees_our_book_of_binance(market):
    """It keeps the book itself; ids are `u`. Its first steps are left out: it fetches the snapshot again then."""
    binance = library("binance")
    seen = {}

    async def listen():
        client, keeper = kept_by_python_binance(binance, market)
        try:
            async with asyncio.timeout(LONGEST_S), keeper as kept:
                for step in range(UPDATES):
                    book = await kept.recv()
                    if step >= 3:
                        sides = {"bid": book._bids, "ask": book._asks}
                        seen[keeper._last_update_id] = [best(levels, side) for side, levels in sides.items()]
        finally:
            await client.close_connection()

    with OurBook("binance", market) as ours:
        asyncio.run(listen())
    compare(seen, ours)


# ---- ccxt


def pointed(name, market):
    """Return the library's exchange with the offline market in its place."""
    exchange = getattr(library("ccxt.pro"), name)({"options": SPOT, "enableRateLimit": False})
    rest, stream = CCXT_HOSTS[name]

    def moved(part):
        if isinstance(part, dict):
            return {key: moved(value) for key, value in part.items()}
        if not isinstance(part, str):
            return part
        return re.sub(stream, market.ws_url, re.sub(rest, market.rest_url, part))

    async def nothing(*_):
        return {}

    exchange.urls["api"] = moved(exchange.urls["api"])
    if name == "coinbase":
        exchange.fetch_currencies = nothing  # asked of a host that is not part of its market data
    return exchange


async def ccxt_books(exchange):
    """Return the library's best levels by id, after so many updates."""
    seen = {}
    try:
        async with asyncio.timeout(LONGEST_S):
            while len(seen) < UPDATES:
                book = await exchange.watch_order_book("BTC/USDT")
                mark = book["timestamp"] if exchange.id == "coinbase" else book["nonce"]
                seen[mark] = [[tuple(level[:2]) for level in islice(book[side], LEVELS)] for side in ("bids", "asks")]
    finally:
        await exchange.close()
    return seen


@pytest.mark.parametrize("name", CCXT_HOSTS)
def test_ccxt_sees_our_book(name, market):
    """It keeps the book itself, and believes OKX's checksums as we do."""
    library("ccxt.pro")
    with OurBook(name, market) as ours:
        theirs = asyncio.run(ccxt_books(pointed(name, market)))
    compare(theirs, ours)

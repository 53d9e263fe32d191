"""The words of each venue, and what is read from its answers."""

import json
import re
from pathlib import Path

import pytest

import pytrader.venues
from pytrader._core import Book
from pytrader.fetch import Address, address_of
from pytrader.setting_kinds import Secret
from pytrader.venues import VENUES, Binance, BinanceSbe, Instrument, VenueError, spelled
from pytrader.venues.venue import read_json

RULES = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
    {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "avgPriceMins": 5},
]


def exchange_info(**changes):
    """Return an answer about BTCUSDT."""
    row = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": RULES}
    return json.dumps({"timezone": "UTC", "symbols": [row | changes]}).encode()


@pytest.mark.parametrize("name", sorted(VENUES))
def test_every_venue_says_where_it_is_reached_and_its_frames_have_a_decoder(name):
    """The contract of the registry: encrypted addresses, texts to subscribe again, a book in Rust of the same name."""
    venue = BinanceSbe(api_key=Secret("key")) if name == "binance-sbe" else VENUES[name]()
    assert venue.name == name
    assert venue.symbol == VENUES[name].symbol_of("BTC", "USDT")
    assert venue.stream_url().startswith("wss://")
    for url in (venue.instrument_url(), venue.snapshot_url(), venue.audit_url()):
        assert url is None or url.startswith("https://")
    assert all(json.loads(text) for text in [*venue.opening_texts(), *venue.resubscribe_texts()])
    assert venue.resubscribe_texts()
    assert venue.keep_alive() is None or 1.0 <= venue.keep_alive().every_s <= 25.0
    assert all(isinstance(part, str) for row in venue.headers().items() for part in row)
    assert 1 << 20 <= venue.message_max <= 16 << 20
    assert VENUES[name].symbol_of("BTC", "USDT") == venue.symbol
    Book(venue.name, venue.symbol)


def test_binance_is_reached_at_its_data_hosts_only():
    """The three streams, in lower case, and the deepest snapshot, from the hosts that take no orders."""
    venue = Binance()
    streams = "btcusdt@bookTicker/btcusdt@depth@100ms/btcusdt@trade"
    assert venue.stream_url() == f"wss://data-stream.binance.vision/stream?streams={streams}"
    assert venue.snapshot_url() == "https://data-api.binance.vision/api/v3/depth?symbol=BTCUSDT&limit=5000"
    assert venue.instrument_url() == "https://data-api.binance.vision/api/v3/exchangeInfo?symbol=BTCUSDT"
    assert venue.audit_url() == "https://data-api.binance.vision/api/v3/depth?symbol=BTCUSDT&limit=1000"
    (again,) = venue.resubscribe_texts()
    assert json.loads(again) == {"method": "SUBSCRIBE", "params": streams.split("/"), "id": 1}
    assert (venue.opening_texts(), venue.keep_alive(), venue.headers()) == ([], None, {})


def test_no_venue_file_names_a_host_that_could_trade():
    """An endpoint that takes orders for real money appears in no file of the package."""
    hosts = re.compile(r"(?<!data-)(api[-.\w]*|ws-api|stream|fapi|dapi|fix-\w+)\.binance\.(com|us)|binance\.com")
    # Of these hosts only what is public, path and all.
    public = re.compile(
        r"wss://stream-sbe\.binance\.com/stream(?![\w/])|wss://fstream\.binance\.com/public/stream(?![\w/])"
        r"|https://fapi\.binance\.com/fapi/v1/depth(?![\w/])"
    )
    for path in Path(pytrader.__file__).parent.rglob("*.py"):
        assert not hosts.search(public.sub("", path.read_text())), path


def test_the_offline_market_is_the_same_venue_at_another_address():
    """Bases can be replaced, with or without a final slash."""
    venue = Binance("BTCUSDT", "ws://127.0.0.1:9000/", "http://127.0.0.1:9000")
    assert venue.stream_url().startswith("ws://127.0.0.1:9000/stream?streams=btcusdt@")
    assert venue.snapshot_url().startswith("http://127.0.0.1:9000/api/v3/depth?")


def test_the_rules_of_a_market_are_read_as_integers():
    """Tick, step and minima in units of 10⁻⁸."""
    expected = Instrument("BTCUSDT", "BTC", "USDT", 1_000_000, 1_000, 1_000, 900_000_000_000, 500_000_000, trading=True)
    assert Binance().parse_instrument(exchange_info()) == expected


@pytest.mark.parametrize("status", ["BREAK", "HALT", "CANCEL_ONLY", "END_OF_DAY", "trading", "", None])
def test_a_market_that_is_halted_says_so(status):
    """Any status but TRADING means that no orders are taken."""
    assert not Binance().parse_instrument(exchange_info(status=status)).trading


def test_the_least_quantity_is_not_the_step():
    """They are equal for BTCUSDT, and not for every market."""
    rules = Binance().parse_instrument(exchange_info(filters=changed("LOT_SIZE", minQty="0.00010000")))
    assert (rules.step_e8, rules.min_quantity_e8) == (1_000, 10_000)


@pytest.mark.parametrize("name", ["", "x" * 33, "B TC", "BTC\n", "\u202eBTC", "\u2028"])
def test_an_asset_whose_name_would_break_a_line_is_refused(name):
    """It stands in every answer and in the journal."""
    with pytest.raises(VenueError, match="no asset"):
        Binance().parse_instrument(exchange_info(baseAsset=name))
    assert Binance().parse_instrument(exchange_info(baseAsset="币安人生")).base == "币安人生"


def changed(kind, **values):
    """Return the rules with one of them changed."""
    return [rule | values if rule["filterType"] == kind else rule for rule in RULES]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"symbols": []}',
        b'{"symbols": [], "symbols": []}',
        b'{"symbols": NaN}',
        b"[" * 100_000,
        exchange_info(symbol="ETHUSDT"),
        exchange_info(filters=[]),
        exchange_info(filters=None),
        exchange_info(filters=RULES[:2]),
        exchange_info(filters=changed("PRICE_FILTER", tickSize="0.00000000")),
        exchange_info(filters=changed("PRICE_FILTER", tickSize="1e-2")),
        exchange_info(filters=changed("LOT_SIZE", stepSize="-1")),
        exchange_info(filters=changed("LOT_SIZE", stepSize=None)),
        exchange_info(filters=changed("NOTIONAL", minNotional="0.000000001")),
    ],
)
def test_an_answer_without_usable_rules_is_refused(body):
    """Nothing is guessed: a missing, zero or unreadable rule is an error that says which."""
    with pytest.raises(VenueError, match=r"\w"):
        Binance().parse_instrument(body)


def test_numbers_keep_every_digit():
    """JSON numbers stay text, so that no float ever rounds them."""
    assert read_json(b'{"a": 0.1000000000000000055, "b": 12345678901234567890}') == {
        "a": "0.1000000000000000055",
        "b": "12345678901234567890",
    }


EMPTY_ANSWERS = {
    "binance": b'{"symbols": []}',
    "binance-sbe": b'{"symbols": []}',
    "binance-usdm": b'{"symbols": [{"symbol": "ETHUSDT"}]}',
    "bybit": b'{"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": []}}',
    "coinbase": b'{"product_id": "ETH-USDT"}',
    "okx": b'{"code": "0", "msg": "", "data": []}',
}


@pytest.mark.parametrize("name", sorted(VENUES))
def test_an_answer_that_lacks_the_market_is_refused_by_the_market_s_name(name):
    """Futures tell every market but one that is not listed, and Bybit answers with none: a person is told which."""
    with pytest.raises(VenueError, match=VENUES[name]().symbol):
        VENUES[name]().parse_instrument(EMPTY_ANSWERS[name])


@pytest.mark.parametrize(
    ("text", "said"),
    [("0.000000001", "up to 8 decimals"), ("99999999999", "at most 92233720368"), (None, "no decimal number")],
)
def test_a_rule_that_cannot_be_held_says_what_could(text, said):
    """A tick of nine decimals is a decimal number, only too fine for us."""
    with pytest.raises(VenueError, match=said):
        Binance().parse_instrument(exchange_info(filters=changed("PRICE_FILTER", tickSize=text)))


WORDS = r"\u001b[2J\u001b]0;owned\u0007\r\npytrader: flat\u2028\u202e" + "x" * 5_000
HOSTILE = {
    "bybit": b'{"retCode": 10001, "retMsg": "%s", "result": {}}',
    "okx": b'{"code": "50011", "msg": "%s", "data": []}',
    "coinbase": b'{"product_id": "%s"}',
    "binance": exchange_info(baseAsset="%s"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_a_venue_says_in_a_refusal_is_one_printable_line(name):
    """It is printed on a terminal at the start, and logged while a watched venue is tried again."""
    with pytest.raises(VenueError, match="owned") as refusal:
        VENUES[name]().parse_instrument(HOSTILE[name] % WORDS.encode())
    text = str(refusal.value)
    assert text.isprintable()
    assert len(text) <= 1_000


# Each with what a damaged frame may say of its time, which no clock shows: in the year 2286, or 10,000, or before 1970.
NO_TIMES = [
    ("binance", b'{"e":"trade","E":9999999999999}'),
    ("binance", b'{"e":"trade","E":9999999999999999}'),
    ("binance-sbe", b"\x32\0\x11\x27\1\0\0\0" + b"\xff" * 8),
    ("binance-sbe", b"\x32\0\x11\x27\1\0\0\0" + b"\xff" * 7 + b"\x7f"),
    ("bybit", b'{"topic":"publicTrade.BTCUSDT","ts":9999999999999}'),
    ("coinbase", b'{"channel":"heartbeats","timestamp":"2026-13-01T00:00:00Z"}'),
    ("coinbase", b'{"channel":"heartbeats","timestamp":"9999-12-31T00:00:00Z"}'),
    ("coinbase", b'{"channel":"heartbeats","timestamp":"0000-01-01T00:00:00Z"}'),
    ("coinbase", b'{"channel":"heartbeats","timestamp":"0001-01-01T00:00:00Z"}'),
    ("okx", b'{"data":[{"ts":"9999999999999"}]}'),
]


@pytest.mark.parametrize(("name", "frame"), NO_TIMES)
def test_a_damaged_frame_tells_no_time_that_64_bits_cannot_hold(name, frame):
    """It was recorded like any other, and must not end a report or a replay of the recording."""
    assert VENUES[name]().event_ns(frame) is None


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"1790247036700", 1_790_247_036_700_000_000),
        (b" 1790247036700", 1_790_247_036_700_000_000),
        (b"1790247036700123", 1_790_247_036_700_123_000),
        (b"17902470367001", None),
        (b"1790247036700123000", None),
        (b'"1790247036700"', None),
    ],
)
def test_the_time_of_a_binance_frame_is_milliseconds_or_microseconds(field, expected):
    """The stream can be asked for either; anything else is no time."""
    assert Binance().event_ns(b'{"e":"trade","E":' + field + b',"s":"BTCUSDT"}') == expected


@pytest.mark.parametrize(
    ("venue", "symbol", "expected"),
    [
        ("okx", "BTC/USDT", "BTC-USDT"),
        ("okx", "BTC-EUR", "BTC-EUR"),
        ("coinbase", "ETH/EUR", "ETH-EUR"),
        ("bybit", "ETH/USDT", "ETHUSDT"),
        ("binance-usdm", "ETHUSDT", "ETHUSDT"),
    ],
)
def test_a_symbol_is_spelled_as_the_venue_does(venue, symbol, expected):
    """BASE/QUOTE is put in its words; what has no slash is in them already."""
    assert spelled(venue, symbol) == expected


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTCUSDT"])
def test_a_venue_that_is_not_known_spells_nothing(symbol):
    """However the symbol is written."""
    with pytest.raises(KeyError, match="kraken"):
        spelled("kraken", symbol)


@pytest.mark.parametrize("status", [403, 418, 429, 451])
def test_refusals_by_law_or_limit_are_named(status):
    """The statuses that a user can do something about say what; the others say nothing."""
    assert "Binance" in Binance().advice(status)
    assert not Binance().advice(500)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://a.example/x?y=1", Address("a.example", 443, True, "/x?y=1", "a.example")),
        ("https://a.example:8443", Address("a.example", 8443, True, "/", "a.example:8443")),
        ("ws://[::1]:9000/s", Address("::1", 9000, False, "/s", "[::1]:9000")),
        ("http://user@localhost", Address("localhost", 80, False, "/", "localhost")),
    ],
)
def test_addresses_are_split(url, expected):
    """Scheme, host, port and target of a URL."""
    assert address_of(url) == expected


@pytest.mark.parametrize("url", ["", "a.example", "ftp://a.example", "wss://", "wss:///x", "https://a.example:99999"])
def test_what_is_no_address_is_refused(url):
    """Nothing is connected to by guess."""
    with pytest.raises(ValueError, match=r"\w"):
        address_of(url)

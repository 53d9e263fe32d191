"""The words of Binance's binary streams and of its futures."""

import json
import logging

import pytest

from pytrader import settings as table
from pytrader.app import venue_of
from pytrader.setting_kinds import Secret
from pytrader.venues import BinanceSbe, BinanceUsdm, Instrument, VenueError

HOME = {"HOME": "/nowhere"}
BEST = bytes.fromhex(
    "3200112701000000dbc5ae5e385c0600012e597611000000fefbbf757f00000000007d59020000000000c0757f000000000010a4000000"
    "00000007" + b"BTCUSDT".hex()
)


def test_the_binary_streams_are_reached_at_their_own_host():
    """Best prices, depth and trades by their binary names; snapshots and rules where the text streams have them."""
    venue = BinanceSbe()
    streams = "btcusdt@bestBidAsk/btcusdt@depth/btcusdt@trade"
    assert venue.stream_url() == f"wss://stream-sbe.binance.com/stream?streams={streams}"
    assert venue.snapshot_url() == "https://data-api.binance.vision/api/v3/depth?symbol=BTCUSDT&limit=5000"
    (text,) = venue.resubscribe_texts()
    assert json.loads(text) == {"method": "SUBSCRIBE", "params": streams.split("/"), "id": 1}


def test_the_binary_streams_send_their_key_and_show_it_nowhere(caplog):
    """The header carries the key; neither repr nor a log line does."""
    venue = BinanceSbe(api_key=Secret("canary"))
    assert venue.headers() == {"X-MBX-APIKEY": "canary"}
    logging.getLogger("words").warning("%s %r", venue, venue)
    assert "canary" not in f"{venue} {venue!r} {caplog.text}"


@pytest.mark.parametrize("key", ["", "two words", "line\r\nX-Other: 1", "ключ", "x" * 257])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key):
    """What would end the header, or be none, is not sent."""
    with pytest.raises(VenueError, match="BINANCE_SBE_API_KEY") as refusal:
        BinanceSbe(api_key=Secret(key)).headers()
    assert not key or key not in str(refusal.value)


def test_the_binary_streams_refuse_to_start_without_a_key_and_say_what_to_do():
    """The sentence names the setting, the kind of key, and the venue that needs none."""
    settings = table.load({"venue": "binance-sbe"}, HOME, None)
    with pytest.raises(table.SettingsError) as refusal:
        venue_of(settings)
    for word in ("BINANCE_SBE_API_KEY", "Ed25519", "venue binance,"):
        assert word in str(refusal.value)


def test_the_key_of_the_binary_streams_comes_from_the_settings():
    """From the environment, under its own name, to the header of the upgrade."""
    settings = table.load({"venue": "binance-sbe"}, {**HOME, "BINANCE_SBE_API_KEY": "canary"}, None)
    venue = venue_of(settings)
    assert venue.headers() == {"X-MBX-APIKEY": "canary"}
    assert venue.stream_url().startswith("wss://stream-sbe.binance.com/stream")


def test_the_time_of_a_binary_frame_is_its_first_field():
    """Microseconds behind the header; a text on the same socket says `E`; a cut frame says nothing."""
    venue = BinanceSbe()
    assert venue.event_ns(BEST) == 1_790_247_036_700_123_000
    assert venue.event_ns(BEST[:15]) is None
    assert venue.event_ns(b'{"e":"serverShutdown","E":1770123456789}') == 1_770_123_456_789_000_000


def test_the_futures_are_reached_at_their_public_paths_only():
    """The three streams, the deepest snapshot, and the rules of all symbols."""
    venue = BinanceUsdm()
    streams = "btcusdt@bookTicker/btcusdt@depth@100ms/btcusdt@trade"
    assert venue.stream_url() == f"wss://fstream.binance.com/public/stream?streams={streams}"
    depth = "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    assert (venue.snapshot_url(), venue.audit_url()) == (depth, depth)
    assert venue.instrument_url() == "https://fapi.binance.com/fapi/v1/exchangeInfo"
    (text,) = venue.resubscribe_texts()
    assert json.loads(text)["params"] == streams.split("/")
    assert (venue.opening_texts(), venue.headers(), venue.keep_alive()) == ([], {}, None)


def test_the_rules_of_a_future_are_read_with_their_own_word_for_the_least_notional():
    """MIN_NOTIONAL says `notional` here, and the symbol stands among all others."""
    rules = [
        {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "maxQty": "1000", "minQty": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ]
    row = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": rules}
    body = json.dumps({"symbols": [row | {"symbol": "ETHUSDT"}, row]}).encode()
    expected = Instrument(
        "BTCUSDT", "BTC", "USDT", 10_000_000, 100_000, 100_000, 100_000_000_000, 10_000_000_000, trading=True
    )
    assert BinanceUsdm().parse_instrument(body) == expected
    with pytest.raises(VenueError, match="notional"):
        BinanceUsdm().parse_instrument(body.replace(b'"notional"', b'"other"'))

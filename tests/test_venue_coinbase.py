"""The words of Coinbase, and what is read from its answers."""

import json

import pytest

from pytrader.venues import Coinbase, Instrument, VenueError

PRODUCT = {
    "product_id": "BTC-USDT",
    "base_currency_id": "BTC",
    "quote_currency_id": "USDT",
    "price_increment": "0.01",
    "quote_increment": "0.01",
    "base_increment": "0.00000001",
    "base_min_size": "0.00000001",
    "base_max_size": "3400",
    "quote_min_size": "1",
    "status": "online",
    "trading_disabled": False,
    "is_disabled": False,
    "cancel_only": False,
    "post_only": False,
    "view_only": False,
    "alias": "",
    "alias_to": [],
}


def product(without=None, **changes):
    """Return an answer about the product."""
    row = PRODUCT | changes
    row.pop(without, None)
    return json.dumps(row).encode()


def test_coinbase_is_reached_at_its_market_data_host_and_path_only():
    """One stream for everything, the public product page, and no snapshot beside the stream."""
    venue = Coinbase()
    assert venue.stream_url() == "wss://advanced-trade-ws.coinbase.com"
    assert venue.instrument_url() == "https://api.coinbase.com/api/v3/brokerage/market/products/BTC-USDT"
    assert (venue.snapshot_url(), venue.audit_url(), venue.keep_alive(), venue.headers()) == (None, None, None, {})
    assert Coinbase.symbol_of("BTC", "USD") == "BTC-USD"
    # Its own program gives a message of the whole book 10 MiB; one of 5.1 MB was recorded.
    assert venue.message_max >= 10 << 20


def test_coinbase_is_asked_for_one_channel_a_message_and_for_a_new_snapshot_by_leaving_first():
    """A subscription that stands already brings no snapshot."""
    venue = Coinbase("BTC-USD")
    opening = [json.loads(text) for text in venue.opening_texts()]
    assert [message["channel"] for message in opening] == ["heartbeats", "level2", "market_trades"]
    assert all(message["type"] == "subscribe" and message["product_ids"] == ["BTC-USD"] for message in opening)
    first, *rest = [json.loads(text) for text in venue.resubscribe_texts()]
    assert first == {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channel": "level2"}
    assert rest == opening


def test_the_offline_coinbase_is_the_same_venue_at_another_address():
    """Bases can be replaced, with or without a final slash."""
    venue = Coinbase("BTC-USDT", "ws://127.0.0.1:9000/", "http://127.0.0.1:9000/")
    assert venue.stream_url() == "ws://127.0.0.1:9000"
    assert venue.instrument_url().startswith("http://127.0.0.1:9000/api/v3/brokerage/market/products/")


def test_the_rules_of_a_coinbase_product_are_read_as_integers():
    """Tick, step and bounds in units of 10⁻⁸."""
    expected = Instrument("BTC-USDT", "BTC", "USDT", 1_000_000, 1, 1, 340_000_000_000, 100_000_000, trading=True)
    assert Coinbase().parse_instrument(product()) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"status": "delisted"},
        {"status": "offline"},
        {"status": ""},
        {"trading_disabled": True},
        {"cancel_only": True},
        {"view_only": True},
        {"post_only": True},
        {"is_disabled": True},
        {"auction_mode": True},
    ],
)
def test_a_coinbase_product_that_takes_no_orders_says_so(change):
    """Any of the venue's words for closed means that no orders are taken."""
    assert not Coinbase().parse_instrument(product(**change)).trading


def test_a_coinbase_product_that_is_another_ones_alias_is_refused_by_name():
    """Frames of BTC-USDC name BTC-USD: a book under the alias would stay empty for ever."""
    with pytest.raises(VenueError, match="use symbol BTC-USD"):
        Coinbase("BTC-USDC").parse_instrument(product(product_id="BTC-USDC", alias="BTC-USD"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"error": "NOT_FOUND"}',
        product(product_id="ETH-USDT"),
        product(without="price_increment"),
        product(without="status"),
        product(base_increment="0"),
        product(price_increment="1e-2"),
        product(quote_min_size=None),
    ],
)
def test_an_answer_of_coinbase_without_usable_rules_is_refused(body):
    """Nothing is guessed: a missing, zero or unreadable rule is an error that says which."""
    with pytest.raises(VenueError, match=r"\w"):
        Coinbase().parse_instrument(body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-08-09T21:05:48.228568804Z", 1_786_309_548_228_568_804),
        ("2026-08-09T21:05:48.5Z", 1_786_309_548_500_000_000),
        ("2026-08-09T21:05:48Z", 1_786_309_548_000_000_000),
        ("2026-08-09 21:05:48", None),
    ],
)
def test_the_time_of_a_coinbase_message_keeps_its_nanoseconds(text, expected):
    """UTC with up to nine decimals; what is written otherwise is no time."""
    assert Coinbase().event_ns(f'{{"channel":"l2_data","timestamp":"{text}","sequence_num":1}}'.encode()) == expected


@pytest.mark.parametrize("status", [403, 429, 451])
def test_refusals_of_coinbase_are_named(status):
    """The statuses that a user can do something about say what; the others say nothing."""
    assert "Coinbase" in Coinbase().advice(status)
    assert not Coinbase().advice(500)

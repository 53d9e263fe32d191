"""OKX's words, and what is read from its answers."""

import json

import pytest

from pytrader._core import Book, parse_e8
from pytrader.venues import Instrument, KeepAlive, Okx, VenueError


def instruments(**changes):
    """Return an answer about BTC-USDT."""
    row = {
        "instType": "SPOT",
        "instId": "BTC-USDT",
        "baseCcy": "BTC",
        "quoteCcy": "USDT",
        "tickSz": "0.1",
        "lotSz": "0.00000001",
        "minSz": "0.00001",
        "maxLmtSz": "9999999999",
        "maxMktSz": "",
        "maxLmtAmt": "1000000",
        "state": "live",
    }
    return json.dumps({"code": "0", "msg": "", "data": [row | changes]}).encode()


def test_okx_is_reached_at_its_public_paths_only():
    """The public stream, the book and the rules: paths that know no account, on the port that stays open."""
    venue = Okx()
    assert venue.stream_url() == "wss://ws.okx.com/ws/v5/public"
    assert venue.snapshot_url() == "https://openapi.okx.com/api/v5/market/books?instId=BTC-USDT&sz=400"
    assert venue.audit_url() == venue.snapshot_url()
    rules = "https://openapi.okx.com/api/v5/public/instruments?instId=BTC-USDT&instType=SPOT"
    assert venue.instrument_url() == rules
    assert venue.headers() == {}


def test_okx_streams_what_it_is_asked_for():
    """The top, 400 levels and the trades; asked again, a channel is left first so that it begins with a snapshot."""
    args = [{"channel": channel, "instId": "BTC-USDT"} for channel in ("bbo-tbt", "books", "trades")]
    venue = Okx()
    assert [json.loads(text) for text in venue.opening_texts()] == [{"op": "subscribe", "args": args}]
    assert [json.loads(text) for text in venue.resubscribe_texts()] == [
        {"op": "unsubscribe", "args": args},
        {"op": "subscribe", "args": args},
    ]
    assert venue.keep_alive() == KeepAlive("ping", 20.0)


def test_the_offline_market_is_okx_at_another_address():
    """Bases can be replaced, with or without a final slash."""
    venue = Okx("ETH-USDT", "ws://127.0.0.1:9000/", "http://127.0.0.1:9000")
    assert venue.stream_url() == "ws://127.0.0.1:9000/ws/v5/public"
    assert str(venue.snapshot_url()).startswith("http://127.0.0.1:9000/api/v5/market/books?instId=ETH-USDT")
    assert '"instId":"ETH-USDT"' in venue.opening_texts()[0]


def test_the_rules_of_an_okx_market_are_read_as_integers():
    """Tick, step and bounds in units of 10⁻⁸; OKX has no least notional."""
    expected = Instrument("BTC-USDT", "BTC", "USDT", 10_000_000, 1, 1_000, 999_999_999_900_000_000, 1, trading=True)
    assert Okx().parse_instrument(instruments()) == expected


def test_a_largest_quantity_beyond_what_can_be_held_bounds_nothing():
    """OKX says 999,999,999,999 of most markets, ETH-USDT among them, and means that there is no bound."""
    rules = Okx("ETH-USDT").parse_instrument(instruments(instId="ETH-USDT", baseCcy="ETH", maxLmtSz="999999999999"))
    assert (rules.base, rules.max_quantity_e8) == ("ETH", 2**63 - 1)
    whole = Okx().parse_instrument(instruments(maxLmtSz="92233720368.54775807"))
    assert whole.max_quantity_e8 == 2**63 - 1


@pytest.mark.parametrize("bound", ["10000000000", "92233720368", "92233720368.54775806"])
def test_a_largest_quantity_of_eleven_digits_that_can_be_held_is_kept(bound):
    """The engine holds 92,233,720,368.54775807."""
    assert Okx().parse_instrument(instruments(maxLmtSz=bound)).max_quantity_e8 == parse_e8(bound)


@pytest.mark.parametrize("state", ["suspend", "preopen", "test", "rebase", "Live", ""])
def test_an_okx_market_that_is_not_live_says_so(state):
    """Any state but live means that no orders are taken."""
    assert not Okx().parse_instrument(instruments(state=state)).trading


def test_a_refusal_of_okx_is_told_in_its_words():
    """With its code, whatever else the answer holds."""
    body = instruments().replace(b'"code": "0", "msg": ""', b'"code": "50011", "msg": "Too Many Requests"')
    with pytest.raises(VenueError, match=r"Too Many Requests \(50011\)"):
        Okx().parse_instrument(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"code": "51001", "msg": "Instrument ID does not exist", "data": []}',
        b'{"code": "0", "msg": "", "data": []}',
        instruments(instId="ETH-USDT"),
        instruments(tickSz="0"),
        instruments(tickSz=""),
        instruments(tickSz=None),
        instruments(lotSz="1e-8"),
        instruments(minSz="-1"),
        instruments(maxLmtSz="99999999999999"),
        instruments(maxLmtSz="00000000000"),
        instruments(maxLmtSz="999999999999.000000001"),
        instruments(maxLmtSz=999999999999.5e3),
    ],
)
def test_an_okx_answer_without_usable_rules_is_refused(body):
    """Nothing is guessed: a missing, zero or unreadable rule is an error that says which."""
    with pytest.raises(VenueError, match=r"\w"):
        Okx().parse_instrument(body)


def test_okx_says_the_time_of_a_frame():
    """`ts` is a text of milliseconds; an answer says nothing."""
    frame = b'{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[],"bids":[],"ts":"1791369351001"}]}'
    assert Okx().event_ns(frame) == 1_791_369_351_001_000_000
    assert Okx().event_ns(b"pong") is None


@pytest.mark.parametrize("status", [403, 429, 451])
def test_refusals_of_okx_are_named(status):
    """The statuses that a user can do something about say what; the others say nothing."""
    assert "OKX" in Okx().advice(status)
    assert not Okx().advice(500)


def rows(levels):
    """Return levels with OKX's two more members."""
    return [[price, size, "0", "1"] for price, size in levels]


def books(action, bids, asks, **ids):
    """Return one frame of the books channel."""
    data = {"asks": rows(asks), "bids": rows(bids), "ts": "1", "checksum": 0, **ids}
    arg = {"channel": "books", "instId": "BTC-USDT"}
    return json.dumps({"arg": arg, "action": action, "data": [data]}).encode()


def snapshot(seq_id, bid="99", ask="101"):
    """Return the whole book as the stream sends it."""
    return books("snapshot", [[bid, "1"]], [[ask, "1"]], prevSeqId=-1, seqId=seq_id)


def update(previous, seq_id, bids=(), asks=()):
    """Return a change of the book."""
    return books("update", bids, asks, prevSeqId=previous, seqId=seq_id)


def fetched(seq_id):
    """Return the whole book as a request gives it."""
    data = {"asks": rows([["101", "1"]]), "bids": rows([["99", "1"]]), "ts": "1", "seqId": seq_id}
    return json.dumps({"code": "0", "msg": "", "data": [data]}).encode()


@pytest.fixture
def live():
    """Return a book that stands at seqId 100."""
    book = Book("okx", "BTC-USDT")
    assert book.apply(snapshot(100)) == "snapshot"
    return book


def test_an_okx_book_follows_the_links_and_not_the_distances(live):
    """Ids skip; a keep-alive follows itself; after maintenance they begin again at a smaller one."""
    steps = [(100, 107), (107, 107), (107, 119), (119, 5), (5, 9)]
    assert [live.apply(update(*step)) for step in steps] == ["depth"] * 5
    assert (live.top().update_id, live.top().synced, live.counters()["gaps"]) == (9, True, 0)
    tick = {"asks": rows([["100.5", "2"]]), "bids": rows([["99.5", "2"]]), "ts": "1", "seqId": 10}
    top = json.dumps({"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"}, "data": [tick]}).encode()
    assert live.apply(top) == "top"
    assert live.top().bid_e8 == 9_950_000_000


@pytest.mark.parametrize("step", [(107, 119), (99, 119), (101, 119)])
def test_a_broken_link_is_a_gap_and_a_fetched_book_heals_it(live, step):
    """The frame is kept, and the book that is asked for then joins it."""
    assert live.apply(update(*step)) == "gap"
    assert (live.top().doubt, live.wait_snapshot_wanted(0)) == ("gap", True)
    assert live.offer_snapshot(fetched(step[0] - 1)) == "too_old"
    assert live.offer_snapshot(fetched(step[0] + 2)) == "bridged"
    assert (live.top().synced, live.top().update_id) == (True, 119)


def test_a_stream_without_a_snapshot_begins_with_a_fetched_book():
    """OKX announced that the first frame may be an update."""
    book = Book("okx", "BTC-USDT")
    frames = [update(90, 97), update(97, 104, [["99.5", "2"]]), update(104, 110)]
    assert [book.apply(frame) for frame in frames] == ["buffered"] * 3
    assert book.wait_snapshot_wanted(0)
    assert book.offer_snapshot(fetched(100)) == "bridged"
    assert (book.top().update_id, book.top().bid_e8) == (110, 9_950_000_000)
    assert book.apply(update(110, 112)) == "depth"


def test_a_second_snapshot_on_a_live_connection_replaces_the_book(live):
    """As after an unsubscribe and a subscribe."""
    assert live.apply(snapshot(300, "90", "110")) == "snapshot"
    assert live.levels("bid") == [(9_000_000_000, 100_000_000)]
    assert live.apply(update(300, 301)) == "depth"


def test_an_update_twice_changes_nothing(live):
    """It leads to where the book stands already."""
    again = update(100, 107, [["99.5", "2"]])
    assert [live.apply(again), live.apply(again), live.apply(update(107, 108))] == ["depth", "ignored", "depth"]
    assert live.counters()["duplicates"] == 1


def test_an_update_with_neither_link_nor_checksum_ends_the_trust(live):
    """Nothing could tell that one of them was lost."""
    assert live.apply(books("update", [["98", "1"]], [])) == "refused"
    assert live.top().doubt == "refused"


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        (b"pong", "control"),
        (b'{"event":"notice","code":"64008","msg":"The connection will soon be closed","connId":"a"}', "shutdown"),
        (b'{"event":"error","code":"60018","msg":"Wrong URL or channel","connId":"a"}', "control"),
    ],
)
def test_answers_and_notices_leave_the_book_alone(live, frame, word):
    """They are named, and change nothing."""
    assert (live.apply(frame), live.top().synced) == (word, True)

"""A public client library that knows the real exchange takes the offline one for it."""

import asyncio

import pytest
from sandbox_clients import kept_by_python_binance

from pytrader.sandbox import frames
from pytrader.sandbox.market import Market
from pytrader.sandbox.process import OfflineMarket
from pytrader.sandbox.scenario import SCENARIOS

binance = pytest.importorskip("binance", reason="python-binance is not installed (it is in the [dev] extra)")

# The library's own habits (naive dates, an event loop taken at import) are not this test's subject.
pytestmark = pytest.mark.filterwarnings("ignore")


async def _kept_books(market, frames_wanted):
    """Let python-binance keep a book; return (update id, best 100 bids, best 100 asks) after each step."""
    client, keeper = kept_by_python_binance(binance, market)
    books = []
    try:
        async with keeper as kept:
            while len(books) < frames_wanted:
                book = await asyncio.wait_for(kept.recv(), 10)
                bids, asks = (sorted(side.items(), key=_price) for side in (book._bids, book._asks))
                books.append((keeper._last_update_id, bids[:-101:-1], asks[:100]))
    finally:
        await client.close_connection()
    return books


def _price(level):
    return float(level[0])


def _texts(ladder):
    return [(frames.price_text(tick), frames.quantity_text(lots)) for tick, lots in ladder.top(100)]


@pytest.mark.parametrize(("scenario", "frames_wanted"), [("calm", 30), ("busy", 20)])
def test_python_binance_keeps_a_correct_local_book(scenario, frames_wanted):
    """Its 100 best levels a side equal an equal market's own at the same update id, to the last digit.

    The library fetches the snapshot again when the first frame reaches back behind it, so its first steps are left out.
    """
    with OfflineMarket.start(21, scenario) as offline:
        books = asyncio.run(_kept_books(offline, frames_wanted))
    own, compared = Market(21, SCENARIOS[scenario]), 0
    for update_id, bids, asks in books[3:]:
        while own.book.update_id < update_id:
            own.advance(own.now_ns + 100_000_000)
        assert own.book.update_id == update_id
        assert (bids, asks) == (_texts(own.book.bids), _texts(own.book.asks))
        compared += 1
    assert compared == frames_wanted - 3

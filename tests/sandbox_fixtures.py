"""Fixtures of the offline exchange's tests."""

import pytest
import websocket

from pytrader.sandbox.process import OfflineMarket


@pytest.fixture
def offline():
    """Run a calm market with seed 7."""
    with OfflineMarket.start(7, "calm") as market:
        yield market


@pytest.fixture
def connect(offline):
    """Give a function that opens a WebSocket on a path; all are closed at the end."""
    opened = []

    def connected(path, market=offline):
        opened.append(websocket.create_connection(market.ws_url + path, timeout=10))
        return opened[-1]

    yield connected
    for client in opened:
        client.shutdown()

"""Connections that end, one after the other: nothing of them stays."""

import reconnects

CONNECTIONS = 50


def test_fifty_connections_that_end_in_every_way_leave_no_thread_descriptor_or_memory_behind(tmp_path):
    """Cut, closed, cut within a frame and broken, each live before; `make soak-reconnects` takes a thousand."""
    held = reconnects.reconnect(tmp_path, CONNECTIONS)
    print(held.text())
    held.assert_flat()

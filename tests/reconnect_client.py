"""The real feed for a venue that ends every connection, a process of its own: `reconnect_client.py PORT CA_FILE`.

Its clock runs a thousand times faster, so that back-off and budgets, which stay as they are, last milliseconds. Prints
the update id of each live top that it sees. Ends with its input.
"""

import logging
import sys
import threading
import time

from pytrader._core import Book
from pytrader.feed import Feed, FeedSettings
from pytrader.venues import Binance

FASTER = 1_000
LOOK_S = 0.002


def main(port, ca_file):
    """Feed a book until standard input ends."""
    venue = Binance("BTCUSDT", f"wss://127.0.0.1:{port}", f"https://127.0.0.1:{port}")
    settings = FeedSettings(
        ca_file=ca_file,
        audit_s=0.0,
        clock=lambda: time.monotonic() * FASTER,
        pause=lambda stopped, wait_s: stopped.wait(wait_s / FASTER),
    )
    log = logging.getLogger("reconnects")
    log.setLevel(logging.ERROR)
    book, ended, seen = Book(), threading.Event(), None
    feed = Feed(venue, book, log=log, settings=settings)
    threads = [threading.Thread(target=body) for body in (feed.run, feed.run_next, feed.run_snapshots)]
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    for thread in threads:
        thread.start()
    while not ended.wait(LOOK_S):
        top = book.top()
        if top.synced and top.update_id != seen:
            seen = top.update_id
            print(seen, flush=True)
    feed.stop()
    for thread in threads:
        thread.join(5)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

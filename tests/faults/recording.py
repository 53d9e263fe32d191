"""Trades on one engine that records, while the disk under the recording is full for a while; then heals it."""

import json
import sys
from pathlib import Path
from time import sleep

from failing import FAULTS, Disk

from pytrader import recorder
from pytrader.app import App
from pytrader.settings import load

LIMITS = {"max_orders_per_second": "50", "delay_min_ms": "1", "delay_max_ms": "2", "seed": "1"}


def main(settings, folder, disk):
    """Record, fail, trade, heal, record again."""
    fills = 0
    with App(settings, folder) as app:
        assert app.trader.wait_synced()
        for failing in (False, True, False):
            if failing:
                disk.fail(1, FAULTS["full"], on=True)
            else:
                disk.heal()
            sleep(1.0)
            fills += app.trader.buy("0.001").wait_over(10)[-1].kind == "filled"
        sleep(0.5)
        halted = app.trader.status()["halted"]
    print(json.dumps({"halted": halted, "fills": fills, "levels": app.book.levels("bid", 100)}))


if __name__ == "__main__":
    recorder.RETRY_S = recorder.FLUSH_S = 0.1
    stream, rest, folder, record, disk = sys.argv[1:]
    chosen = load({"stream_url": stream, "rest_url": rest, "record": record, **LIMITS}, {}, None)
    main(chosen, Path(folder), Disk(Path(disk)))

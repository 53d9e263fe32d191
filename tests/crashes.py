"""Engines that are killed again and again on one journal, and what must be so after each kill."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sessions import Row, environment, folded, rows_of

from pytrader.events import read
from pytrader.sandbox.process import OfflineMarket

# Fires orders of every kind without waiting for any; says its state before the first, and each event that it was told.
ENGINE = """
import os, random, sys
from pathlib import Path
from pytrader.app import App
from pytrader.settings import load

stream, rest, folder, seed = sys.argv[1:]
dice = random.Random(int(seed))

class Told:
    def take(self, event):
        os.write(1, f"told {event.seq} {event.kind}\\n".encode())

limits = {"max_orders_per_second": "50", "max_position": "50", "delay_max_ms": "40", "taker_fee_bps": "1"}
app = App(load({"stream_url": stream, "rest_url": rest, **limits}, {}, None), Path(folder), outlets=[Told()])
os.write(1, b"state " + app.desk.state() + b"\\n")
with app:
    app.trader.wait_synced()
    os.write(1, b"trading\\n")
    while True:
        side, size = dice.choice(["buy", "sell"]), f"0.0{dice.randint(1, 9)}"
        order = getattr(app.trader, side)
        bid = app.trader.top().bid_e8 // 10**8
        away = dice.choice([-5, 0, 5, 5_000])
        limit = bid - away if side == "buy" else bid + away
        dice.choice([
            lambda: order(size),
            lambda: order(size, limit),
            lambda: order(size, limit, tif="ioc"),
            lambda: app.trader.cancel_all(),
        ])()
        app.trader.pause(dice.uniform(0, 0.03))
"""


@dataclass(frozen=True)
class Kill:
    """One engine's life: the journal before and after it, and what it said of its state and of what it was told."""

    before: list[Row]
    after: list[Row]
    state: bytes
    said: list[bytes]


def kills(market: OfflineMarket, folder: Path, dice: random.Random, count: int) -> Iterator[Kill]:
    """Kill one engine after the other on the journal of `folder`, each at a random moment."""
    before: list[Row] = []
    for _ in range(count):
        state, said = killed(market, folder, dice)
        after = rows_of(folder)
        yield Kill(before, after, state, said)
        before = after


def killed(market: OfflineMarket, folder: Path, dice: random.Random) -> tuple[bytes, list[bytes]]:
    """Run the engine on `folder`, kill it at a random moment, and return what it said until then."""
    words = [market.ws_url, market.rest_url, str(folder), str(dice.random())[2:]]
    command = [sys.executable, "-c", ENGINE, *words]
    with subprocess.Popen(
        command, cwd=folder.parent, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        state = child.stdout.readline()
        if dice.random() < 0.9:  # else before or while the book comes
            while child.stdout.readline() not in (b"trading\n", b""):
                pass
        try:
            child.wait(dice.uniform(0, 0.4))
        except subprocess.TimeoutExpired:
            child.kill()
        out, err = child.communicate()
    assert child.returncode == -9, err.decode()
    return state.removeprefix(b"state ").strip(), out.splitlines()


def continues(kill: Kill) -> None:
    """Assert that no committed event was taken back or changed, and that there are new ones."""
    assert kill.after[: len(kill.before)] == kill.before
    assert len(kill.after) > len(kill.before)


def began_as_the_fold(kill: Kill) -> None:
    """Assert that its state, and the events that it began with, are those of a desk that only read the journal."""
    before, after = kill.before, kill.after
    desk = folded(before, max_orders_per_second=50, max_position_e8=50 * 10**8)
    began = next(index for index in range(len(before), len(after)) if read(after[index]).kind == "started")
    _, mono_ns, utc_ns, _ = after[began]
    desk.start(read(after[began]).facts["seed"], False, mono_ns, utc_ns)
    expected = desk.next_events(10_000, 0)
    assert after[len(before) : len(before) + len(expected)] == expected
    assert kill.state == desk.state()
    assert all(order["state"] == "resting" for order in json.loads(desk.status())["open_orders"])


def released_with_intent(rows: list[Row]) -> int:
    """Assert that whatever left was accepted in an earlier event, and left once; return how many orders left."""
    accepted, released = set(), set()
    for event in map(read, rows):
        if event.kind == "accepted":
            accepted.add(event.order_id)
        elif event.kind == "released":
            assert event.order_id in accepted
            assert event.order_id not in released
            released.add(event.order_id)
        elif event.kind in ("filled", "resting"):
            assert event.order_id in released
    return len(released)


def told_what_is_saved(kill: Kill) -> int:
    """Assert that everything that an outlet was told is in the journal, at its place; return how much it was told."""
    told = 0
    for line in kill.said:
        word, *place = line.decode().split()
        if word == "told" and len(place) == 2:  # the last line may be cut
            seq, kind = place
            assert read(kill.after[int(seq) - 1]).kind == kind
            told += 1
    return told
